/**
 * The bytes of the Raft log on disk. Numbers are little-endian; a u64 holds at most 2^53 - 1.
 *
 * Directory: segments `NNNNNN.raft`, numbered without gaps, oldest first. A number is never used twice.
 *
 * Segment:
 *   header, 64 bytes
 *   | magic "SPKVRFT1" | format u32 = 1 | segment u32 | previous index u64 | previous term u64 | term u64 | vote u32 | zero u32 |
 *   | commit u64 | check u64 |                    check = XXH64 of the 56 bytes before it, seed 0
 *   frames without gaps, each at a multiple of 8
 *   unused: zeros, or what a recycled file held
 *
 * Frame, 32 bytes of header:
 *   0            8             12        13        16          24         32
 *   | check u64 | length u32 | kind u8 | zero u24 | index u64 | term u64 | data, `length` bytes | zeros to a multiple of 8 |
 *   check = XXH64 of bytes 8 to 32 + length, seed = the segment's number: a frame of another segment's earlier life does not verify
 *
 *   ENTRY (1)  an entry of the log. An index that the log has already: that entry and all after it are replaced.
 *   STATE (2)  begins each batch: index = commit, term = term, data = | vote u32 | synced u32 |, where `synced` is how much of this
 *              segment was durable before the batch was written
 *
 * The header's `previous` is the last entry before this segment, so that segments can be removed from the front; `term`, `vote` and
 * `commit` are the hard state at that moment, for the same reason.
 * Format: docs/formats/raft-log.md. Used by log-segment.ts and log-store.ts.
 */
import { assert } from '../../base/assert.ts';
import type { HardState, LogEntry } from '../raft/index.ts';

/** XXH64 of bytes with a seed. The composition root gives it. */
export type Hash64 = (bytes: Uint8Array, seed: bigint) => bigint;

export const LOG_FORMAT = 1;
export const SEGMENT_HEADER_BYTES = 64;
export const FRAME_HEADER_BYTES = 32;
export const FRAME_ENTRY = 1;
export const FRAME_STATE = 2;
export const STATE_FRAME_BYTES: number = FRAME_HEADER_BYTES + 8;

const MAGIC: Buffer = Buffer.from('SPKVRFT1', 'latin1');
const TWO_32: number = 2 ** 32;

export interface SegmentHeader {
  segment: number;
  previousIndex: number;
  previousTerm: number;
  hardState: HardState;
}

export type Frame =
  | { kind: 'entry'; bytes: number; entry: LogEntry }
  | { kind: 'state'; bytes: number; hardState: HardState; synced: number };

export function segmentName(segment: number): string {
  return `${String(segment).padStart(6, '0')}.raft`;
}

/** The number in a segment's name, or undefined for another file's name. */
export function segmentOfName(name: string): number | undefined {
  return /^\d{6,}\.raft$/.test(name) ? Number.parseInt(name, 10) : undefined;
}

/** Bytes that an entry takes in a segment. */
export function entryFrameBytes(dataBytes: number): number {
  return (FRAME_HEADER_BYTES + dataBytes + 7) & ~7;
}

export function encodeSegmentHeader(header: SegmentHeader, hash: Hash64): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(LOG_FORMAT, 8);
  bytes.writeUInt32LE(header.segment, 12);
  writeU64(bytes, 16, header.previousIndex);
  writeU64(bytes, 24, header.previousTerm);
  writeU64(bytes, 32, header.hardState.term);
  bytes.writeUInt32LE(header.hardState.vote, 40);
  writeU64(bytes, 48, header.hardState.commit);
  bytes.writeBigUInt64LE(hash(bytes.subarray(0, 56), 0n), 56);
  return bytes;
}

/** The header of a segment, `undefined` when these bytes are none, or 'format' when a newer release wrote it. */
export function decodeSegmentHeader(bytes: Buffer, hash: Hash64): SegmentHeader | 'format' | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (bytes.readBigUInt64LE(56) !== hash(bytes.subarray(0, 56), 0n)) return undefined;
  if (bytes.readUInt32LE(8) !== LOG_FORMAT) return 'format';
  return {
    segment: bytes.readUInt32LE(12),
    previousIndex: readU64(bytes, 16),
    previousTerm: readU64(bytes, 24),
    hardState: { term: readU64(bytes, 32), vote: bytes.readUInt32LE(40), commit: readU64(bytes, 48) },
  };
}

/** Writes an entry's frame; returns the position after it. */
export function writeEntryFrame(target: Buffer, offset: number, entry: LogEntry, seed: bigint, hash: Hash64): number {
  target.set(entry.data, offset + FRAME_HEADER_BYTES);
  return finishFrame(target, offset, FRAME_ENTRY, entry.data.length, entry.index, entry.term, seed, hash);
}

/** Writes the frame that begins a batch; returns the position after it. */
export function writeStateFrame(target: Buffer, offset: number, state: HardState, synced: number, seed: bigint, hash: Hash64): number {
  target.writeUInt32LE(state.vote, offset + FRAME_HEADER_BYTES);
  target.writeUInt32LE(synced, offset + FRAME_HEADER_BYTES + 4);
  return finishFrame(target, offset, FRAME_STATE, 8, state.commit, state.term, seed, hash);
}

/** The frame at `offset`, or undefined when there is no whole and valid one. An entry's data aliases `source`. */
export function decodeFrame(source: Buffer, offset: number, seed: bigint, hash: Hash64): Frame | undefined {
  if (offset + FRAME_HEADER_BYTES > source.length) return undefined;
  const length = source.readUInt32LE(offset + 8);
  const kind = source.readUInt32LE(offset + 12);
  if (kind !== FRAME_ENTRY && kind !== FRAME_STATE) return undefined;
  const start = offset + FRAME_HEADER_BYTES;
  const end = start + length;
  if (end > source.length || (kind === FRAME_STATE && length !== 8)) return undefined;
  if (source.readBigUInt64LE(offset) !== hash(source.subarray(offset + 8, end), seed)) return undefined;
  const index = readU64(source, offset + 16);
  const term = readU64(source, offset + 24);
  const bytes = entryFrameBytes(length);
  if (kind === FRAME_ENTRY) return { kind: 'entry', bytes, entry: { index, term, data: source.subarray(start, end) } };
  const hardState = { term, vote: source.readUInt32LE(start), commit: index };
  return { kind: 'state', bytes, hardState, synced: source.readUInt32LE(start + 4) };
}

function finishFrame(
  target: Buffer,
  offset: number,
  kind: number,
  length: number,
  index: number,
  term: number,
  seed: bigint,
  hash: Hash64,
): number {
  const end = offset + FRAME_HEADER_BYTES + length;
  target.writeUInt32LE(length, offset + 8);
  target.writeUInt32LE(kind, offset + 12);
  writeU64(target, offset + 16, index);
  writeU64(target, offset + 24, term);
  target.writeBigUInt64LE(hash(target.subarray(offset + 8, end), seed), offset);
  const next = offset + entryFrameBytes(length);
  target.fill(0, end, next);
  return next;
}

function writeU64(target: Buffer, offset: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'a stored number is an integer from 0 to 2^53 - 1');
  target.writeUInt32LE(value % TWO_32, offset);
  target.writeUInt32LE(Math.floor(value / TWO_32), offset + 4);
}

function readU64(source: Buffer, offset: number): number {
  return source.readUInt32LE(offset) + source.readUInt32LE(offset + 4) * TWO_32;
}
