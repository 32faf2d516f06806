/** The records of a frame of the log, copied out of linear memory (docs/formats/log.md). The frame has been checked. */
import { RECORD_HEADER_BYTES } from '../../assembly/memory-map.ts';
import { keyspaceOf } from '../keyspace-key.ts';
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

/** Ids of the keyspaces that the frame's records are in. */
export function frameKeyspaces({ u8, u16, u32 }: LinearMemory, address: number, bytes: number): Set<number> {
  const keyspaces = new Set<number>();
  for (let at = address; at < address + bytes;) {
    const key = at + RECORD_HEADER_BYTES;
    const keyBytes = u16[(at + 4) >>> 1]!;
    keyspaces.add(keyspaceOf(u8.subarray(key, key + 3)));
    at = (key + keyBytes + u32[at >>> 2]! + 7) & ~7;
  }
  return keyspaces;
}
