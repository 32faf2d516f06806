/** Table files: sorted runs on disk. Written by flush and compaction, read through the page cache. */
export { OpenTable } from './open-table.ts';
export { PageCache, type PageCacheStats } from './page-cache.ts';
export { openTableFile, readFooter, readTableBytes, readTableMeta } from './read-table.ts';
export {
  corruptTable,
  decodeProperties,
  indexSectionBytes,
  sameCheck,
  SECTION_FILTER,
  SECTION_INDEX,
  tableFileName,
  tableLayout,
  type TableFooter,
  type TableProperties,
} from './table-format.ts';
export { SegmentTable } from './segment-table.ts';
export type { SegmentReference, TableMeta } from './table-meta.ts';
export { TableWriter, TABLE_WINDOW_BYTES } from './table-writer.ts';
