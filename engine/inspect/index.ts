/** A store as files: what they are, what is in them, whether it is what was written. Only repair changes anything, and nothing that is sound. */
export { dump, type DumpedRecord, type DumpItem, type DumpOptions } from './dump.ts';
export { EntryWriter } from './entry-writer.ts';
export { Findings, isSystemError } from './findings.ts';
export { drive, type Steps } from './steps.ts';
export { imageOfDirectory, imageOfEngine, type ImageFile, type StoreImage } from './store-image.ts';
export { storeStats, type StoreStats } from './store-stats.ts';
export { repairDirectory } from './repair.ts';
export { userKeyOf } from './user-key.ts';
export { readPages } from './table-pages.ts';
export { ValueCheck } from './value-check.ts';
export { verifyTable } from './verify-table.ts';
export { verifyDirectory, verifyImage } from './verify.ts';
