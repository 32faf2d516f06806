/** The twin of range tombstones (assembly/range-tombstones.ts): a list. */
import type { RangeTombstone } from '../../../engine/manifest/index.ts';

export function covers({ start, end }: RangeTombstone, key: Uint8Array): boolean {
  return Buffer.compare(start, key) <= 0 && Buffer.compare(key, end) < 0;
}

/** The newest that covers the key and that a read at `limit` sees; 0: none. */
export function newestOver(tombstones: readonly RangeTombstone[], key: Uint8Array, limit: number): number {
  return Math.max(0, ...tombstones.filter((each) => each.sequence <= limit && covers(each, key)).map(({ sequence }) => sequence));
}

/** The oldest above `sequence` that covers the key; Infinity: none. */
export function oldestAbove(tombstones: readonly RangeTombstone[], key: Uint8Array, sequence: number): number {
  return Math.min(Infinity, ...tombstones.filter((each) => each.sequence > sequence && covers(each, key)).map((each) => each.sequence));
}

/** Whether every key from `smallest` to `largest` has one above `sequence` that a read at `limit` sees. */
export function hidesAll(
  tombstones: readonly RangeTombstone[],
  smallest: Uint8Array,
  largest: Uint8Array,
  sequence: number,
  limit: number,
): boolean {
  const within = (key: Uint8Array): boolean => Buffer.compare(smallest, key) <= 0 && Buffer.compare(key, largest) <= 0;
  // What covers a key changes only where a tombstone begins or ends.
  const places = [smallest, ...tombstones.flatMap(({ start, end }) => [start, end]).filter(within)];
  return places.every((key) => newestOver(tombstones, key, limit) > sequence);
}
