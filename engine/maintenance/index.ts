/** Upkeep of the store: memtables, flushes, compactions, versions. */
export type { Occupied } from './compactions.ts';
export { Maintenance } from './maintenance.ts';
