/**
 * The bytes of a node's log on disk. Numbers are little-endian; a u64 holds at most 2^53 - 1.
 *
 * Directory: segments `NNNNNN.raft`, numbered without gaps, oldest first. A number is never used twice.
 *
 * Segment:
 *   header, 64 bytes
 *   | magic "SPKVNLOG" | format u32 = 1 | segment u32 | salt u64 | zeros | check u64 |    check = XXH64 of the 56 bytes before it, seed 0
 *   frames without gaps, each at a multiple of 8
 *   unused: zeros, or what a recycled file held
 *
 * Frame, 40 bytes of header:
 *   0            8           10        11         12           16          20            24          32         40
 *   | check u64 | guard u16 | kind u8 | flags u8 | length u32 | group u32 | ordinal u32 | index u64 | term u64 | data | zeros to 8 |
 *   check   XXH64 of bytes 8 to 40 + length, seed = salt + segment: neither a frame of a file's earlier life nor bytes that a client chose
 *           look like a frame (the salt is random, one for the whole log)
 *   guard   of the header alone (guardOf): what a search after damage looks at first
 *   ordinal counts the frames of a group (nextOrdinal): a gap tells that frames of this group are lost, no gap that none is
 *
 * The kinds and what their fields hold are in frame-kinds.ts.
 * Format: docs/formats/raft-log.md. Used by the files beside it.
 */
import { assert } from '../../../base/assert.ts';

/** XXH64 of bytes with a seed. The composition root gives it. */
export type Hash64 = (bytes: Uint8Array, seed: bigint) => bigint;

export const LOG_FORMAT = 1;
export const SEGMENT_HEADER_BYTES = 64;
export const FRAME_HEADER_BYTES = 40;
/** A position in a segment is kept in 29 bits, in units of 8 bytes. */
export const SEGMENT_BYTES_LIMIT: number = 2 ** 32;
/** Of a group's first frame. */
export const FIRST_ORDINAL = 1;

const MAGIC: Buffer = Buffer.from('SPKVNLOG', 'latin1');
const TWO_32: number = 2 ** 32;
const MASK_64: bigint = 2n ** 64n - 1n;

/** What ties the bytes of a segment to it. */
export interface Seal {
  hash: Hash64;
  seed: bigint;
  /** The low half of the seed. */
  guard: number;
}

export interface FrameHeader {
  kind: number;
  flags: number;
  group: number;
  ordinal: number;
  index: number;
  term: number;
}

export interface Frame extends FrameHeader {
  /** Aliases what it was read from. */
  data: Buffer;
  /** Of the whole frame, with padding. */
  bytes: number;
}

export function sealOf(salt: bigint, segment: number, hash: Hash64): Seal {
  const seed = (salt + BigInt(segment)) & MASK_64;
  return { hash, seed, guard: Number(seed & 0xffffffffn) | 0 };
}

export function segmentName(segment: number): string {
  return `${String(segment).padStart(6, '0')}.raft`;
}

/** The number in a segment's name, or undefined for another file's name. */
export function segmentOfName(name: string): number | undefined {
  return /^\d{6,}\.raft$/.test(name) ? Number.parseInt(name, 10) : undefined;
}

/** The ordinal after this one; the first is never used again by a group that goes on. */
export function nextOrdinal(ordinal: number): number {
  return ordinal === TWO_32 - 1 ? FIRST_ORDINAL + 1 : ordinal + 1;
}

/** Bytes that a frame takes in a segment. */
export function frameBytes(dataBytes: number): number {
  return Math.ceil((FRAME_HEADER_BYTES + dataBytes) / 8) * 8;
}

export function encodeSegmentHeader(segment: number, salt: bigint, hash: Hash64): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(LOG_FORMAT, 8);
  bytes.writeUInt32LE(segment, 12);
  bytes.writeBigUInt64LE(salt, 16);
  bytes.writeBigUInt64LE(hash(bytes.subarray(0, 56), 0n), 56);
  return bytes;
}

/** The header of a segment, `undefined` when these bytes are none, or its format when that is another one. */
export function decodeSegmentHeader(bytes: Buffer, hash: Hash64): { segment: number; salt: bigint } | { format: number } | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (bytes.readBigUInt64LE(56) !== hash(bytes.subarray(0, 56), 0n)) return undefined;
  const format = bytes.readUInt32LE(8);
  if (format !== LOG_FORMAT) return { format };
  return { segment: bytes.readUInt32LE(12), salt: bytes.readBigUInt64LE(16) };
}

/** Writes a frame's header around data that stands already at `offset + 40`; returns the position after the frame. */
export function finishFrame(target: Buffer, offset: number, frame: FrameHeader, dataBytes: number, seal: Seal): number {
  const end = offset + FRAME_HEADER_BYTES + dataBytes;
  const view = viewOf(target, offset);
  assert(Number.isSafeInteger(frame.index) && frame.index >= 0 && Number.isSafeInteger(frame.term) && frame.term >= 0, STORED);
  view.setUint8(10, frame.kind);
  view.setUint8(11, frame.flags);
  view.setUint32(12, dataBytes, true);
  view.setUint32(16, frame.group, true);
  view.setUint32(20, frame.ordinal, true);
  view.setUint32(24, frame.index % TWO_32, true);
  view.setUint32(28, Math.floor(frame.index / TWO_32), true);
  view.setUint32(32, frame.term % TWO_32, true);
  view.setUint32(36, Math.floor(frame.term / TWO_32), true);
  view.setUint16(8, guardOf(view, 0, seal), true);
  view.setBigUint64(0, seal.hash(new Uint8Array(target.buffer, target.byteOffset + offset + 8, end - offset - 8), seal.seed), true);
  const next = offset + frameBytes(dataBytes);
  for (let zero = end; zero < next; zero++) target[zero] = 0;
  return next;
}

/** The frame at `offset`, or undefined when there is no whole and valid one. */
export function decodeFrame(source: Buffer, offset: number, seal: Seal): Frame | undefined {
  const start = offset + FRAME_HEADER_BYTES;
  if (start > source.length) return undefined;
  const kind = source[offset + 10]!;
  const end = start + source.readUInt32LE(offset + 12);
  if (kind === 0 || end > source.length || source.readUInt16LE(offset + 8) !== guardOf(viewOf(source, offset), 0, seal)) return undefined;
  if (source.readBigUInt64LE(offset) !== seal.hash(source.subarray(offset + 8, end), seal.seed)) return undefined;
  return {
    kind,
    flags: source[offset + 11]!,
    group: source.readUInt32LE(offset + 16),
    ordinal: source.readUInt32LE(offset + 20),
    index: readU64(source, offset + 24),
    term: readU64(source, offset + 32),
    data: source.subarray(start, end),
    bytes: frameBytes(end - start),
  };
}

/** Of a frame's header. */
function viewOf(bytes: Buffer, offset: number): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, FRAME_HEADER_BYTES);
}

/** FNV-1a over the words of the header behind the guard, begun with the seal, folded to 16 bits. */
function guardOf(bytes: DataView, offset: number, seal: Seal): number {
  let hash = Math.imul(seal.guard ^ bytes.getUint16(offset + 10, true), FNV_PRIME);
  for (let at = offset + 12; at < offset + FRAME_HEADER_BYTES; at += 4) hash = Math.imul(hash ^ bytes.getInt32(at, true), FNV_PRIME);
  return (hash ^ (hash >>> 16)) & 0xffff;
}

const FNV_PRIME = 0x01000193;
const STORED = 'a stored number is an integer from 0 to 2^53 - 1';

export function writeU64(target: Buffer, offset: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, STORED);
  target.writeUInt32LE(value % TWO_32, offset);
  target.writeUInt32LE(Math.floor(value / TWO_32), offset + 4);
}

export function readU64(source: Buffer, offset: number): number {
  return source.readUInt32LE(offset) + source.readUInt32LE(offset + 4) * TWO_32;
}
