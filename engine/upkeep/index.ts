/** Stores out of stores: checkpoints, backups, restores. */
export { listBackups, makeBackup, pruneBackups, restoreBackup, verifyBackup } from './backup.ts';
export { makeCheckpoint } from './checkpoint.ts';
export { newStoreId, storeIdSettings } from './store-id.ts';
