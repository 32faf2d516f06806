/** The one module: everything the host calls. `--runtime stub`, no managed objects, no imports but the memory. */
export { checksumInto } from './checksum';
export { memtableInit, memtablePut, memtableInsert } from './memtable';
export { sealFrame, checkFrame, checkRecords, sealPointer, checkPointer, nextPointer, findSyncedFrame } from './frame';
