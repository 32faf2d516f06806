/** An order in which to look keys up so that those of one page follow one another. Pure. */

const RANK_BYTES = 6;

/**
 * Indexes of `keys` from `from` on, roughly ascending by key: by the first bytes behind what all have in common, which is enough to be near.
 * About a fifth of a microsecond a key: less than reading a page, more than finding one in memory.
 */
export function lookupOrder(keys: readonly Uint8Array[], from: number): Uint32Array {
  const ranks = new Float64Array(keys.length);
  const order = new Uint32Array(keys.length - from);
  const shared = sharedBytes(keys);
  for (let i = from; i < keys.length; i++) {
    ranks[i] = rankOf(keys[i]!, shared);
    order[i - from] = i;
  }
  return order.sort((a, b) => ranks[a]! - ranks[b]!);
}

function sharedBytes(keys: readonly Uint8Array[]): number {
  const first = keys[0];
  let shared = first?.length ?? 0;
  for (const key of keys) {
    let at = 0;
    const end = Math.min(shared, key.length);
    while (at < end && key[at] === first![at]) at++;
    shared = at;
  }
  return shared;
}

function rankOf(key: Uint8Array, from: number): number {
  let rank = 0;
  for (let i = from; i < from + RANK_BYTES; i++) rank = rank * 256 + (i < key.length ? key[i]! : 0);
  return rank;
}
