/** Upkeep of the store: memtables, flushes, compactions, versions. */
export { Maintenance } from './maintenance.ts';
