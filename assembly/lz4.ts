/**
 * LZ4 blocks (the format of Yann Collet's LZ4, lz4_Block_format.md 2022-07-31), for pages of tables.
 *
 *   block:    sequence x n; the last one ends behind its literals
 *   sequence: | token u8 | literal length, u8 x m | literals | offset u16 | match length, u8 x m |
 *   token:    literal length << 4 | match length - 4; 15 means that bytes follow which are added to it, up to one that is not 255
 *   offset:   how far back the match begins, 1 to 65535; a match may run into what it writes
 *
 * Compressing is greedy: one table of the places where four bytes were seen last, with strides that grow where nothing repeats. The last
 * five bytes are literals and the last match begins twelve bytes before the end at the latest, as the format asks.
 * Decompressing trusts nothing: whatever the input, only `target` is written, and only within its bounds; only what lies in `source` and in
 * what has been written is read. Copies go beyond what they need where there is room and are exact where there is not.
 * Twin: test/assembly/twins/lz4.ts.
 */

/** Longest input of `lz4Compress`: places are 16 bits. */
export const LZ4_BYTES_MAX: i32 = 65536;
const PLACES_BITS: u32 = 12;
/** Scratch space of `lz4Compress`. */
export const LZ4_PLACES_BYTES: i32 = 2 << PLACES_BITS;

const MATCH_MIN: usize = 4;
/** No match begins later than this before the end. */
const MATCH_START_BYTES: usize = 12;
const LITERALS_END: usize = 5;
/** After so many misses (a power of two) the stride grows by one. */
const STRIDE_SHIFT: u32 = 6;

/**
 * Compresses `bytes` (1 to LZ4_BYTES_MAX) at `source` to `target`, which has room for `targetBytes` and SLACK_BYTES. Returns the block's
 * bytes, or 0 when it would be longer than `targetBytes`. `places`: LZ4_PLACES_BYTES of scratch.
 */
export function lz4Compress(source: usize, bytes: i32, target: usize, targetBytes: i32, places: usize): i32 {
  const end = source + bytes;
  const limit = target + targetBytes;
  let out = target;
  let anchor = source;
  if (<usize>bytes > MATCH_START_BYTES) {
    memory.fill(places, 0, LZ4_PLACES_BYTES);
    const startMax = end - MATCH_START_BYTES;
    const matchEnd = end - LITERALS_END;
    let at = source + 1;
    let misses: u32 = 1 << STRIDE_SHIFT;
    while (at <= startMax) {
      const word = load<u32>(at);
      const place = placeOf(places, word);
      let match = source + <usize>load<u16>(place);
      store<u16>(place, <u16>(at - source));
      if (load<u32>(match) != word) {
        at += misses++ >> STRIDE_SHIFT;
        continue;
      }
      while (at > anchor && match > source && load<u8>(at - 1) == load<u8>(match - 1)) {
        at--;
        match--;
      }
      const literals = at - anchor;
      const offset = at - match;
      const matched = matchBytes(at + MATCH_MIN, match + MATCH_MIN, matchEnd);
      // Token, lengths, literals and offset, and the token of the last literals.
      if (out + 4 + literals + literals / 255 + matched / 255 + 1 > limit) return 0;
      const token = out++;
      if (literals >= 15) out = putLength(out, literals - 15);
      copyWild(out, anchor, literals);
      out += literals;
      store<u16>(out, <u16>offset);
      out += 2;
      if (matched >= 15) out = putLength(out, matched - 15);
      store<u8>(token, <u8>((min<usize>(literals, 15) << 4) | min<usize>(matched, 15)));
      at += MATCH_MIN + matched;
      anchor = at;
      misses = 1 << STRIDE_SHIFT;
      if (at <= startMax) store<u16>(placeOf(places, load<u32>(at - 2)), <u16>(at - 2 - source));
    }
  }
  const literals = end - anchor;
  if (out + 1 + literals + (literals + 240) / 255 > limit) return 0;
  const token = out++;
  if (literals >= 15) out = putLength(out, literals - 15);
  store<u8>(token, <u8>(min<usize>(literals, 15) << 4));
  memory.copy(out, anchor, literals);
  return <i32>(out + literals - target);
}

/**
 * Decompresses the block of `bytes` at `source` to `target`, which has room for `targetBytes`. Returns the bytes written, or -1 when the
 * input is no block, or one of more than `targetBytes`; what `target` holds is undefined then.
 */
export function lz4Decompress(source: usize, bytes: i32, target: usize, targetBytes: i32): i32 {
  const end = source + bytes;
  const limit = target + targetBytes;
  let at = source;
  let out = target;
  while (at < end) {
    const token = <usize>load<u8>(at++);
    let literals = token >> 4;
    let matched = (token & 15) + MATCH_MIN;
    // The most frequent sequence: both lengths in the token, and room to copy more than they say.
    if (literals < 15 && matched < 19 && end - at >= 18 && limit - out >= 34) {
      v128.store(out, v128.load(at));
      out += literals;
      at += literals;
      const offset = <usize>load<u16>(at);
      at += 2;
      const match = out - offset;
      if (offset - 1 >= out - target) return -1;
      if (offset >= 16) {
        v128.store(out, v128.load(match));
        store<u16>(out, load<u16>(match, 16), 16);
      } else if (offset >= 8) {
        store<u64>(out, load<u64>(match));
        store<u64>(out, load<u64>(match, 8), 8);
        store<u16>(out, load<u16>(match, 16), 16);
      } else copyOverlapping(out, offset, matched, limit);
      out += matched;
      continue;
    }
    if (literals == 15) {
      let more: usize = 255;
      while (more == 255) {
        if (at >= end) return -1;
        more = <usize>load<u8>(at++);
        literals += more;
      }
    }
    if (literals > end - at || literals > limit - out) return -1;
    if (end - at >= literals + 16 && limit - out >= literals + 16) copyWild(out, at, literals);
    else memory.copy(out, at, literals);
    out += literals;
    at += literals;
    if (at == end) return <i32>(out - target);
    if (end - at < 2) return -1;
    const offset = <usize>load<u16>(at);
    at += 2;
    if (offset - 1 >= out - target) return -1;
    if (matched == 19) {
      let more: usize = 255;
      while (more == 255) {
        if (at >= end) return -1;
        more = <usize>load<u8>(at++);
        matched += more;
      }
    }
    if (matched > limit - out) return -1;
    copyOverlapping(out, offset, matched, limit);
    out += matched;
  }
  return -1;
}

// @ts-ignore: decorator
@inline
function placeOf(places: usize, word: u32): usize {
  return places + ((<usize>((word * 2654435761) >> (32 - PLACES_BITS))) << 1);
}

/** How many bytes from `at` are those from `match`, up to `end`. */
// @ts-ignore: decorator
@inline
function matchBytes(at: usize, match: usize, end: usize): usize {
  const from = at;
  for (; at + 8 <= end; at += 8, match += 8) {
    const difference = load<u64>(at) ^ load<u64>(match);
    if (difference) return at - from + (<usize>ctz(difference) >> 3);
  }
  while (at < end && load<u8>(at) == load<u8>(match)) {
    at++;
    match++;
  }
  return at - from;
}

/** What a length has beyond the token's 15. Returns where it ends. */
// @ts-ignore: decorator
@inline
function putLength(out: usize, length: usize): usize {
  for (; length >= 255; length -= 255) store<u8>(out++, 255);
  store<u8>(out, <u8>length);
  return out + 1;
}

/** Copies by 16 bytes, up to 16 too many. */
// @ts-ignore: decorator
@inline
function copyWild(to: usize, from: usize, bytes: usize): void {
  const end = to + bytes;
  do {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  } while (to < end);
}

/** Writes `bytes` at `out`, each the byte `offset` before it; nothing from `limit` on. */
function copyOverlapping(out: usize, offset: usize, bytes: usize, limit: usize): void {
  const end = out + bytes;
  let distance = offset;
  if (distance < 16) {
    // What repeats within 16 bytes repeats at every multiple of it too: write until such a distance can be copied by 16.
    while (distance < 16) distance += offset;
    const apart = min(end, out - offset + distance);
    for (; out < apart; out++) store<u8>(out, load<u8>(out - offset));
  }
  if (limit - out >= end - out + 16) {
    for (; out < end; out += 16) v128.store(out, v128.load(out - distance));
    return;
  }
  for (; out + 16 <= end; out += 16) v128.store(out, v128.load(out - distance));
  for (; out < end; out++) store<u8>(out, load<u8>(out - distance));
}
