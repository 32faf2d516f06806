/** The twin of hashKey and hashTag (assembly/key.ts), in BigInt. */
const MASK = (1n << 64n) - 1n;

export function hashKey(key: Uint8Array): bigint {
  let hash = 0x9e3779b97f4a7c15n ^ BigInt(key.length);
  for (let at = 0; at < key.length; at += 8) {
    let word = 0n;
    for (let i = Math.min(7, key.length - at - 1); i >= 0; i--) word = (word << 8n) | BigInt(key[at + i]!);
    hash = ((hash ^ word) * 0xff51afd7ed558ccdn) & MASK;
    hash ^= hash >> 32n;
  }
  hash = (hash * 0xc4ceb9fe1a85ec53n) & MASK;
  return hash ^ (hash >> 29n);
}

export function hashTag(hash: bigint): number {
  return Number((hash >> 40n) & 0xffn);
}
