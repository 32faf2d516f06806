/**
 * XXH64 (xxHash specification 0.1.1) in plain TypeScript: the twin of the kernel in assembly/checksum.ts, for small structures where a
 * crossing into linear memory is not at hand (the manifest, names in CURRENT). About 150 MB/s: a 64-bit word is two halves of 32 bits,
 * a product is made of 16-bit parts; BigInt would be twenty times slower.
 */

/** 64-bit register, two unsigned halves in signed containers (`| 0` arithmetic). */
interface Word {
  high: number;
  low: number;
}

const P1: Word = { high: 0x9e3779b1 | 0, low: 0x85ebca87 | 0 };
const P2: Word = { high: 0xc2b2ae3d | 0, low: 0x27d4eb4f | 0 };
const P3: Word = { high: 0x165667b1, low: 0x9e3779f9 | 0 };
const P4: Word = { high: 0x85ebca77 | 0, low: 0xc2b2ae63 | 0 };
const P5: Word = { high: 0x27d4eb2f, low: 0x165667c5 };

/** The hash as 16 hexadecimal digits' worth: most significant half first. */
export interface Xxh64 {
  readonly high: number;
  readonly low: number;
}

/** XXH64 of `source[offset..offset+length]`; halves are unsigned. */
export function xxh64(source: Uint8Array, offset: number, length: number, seedLow: number, seedHigh = 0): Xxh64 {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const end = offset + length;
  const hash: Word = { high: 0, low: 0 };
  let at = offset;
  if (length >= 32) {
    const lanes = seedLanes(seedLow, seedHigh);
    do {
      for (const lane of lanes) {
        round(lane, view.getInt32(at, true), view.getInt32(at + 4, true));
        at += 8;
      }
    } while (at <= end - 32);
    for (const [i, lane] of lanes.entries()) {
      const turned: Word = { ...lane };
      rotate(turned, [1, 7, 12, 18][i]!);
      add(hash, turned.low, turned.high);
    }
    for (const lane of lanes) {
      const input: Word = { ...lane };
      lane.low = lane.high = 0;
      round(lane, input.low, input.high);
      xor(hash, lane.low, lane.high);
      multiply(hash, P1);
      add(hash, P4.low, P4.high);
    }
  } else {
    hash.low = seedLow | 0;
    hash.high = seedHigh | 0;
    add(hash, P5.low, P5.high);
  }
  add(hash, length | 0, 0);
  const input: Word = { high: 0, low: 0 };
  for (; at + 8 <= end; at += 8) {
    input.low = input.high = 0;
    round(input, view.getInt32(at, true), view.getInt32(at + 4, true));
    xor(hash, input.low, input.high);
    rotate(hash, 27);
    multiply(hash, P1);
    add(hash, P4.low, P4.high);
  }
  if (at + 4 <= end) {
    input.low = view.getInt32(at, true);
    input.high = 0;
    multiply(input, P1);
    xor(hash, input.low, input.high);
    rotate(hash, 23);
    multiply(hash, P2);
    add(hash, P3.low, P3.high);
    at += 4;
  }
  for (; at < end; at++) {
    input.low = source[at]!;
    input.high = 0;
    multiply(input, P5);
    xor(hash, input.low, input.high);
    rotate(hash, 11);
    multiply(hash, P1);
  }
  xor(hash, hash.high >>> 1, 0);
  multiply(hash, P2);
  xor(hash, (hash.low >>> 29) | (hash.high << 3), hash.high >>> 29);
  multiply(hash, P3);
  xor(hash, hash.high, 0);
  return { high: hash.high >>> 0, low: hash.low >>> 0 };
}

function seedLanes(low: number, high: number): readonly Word[] {
  const lanes = Array.from({ length: 4 }, (): Word => ({ high: high | 0, low: low | 0 }));
  add(lanes[0]!, P1.low, P1.high);
  add(lanes[0]!, P2.low, P2.high);
  add(lanes[1]!, P2.low, P2.high);
  // Subtracting is adding the two's complement.
  add(lanes[3]!, -P1.low | 0, ~P1.high | 0);
  return lanes;
}

/** lane = rotate(lane + input * P2, 31) * P1 */
function round(lane: Word, low: number, high: number): void {
  const input: Word = { high, low };
  multiply(input, P2);
  add(lane, input.low, input.high);
  rotate(lane, 31);
  multiply(lane, P1);
}

function add(word: Word, low: number, high: number): void {
  const sum = (word.low >>> 0) + (low >>> 0);
  word.low = sum | 0;
  word.high = (word.high + high + (sum > 0xffffffff ? 1 : 0)) | 0;
}

function xor(word: Word, low: number, high: number): void {
  word.low ^= low;
  word.high ^= high;
}

/** To the left, by 1 to 31 bits. */
function rotate(word: Word, bits: number): void {
  const { high, low } = word;
  word.high = (high << bits) | (low >>> (32 - bits));
  word.low = (low << bits) | (high >>> (32 - bits));
}

/** The low 64 bits of the product. */
function multiply(word: Word, factor: Word): void {
  const a0 = word.low & 0xffff;
  const a1 = word.low >>> 16;
  const b0 = factor.low & 0xffff;
  const b1 = factor.low >>> 16;
  const p00 = a0 * b0;
  const middle = a1 * b0 + (p00 >>> 16);
  const cross = a0 * b1 + (middle & 0xffff);
  const carry = a1 * b1 + Math.floor(middle / 65536) + Math.floor(cross / 65536);
  const high = carry + Math.imul(word.low, factor.high) + Math.imul(word.high, factor.low);
  word.low = ((cross & 0xffff) << 16) | (p00 & 0xffff);
  word.high = high | 0;
}
