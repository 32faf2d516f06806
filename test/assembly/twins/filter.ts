/** The twin of the split-block Bloom filter (assembly/filter.ts). */
const SALTS = [0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31];

export function buildFilter(hashes: readonly bigint[], bitsPerKey: number): Uint8Array {
  const blocks = Math.max(1, Math.ceil((hashes.length * bitsPerKey) / 256));
  const words = new Uint32Array(blocks * 8);
  for (const hash of hashes) {
    const block = Number(((hash >> 32n) * BigInt(blocks)) >> 32n);
    const low = Number(hash & 0xffffffffn) | 0;
    for (const [i, salt] of SALTS.entries()) words[block * 8 + i]! |= 1 << (Math.imul(low, salt) >>> 27);
  }
  return new Uint8Array(words.buffer);
}
