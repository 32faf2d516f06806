/** A log segment made by hand, from docs/formats/log.md: batches that no writer of this program would write, or does not write yet. */
import { xxh64 } from '../../../base/xxh64.ts';
import type { SimFileSystem } from '../../sim/sim-file-system.ts';

export interface HandRecord {
  /** Of the default keyspace. */
  readonly key: string;
  readonly kind: number;
  readonly flags?: number;
  /** Of a pointer (kind 2): the large value, which is put behind the frame. */
  readonly value?: Uint8Array | string;
  readonly expiresAtMs?: number;
}

const FRAMES_OFFSET = 1024;

/** Writes segment `segment` of a new log: a frame for each batch, with sequences from 1. */
export function writeLog(
  disk: SimFileSystem,
  path: string,
  segment: number,
  batches: readonly (readonly HandRecord[])[],
  version = 2,
): void {
  const header = Buffer.alloc(FRAMES_OFFSET);
  header.write('SPKVLOG1', 'latin1');
  header.writeUInt32LE(version, 8);
  header.writeUInt32LE(segment, 12);
  writeCheck(header, 56, 0, 56, segment);
  const parts: Buffer[] = [header];
  let offset = FRAMES_OFFSET;
  for (const [i, batch] of batches.entries()) {
    const frame = frameOf(batch, i + 1, segment, offset);
    parts.push(frame);
    offset += frame.length;
  }
  disk.openSync(path, 'create').closeSync();
  disk.replace(path, Uint8Array.from(Buffer.concat(parts)));
}

function frameOf(batch: readonly HandRecord[], sequence: number, segment: number, offset: number): Buffer {
  const large = batch.map(({ kind, value }) => (kind === 2 ? Buffer.from(value ?? '') : Buffer.alloc(0)));
  const sizes = batch.map((record) => padded(17 + record.key.length + storedBytes(record)));
  const recordBytes = sizes.reduce((sum, size) => sum + size, 0);
  const payloadBytes = large.reduce((sum, value) => sum + padded(value.length), 0);
  const frame = Buffer.alloc(24 + recordBytes + payloadBytes);
  let at = 24;
  let payload = 24 + recordBytes;
  for (const [i, record] of batch.entries()) {
    frame.writeUInt32LE(storedBytes(record), at);
    frame.writeUInt16LE(1 + record.key.length, at + 4);
    frame[at + 6] = record.kind;
    frame[at + 7] = record.flags ?? (record.expiresAtMs === undefined ? 0 : 1);
    frame.writeBigUInt64LE(BigInt(sequence), at + 8);
    frame.write(record.key, at + 17, 'latin1');
    let value = at + 17 + record.key.length;
    if (record.expiresAtMs !== undefined) value = frame.writeBigUInt64LE(BigInt(record.expiresAtMs), value);
    if (record.kind === 2) {
      frame.set(large[i]!, payload);
      frame.writeUInt32LE(segment, value);
      frame.writeUInt32LE(large[i]!.length, value + 4);
      frame.writeUInt32LE(offset + payload, value + 8);
      writeCheck(frame, value + 16, payload, large[i]!.length, segment);
      payload += padded(large[i]!.length);
    } else frame.set(Buffer.from(record.value ?? ''), value);
    at += sizes[i]!;
  }
  frame.writeUInt32LE(recordBytes, 8);
  frame.writeUInt32LE(payloadBytes, 12);
  frame.writeUInt32LE(FRAMES_OFFSET, 16);
  frame.writeUInt32LE(batch.length, 20);
  writeCheck(frame, 0, 8, 16 + recordBytes, segment);
  return frame;
}

function storedBytes({ kind, value, expiresAtMs }: HandRecord): number {
  return (expiresAtMs === undefined ? 0 : 8) + (kind === 2 ? 24 : Buffer.from(value ?? '').length);
}

function padded(bytes: number): number {
  return (bytes + 7) & ~7;
}

function writeCheck(bytes: Buffer, at: number, from: number, length: number, seed: number): void {
  const { low, high } = xxh64(bytes, from, length, seed);
  bytes.writeUInt32LE(low, at);
  bytes.writeUInt32LE(high, at + 4);
}
