export { Memtable } from './memtable.ts';
