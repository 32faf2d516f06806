/** Twin of assembly/lz4.ts: the same choices when compressing, byte by byte when decompressing. */
const PLACES_BITS = 12;

/** The block, or undefined when it would be longer than `bytesMax`. */
export function compressLz4(input: Uint8Array, bytesMax: number): Uint8Array | undefined {
  const out: number[] = [];
  const word = (at: number): number => (input[at]! | (input[at + 1]! << 8) | (input[at + 2]! << 16) | (input[at + 3]! << 24)) >>> 0;
  const places = new Uint16Array(1 << PLACES_BITS);
  const placeOf = (at: number): number => Math.imul(word(at), 2654435761) >>> (32 - PLACES_BITS);
  const putLength = (length: number): void => {
    for (; length >= 255; length -= 255) out.push(255);
    out.push(length);
  };
  let anchor = 0;
  let at = 1;
  let misses = 64;
  const startMax = input.length - 12;
  while (input.length > 12 && at <= startMax) {
    let match = places[placeOf(at)]!;
    places[placeOf(at)] = at;
    if (word(match) !== word(at)) {
      at += misses++ >> 6;
      continue;
    }
    while (at > anchor && match > 0 && input[at - 1] === input[match - 1]) {
      at--;
      match--;
    }
    const literals = at - anchor;
    let matched = 0;
    while (at + 4 + matched < input.length - 5 && input[at + 4 + matched] === input[match + 4 + matched]) matched++;
    if (out.length + 5 + literals + Math.floor(literals / 255) + Math.floor(matched / 255) > bytesMax) return undefined;
    out.push((Math.min(literals, 15) << 4) | Math.min(matched, 15));
    if (literals >= 15) putLength(literals - 15);
    out.push(...input.subarray(anchor, at));
    out.push((at - match) & 255, (at - match) >> 8);
    if (matched >= 15) putLength(matched - 15);
    anchor = at += 4 + matched;
    misses = 64;
    if (at <= startMax) places[placeOf(at - 2)] = at - 2;
  }
  const literals = input.length - anchor;
  out.push(Math.min(literals, 15) << 4);
  if (literals >= 15) putLength(literals - 15);
  for (let i = anchor; i < input.length; i++) out.push(input[i]!);
  return out.length > bytesMax ? undefined : Uint8Array.from(out);
}

/** The content, or undefined when the input is no block or its content is longer than `bytesMax`. */
export function decompressLz4(block: Uint8Array, bytesMax: number): Uint8Array | undefined {
  const out: number[] = [];
  let at = 0;
  const length = (nibble: number): number | undefined => {
    if (nibble < 15) return nibble;
    for (let total = nibble; ;) {
      const more = block[at++];
      if (more === undefined) return undefined;
      total += more;
      if (more < 255) return total;
    }
  };
  while (at < block.length) {
    const token = block[at++]!;
    const literals = length(token >> 4);
    if (literals === undefined || literals > block.length - at || out.length + literals > bytesMax) return undefined;
    for (let i = 0; i < literals; i++) out.push(block[at++]!);
    if (at === block.length) return Uint8Array.from(out);
    if (block.length - at < 2) return undefined;
    const offset = block[at]! | (block[at + 1]! << 8);
    at += 2;
    if (offset === 0 || offset > out.length) return undefined;
    const matched = length(token & 15);
    if (matched === undefined || out.length + matched + 4 > bytesMax) return undefined;
    for (let i = 0; i < matched + 4; i++) out.push(out[out.length - offset]!);
  }
  return undefined;
}
