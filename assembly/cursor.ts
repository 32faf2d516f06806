/**
 * A cursor stands on one entry of one sorted source. It is what scans and merges compare, whatever the source is.
 *
 *   0 frame u32        address of the page it stands in (a page cache frame, which is thereby pinned; 0: none)
 *   4 source u32       SOURCE_*
 *   8 rank u64         keyPrefix of the key behind `skip`, inverted (flip) when walking backward: the smaller rank comes first; all ones when finished
 *  16 key u32, 20 key bytes i32                 (-1: finished)
 *  24 body u64         sequence, kind, flags    (assembly/page.ts)
 *  32 value u32, 36 value bytes i32
 *  40 key buffer u32   where keys of pages are rebuilt
 *  44 direction u32    0 forward, 1 backward
 *  48 flip u64         0 forward, all ones backward
 *  56 slots u32, 60 count i32, 64 entry i32, 68 prefix bytes i32        of the page
 *  72 stack u32        of a memtable
 *  76 state u32        of a run of tables: CURSOR_READY, or what must be done before it stands on an entry (assembly/scan-source.ts)
 *  80 tables u32, 84 table count i32, 88 table i32, 92 page i32
 *  96 pages end u32, 100 last u32, 104 next page u32                    of pages in a buffer (assembly/merge.ts)
 * 108 skip i32         leading bytes that all keys of all sources share: the rank begins behind them
 * 112 memtable u32
 * 116 bound u32, 120 bound bytes i32            where a run of tables is to go on; 0: at the scan's own bound (assembly/scan-source.ts)
 *
 * Where rank is equal and the keys are, versions of one key come newest first when walking forward and oldest first backward.
 */
import { compareKeys, copy, keyPrefix } from './key';
import { BODY_HEADER_BYTES, bodySequence, pageCount, pagePrefix, pagePrefixBytes, pageSlots } from './page';
import { CURSORS, CURSOR_BYTES, CURSOR_KEYS, KEY_WINDOW_BYTES } from './memory-map';

export const SOURCE_MEMTABLE: u32 = 1;
export const SOURCE_TABLES: u32 = 2;
export const SOURCE_PAGES: u32 = 3;

export const CURSOR_READY: u32 = 0;

// @ts-ignore: decorator
@inline
export function cursorAt(context: usize, i: i32): usize {
  return context + CURSORS + <usize>i * CURSOR_BYTES;
}
// @ts-ignore: decorator
@inline
export function cursorRank(cursor: usize): u64 {
  return load<u64>(cursor, 8);
}
// @ts-ignore: decorator
@inline
export function cursorKey(cursor: usize): usize {
  return <usize>load<u32>(cursor, 16);
}
// @ts-ignore: decorator
@inline
export function cursorKeyBytes(cursor: usize): i32 {
  return load<i32>(cursor, 20);
}
// @ts-ignore: decorator
@inline
export function cursorBody(cursor: usize): u64 {
  return load<u64>(cursor, 24);
}
// @ts-ignore: decorator
@inline
export function cursorValue(cursor: usize): usize {
  return <usize>load<u32>(cursor, 32);
}
// @ts-ignore: decorator
@inline
export function cursorValueBytes(cursor: usize): i32 {
  return load<i32>(cursor, 36);
}
// @ts-ignore: decorator
@inline
export function cursorFinished(cursor: usize): bool {
  return load<i32>(cursor, 20) < 0;
}

/** Clears a cursor: no frame, not yet on an entry. */
export function cursorReset(context: usize, i: i32, source: u32, backward: bool): usize {
  const cursor = cursorAt(context, i);
  memory.fill(cursor, 0, CURSOR_BYTES);
  store<u32>(cursor, source, 4);
  store<u32>(cursor, <u32>(context + CURSOR_KEYS + <usize>i * KEY_WINDOW_BYTES), 40);
  store<u32>(cursor, backward ? 1 : 0, 44);
  store<u64>(cursor, backward ? ~(<u64>0) : 0, 48);
  return cursor;
}

/** States how many leading bytes all keys of all sources share. */
export function cursorSkip(cursor: usize, bytes: i32): void {
  store<i32>(cursor, bytes, 108);
}

/** No entry is left: sorts behind every cursor that has one. */
// @ts-ignore: decorator
@inline
export function cursorFinish(cursor: usize): void {
  store<u32>(cursor, 0);
  store<u64>(cursor, ~(<u64>0), 8);
  store<i32>(cursor, -1, 20);
}

/** Stands on a key and value that lie somewhere stable. */
// @ts-ignore: decorator
@inline
export function cursorSet(cursor: usize, key: usize, keyBytes: i32, body: u64, value: usize, valueBytes: i32): void {
  const skip = load<i32>(cursor, 108);
  store<u64>(cursor, keyPrefix(key + skip, keyBytes - skip) ^ load<u64>(cursor, 48), 8);
  store<u32>(cursor, <u32>key, 16);
  store<i32>(cursor, keyBytes, 20);
  store<u64>(cursor, body, 24);
  store<u32>(cursor, <u32>value, 32);
  store<i32>(cursor, valueBytes, 36);
}

/** Takes a page, without standing on an entry of it yet. */
export function cursorEnterPage(cursor: usize, page: usize): void {
  const count = pageCount(page);
  const prefixBytes = pagePrefixBytes(page);
  store<u32>(cursor, <u32>page);
  store<u32>(cursor, <u32>pageSlots(page, count), 56);
  store<i32>(cursor, count, 60);
  store<i32>(cursor, prefixBytes, 68);
  copy(<usize>load<u32>(cursor, 40), pagePrefix(page, count), prefixBytes);
}

/** Stands on an entry of its page. */
// @ts-ignore: decorator
@inline
export function cursorPlace(cursor: usize, entry: i32): void {
  store<i32>(cursor, entry, 64);
  const slot = <usize>load<u32>(cursor, 56) + ((<usize>entry) << 2);
  const word = load<u32>(slot);
  const suffixBytes = <i32>(word >> 16);
  const suffix = <usize>load<u32>(cursor) + <usize>(word & 0xffff);
  const body = suffix + suffixBytes;
  const value = body + BODY_HEADER_BYTES;
  const key = <usize>load<u32>(cursor, 40);
  const prefixBytes = load<i32>(cursor, 68);
  copy(key + prefixBytes, suffix, suffixBytes);
  cursorSet(cursor, key, prefixBytes + suffixBytes, load<u64>(body), value, <i32>(<usize>load<u32>(cursor) + load<u16>(slot, 4) - value));
}

/** How many entries of a page have a key smaller than `key`. */
export function pageLowerBound(page: usize, key: usize, keyBytes: i32): i32 {
  const count = pageCount(page);
  const prefixBytes = pagePrefixBytes(page);
  const shared = min(prefixBytes, keyBytes);
  const order = compareKeys(pagePrefix(page, count), shared, key, shared);
  if (order) return order < 0 ? count : 0;
  if (keyBytes <= prefixBytes) return 0;
  const rest = key + prefixBytes;
  const restBytes = keyBytes - prefixBytes;
  const slots = pageSlots(page, count);
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    const word = load<u32>(slots + ((<usize>middle) << 2));
    if (compareKeys(page + (word & 0xffff), <i32>(word >> 16), rest, restBytes) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether `a`'s entry comes before `b`'s. */
// @ts-ignore: decorator
@inline
export function cursorBefore(a: usize, b: usize): bool {
  const x = cursorRank(a);
  const y = cursorRank(b);
  if (x != y) return x < y;
  return beforeWithinRank(a, b);
}

function beforeWithinRank(a: usize, b: usize): bool {
  const aBytes = cursorKeyBytes(a);
  const bBytes = cursorKeyBytes(b);
  if (aBytes < 0) return false;
  if (bBytes < 0) return true;
  const backward = load<u32>(a, 44) != 0;
  const order = compareKeys(cursorKey(a), aBytes, cursorKey(b), bBytes);
  if (order) return order < 0 != backward;
  return bodySequence(cursorBody(a)) > bodySequence(cursorBody(b)) != backward;
}
