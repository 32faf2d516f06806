/**
 * The value cache: large values that were read and verified, so that reading them again is one copy. A ring of entries of any size that
 * CLOCK goes round: at the hand, entries make room for the next one unless they were used since it last passed. Only the caller's thread
 * uses it; any number of engines of one memory share one, told apart by `owner`.
 *
 *   cache, 64 bytes:
 *    0 ring u32          address of the entries          4 ring bytes u32     a multiple of 32
 *    8 hand u32          where the next entry goes, from the ring's start
 *   12 slots u32         address of u32 x (mask + 1): entries by hash, linear probing; position in the ring plus 1, 0: empty
 *   16 mask u32          a power of two minus 1         20 entries u32        that can be found
 *   24 used u32          bytes of those entries
 *
 *   entry, a multiple of 32 bytes; entries tile the ring:
 *    | bytes u32, bit 0: used since the hand passed | value bytes u32 | owner u32 | segment u32 | offset u32 | slot u32 | 0 u64 | value |
 *   An entry with owner 0 holds nothing: the rest of the ring at first, what was evicted, a value that is still being read.
 *
 * Twin: test/assembly/twins/value-cache.ts.
 */
import { VALUE_CACHE_BYTES } from './memory-map';

const RING: usize = 0;
const RING_BYTES: usize = 4;
const HAND: usize = 8;
const SLOTS: usize = 12;
const MASK: usize = 16;
const ENTRIES: usize = 20;
const USED: usize = 24;

const ENTRY_HEADER_BYTES: u32 = 32;
const REFERENCED: u32 = 1;

/** `ringBytes`: a multiple of 32. `slots`: u32 x a power of two, cleared. Touches little of either: memory is taken as they fill. */
export function valueCacheInit(cache: usize, ring: usize, ringBytes: u32, slots: usize, slotCount: u32): void {
  memory.fill(cache, 0, VALUE_CACHE_BYTES);
  store<u32>(cache, <u32>ring, RING);
  store<u32>(cache, ringBytes, RING_BYTES);
  store<u32>(cache, <u32>slots, SLOTS);
  store<u32>(cache, slotCount - 1, MASK);
  clear(ring, ringBytes);
}

/** Address of the value that the 24-byte pointer refers to, or 0. It stays there until the next `valueCacheReserve`. */
export function valueCacheFind(cache: usize, owner: u32, pointer: usize): usize {
  const segment = load<u32>(pointer);
  const offset = load<u32>(pointer, 8);
  const slots = <usize>load<u32>(cache, SLOTS);
  const mask = load<u32>(cache, MASK);
  const ring = <usize>load<u32>(cache, RING);
  let slot = slotOf(owner, segment, offset) & mask;
  while (true) {
    const at = load<u32>(slots + ((<usize>slot) << 2));
    if (!at) return 0;
    const entry = ring + at - 1;
    if (load<u32>(entry, 16) == offset && load<u32>(entry, 12) == segment && load<u32>(entry, 8) == owner) {
      if (load<u32>(entry, 4) != load<u32>(pointer, 4)) return 0;
      store<u32>(entry, load<u32>(entry) | REFERENCED);
      return entry + ENTRY_HEADER_BYTES;
    }
    slot = (slot + 1) & mask;
  }
  return 0;
}

/**
 * Makes room for a value and returns its address: read it there, verify it, then `valueCacheCommit`, or leave it. 0 when the value is
 * too large to be worth it: over a quarter of the ring.
 */
export function valueCacheReserve(cache: usize, valueBytes: u32): usize {
  const ring = <usize>load<u32>(cache, RING);
  const ringBytes = load<u32>(cache, RING_BYTES);
  const need = entryBytes(valueBytes);
  if (need > ringBytes >> 2 || valueBytes > ringBytes) return 0;
  // Room in the slots too: small values may run out of them first.
  const full = load<u32>(cache, MASK) - (load<u32>(cache, MASK) >> 2);
  let start = load<u32>(cache, HAND);
  let end = start;
  while (end - start < need || load<u32>(cache, ENTRIES) >= full) {
    if (end == ringBytes) {
      if (end > start) clear(ring + start, end - start);
      start = end = 0;
    }
    const entry = ring + end;
    const head = load<u32>(entry);
    const bytes = head & ~REFERENCED;
    if (load<u32>(entry, 8) != 0 && head & REFERENCED) {
      store<u32>(entry, bytes);
      if (end > start) clear(ring + start, end - start);
      start = end = end + bytes;
      continue;
    }
    evict(cache, entry);
    end += bytes;
  }
  const left = end - start - need;
  if (left) clear(ring + start + need, left);
  const entry = ring + start;
  clear(entry, need);
  store<u32>(entry, valueBytes, 4);
  store<u32>(cache, start + need == ringBytes ? 0 : start + need, HAND);
  return entry + ENTRY_HEADER_BYTES;
}

/** From now on the value that was read to `value`, as `valueCacheReserve` gave it last, is found by its pointer, which is not in the cache yet. */
export function valueCacheCommit(cache: usize, owner: u32, pointer: usize, value: usize): void {
  const entry = value - ENTRY_HEADER_BYTES;
  const segment = load<u32>(pointer);
  const offset = load<u32>(pointer, 8);
  const slots = <usize>load<u32>(cache, SLOTS);
  const mask = load<u32>(cache, MASK);
  let slot = slotOf(owner, segment, offset) & mask;
  while (load<u32>(slots + ((<usize>slot) << 2))) slot = (slot + 1) & mask;
  store<u32>(slots + ((<usize>slot) << 2), <u32>(entry - <usize>load<u32>(cache, RING)) + 1);
  store<u32>(entry, owner, 8);
  store<u32>(entry, segment, 12);
  store<u32>(entry, offset, 16);
  store<u32>(entry, slot, 20);
  store<u32>(cache, load<u32>(cache, ENTRIES) + 1, ENTRIES);
  store<u32>(cache, load<u32>(cache, USED) + load<u32>(entry), USED);
}

/** Forgets all values of an owner. */
export function valueCacheDrop(cache: usize, owner: u32): void {
  const ring = <usize>load<u32>(cache, RING);
  const end = ring + load<u32>(cache, RING_BYTES);
  for (let entry = ring; entry < end; entry += <usize>(load<u32>(entry) & ~REFERENCED)) {
    if (load<u32>(entry, 8) == owner) evict(cache, entry);
  }
}

// @ts-ignore: decorator
@inline
function entryBytes(valueBytes: u32): u32 {
  return (ENTRY_HEADER_BYTES + valueBytes + 31) & ~31;
}

/** Makes a stretch of the ring one entry that holds nothing. */
// @ts-ignore: decorator
@inline
function clear(entry: usize, bytes: u32): void {
  const zero = i64x2.splat(0);
  v128.store(entry, zero);
  v128.store(entry, zero, 16);
  store<u32>(entry, bytes);
}

// @ts-ignore: decorator
@inline
function slotOf(owner: u32, segment: u32, offset: u32): u32 {
  let hash = ((<u64>segment) << 32) | <u64>offset;
  hash = (hash ^ ((<u64>owner) << 17)) * 0xff51afd7ed558ccd;
  return <u32>(hash >> 32);
}

/** Takes an entry out of the slots; those that probed past it move up. */
function evict(cache: usize, entry: usize): void {
  if (!load<u32>(entry, 8)) return;
  const slots = <usize>load<u32>(cache, SLOTS);
  const mask = load<u32>(cache, MASK);
  const ring = <usize>load<u32>(cache, RING);
  let hole = load<u32>(entry, 20);
  let slot = hole;
  while (true) {
    slot = (slot + 1) & mask;
    const at = load<u32>(slots + ((<usize>slot) << 2));
    if (!at) break;
    const other = ring + at - 1;
    const home = slotOf(load<u32>(other, 8), load<u32>(other, 12), load<u32>(other, 16)) & mask;
    // It may move to the hole unless its home lies behind the hole, in probing order.
    if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
    store<u32>(slots + ((<usize>hole) << 2), at);
    store<u32>(other, hole, 20);
    hole = slot;
  }
  store<u32>(slots + ((<usize>hole) << 2), 0);
  store<u32>(cache, load<u32>(cache, ENTRIES) - 1, ENTRIES);
  const bytes = load<u32>(entry) & ~REFERENCED;
  store<u32>(cache, load<u32>(cache, USED) - bytes, USED);
  store<u32>(entry, bytes);
  store<u32>(entry, 0, 8);
}
