/** Reads of files that may wait for the disk without the caller's thread waiting for them. */
export { COLD, ColdReads, type PreparedFile } from './cold-reads.ts';
export { ReadAhead } from './fetched.ts';
export { RecentReads, type ReadChoice, type ReadPolicy } from './read-policy.ts';
