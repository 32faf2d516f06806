/** The records of a frame of the log, copied out of linear memory (docs/formats/log.md). The frame has been checked. */
import { RECORD_HEADER_BYTES } from '../../assembly/memory-map.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { TableEntry } from './table-pages.ts';

export function* frameRecords(memory: LinearMemory, address: number, bytes: number): Generator<TableEntry, void, void> {
  const { u8, view } = memory;
  for (let at = address; at < address + bytes;) {
    const valueBytes = view.getUint32(at, true);
    const keyBytes = view.getUint16(at + 4, true);
    const key = at + RECORD_HEADER_BYTES;
    const value = key + keyBytes;
    yield {
      key: u8.slice(key, value),
      sequence: view.getUint32(at + 12, true) * 2 ** 32 + view.getUint32(at + 8, true),
      kind: u8[at + 6]!,
      flags: u8[at + 7]!,
      value: u8.slice(value, value + valueBytes),
    };
    at = (value + valueBytes + 7) & ~7;
  }
}

/** The sequence number that all records of the frame carry. */
export function frameSequence(memory: LinearMemory, address: number): number {
  return memory.view.getUint32(address + 12, true) * 2 ** 32 + memory.view.getUint32(address + 8, true);
}
