/**
 * Range tombstones: each hides the versions of all keys of a range that are older than itself. All that live, of the version and of the
 * memtables, are one structure that lookups, scans and merges ask; engine/range-tombstones.ts builds it. There is none at all (address 0)
 * when there are no tombstones.
 *
 *   set, 16 bytes:   | fragments u32 | list u32 | reserved u64 |         list: address of u32 x fragments, addresses of fragments by key
 *   fragment:        | start u32 | start bytes i32 | end u32 | end bytes i32 | count u32 | reserved u32 | sequence u64 x count |
 *                    start: address of the first key, end: of the key behind the last; sequences: descending, at least one
 *
 * Fragments do not overlap. A tombstone with sequence t hides a version with sequence v from a read at q when v < t <= q. Of tombstones that
 * no snapshot can tell apart a fragment has only the newest, so what is asked for a sequence that nobody reads at may be too new.
 * Twin: test/assembly/twins/range-tombstones.ts.
 */
import { compareKeys } from './key';

// @ts-ignore: decorator
@inline
export function fragmentCount(set: usize): i32 {
  return load<i32>(set);
}
// @ts-ignore: decorator
@inline
export function fragmentAt(set: usize, i: i32): usize {
  return <usize>load<u32>(<usize>load<u32>(set, 4) + ((<usize>i) << 2));
}
// @ts-ignore: decorator
@inline
export function fragmentStart(fragment: usize): usize {
  return <usize>load<u32>(fragment);
}
// @ts-ignore: decorator
@inline
export function fragmentStartBytes(fragment: usize): i32 {
  return load<i32>(fragment, 4);
}
// @ts-ignore: decorator
@inline
export function fragmentEnd(fragment: usize): usize {
  return <usize>load<u32>(fragment, 8);
}
// @ts-ignore: decorator
@inline
export function fragmentEndBytes(fragment: usize): i32 {
  return load<i32>(fragment, 12);
}

// @ts-ignore: decorator
@inline
export function beginsAtOrBelow(fragment: usize, key: usize, keyBytes: i32): bool {
  return compareKeys(fragmentStart(fragment), fragmentStartBytes(fragment), key, keyBytes) <= 0;
}
// @ts-ignore: decorator
@inline
export function endsAbove(fragment: usize, key: usize, keyBytes: i32): bool {
  return compareKeys(fragmentEnd(fragment), fragmentEndBytes(fragment), key, keyBytes) > 0;
}

/** The newest tombstone of the fragment with a sequence of at most `limit`; 0: none. */
export function fragmentNewest(fragment: usize, limit: u64): u64 {
  const end = fragment + ((<usize>load<u32>(fragment, 16)) << 3);
  for (let at = fragment; at < end; at += 8) {
    const sequence = load<u64>(at, 24);
    if (sequence <= limit) return sequence;
  }
  return 0;
}

/** The oldest tombstone of the fragment with a sequence above `sequence`; 0: none. */
export function fragmentAbove(fragment: usize, sequence: u64): u64 {
  for (let at = fragment + ((<usize>load<u32>(fragment, 16)) << 3); at > fragment; at -= 8) {
    const own = load<u64>(at, 16);
    if (own > sequence) return own;
  }
  return 0;
}

/** The first fragment that ends above the key, which covers the key if any does; as many as there are when none ends there. */
export function fragmentFor(set: usize, key: usize, keyBytes: i32): i32 {
  let low = 0;
  let high = fragmentCount(set);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (endsAbove(fragmentAt(set, middle), key, keyBytes)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The newest tombstone that hides older versions of the key from a read at `limit`; 0: none. */
export function rangeNewest(set: usize, key: usize, keyBytes: i32, limit: u64): u64 {
  const i = fragmentFor(set, key, keyBytes);
  if (i == fragmentCount(set)) return 0;
  const fragment = fragmentAt(set, i);
  return beginsAtOrBelow(fragment, key, keyBytes) ? fragmentNewest(fragment, limit) : 0;
}

/** The oldest tombstone above `sequence` that covers the key; 0: none. */
export function rangeAbove(set: usize, key: usize, keyBytes: i32, sequence: u64): u64 {
  const i = fragmentFor(set, key, keyBytes);
  if (i == fragmentCount(set)) return 0;
  const fragment = fragmentAt(set, i);
  return beginsAtOrBelow(fragment, key, keyBytes) ? fragmentAbove(fragment, sequence) : 0;
}

/** Whether every key from `smallest` to `largest` is hidden from a read at `limit`, where no version is newer than `sequence`. */
export function rangeHidesAll(
  set: usize,
  smallest: usize,
  smallestBytes: i32,
  largest: usize,
  largestBytes: i32,
  sequence: u64,
  limit: u64,
): bool {
  const count = fragmentCount(set);
  let key = smallest;
  let keyBytes = smallestBytes;
  for (let i = fragmentFor(set, key, keyBytes); i < count; i++) {
    const fragment = fragmentAt(set, i);
    if (!beginsAtOrBelow(fragment, key, keyBytes) || fragmentNewest(fragment, limit) <= sequence) return false;
    if (endsAbove(fragment, largest, largestBytes)) return true;
    key = fragmentEnd(fragment);
    keyBytes = fragmentEndBytes(fragment);
  }
  return false;
}

/** rangeNewest and rangeAbove for the host, whose numbers are f64. */
export function rangeNewestOf(set: usize, key: usize, keyBytes: i32, limit: f64): f64 {
  return <f64>rangeNewest(set, key, keyBytes, <u64>limit);
}
export function rangeAboveOf(set: usize, key: usize, keyBytes: i32, sequence: f64): f64 {
  return <f64>rangeAbove(set, key, keyBytes, <u64>sequence);
}
export function rangeHidesAllOf(
  set: usize,
  smallest: usize,
  smallestBytes: i32,
  largest: usize,
  largestBytes: i32,
  sequence: f64,
  limit: f64,
): i32 {
  return rangeHidesAll(set, smallest, smallestBytes, largest, largestBytes, <u64>sequence, <u64>limit) ? 1 : 0;
}
