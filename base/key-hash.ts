/**
 * The hash by which keys are spread: what hash tables' shards are told apart by, and what an engine's rule of what to keep looks at. The lower 32 bits of
 * the hash that tables use for a key (docs/formats/table.md): stores keep it, and clients route by it, so it never changes. Pure.
 *
 *   hash = 9e3779b97f4a7c15 ^ length                       words: eight bytes of the key, little-endian; the last filled up with zeros
 *   each word: hash = (hash ^ word) * ff51afd7ed558ccd;  hash = hash ^ (hash >> 32)
 *   hash = hash * c4ceb9fe1a85ec53;  hash = hash ^ (hash >> 29)
 *
 * In halves of 32 bits: whoever routes calls it for each key.
 */
export function keyHash(key: Uint8Array): number {
  const { length } = key;
  let high = 0x9e3779b9 ^ Math.floor(length / TWO_32);
  let low = 0x7f4a7c15 ^ length;
  for (let at = 0; at < length; at += 8) {
    low ^= word(key, at);
    high ^= word(key, at + 4);
    high = timesHigh(high, low, 0xff51afd7, 0xed558ccd);
    low = Math.imul(low, 0xed558ccd);
    // The upper half goes into the lower one.
    low ^= high;
  }
  high = timesHigh(high, low, 0xc4ceb9fe, 0x1a85ec53);
  low = Math.imul(low, 0x1a85ec53);
  return (low ^ ((high << 3) | (low >>> 29))) >>> 0;
}

const TWO_32: number = 2 ** 32;

/** Four bytes of the key, zeros behind its end. */
function word(key: Uint8Array, at: number): number {
  const { length } = key;
  if (at + 4 <= length) return key[at]! | (key[at + 1]! << 8) | (key[at + 2]! << 16) | (key[at + 3]! << 24);
  let value = 0;
  for (let i = at; i < length; i++) value |= key[i]! << (8 * (i - at));
  return value;
}

/** The upper half of the lower 64 bits of a product. */
function timesHigh(high: number, low: number, otherHigh: number, otherLow: number): number {
  const a = low & 0xffff;
  const b = low >>> 16;
  const c = otherLow & 0xffff;
  const d = otherLow >>> 16;
  const first = a * c;
  const second = b * c + (first >>> 16);
  const third = a * d + (second & 0xffff);
  // Below 2^53 each: nothing is lost before it is cut to 32 bits.
  const carried = b * d + Math.floor(second / 0x10000) + Math.floor(third / 0x10000);
  return ((carried % TWO_32) + Math.imul(high, otherLow) + Math.imul(low, otherHigh)) | 0;
}
