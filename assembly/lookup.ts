/**
 * Point read through a view (assembly/table.ts): the active memtable, the sealed ones, level 0 from the newest table on, then one table
 * of each deeper level. The first source that has a version at or below the read's sequence has the newest such. Where a range tombstone
 * covers the key, what is older than it is not there, and sources that have nothing newer are not asked.
 *
 * When a table's index or a page is not in memory the kernel says so and keeps its place in cells; the host loads what the NEED cells name
 * and calls `lookupResume`, which goes on with the same page. Nothing may use the context's KEY_A or these cells in between, and the view
 * must stay as it is; a host that gives up just starts another lookup.
 *
 *   cells, from LOOKUP: | hash u64 | sequence u64 | view u32 | key bytes i32 | level i32 | position i32 | page i32 | reserved | cover u64 |
 *   level 0: `position` counts level-0 tables; level n >= 1: the view's n-th level, `position` unused.
 *   cover: the newest range tombstone over the key; 0: none
 *   page: where the search in the current table stands, NO_PAGE before its filter was asked.
 */
import {
  ABSENT,
  CELLS,
  FOUND,
  KEY_A,
  KIND_DELETE,
  NEEDS_PAGE,
  NEEDS_TABLE,
  NEED_TABLE_HEADER,
  RESULT_FLAGS,
  RESULT_KIND,
  RESULT_SEQUENCE,
  RESULT_VALUE,
  RESULT_VALUE_BYTES,
  TABLE_FILTER,
  TABLE_FILTER_BLOCKS,
  TABLE_FILTER_PAGE,
  TABLE_LARGEST,
  TABLE_LARGEST_BYTES,
  TABLE_MAX_SEQUENCE,
  TABLE_PAGES,
  TABLE_SMALLEST,
  TABLE_SMALLEST_BYTES,
  TABLE_USED,
  VIEW_ACTIVE,
  VIEW_LEVEL0,
  VIEW_LEVEL0_COUNT,
  VIEW_LEVELS,
  VIEW_LEVEL_COUNT,
  VIEW_PROBES,
  VIEW_RANGES,
  VIEW_SEALED,
  VIEW_SEALED_COUNT,
} from './memory-map';
import { compareKeys, hashKey } from './key';
import { filterMayHold, filterPageMayHold, filterPageOf } from './filter';
import { memtableFind } from './memtable';
import { BODY_HEADER_BYTES, bodyFlags, bodyKind, bodySequence, pageCount } from './page';
import { frameOf } from './page-cache';
import { rangeNewest } from './range-tombstones';
import { pageBody, pageFind, pageValueBytes } from './page-search';
import { recordFlags, recordKind, recordSequence, recordValue, recordValueBytes } from './record';
import { BEFORE_PAGES, tableFindPage, tableKeyContinues } from './table-index';

const LOOKUP: usize = CELLS + 896;
const HASH: usize = LOOKUP;
const SEQUENCE: usize = LOOKUP + 8;
const VIEW: usize = LOOKUP + 16;
const KEY_BYTES: usize = LOOKUP + 20;
const LEVEL: usize = LOOKUP + 24;
const POSITION: usize = LOOKUP + 28;
const PAGE: usize = LOOKUP + 32;
const COVER: usize = LOOKUP + 40;

const NO_PAGE: i32 = -1;

/**
 * The newest version at or below `sequence` of the key in KEY_A. FOUND: the RESULT cells tell it (its value lies where it was found, good
 * until the next kernel call). ABSENT: RESULT_KIND is KIND_DELETE when a delete or range delete says so, else 0. NEEDS_TABLE, NEEDS_PAGE: see lookupResume.
 */
export function lookup(context: usize, view: usize, keyBytes: i32, sequence: f64): i32 {
  const key = context + KEY_A;
  const limit = <u64>sequence;
  const ranges = <usize>load<u32>(view, VIEW_RANGES);
  const cover = ranges ? rangeNewest(ranges, key, keyBytes, limit) : 0;
  const active = <usize>load<u32>(view, VIEW_ACTIVE);
  if (active) {
    const record = memtableFind(active, key, keyBytes, limit);
    if (record) return recordAnswer(context, record, cover);
  }
  const sealedEnd = view + ((<usize>load<u32>(view, VIEW_SEALED_COUNT)) << 2);
  for (let sealed = view; sealed < sealedEnd; sealed += 4) {
    const record = memtableFind(<usize>load<u32>(sealed, VIEW_SEALED), key, keyBytes, limit);
    if (record) return recordAnswer(context, record, cover);
  }
  const flushed = load<u32>(view, VIEW_LEVEL0_COUNT);
  if (flushed) store<f64>(view, load<f64>(view, VIEW_PROBES) + <f64>flushed, VIEW_PROBES);
  store<u64>(context, cover, COVER);
  store<u64>(context, hashKey(key, keyBytes), HASH);
  store<u64>(context, limit, SEQUENCE);
  store<u32>(context, <u32>view, VIEW);
  store<i32>(context, keyBytes, KEY_BYTES);
  store<i32>(context, 0, LEVEL);
  store<i32>(context, 0, POSITION);
  store<i32>(context, NO_PAGE, PAGE);
  return lookupResume(context);
}

/** Goes on after what the NEED cells named has been loaded. Answers as `lookup`. */
export function lookupResume(context: usize): i32 {
  const view = <usize>load<u32>(context, VIEW);
  let level = load<i32>(context, LEVEL);
  if (!level) {
    const count = load<i32>(view, VIEW_LEVEL0_COUNT);
    const tables = <usize>load<u32>(view, VIEW_LEVEL0);
    for (let position = load<i32>(context, POSITION); position < count; position++) {
      const answer = tableLookup(context, <usize>load<u32>(tables + ((<usize>position) << 2)));
      if (answer != NOT_HERE) {
        store<i32>(context, position, POSITION);
        return answer;
      }
    }
    level = 1;
  }
  const levels = load<i32>(view, VIEW_LEVEL_COUNT);
  for (; level <= levels; level++) {
    const table = levelTable(context, <usize>load<u32>(view, VIEW_LEVELS) + ((<usize>(level - 1)) << 3));
    if (!table) continue;
    const answer = tableLookup(context, table);
    if (answer != NOT_HERE) {
      store<i32>(context, level, LEVEL);
      return answer;
    }
  }
  return nothing(context, load<u64>(context, COVER));
}

/** No version is there, or the range tombstone `cover` hides it. */
function nothing(context: usize, cover: u64): i32 {
  store<u32>(context, cover ? KIND_DELETE : 0, RESULT_KIND);
  store<f64>(context, <f64>cover, RESULT_SEQUENCE);
  store<u32>(context, 0, RESULT_VALUE_BYTES);
  store<u32>(context, 0, RESULT_FLAGS);
  return ABSENT;
}

/** Not an answer of the kernel: go on with the next source. */
const NOT_HERE: i32 = -1;

function tableLookup(context: usize, table: usize): i32 {
  const key = context + KEY_A;
  const keyBytes = load<i32>(context, KEY_BYTES);
  const hash = load<u64>(context, HASH);
  const cover = load<u64>(context, COVER);
  let page = load<i32>(context, PAGE);
  if (page == NO_PAGE) {
    if (cover && load<u64>(table, TABLE_MAX_SEQUENCE) < cover) return NOT_HERE;
    // An index in memory tells more, and faster, than the key range.
    if (!load<u32>(table, TABLE_PAGES)) {
      if (!inRange(table, key, keyBytes)) return NOT_HERE;
      store<u32>(context, <u32>table, NEED_TABLE_HEADER);
      return NEEDS_TABLE;
    }
    store<u32>(table, 1, TABLE_USED);
    const blocks = load<u32>(table, TABLE_FILTER_BLOCKS);
    if (blocks) {
      const filter = <usize>load<u32>(table, TABLE_FILTER);
      if (filter) {
        if (!filterMayHold(filter, blocks, hash)) return NOT_HERE;
      } else {
        const number = filterPageOf(blocks, hash);
        const frame = frameOf(context, table, load<u32>(table, TABLE_FILTER_PAGE) + number);
        if (!frame) return NEEDS_PAGE;
        if (!filterPageMayHold(frame, number, blocks, hash)) return NOT_HERE;
      }
    }
    page = tableFindPage(context, table, key, keyBytes);
    if (page < 0) return page == BEFORE_PAGES ? NOT_HERE : NEEDS_PAGE;
  }
  const sequence = load<u64>(context, SEQUENCE);
  let frame: usize = 0;
  do {
    frame = frameOf(context, table, page);
    if (!frame) {
      store<i32>(context, page, PAGE);
      return NEEDS_PAGE;
    }
    const entry = pageFind(frame, key, keyBytes, hash, sequence);
    if (entry >= 0) return pageAnswer(context, frame, entry, cover);
    page++;
  } while (tableKeyContinues(table, page, frame, key, keyBytes));
  store<i32>(context, NO_PAGE, PAGE);
  return NOT_HERE;
}

/** The table of a level (ordered by key, ranges apart) whose range holds the key, or 0. */
function levelTable(context: usize, level: usize): usize {
  const key = context + KEY_A;
  const keyBytes = load<i32>(context, KEY_BYTES);
  const count = load<i32>(level);
  const tables = <usize>load<u32>(level, 4);
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    const table = <usize>load<u32>(tables + ((<usize>middle) << 2));
    if (compareKeys(<usize>load<u32>(table, TABLE_LARGEST), load<i32>(table, TABLE_LARGEST_BYTES), key, keyBytes) < 0) low = middle + 1;
    else high = middle;
  }
  if (low == count) return 0;
  const table = <usize>load<u32>(tables + ((<usize>low) << 2));
  return compareKeys(<usize>load<u32>(table, TABLE_SMALLEST), load<i32>(table, TABLE_SMALLEST_BYTES), key, keyBytes) <= 0 ? table : 0;
}

function inRange(table: usize, key: usize, keyBytes: i32): bool {
  return (
    compareKeys(<usize>load<u32>(table, TABLE_SMALLEST), load<i32>(table, TABLE_SMALLEST_BYTES), key, keyBytes) <= 0 &&
    compareKeys(<usize>load<u32>(table, TABLE_LARGEST), load<i32>(table, TABLE_LARGEST_BYTES), key, keyBytes) >= 0
  );
}

function pageAnswer(context: usize, frame: usize, entry: i32, cover: u64): i32 {
  const count = pageCount(frame);
  const body = pageBody(frame, count, entry);
  const word = load<u64>(body);
  if (bodySequence(word) < cover) return nothing(context, cover);
  const valueBytes = pageValueBytes(frame, count, entry, body);
  return answer(context, bodyKind(word), bodyFlags(word), bodySequence(word), body + BODY_HEADER_BYTES, valueBytes);
}

function recordAnswer(context: usize, record: usize, cover: u64): i32 {
  if (recordSequence(record) < cover) return nothing(context, cover);
  const value = recordValue(record);
  return answer(context, recordKind(record), recordFlags(record), recordSequence(record), value, recordValueBytes(record));
}

// @ts-ignore: decorator
@inline
function answer(context: usize, kind: i32, flags: i32, sequence: u64, value: usize, valueBytes: i32): i32 {
  store<u32>(context, <u32>value, RESULT_VALUE);
  store<i32>(context, valueBytes, RESULT_VALUE_BYTES);
  store<i32>(context, kind, RESULT_KIND);
  store<i32>(context, flags, RESULT_FLAGS);
  store<f64>(context, <f64>sequence, RESULT_SEQUENCE);
  return kind == KIND_DELETE ? ABSENT : FOUND;
}
