/**
 * Ordered reads. A scan is stateless between windows: the host passes bounds, direction and snapshot, the kernel seeks every source of the
 * view anew, merges them and fills a window with entries; the host goes on behind the last key. Within a window it is resumable: when a
 * page or index is missing it answers NEEDS_*, and `scanNext` goes on when the need is met. Nothing else may use the context's cursors
 * until `scanClose`.
 *
 *   window: | key bytes u16 | kind u8 | flags u8 | value bytes u32 | sequence f64 | key | value | padding to 8 |   an entry
 *
 * Values in the window are without their expiry; the flags tell that they had one. What has expired by SCAN_NOW is taken for a delete.
 *
 * RESULT_ENTRIES and RESULT_BYTES hold at every return what is complete in the window, so that a caller that would have to wait for a need
 * may take that first, and begin anew behind it.
 *
 * Forward, the first visible version of a key decides it and older ones are skipped. Backward, versions come oldest first: the entry is
 * written as a candidate behind the complete ones and overwritten by newer visible versions until the key changes.
 *
 * Cells, from the start of a context (256..271 in scan-source.ts; tournament at 512..767):
 *   272 flags i32            276 entries max u32
 *   280 window end u32       284 out u32: end of the complete entries
 *   288 last key bytes i32   the key decided last (backward: the candidate's); negative: none
 *   292 last key u32         its address, in the window
 *   296 last rank u64
 *   304 candidate end u32    0: the candidate is a delete, or there is none
 *   308 opened i32           sources that stand on their first entry
 *   312 moved u32            1: the winner is to be settled and the tree replayed
 *   316 begun u32            1: the tree is built
 *   320 window u32
 *   352 SCAN_WALKED u32
 *   336 SCAN_NOW f64, the host's; 328..335 and 344..351 in scan-source.ts
 */
import {
  ABSENT,
  CURSORS_MAX,
  KEY_A,
  KEY_B,
  KIND_DELETE,
  RESULT_BYTES,
  RESULT_ENTRIES,
  SCAN_ENTRY_BYTES,
  SCAN_KEYS_ONLY,
  SCAN_LOWER_EXCLUSIVE,
  SCAN_NOW,
  SCAN_PROBES,
  SCAN_REVERSE,
  SCAN_UPPER_INCLUSIVE,
  SCAN_WALKED,
  SLACK_BYTES,
  STACKS,
  STACK_BYTES,
  VIEW_PROBES,
  VIEW_RANGES,
  WINDOW_FULL,
} from './memory-map';
import {
  SOURCE_MEMTABLE,
  SOURCE_TABLES,
  cursorAt,
  cursorBody,
  cursorFinished,
  cursorKey,
  cursorKeyBytes,
  cursorRank,
  cursorReset,
  cursorValue,
  cursorValueBytes,
} from './cursor';
import {
  BOUND_LOWER_BYTES,
  BOUND_SEQUENCE,
  BOUND_UPPER_BYTES,
  RANGES,
  RANGE_RANK,
  advanceMemtable,
  advanceTables,
  beginRanges,
  hidingFragment,
  leaveFragment,
  seekTables,
  settleTables,
  tableOutside,
} from './scan-source';
import { CURSOR_COUNT } from './page-cache';
import { bodyFlags, bodyKind, bodySequence } from './page';
import { commonBytes, compareKeys, copy, keyPrefix } from './key';
import { expiryBytes, hasExpired } from './record';
import { memtableSeek, memtableSeekReverse } from './memtable-iterator';
import { tournamentBegin, tournamentReplay, tournamentWinner } from './tournament';

const FLAGS: usize = 272;
const ENTRIES_MAX: usize = 276;
const WINDOW_END: usize = 280;
const OUT: usize = 284;
const LAST_BYTES: usize = 288;
const LAST_KEY: usize = 292;
const LAST_RANK: usize = 296;
const CANDIDATE_END: usize = 304;
const OPENED: usize = 308;
const MOVED: usize = 312;
const BEGUN: usize = 316;
const WINDOW: usize = 320;

/**
 * Begins a window: entries of `view` from KEY_A (lowerBytes; 0: unbounded) to KEY_B (upperBytes; negative: unbounded), versions of at most
 * `sequence`, at most `entriesMax` entries into the window (SCAN_WINDOW_BYTES_MIN or more, SLACK_BYTES of them unused).
 * Answers ABSENT (the end is reached), WINDOW_FULL (or entriesMax reached), NEEDS_PAGE, NEEDS_TABLE; negative: more sources than cursors.
 */
export function scanOpen(
  context: usize,
  view: usize,
  lowerBytes: i32,
  upperBytes: i32,
  flags: i32,
  sequence: f64,
  entriesMax: u32,
  window: usize,
  windowBytes: u32,
): i32 {
  const backward = (flags & SCAN_REVERSE) != 0;
  // The successor of a key is the key and a zero byte: with it every lower bound is inclusive and every upper one exclusive.
  let lower = lowerBytes;
  if (flags & SCAN_LOWER_EXCLUSIVE && lower >= 0) store<u8>(context + KEY_A + lower++, 0);
  let upper = upperBytes;
  if (flags & SCAN_UPPER_INCLUSIVE && upper >= 0) store<u8>(context + KEY_B + upper++, 0);
  store<i32>(context, max(lower, 0), BOUND_LOWER_BYTES);
  store<i32>(context, upper, BOUND_UPPER_BYTES);
  store<u64>(context, <u64>sequence, BOUND_SEQUENCE);
  store<i32>(context, flags, FLAGS);
  store<u32>(context, entriesMax, ENTRIES_MAX);
  store<u32>(context, <u32>(window + windowBytes - SLACK_BYTES), WINDOW_END);
  store<u32>(context, <u32>window, WINDOW);
  store<u32>(context, <u32>window, OUT);
  store<i32>(context, -1, LAST_BYTES);
  store<u32>(context, 0, CANDIDATE_END);
  store<i32>(context, 0, OPENED);
  store<u32>(context, 0, MOVED);
  store<u32>(context, 0, BEGUN);
  store<u32>(context, 0, RESULT_ENTRIES);
  store<u32>(context, 0, SCAN_WALKED);
  store<u32>(context, 0, RESULT_BYTES);
  store<i32>(context, 0, CURSOR_COUNT);
  beginRanges(context, load<u32>(view, VIEW_RANGES), backward);

  let count = 0;
  const active = load<u32>(view);
  if (active) openMemtable(context, count++, active, backward);
  const sealed = load<i32>(view, 4);
  for (let i = 0; i < sealed; i++) openMemtable(context, count++, load<u32>(view + ((<usize>i) << 2), 8), backward);
  const flushed = load<i32>(view, 24);
  const tables = <usize>load<u32>(view, 28);
  if (flushed) store<f64>(view, load<f64>(view, VIEW_PROBES) + <f64>(flushed * SCAN_PROBES), VIEW_PROBES);
  for (let i = 0; i < flushed; i++) {
    if (tableOutside(context, <usize>load<u32>(tables + ((<usize>i) << 2)))) continue;
    if (count == <i32>CURSORS_MAX) return -1;
    seekTables(context, cursorReset(context, count++, SOURCE_TABLES, backward), tables + ((<usize>i) << 2), 1);
  }
  const levels = load<i32>(view, 32);
  for (let i = 0; i < levels; i++) {
    const level = <usize>load<u32>(view, 36) + ((<usize>i) << 3);
    if (!load<i32>(level)) continue;
    if (count == <i32>CURSORS_MAX) return -1;
    seekTables(context, cursorReset(context, count++, SOURCE_TABLES, backward), <usize>load<u32>(level, 4), load<i32>(level));
  }
  store<i32>(context, count, CURSOR_COUNT);
  if (!count) return ABSENT;
  return scanNext(context);
}

function openMemtable(context: usize, i: i32, memtable: u32, backward: bool): void {
  const cursor = cursorReset(context, i, SOURCE_MEMTABLE, backward);
  const stack = context + STACKS + <usize>i * STACK_BYTES;
  store<u32>(cursor, <u32>stack, 72);
  store<u32>(cursor, memtable, 112);
  if (backward) memtableSeekReverse(memtable, stack, context + KEY_B, load<i32>(context, BOUND_UPPER_BYTES));
  else memtableSeek(memtable, stack, context + KEY_A, load<i32>(context, BOUND_LOWER_BYTES));
}

/** Goes on after a need was met. Answers as `scanOpen`. */
export function scanNext(context: usize): i32 {
  const backward = (load<i32>(context, FLAGS) & SCAN_REVERSE) != 0;
  const count = load<i32>(context, CURSOR_COUNT);
  if (!load<u32>(context, BEGUN)) {
    for (let i = load<i32>(context, OPENED); i < count; i++) {
      const cursor = cursorAt(context, i);
      let status = 0;
      if (load<u32>(cursor, 4) == SOURCE_MEMTABLE) advanceMemtable(context, cursor, backward);
      else status = settleTables(context, cursor);
      if (status) {
        store<i32>(context, i, OPENED);
        return status;
      }
    }
    tournamentBegin(context, count);
    store<u32>(context, 1, BEGUN);
  } else if (load<u32>(context, MOVED)) {
    const moved = tournamentWinner(context);
    const status = settleTables(context, moved);
    if (status) return status;
    tournamentReplay(context, count, moved);
    store<u32>(context, 0, MOVED);
  }
  const status = backward ? fillBackward(context, count) : fillForward(context, count);
  store<u32>(context, load<u32>(context, OUT) - load<u32>(context, WINDOW), RESULT_BYTES);
  return status;
}

/** Lets go of the frames that the cursors pin. After the last window, and before the context's cursors are used otherwise. */
export function scanClose(context: usize): void {
  store<i32>(context, 0, CURSOR_COUNT);
}

/** Moves the winner and replays. 0, or NEEDS_*. */
// @ts-ignore: decorator
@inline
function moveOn(context: usize, count: i32, winner: usize, backward: bool): i32 {
  if (load<u32>(winner, 4) == SOURCE_MEMTABLE) advanceMemtable(context, winner, backward);
  else {
    const status = advanceTables(context, winner, backward);
    if (status) {
      store<u32>(context, 1, MOVED);
      return status;
    }
  }
  tournamentReplay(context, count, winner);
  return 0;
}

/** Moves the winner past what hides it and replays. 0, or NEEDS_*. */
function moveOut(context: usize, count: i32, winner: usize, fragment: usize, backward: bool): i32 {
  const status = leaveFragment(context, winner, fragment, backward);
  if (status) {
    store<u32>(context, 1, MOVED);
    return status;
  }
  tournamentReplay(context, count, winner);
  return 0;
}

// @ts-ignore: decorator
@inline
function sameAsLast(context: usize, rank: u64, key: usize, keyBytes: i32): bool {
  if (rank != load<u64>(context, LAST_RANK) || keyBytes != load<i32>(context, LAST_BYTES)) return false;
  return keyBytes <= 8 || commonBytes(key, <usize>load<u32>(context, LAST_KEY), keyBytes) == keyBytes;
}

/** Writes an entry and returns the address behind it, or 0 when it does not fit. A delete leaves only its key there. */
// @ts-ignore: decorator
@inline
function emit(context: usize, out: usize, rank: u64, key: usize, keyBytes: i32, cursor: usize, keysOnly: bool): usize {
  const body = cursorBody(cursor);
  const expiry = expiryBytes(bodyFlags(body));
  const valueBytes = keysOnly ? 0 : cursorValueBytes(cursor) - expiry;
  const end = (out + SCAN_ENTRY_BYTES + keyBytes + valueBytes + 7) & ~7;
  if (end > <usize>load<u32>(context, WINDOW_END)) return 0;
  store<u32>(out, <u32>keyBytes | ((<u32>bodyKind(body)) << 16) | ((<u32>bodyFlags(body)) << 24));
  store<i32>(out, valueBytes, 4);
  store<f64>(out, <f64>bodySequence(body), 8);
  copy(out + SCAN_ENTRY_BYTES, key, keyBytes);
  copy(out + SCAN_ENTRY_BYTES + keyBytes, cursorValue(cursor) + expiry, valueBytes);
  store<u32>(context, <u32>(out + SCAN_ENTRY_BYTES), LAST_KEY);
  store<i32>(context, keyBytes, LAST_BYTES);
  store<u64>(context, rank, LAST_RANK);
  return end;
}

/** Whether the entry that the cursor stands on says that its key is not there. */
// @ts-ignore: decorator
@inline
function isDelete(context: usize, cursor: usize, body: u64): bool {
  return bodyKind(body) == KIND_DELETE || hasExpired(bodyFlags(body), cursorValue(cursor), <u64>load<f64>(context, SCAN_NOW));
}

function fillForward(context: usize, count: i32): i32 {
  const keysOnly = (load<i32>(context, FLAGS) & SCAN_KEYS_ONLY) != 0;
  const sequence = load<u64>(context, BOUND_SEQUENCE);
  const upper = context + KEY_B;
  const upperBytes = load<i32>(context, BOUND_UPPER_BYTES);
  const upperRank = upperBytes < 0 ? ~(<u64>0) : keyPrefix(upper, upperBytes);
  const entriesMax = load<u32>(context, ENTRIES_MAX);
  const ranges = <usize>load<u32>(context, RANGES);
  while (true) {
    const winner = tournamentWinner(context);
    if (cursorFinished(winner)) return ABSENT;
    const rank = cursorRank(winner);
    const key = cursorKey(winner);
    const keyBytes = cursorKeyBytes(winner);
    if (rank >= upperRank && upperBytes >= 0 && compareKeys(key, keyBytes, upper, upperBytes) >= 0) return ABSENT;
    const body = cursorBody(winner);
    if (ranges && rank >= load<u64>(context, RANGE_RANK) && bodySequence(body) <= sequence) {
      const fragment = hidingFragment(context, ranges, key, keyBytes, bodySequence(body), false);
      if (fragment) {
        const status = moveOut(context, count, winner, fragment, false);
        if (status) return status;
        continue;
      }
    }
    if (bodySequence(body) <= sequence && !sameAsLast(context, rank, key, keyBytes)) {
      const end = emit(context, <usize>load<u32>(context, OUT), rank, key, keyBytes, winner, keysOnly);
      if (!end) return WINDOW_FULL;
      // A delete's key stays behind the complete entries, where the next one overwrites it.
      if (!isDelete(context, winner, body)) {
        store<u32>(context, <u32>end, OUT);
        const entries = load<u32>(context, RESULT_ENTRIES) + 1;
        store<u32>(context, entries, RESULT_ENTRIES);
        if (entries == entriesMax) return WINDOW_FULL;
      } else if (!load<u32>(context, RESULT_ENTRIES)) store<u32>(context, load<u32>(context, SCAN_WALKED) + 1, SCAN_WALKED);
    }
    const status = moveOn(context, count, winner, false);
    if (status) return status;
  }
  return ABSENT;
}

/** Makes the candidate a complete entry. Whether the window has as many as it may. */
// @ts-ignore: decorator
@inline
function complete(context: usize, entriesMax: u32): bool {
  const end = load<u32>(context, CANDIDATE_END);
  if (!end) return false;
  store<u32>(context, end, OUT);
  store<u32>(context, 0, CANDIDATE_END);
  const entries = load<u32>(context, RESULT_ENTRIES) + 1;
  store<u32>(context, entries, RESULT_ENTRIES);
  return entries == entriesMax;
}

function fillBackward(context: usize, count: i32): i32 {
  const keysOnly = (load<i32>(context, FLAGS) & SCAN_KEYS_ONLY) != 0;
  const sequence = load<u64>(context, BOUND_SEQUENCE);
  const lower = context + KEY_A;
  const lowerBytes = load<i32>(context, BOUND_LOWER_BYTES);
  const lowerRank = ~keyPrefix(lower, lowerBytes);
  const entriesMax = load<u32>(context, ENTRIES_MAX);
  const ranges = <usize>load<u32>(context, RANGES);
  while (true) {
    const winner = tournamentWinner(context);
    const rank = cursorRank(winner);
    const key = cursorKey(winner);
    const keyBytes = cursorKeyBytes(winner);
    if (keyBytes < 0 || (rank >= lowerRank && compareKeys(key, keyBytes, lower, lowerBytes) < 0)) {
      return complete(context, entriesMax) ? WINDOW_FULL : ABSENT;
    }
    const body = cursorBody(winner);
    if (bodySequence(body) <= sequence) {
      if (!sameAsLast(context, rank, key, keyBytes) && complete(context, entriesMax)) return WINDOW_FULL;
      const fragment = ranges ? hidingFragment(context, ranges, key, keyBytes, bodySequence(body), true) : 0;
      if (fragment) {
        const status = moveOut(context, count, winner, fragment, true);
        if (status) return status;
        continue;
      }
      const end = emit(context, <usize>load<u32>(context, OUT), rank, key, keyBytes, winner, keysOnly);
      if (!end) return WINDOW_FULL;
      store<u32>(context, isDelete(context, winner, body) ? 0 : <u32>end, CANDIDATE_END);
    }
    const status = moveOn(context, count, winner, true);
    if (status) return status;
  }
  return ABSENT;
}
