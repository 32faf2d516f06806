/** Table files: sorted runs on disk. Written by flush and compaction, read through the page cache. */
export { IndexBudget } from './index-budget.ts';
export { OpenTable } from './open-table.ts';
export { PageCache, pageCacheMemory, type PageCacheStats } from './page-cache.ts';
export {
  CODECS,
  type CompressionSetting,
  type LevelCompression,
  PAGE_COMPRESSIONS,
  type PageCompression,
  requireZstd,
  unpackPage,
} from './page-compression.ts';
export { PageKeys } from './page-keys.ts';
export { type PageRange, PageStream } from './page-stream.ts';
export { openTableFile, readFooter, readTableBytes, readTableMeta } from './read-table.ts';
export {
  corruptTable,
  decodeProperties,
  filterBlocksIn,
  tableFileName,
  tableLayout,
  type TableFooter,
  type TableProperties,
} from './table-format.ts';
export { readFilter, readIndex, readTop, type SectionSource } from './table-sections.ts';
export { FILTER_BITS_PER_KEY, formsWithin, PLAIN_FORMS, type TableForm, type TableForms } from './table-form.ts';
export { SegmentTable } from './segment-table.ts';
export type { Expiring, SegmentReference, TableMeta } from './table-meta.ts';
export { TableWriter, type TableWriterOptions, TABLE_WINDOW_BYTES } from './table-writer.ts';
