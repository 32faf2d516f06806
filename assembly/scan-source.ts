/**
 * The sources of a scan: a memtable, or a run of tables that do not overlap (one table of level 0, or a whole level). Both walk either
 * way. A run of tables may need a page or an index that is not in memory: it then answers NEEDS_*, and `settle` goes on from there.
 *
 * Cells that scan.ts fills, from the start of a context:
 *   256 sequence u64     versions above it are not seen
 *   264 lower bytes i32  keys are at least KEY_A[0..]; 0: no lower bound
 *   268 upper bytes i32  keys are smaller than KEY_B[0..]; negative: no upper bound
 *   328 ranges u32       set of range tombstones (assembly/range-tombstones.ts), 0: none
 *   332 range at i32     the fragment that the scan has come to: see `hidingFragment`
 *   344 range rank u64   forward: keys of a smaller rank are not hidden
 *
 * Where a range tombstone hides all that a source has in a range, the source is sought to the range's end: tables of which everything is
 * hidden are not even opened.
 */
import { CONTINUES } from './table';
import { KEY_A, KEY_B, NEEDS_PAGE, NEEDS_TABLE, NEED_TABLE_HEADER, TABLE_INDEX_PAGE, TABLE_MAX_SEQUENCE, TABLE_USED } from './memory-map';
import { CURSOR_READY, cursorEnterPage, cursorFinish, cursorPlace, cursorSet, pageLowerBound } from './cursor';
import { compareKeys, keyPrefix } from './key';
import { frameOfScan } from './page-cache';
import { leafRecord } from './radix-node';
import { memtableNext, memtablePrevious, memtableSeek, memtableSeekReverse } from './memtable-iterator';
import { packBody } from './page';
import {
  beginsAtOrBelow,
  endsAbove,
  fragmentAt,
  fragmentCount,
  fragmentEnd,
  fragmentEndBytes,
  fragmentFor,
  fragmentNewest,
  fragmentStart,
  fragmentStartBytes,
  rangeHidesAll,
} from './range-tombstones';
import { recordFlags, recordKey, recordKeyBytes, recordKind, recordSequence, recordValue, recordValueBytes } from './record';
import { NEEDS_INDEX_PAGE, tableFindPage } from './table-index';

export const BOUND_SEQUENCE: usize = 256;
export const BOUND_LOWER_BYTES: usize = 264;
export const BOUND_UPPER_BYTES: usize = 268;
export const RANGES: usize = 328;
const RANGE_AT: usize = 332;
export const RANGE_RANK: usize = 344;

/** The table is chosen; its page is to be found by the bound. */
const LOCATE: u32 = 1;
/** The page is chosen; its entry is to be found by the bound. */
const SEEK: u32 = 2;
/** The page is chosen; its entry is the first (forward) or the last (backward). */
const STEP: u32 = 3;
/** Stands for the last page of a table whose index may not be loaded yet. */
const LAST_PAGE: i32 = i32.MAX_VALUE;

// @ts-ignore: decorator
@inline
function tableOf(tables: usize, i: i32): usize {
  return <usize>load<u32>(tables + ((<usize>i) << 2));
}
/** The table's smallest key against the upper bound: whether all its keys are outside. */
function beginsAboveUpper(context: usize, table: usize): bool {
  const upperBytes = load<i32>(context, BOUND_UPPER_BYTES);
  return upperBytes >= 0 && compareKeys(<usize>load<u32>(table, 36), load<i32>(table, 40), context + KEY_B, upperBytes) >= 0;
}
function endsBelowLower(context: usize, table: usize): bool {
  return compareKeys(<usize>load<u32>(table, 44), load<i32>(table, 48), context + KEY_A, load<i32>(context, BOUND_LOWER_BYTES)) < 0;
}

/** Whether the table can hold no key within the bounds. */
export function tableOutside(context: usize, table: usize): bool {
  return beginsAboveUpper(context, table) || endsBelowLower(context, table);
}

/** Aims a cursor at the first (or last, backward) key within the bounds of a run of tables; `settle` then puts it there. */
export function seekTables(context: usize, cursor: usize, tables: usize, count: i32): void {
  const backward = load<u32>(cursor, 44) != 0;
  store<u32>(cursor, <u32>tables, 80);
  store<i32>(cursor, count, 84);
  // Binary search: forward, the first table that does not end below the bound; backward, the first that begins at or above it.
  const bounded = backward ? load<i32>(context, BOUND_UPPER_BYTES) >= 0 : load<i32>(context, BOUND_LOWER_BYTES) > 0;
  let low = 0;
  let high = count;
  if (!bounded) low = high = backward ? count : 0;
  while (low < high) {
    const middle = (low + high) >> 1;
    const table = tableOf(tables, middle);
    if (backward ? !beginsAboveUpper(context, table) : endsBelowLower(context, table)) low = middle + 1;
    else high = middle;
  }
  store<i32>(cursor, backward ? LAST_PAGE : 0, 92);
  store<u32>(cursor, bounded ? LOCATE : STEP, 76);
  aimAt(context, cursor, backward ? low - 1 : low, backward);
}

/** Chooses a table, or the next one that is not hidden; none when it, and so all behind it, can hold no key within the far bound. */
// @ts-ignore: decorator
@inline
function aimAt(context: usize, cursor: usize, at: i32, backward: bool): void {
  const ranges = <usize>load<u32>(context, RANGES);
  let aim = at;
  while (aim >= 0 && aim < load<i32>(cursor, 84)) {
    const table = tableOf(<usize>load<u32>(cursor, 80), aim);
    if (backward ? endsBelowLower(context, table) : beginsAboveUpper(context, table)) aim = -1;
    else if (!ranges || !isHidden(context, ranges, table)) break;
    else aim += backward ? -1 : 1;
  }
  store<i32>(cursor, aim, 88);
}

function isHidden(context: usize, ranges: usize, table: usize): bool {
  return rangeHidesAll(
    ranges,
    <usize>load<u32>(table, 36),
    load<i32>(table, 40),
    <usize>load<u32>(table, 44),
    load<i32>(table, 48),
    load<u64>(table, TABLE_MAX_SEQUENCE),
    load<u64>(context, BOUND_SEQUENCE),
  );
}

/** Leaves the table for the next one in walking order. */
// @ts-ignore: decorator
@inline
function stepTable(context: usize, cursor: usize, backward: bool): void {
  store<i32>(cursor, backward ? LAST_PAGE : 0, 92);
  store<u32>(cursor, STEP, 76);
  aimAt(context, cursor, load<i32>(cursor, 88) + (backward ? -1 : 1), backward);
}

/** Leaves the page for the next one in walking order, unless the index already says that nothing within the bounds is left. */
function stepPage(context: usize, cursor: usize, backward: bool): void {
  const table = tableOf(<usize>load<u32>(cursor, 80), load<i32>(cursor, 88));
  const left = load<i32>(cursor, 92);
  const page = backward ? left - 1 : left + 1;
  if (page < 0 || page >= load<i32>(table)) {
    stepTable(context, cursor, backward);
    return;
  }
  store<i32>(cursor, page, 92);
  store<u32>(cursor, STEP, 76);
  // A paged table's separators are not at hand.
  if (load<u32>(table, TABLE_INDEX_PAGE)) return;
  // The separator between the two pages is the index key of the higher one.
  const separator = <usize>load<u32>(<usize>load<u32>(table, 8) + ((<usize>max(left, page)) << 2));
  const key = separator + 4;
  const keyBytes = <i32>load<u16>(separator);
  if (backward) {
    const order = compareKeys(key, keyBytes, context + KEY_A, load<i32>(context, BOUND_LOWER_BYTES));
    if (order < 0 || (order == 0 && !(load<u16>(separator, 2) & CONTINUES))) store<i32>(cursor, -1, 88);
  } else {
    const upperBytes = load<i32>(context, BOUND_UPPER_BYTES);
    if (upperBytes >= 0 && compareKeys(key, keyBytes, context + KEY_B, upperBytes) >= 0) store<i32>(cursor, -1, 88);
  }
}

/** Puts a cursor over tables on the entry that it is aimed at. 0, or NEEDS_*: call again when the need is met. */
export function settleTables(context: usize, cursor: usize): i32 {
  const backward = load<u32>(cursor, 44) != 0;
  while (true) {
    const at = load<i32>(cursor, 88);
    if (at < 0 || at >= load<i32>(cursor, 84)) {
      cursorFinish(cursor);
      return 0;
    }
    const table = tableOf(<usize>load<u32>(cursor, 80), at);
    const pages = load<i32>(table);
    if (!pages) {
      store<u32>(context, <u32>table, NEED_TABLE_HEADER);
      return NEEDS_TABLE;
    }
    let bound = context + (backward ? KEY_B : KEY_A);
    let boundBytes = backward ? load<i32>(context, BOUND_UPPER_BYTES) : load<i32>(context, BOUND_LOWER_BYTES);
    if (load<u32>(cursor, 116)) {
      bound = <usize>load<u32>(cursor, 116);
      boundBytes = load<i32>(cursor, 120);
    }
    if (load<u32>(cursor, 76) == LOCATE) {
      store<u32>(table, 1, TABLE_USED);
      const page = tableFindPage(context, table, bound, boundBytes);
      if (page == NEEDS_INDEX_PAGE) return NEEDS_PAGE;
      if (page < 0 && backward) {
        stepTable(context, cursor, backward);
        continue;
      }
      store<i32>(cursor, max(page, 0), 92);
      store<u32>(cursor, SEEK, 76);
    }
    const page = min(load<i32>(cursor, 92), pages - 1);
    store<i32>(cursor, page, 92);
    const frame = frameOfScan(context, table, page);
    if (!frame) return NEEDS_PAGE;
    cursorEnterPage(cursor, frame);
    const count = load<i32>(cursor, 60);
    let entry = backward ? count - 1 : 0;
    if (load<u32>(cursor, 76) == SEEK) {
      entry = pageLowerBound(frame, bound, boundBytes);
      if (entry == count) {
        // Past the page's end. Forward it is in a page behind; so it may be backward when versions of the last key go on there.
        if (!backward || continuesBehind(table, page, pages)) {
          if (page + 1 < pages) store<i32>(cursor, page + 1, 92);
          else stepTable(context, cursor, backward);
          continue;
        }
      }
      if (backward) entry--;
      if (entry < 0) {
        stepPage(context, cursor, backward);
        continue;
      }
    }
    cursorPlace(cursor, entry);
    store<u32>(cursor, CURSOR_READY, 76);
    return 0;
  }
  return 0;
}

// @ts-ignore: decorator
@inline
function continuesBehind(table: usize, page: i32, pages: i32): bool {
  // Of a page that was found by a bound, the pages behind it begin at the bound or above.
  if (load<u32>(table, TABLE_INDEX_PAGE)) return false;
  return page + 1 < pages && (load<u16>(<usize>load<u32>(<usize>load<u32>(table, 8) + ((<usize>(page + 1)) << 2)), 2) & CONTINUES) != 0;
}

/** Moves on by one entry. 0, or NEEDS_*: then `settleTables` when the need is met. */
// @ts-ignore: decorator
@inline
export function advanceTables(context: usize, cursor: usize, backward: bool): i32 {
  const entry = load<i32>(cursor, 64) + (backward ? -1 : 1);
  if (<u32>entry < <u32>load<i32>(cursor, 60)) {
    cursorPlace(cursor, entry);
    return 0;
  }
  stepPage(context, cursor, backward);
  return settleTables(context, cursor);
}

/** Moves on to the next key of which a version is visible. Never needs anything. */
export function advanceMemtable(context: usize, cursor: usize, backward: bool): void {
  const sequence = load<u64>(context, BOUND_SEQUENCE);
  const stack = <usize>load<u32>(cursor, 72);
  while (true) {
    const leaf = backward ? memtablePrevious(stack) : memtableNext(stack);
    if (!leaf) {
      cursorFinish(cursor);
      return;
    }
    const record = leafRecord(leaf, sequence);
    if (!record) continue;
    const body = packBody(recordSequence(record), recordKind(record), recordFlags(record));
    cursorSet(cursor, recordKey(record), recordKeyBytes(record), body, recordValue(record), recordValueBytes(record));
    return;
  }
}

/** Before the first entry. */
export function beginRanges(context: usize, ranges: u32, backward: bool): void {
  store<u32>(context, ranges, RANGES);
  store<i32>(context, backward && ranges ? fragmentCount(ranges) : 0, RANGE_AT);
  store<u64>(context, 0, RANGE_RANK);
}

/**
 * The fragment that hides a version of the key from the scan, or 0. Keys come in the scan's order, so the fragment is mostly the one found
 * last: the first that ends above the key.
 */
export function hidingFragment(context: usize, ranges: usize, key: usize, keyBytes: i32, sequence: u64, backward: bool): usize {
  const count = fragmentCount(ranges);
  let at = load<i32>(context, RANGE_AT);
  const stays = backward
    ? at == 0 || !endsAbove(fragmentAt(ranges, at - 1), key, keyBytes)
    : at == count || endsAbove(fragmentAt(ranges, at), key, keyBytes);
  if (!stays) {
    at = fragmentFor(ranges, key, keyBytes);
    store<i32>(context, at, RANGE_AT);
  }
  if (at == count) {
    store<u64>(context, ~(<u64>0), RANGE_RANK);
    return 0;
  }
  const fragment = fragmentAt(ranges, at);
  store<u64>(context, keyPrefix(fragmentStart(fragment), fragmentStartBytes(fragment)), RANGE_RANK);
  if (!beginsAtOrBelow(fragment, key, keyBytes)) return 0;
  return sequence < fragmentNewest(fragment, load<u64>(context, BOUND_SEQUENCE)) ? fragment : 0;
}

/** Moves on from a hidden entry: past the fragment, where all that the source has there is hidden. 0, or NEEDS_*: then `settleTables`. */
export function leaveFragment(context: usize, cursor: usize, fragment: usize, backward: bool): i32 {
  const cover = fragmentNewest(fragment, load<u64>(context, BOUND_SEQUENCE));
  const memtable = <usize>load<u32>(cursor, 112);
  if (memtable) {
    if (<u64>load<f64>(memtable, 40) < cover) {
      const stack = <usize>load<u32>(cursor, 72);
      if (backward) memtableSeekReverse(memtable, stack, fragmentStart(fragment), fragmentStartBytes(fragment));
      else memtableSeek(memtable, stack, fragmentEnd(fragment), fragmentEndBytes(fragment));
    }
    advanceMemtable(context, cursor, backward);
    return 0;
  }
  const table = tableOf(<usize>load<u32>(cursor, 80), load<i32>(cursor, 88));
  if (load<u64>(table, TABLE_MAX_SEQUENCE) >= cover) return advanceTables(context, cursor, backward);
  const leaves = backward
    ? compareKeys(fragmentStart(fragment), fragmentStartBytes(fragment), <usize>load<u32>(table, 36), load<i32>(table, 40)) <= 0
    : compareKeys(fragmentEnd(fragment), fragmentEndBytes(fragment), <usize>load<u32>(table, 44), load<i32>(table, 48)) > 0;
  if (leaves) stepTable(context, cursor, backward);
  else {
    store<u32>(cursor, <u32>(backward ? fragmentStart(fragment) : fragmentEnd(fragment)), 116);
    store<i32>(cursor, backward ? fragmentStartBytes(fragment) : fragmentEndBytes(fragment), 120);
    store<u32>(cursor, LOCATE, 76);
  }
  return settleTables(context, cursor);
}
