/**
 * Keys are compared as unsigned bytes; a prefix sorts before what it begins. All functions may read up to 8 bytes past a key
 * (SLACK_BYTES follow every region), and `copy` may write up to 15 bytes past its end: callers write in ascending order or leave slack.
 */

/** The first 8 bytes as a big-endian integer, zero padded: orders like the keys except where equal. */
// @ts-ignore: decorator
@inline
export function keyPrefix(key: usize, bytes: i32): u64 {
  const word = bswap<u64>(load<u64>(key));
  if (bytes >= 8) return word;
  return bytes > 0 ? word & (~(<u64>0) << (64 - (bytes << 3))) : 0;
}

/** Negative, zero, positive like memcmp, shorter first. */
// @ts-ignore: decorator
@inline
export function compareKeys(a: usize, aBytes: i32, b: usize, bBytes: i32): i32 {
  const shared = min(aBytes, bBytes);
  let i = 0;
  for (; i + 8 <= shared; i += 8) {
    const x = load<u64>(a + i);
    const y = load<u64>(b + i);
    if (x != y) return bswap<u64>(x) < bswap<u64>(y) ? -1 : 1;
  }
  for (; i < shared; i++) {
    const difference = <i32>load<u8>(a + i) - <i32>load<u8>(b + i);
    if (difference) return difference;
  }
  return aBytes - bBytes;
}

/** How many leading bytes of the two are the same, at most `bytes`. */
// @ts-ignore: decorator
@inline
export function commonBytes(a: usize, b: usize, bytes: i32): i32 {
  let i = 0;
  for (; i + 8 <= bytes; i += 8) {
    const difference = load<u64>(a + i) ^ load<u64>(b + i);
    if (difference) return i + (<i32>ctz(difference) >> 3);
  }
  while (i < bytes && load<u8>(a + i) == load<u8>(b + i)) i++;
  return i;
}

/** Copies `bytes`; may write up to 15 more. Short copies stay inline: memory.copy costs more than they do. */
// @ts-ignore: decorator
@inline
export function copy(to: usize, from: usize, bytes: i32): void {
  if (bytes <= 256) {
    for (let i = 0; i < bytes; i += 16) v128.store(to + i, v128.load(from + i));
  } else memory.copy(to, from, bytes);
}

/** 64-bit hash of a key for filters and page tags. On disk through both, so its value is part of the format (docs/formats/table.md). */
// @ts-ignore: decorator
@inline
export function hashKey(key: usize, bytes: i32): u64 {
  let hash: u64 = 0x9e3779b97f4a7c15 ^ <u64>bytes;
  let i = 0;
  for (; i + 8 <= bytes; i += 8) {
    hash = (hash ^ load<u64>(key + i)) * 0xff51afd7ed558ccd;
    hash ^= hash >> 32;
  }
  if (i < bytes) {
    let tail: u64 = 0;
    for (let shift: u64 = 0; i < bytes; i++, shift += 8) tail |= (<u64>load<u8>(key + i)) << shift;
    hash = (hash ^ tail) * 0xff51afd7ed558ccd;
    hash ^= hash >> 32;
  }
  hash *= 0xc4ceb9fe1a85ec53;
  return hash ^ (hash >> 29);
}

/** The byte of a key's hash that a page keeps beside each entry. */
// @ts-ignore: decorator
@inline
export function hashTag(hash: u64): u8 {
  return <u8>(hash >> 40);
}
