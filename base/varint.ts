/**
 * Unsigned integers in as few bytes as they need: seven bits a byte, least significant first, the top bit says that more follow
 * (LEB128, as protobuf has it). Up to 2^53 - 1, which takes 8 bytes. Signed ones are zigzag first: 0, -1, 1, -2 become 0, 1, 2, 3.
 */
import { assert } from './assert.ts';

export const VARINT_BYTES_MAX = 8;

/** Beyond it bit operations lose bits: numbers are taken apart by four bytes of seven bits. */
const TWO_28: number = 2 ** 28;

/** Encoded length of a number from 0 to 2^53 - 1. */
export function varintBytes(value: number): number {
  let bytes = 1;
  let rest = value;
  for (; rest >= TWO_28; rest = Math.floor(rest / TWO_28)) bytes += 4;
  return rest < 0x80 ? bytes : rest < 0x4000 ? bytes + 1 : rest < 0x200000 ? bytes + 2 : bytes + 3;
}

/** Writes `value` at `target[offset..]`; returns the offset behind it. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  assert(Number.isSafeInteger(value) && value >= 0, 'a varint holds an integer from 0 to 2^53 - 1');
  let at = offset;
  let rest = value;
  while (rest >= TWO_28) {
    const low = rest % TWO_28;
    target[at++] = (low & 0x7f) | 0x80;
    target[at++] = ((low >>> 7) & 0x7f) | 0x80;
    target[at++] = ((low >>> 14) & 0x7f) | 0x80;
    target[at++] = (low >>> 21) | 0x80;
    rest = Math.floor(rest / TWO_28);
  }
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[at++] = rest;
  return at;
}

/** Where a decoder stands. `readVarint` moves `offset`; it never passes `end`. */
export interface VarintCursor {
  readonly bytes: Uint8Array;
  offset: number;
  readonly end: number;
}

/** The next integer, or undefined when the bytes end early, it is too large, or it is not in its shortest form. */
export function readVarint(cursor: VarintCursor): number | undefined {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < VARINT_BYTES_MAX; i++, scale *= 128) {
    if (cursor.offset >= cursor.end) return undefined;
    const byte = cursor.bytes[cursor.offset++]!;
    value += (byte & 127) * scale;
    if (byte < 128) return (byte === 0 && i > 0) || value > Number.MAX_SAFE_INTEGER ? undefined : value;
  }
  return undefined;
}
