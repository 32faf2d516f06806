/**
 * Lays out the records of a batch in linear memory, as the memtable's arena and the log have them (docs/formats/log.md). Where large values go is the
 * caller's: writer.ts puts them behind the frame, hosted/hosted-writer.ts has them in its host's log already. Sequence numbers are the kernel's to fill in.
 */
import {
  EXPIRY_BYTES,
  FLAG_EXPIRES,
  KIND_DELETE,
  KIND_POINTER,
  KIND_PUT,
  KIND_RANGE_DELETE,
  POINTER_BYTES,
  RECORD_HEADER_BYTES,
} from '../assembly/memory-map.ts';
import { type BatchPlan, isPointed } from './batch-plan.ts';
import { NEVER } from './expiry.ts';
import { writePrefix } from './keyspace-key.ts';
import { copyIn } from './memory/copy.ts';
import type { LinearMemory } from './memory/linear-memory.ts';

/** A record's flags stand above its kind. */
export const EXPIRING: number = FLAG_EXPIRES << 8;

/** Sees to it that the value of operation `i` is somewhere, and writes its pointer to `pointerAt`. */
export type PointTo = (value: Uint8Array, pointerAt: number, i: number) => void;

export function layOut(memory: LinearMemory, plan: BatchPlan, from: number, pointTo: PointTo): void {
  const { u8, u32 } = memory;
  let at = from;
  for (let i = 0; i < plan.keys.length; i++) {
    const key = plan.keys[i]!;
    const value = plan.values[i];
    const keyspace = plan.keyspaces[i]!;
    const { prefixBytes } = keyspace;
    const keyBytes = prefixBytes + key.length;
    const expiresAtMs = plan.expiries[i]!;
    const expiryBytes = expiresAtMs === NEVER ? 0 : EXPIRY_BYTES;
    let kind = KIND_DELETE;
    let valueBytes = 0;
    writePrefix(u8, at + RECORD_HEADER_BYTES, keyspace.id);
    u8.set(key, at + RECORD_HEADER_BYTES + prefixBytes);
    const storedAt = at + RECORD_HEADER_BYTES + keyBytes;
    if (value !== undefined) {
      const valueAt = storedAt + expiryBytes;
      if (isPointed(plan, i, keyBytes, value.length, expiryBytes)) {
        kind = KIND_POINTER;
        valueBytes = POINTER_BYTES;
        pointTo(value, valueAt, i);
      } else {
        kind = KIND_PUT;
        valueBytes = value.length;
        copyIn(value, memory, valueAt);
      }
      if (expiryBytes !== 0) {
        kind |= EXPIRING;
        valueBytes += EXPIRY_BYTES;
        writeExpiry(memory, storedAt, expiresAtMs);
      }
    }
    const rangeEnd = plan.ends[i];
    if (rangeEnd !== undefined) {
      kind = KIND_RANGE_DELETE;
      valueBytes = rangeEnd.length;
      u8.set(rangeEnd, storedAt);
    }
    u32[at >>> 2] = valueBytes;
    u32[(at >>> 2) + 1] = keyBytes | (kind << 16);
    const end = storedAt + valueBytes;
    at = (end + 7) & ~7;
    for (let zero = end; zero < at; zero++) u8[zero] = 0;
  }
}

export function writeExpiry({ view }: LinearMemory, at: number, expiresAtMs: number): void {
  view.setUint32(at, expiresAtMs % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(expiresAtMs / 2 ** 32), true);
}
