/** Table files: sorted runs on disk. Written by flush and compaction, read through the page cache. */
export { OpenTable } from './open-table.ts';
export { PageCache, type PageCacheStats } from './page-cache.ts';
export { openTableFile, readTableMeta } from './read-table.ts';
export { corruptTable, tableFileName } from './table-format.ts';
export { SegmentTable } from './segment-table.ts';
export type { SegmentReference, TableMeta } from './table-meta.ts';
export { TableWriter, TABLE_WINDOW_BYTES } from './table-writer.ts';
