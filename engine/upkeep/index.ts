/** Stores out of stores: checkpoints, backups, restores. */
export { listBackups, makeBackup, pruneBackups, restoreBackup, verifyBackup } from './backup.ts';
export { makeCheckpoint } from './checkpoint.ts';
export { runIngest, type IngestHost } from './ingest.ts';
export { TableFiles } from './table-files.ts';
export { newStoreId, storeIdSettings } from './store-id.ts';
