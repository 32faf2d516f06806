export { Memtable, type MemtableLink, NODE_BYTES_PER_RECORD } from './memtable.ts';
export { MemtableBudget, type MemtableHolder } from './memtable-budget.ts';
