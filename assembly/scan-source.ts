/**
 * The sources of a scan: a memtable, or a run of tables that do not overlap (one table of level 0, or a whole level). Both walk either
 * way. A run of tables may need a page or an index that is not in memory: it then answers NEEDS_*, and `settle` goes on from there.
 *
 * Cells that scan.ts fills, from the start of a context:
 *   256 sequence u64     versions above it are not seen
 *   264 lower bytes i32  keys are at least KEY_A[0..]; 0: no lower bound
 *   268 upper bytes i32  keys are smaller than KEY_B[0..]; negative: no upper bound
 */
import { CONTINUES } from './table';
import { KEY_A, KEY_B, NEEDS_PAGE, NEEDS_TABLE, NEED_TABLE_HEADER } from './memory-map';
import { CURSOR_READY, cursorEnterPage, cursorFinish, cursorPlace, cursorSet, pageLowerBound } from './cursor';
import { compareKeys } from './key';
import { frameOf } from './page-cache';
import { leafRecord } from './memtable';
import { memtableNext, memtablePrevious } from './memtable-iterator';
import { packBody } from './page';
import { recordFlags, recordKey, recordKeyBytes, recordKind, recordSequence, recordValue, recordValueBytes } from './record';
import { tableFindPage } from './table-index';

export const BOUND_SEQUENCE: usize = 256;
export const BOUND_LOWER_BYTES: usize = 264;
export const BOUND_UPPER_BYTES: usize = 268;

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

/** Chooses a table, or none when it, and so all behind it, can hold no key within the far bound. */
// @ts-ignore: decorator
@inline
function aimAt(context: usize, cursor: usize, at: i32, backward: bool): void {
  let aim = at;
  if (at >= 0 && at < load<i32>(cursor, 84)) {
    const table = tableOf(<usize>load<u32>(cursor, 80), at);
    if (backward ? endsBelowLower(context, table) : beginsAboveUpper(context, table)) aim = -1;
  }
  store<i32>(cursor, aim, 88);
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
    const bound = context + (backward ? KEY_B : KEY_A);
    const boundBytes = backward ? load<i32>(context, BOUND_UPPER_BYTES) : load<i32>(context, BOUND_LOWER_BYTES);
    if (load<u32>(cursor, 76) == LOCATE) {
      const page = tableFindPage(table, bound, boundBytes);
      if (page < 0 && backward) {
        stepTable(context, cursor, backward);
        continue;
      }
      store<i32>(cursor, max(page, 0), 92);
      store<u32>(cursor, SEEK, 76);
    }
    const page = min(load<i32>(cursor, 92), pages - 1);
    store<i32>(cursor, page, 92);
    const frame = frameOf(context, table, page);
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
