export { Memtable, NODE_BYTES_PER_RECORD } from './memtable.ts';
