/**
 * The merge of a compaction: sorted inputs of table pages, streamed through buffers that the host fills, into the pages of a builder.
 *
 * Which versions stay: of one key, newest first, the first stays, and an older one with sequence q below a newer one with sequence p stays
 * only when a snapshot s has q <= s < p. With MERGE_DROP_DELETES (nothing below the output can hold the inputs' keys) a delete that no
 * snapshot is older than goes too: then no version below it stays either. What has expired counts as a delete and becomes one.
 * A range tombstone over a version is like a newer version of its key. The newest version of a key that its keyspace's rule leaves out becomes a
 * delete as well, unless a snapshot sees it.
 *
 * Versions of one key are never divided between outputs, so that the tables of a level never share a key. An output ends where its keyspace
 * does (engine/keyspace-key.ts), so that a table below level 0 has one keyspace's settings.
 *
 * Protocol: `mergeInput` and `mergeFeed` each input, `mergeBegin`, `mergeOutput`, then `mergeStep` until MERGE_DONE, doing what each answer
 * asks (memory-map.ts). At MERGE_SPLIT the host finishes the output and names the next by `mergeOutput`.
 *
 * Cells, from the start of a context (tournament at 512..767; the key decided last is at KEY_B, 768..775 are MERGE_INPUT, MERGE_POINTER):
 *   776 builder u32         780 flags i32
 *   784 snapshots u32       788 their count i32        f64 each, ascending
 *   792 segments u32        796 their entries u32      (assembly/segment-table.ts)
 *   800 pages max u32       804 inputs i32
 *   808 last rank u64       816 last sequence u64
 *   824 last key bytes i32  828 phase u32
 *   832 pointer u32         what stands for the winner's pointer after `mergeRelocated`; 0: none
 *   840 versions dropped f64
 *   848 opened i32          856 now u64           ms since the epoch
 *   852 output keyspace u32   the first entry's, NO_KEYSPACE, or ANY_KEYSPACE for an output that takes all that is left
 *   864 ranges u32          868 range at i32      range tombstones: the set, and the first fragment that ends above the key; 0: none
 *   872 kept under f64      the oldest range tombstone over a version that was kept in spite of it, for a snapshot; 0: none
 *   880 rules u32           884 their end u32      rules of what to keep (assembly/keep-rules.ts); 0: none
 *   888 rule u32            892 its keyspace u32   of the key decided last; rule 0: there is none
 *   896 left out f64        904 spared f64         versions that a rule leaves out: dropped or made deletes; kept, for a snapshot
 *   912 from u32            916 from bytes i32     the first key that is taken; 0: all
 *   920 to u32              924 to bytes i32       the first key that is not taken any more; 0: all are
 */
import {
  KEY_B,
  KIND_DELETE,
  KIND_POINTER,
  MERGE_BROKEN,
  MERGE_DONE,
  MERGE_DROP_DELETES,
  MERGE_INPUT,
  MERGE_NEEDS_INPUT,
  MERGE_OUTPUT_READY,
  MERGE_POINTER,
  MERGE_RELOCATE,
  MERGE_SPLIT,
  PAGE_BYTES,
  POINTER_BYTES,
  SEGMENT_RELOCATE,
} from './memory-map';
import {
  SOURCE_PAGES,
  cursorAt,
  cursorBody,
  cursorEnterPage,
  cursorFinish,
  cursorFinished,
  cursorKey,
  cursorKeyBytes,
  cursorPlace,
  cursorRank,
  cursorReset,
  cursorSkip,
  cursorValue,
  cursorValueBytes,
  pageLowerBound,
} from './cursor';
import { keyspaceMark, leavesOut, ruleFor } from './keep-rules';
import { bodyFlags, bodyKind, bodySequence, packBody, pageChecksum, pageCount, pageSeed } from './page';
import { builderAdd, builderPages, builderPinned } from './page-builder';
import { commonBytes, copy } from './key';
import { expiryBytes, hasExpired } from './record';
import { beginsAtOrBelow, endsAbove, fragmentAbove, fragmentAt, fragmentCount, fragmentFor } from './range-tombstones';
import { segmentDied, segmentEntry, segmentFlags, segmentLives } from './segment-table';
import { tournamentBegin, tournamentReplay, tournamentWinner } from './tournament';

const BUILDER: usize = 776;
const FLAGS: usize = 780;
const SNAPSHOTS: usize = 784;
const SNAPSHOT_COUNT: usize = 788;
const SEGMENTS: usize = 792;
const SEGMENT_ENTRIES: usize = 796;
const PAGES_MAX: usize = 800;
const INPUTS: usize = 804;
const LAST_RANK: usize = 808;
const LAST_SEQUENCE: usize = 816;
const LAST_BYTES: usize = 824;
const PHASE: usize = 828;
const POINTER: usize = 832;
const DROPPED: usize = 840;
const OPENED: usize = 848;
const NOW: usize = 856;
const OUTPUT_KEYSPACE: usize = 852;

const NO_KEYSPACE: u32 = 0xffffffff;
const ANY_KEYSPACE: u32 = 0xfffffffe;
const RANGES: usize = 864;
const RANGE_AT: usize = 868;
const KEPT_UNDER: usize = 872;
const RULES: usize = 880;
const RULES_END: usize = 884;
const RULE: usize = 888;
const RULE_KEYSPACE: usize = 892;
const LEFT_OUT: usize = 896;
const SPARED: usize = 904;

const FROM: usize = 912;
const FROM_BYTES: usize = 916;
const TO: usize = 920;
const TO_BYTES: usize = 924;

// Fields of a cursor over pages in a buffer.
const ENTRIES: usize = 60;
const PAGES_END: usize = 96;
const LAST: usize = 100;
const NEXT_PAGE: usize = 104;

/** No version is newer. */
const NOBODY: u64 = ~(<u64>0);

const OPENING: u32 = 0;
const MERGING: u32 = 1;
/** The winner has left its last page and must stand on an entry again, or finish, before the tree is replayed. */
const REFILLING: u32 = 2;

/** Clears an input before its first `mergeFeed`. `sharedBytes`: leading bytes that all keys of all inputs have in common. */
export function mergeInput(context: usize, input: i32, sharedBytes: i32): void {
  cursorSkip(cursorReset(context, input, SOURCE_PAGES, false), sharedBytes);
}

/** Gives an input its next pages (none is allowed with `last`). They must stay until it is named in MERGE_INPUT. */
export function mergeFeed(context: usize, input: i32, address: usize, pages: i32, last: i32): void {
  const cursor = cursorAt(context, input);
  store<u32>(cursor, <u32>address, NEXT_PAGE);
  store<u32>(cursor, <u32>(address + <usize>pages * PAGE_BYTES), PAGES_END);
  store<u32>(cursor, last, LAST);
}

/** Begins. `snapshots` and `segments` stay until the merge is done. `now`: ms since the epoch. `ranges`: a set of range tombstones, or 0. */
export function mergeBegin(
  context: usize,
  inputs: i32,
  flags: i32,
  snapshots: usize,
  snapshotCount: i32,
  segments: usize,
  segmentEntries: u32,
  now: f64,
  ranges: usize,
): void {
  store<u64>(context, <u64>now, NOW);
  store<u32>(context, <u32>ranges, RANGES);
  store<i32>(context, 0, RANGE_AT);
  store<f64>(context, 0, KEPT_UNDER);
  mergeRules(context, 0, 0);
  mergeBounds(context, 0, 0, 0, 0);
  store<i32>(context, flags, FLAGS);
  store<u32>(context, <u32>snapshots, SNAPSHOTS);
  store<i32>(context, snapshotCount, SNAPSHOT_COUNT);
  store<u32>(context, <u32>segments, SEGMENTS);
  store<u32>(context, segmentEntries, SEGMENT_ENTRIES);
  store<i32>(context, inputs, INPUTS);
  store<i32>(context, -1, LAST_BYTES);
  store<u32>(context, OPENING, PHASE);
  store<u32>(context, 0, POINTER);
  store<f64>(context, 0, DROPPED);
  store<i32>(context, 0, OPENED);
}

/**
 * After `mergeBegin`: only keys from `from` on and below `to` are taken (0: no bound); others are passed over as if they were not there. Each is followed
 * by SLACK_BYTES and stays until the merge is done.
 */
export function mergeBounds(context: usize, from: usize, fromBytes: i32, to: usize, toBytes: i32): void {
  store<u32>(context, <u32>from, FROM);
  store<i32>(context, fromBytes, FROM_BYTES);
  store<u32>(context, <u32>to, TO);
  store<i32>(context, toBytes, TO_BYTES);
}

/** After `mergeBegin`: rules of what to keep, which stay until the merge is done. */
export function mergeRules(context: usize, rules: usize, end: usize): void {
  store<u32>(context, <u32>rules, RULES);
  store<u32>(context, <u32>end, RULES_END);
  store<u32>(context, 0, RULE);
  store<u32>(context, NO_KEYSPACE, RULE_KEYSPACE);
  store<f64>(context, 0, LEFT_OUT);
  store<f64>(context, 0, SPARED);
}

/** How many versions have been dropped or made deletes because of rules. */
export function mergeLeftOut(context: usize): f64 {
  return load<f64>(context, LEFT_OUT);
}

/** How many versions were kept in spite of a rule since it was asked last. */
export function mergeTakeSpared(context: usize): f64 {
  const spared = load<f64>(context, SPARED);
  store<f64>(context, 0, SPARED);
  return spared;
}

/**
 * Entries go to this builder from here on. The output ends (MERGE_SPLIT) at the first new key after it has `pagesMax` pages, or of another
 * keyspace; with 0xffffffff it takes all that is left.
 */
export function mergeOutput(context: usize, builder: usize, pagesMax: u32): void {
  store<u32>(context, pagesMax == u32.MAX_VALUE ? ANY_KEYSPACE : NO_KEYSPACE, OUTPUT_KEYSPACE);
  store<u32>(context, <u32>builder, BUILDER);
  store<u32>(context, pagesMax, PAGES_MAX);
}

/** The answer to MERGE_RELOCATE: the value's new pointer (POINTER_BYTES, kept until the next step), or the old one to leave it. */
export function mergeRelocated(context: usize, pointer: usize): void {
  store<u32>(context, <u32>pointer, POINTER);
}

/** The oldest range tombstone over a version that was kept in spite of it, since it was asked last; 0: none. */
export function mergeTakeKeptUnder(context: usize): f64 {
  const kept = load<f64>(context, KEPT_UNDER);
  store<f64>(context, 0, KEPT_UNDER);
  return kept;
}

/** How many versions have been dropped since `mergeBegin`. */
export function mergeDropped(context: usize): f64 {
  return load<f64>(context, DROPPED);
}

/** Verifies pages just read. Returns how many from the first are good. */
export function pagesVerify(address: usize, pages: i32, fileId: u32, firstPage: u32): i32 {
  for (let i = 0; i < pages; i++) {
    const page = address + <usize>i * PAGE_BYTES;
    if (load<u64>(page) != pageChecksum(page, pageSeed(fileId, firstPage + i))) return i;
  }
  return pages;
}

/** Stands on the first entry within the bounds of the next page of the buffer, or finishes. False: the host must feed it. */
function enterNext(context: usize, cursor: usize): bool {
  while (true) {
    const page = <usize>load<u32>(cursor, NEXT_PAGE);
    if (page >= <usize>load<u32>(cursor, PAGES_END)) {
      if (!load<u32>(cursor, LAST)) return false;
      cursorFinish(cursor);
      return true;
    }
    store<u32>(cursor, <u32>(page + PAGE_BYTES), NEXT_PAGE);
    const count = pageCount(page);
    if (!count) continue;
    const from = <usize>load<u32>(context, FROM);
    const first = from ? pageLowerBound(page, from, load<i32>(context, FROM_BYTES)) : 0;
    if (first == count) continue;
    cursorEnterPage(cursor, page);
    const to = <usize>load<u32>(context, TO);
    if (to) {
      const end = pageLowerBound(page, to, load<i32>(context, TO_BYTES));
      if (end <= first) {
        cursorFinish(cursor);
        return true;
      }
      if (end < count) {
        // What is behind is nobody's here: the page ends early, and with it the input.
        store<i32>(cursor, end, ENTRIES);
        store<u32>(cursor, load<u32>(cursor, PAGES_END), NEXT_PAGE);
        store<u32>(cursor, 1, LAST);
      }
    }
    cursorPlace(cursor, first);
    return true;
  }
  return false;
}

// @ts-ignore: decorator
@inline
function askInput(context: usize, cursor: usize): i32 {
  store<u32>(context, <u32>(cursor - cursorAt(context, 0)) >> 8, MERGE_INPUT);
  return MERGE_NEEDS_INPUT;
}

/** Whether a snapshot s has from <= s < to. */
function snapshotWithin(context: usize, from: u64, to: u64): bool {
  const snapshots = <usize>load<u32>(context, SNAPSHOTS);
  let low = 0;
  let high = load<i32>(context, SNAPSHOT_COUNT);
  const end = high;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (<u64>load<f64>(snapshots + ((<usize>middle) << 3)) < from) low = middle + 1;
    else high = middle;
  }
  return low < end && <u64>load<f64>(snapshots + ((<usize>low) << 3)) < to;
}

/** Goes on. Answers MERGE_*. */
export function mergeStep(context: usize): i32 {
  const inputs = load<i32>(context, INPUTS);
  const phase = load<u32>(context, PHASE);
  if (phase == OPENING) {
    for (let i = load<i32>(context, OPENED); i < inputs; i++) {
      const cursor = cursorAt(context, i);
      if (!enterNext(context, cursor)) {
        store<i32>(context, i, OPENED);
        return askInput(context, cursor);
      }
    }
    tournamentBegin(context, inputs);
  } else if (phase == REFILLING) {
    const winner = tournamentWinner(context);
    if (!enterNext(context, winner)) return askInput(context, winner);
    tournamentReplay(context, inputs, winner);
  }
  store<u32>(context, MERGING, PHASE);
  return merge(context, inputs);
}

function merge(context: usize, inputs: i32): i32 {
  const builder = <usize>load<u32>(context, BUILDER);
  const dropDeletes = (load<i32>(context, FLAGS) & MERGE_DROP_DELETES) != 0;
  const last = context + KEY_B;
  const now = load<u64>(context, NOW);
  const ranges = <usize>load<u32>(context, RANGES);
  const rules = load<u32>(context, RULES) != 0;
  // Keys up to this length are the same when their ranks are.
  const ranked = load<i32>(cursorAt(context, 0), 108) + 8;
  let winner = tournamentWinner(context);
  while (true) {
    const keyBytes = cursorKeyBytes(winner);
    if (cursorFinished(winner)) return MERGE_DONE;
    const key = cursorKey(winner);
    const rank = cursorRank(winner);
    let body = cursorBody(winner);
    const sequence = bodySequence(body);
    let kind = bodyKind(body);
    const value = cursorValue(winner);
    let valueBytes = cursorValueBytes(winner);
    // What the entry refers to: 0, or its pointer.
    let pointer = kind == KIND_POINTER ? value + expiryBytes(bodyFlags(body)) : 0;
    let ended: usize = 0;
    if (hasExpired(bodyFlags(body), value, now)) {
      kind = KIND_DELETE;
      body = packBody(sequence, KIND_DELETE, 0);
      valueBytes = 0;
      ended = pointer;
      pointer = 0;
    }
    const same =
      rank == load<u64>(context, LAST_RANK) &&
      keyBytes == load<i32>(context, LAST_BYTES) &&
      (keyBytes <= ranked || commonBytes(last, key, keyBytes) == keyBytes);
    let newer = same ? load<u64>(context, LAST_SEQUENCE) : NOBODY;
    const cover = ranges ? tombstoneOver(context, ranges, key, keyBytes, sequence) : 0;
    if (cover && cover < newer) newer = cover;
    let keep = newer == NOBODY || snapshotWithin(context, sequence, newer);
    let spared = false;
    let leftOut = false;
    if (rules && keep && kind != KIND_DELETE && isLeftOut(context, key, keyBytes)) {
      spared = snapshotWithin(context, sequence, newer);
      leftOut = !spared;
    }
    if (leftOut) {
      kind = KIND_DELETE;
      body = packBody(sequence, KIND_DELETE, 0);
      valueBytes = 0;
      ended = pointer;
      pointer = 0;
    }
    if (keep && kind == KIND_DELETE && dropDeletes) keep = snapshotWithin(context, 0, sequence);
    let full = false;
    if (keep) {
      if (!same && builderPages(builder) >= load<u32>(context, PAGES_MAX)) return MERGE_SPLIT;
      if (leavesKeyspace(context, key)) return MERGE_SPLIT;
      let pinned = keyBytes + valueBytes;
      if (pointer) {
        const status = keepPointer(context, pointer);
        if (status) return status;
        const moved = <usize>load<u32>(context, POINTER);
        // In place: the page is not read again.
        if (moved) {
          if (moved != pointer) memory.copy(pointer, moved, POINTER_BYTES);
          store<u32>(context, 0, POINTER);
        }
        pinned += load<i32>(pointer, 4);
      }
      const added = builderAdd(builder, key, keyBytes, body, value, valueBytes);
      if (added < 0) return MERGE_BROKEN;
      if (newer != NOBODY) builderPinned(builder, pinned);
      if (cover) keptUnder(context, cover);
      if (spared) store<f64>(context, load<f64>(context, SPARED) + 1, SPARED);
      full = added != 0;
    } else {
      store<f64>(context, load<f64>(context, DROPPED) + 1, DROPPED);
      if (pointer) ended = pointer;
    }
    if (leftOut) store<f64>(context, load<f64>(context, LEFT_OUT) + 1, LEFT_OUT);
    if (ended) {
      const entry = entryOf(context, ended);
      if (!entry) return MERGE_BROKEN;
      segmentDied(entry, load<u32>(ended, 4));
    }
    if (!same) {
      copy(last, key, keyBytes);
      store<i32>(context, keyBytes, LAST_BYTES);
      store<u64>(context, rank, LAST_RANK);
    }
    store<u64>(context, sequence, LAST_SEQUENCE);

    const next = load<i32>(winner, 64) + 1;
    if (next < load<i32>(winner, ENTRIES)) cursorPlace(winner, next);
    else if (!enterNext(context, winner)) {
      store<u32>(context, REFILLING, PHASE);
      return full ? MERGE_OUTPUT_READY : askInput(context, winner);
    }
    winner = tournamentReplay(context, inputs, winner);
    if (full) return MERGE_OUTPUT_READY;
  }
  return MERGE_DONE;
}

/** Whether the key belongs into another output than the one that has been begun. */
// @ts-ignore: decorator
@inline
function leavesKeyspace(context: usize, key: usize): bool {
  const keyspace = keyspaceMark(key);
  const output = load<u32>(context, OUTPUT_KEYSPACE);
  if (output == keyspace) return false;
  if (output < ANY_KEYSPACE) return true;
  if (output == NO_KEYSPACE) store<u32>(context, keyspace, OUTPUT_KEYSPACE);
  return false;
}

/** Whether the rule of its keyspace leaves out the key. Keys come in order: those of a keyspace one after another. */
function isLeftOut(context: usize, key: usize, keyBytes: i32): bool {
  const keyspace = keyspaceMark(key);
  if (keyspace != load<u32>(context, RULE_KEYSPACE)) {
    store<u32>(context, keyspace, RULE_KEYSPACE);
    store<u32>(context, <u32>ruleFor(<usize>load<u32>(context, RULES), <usize>load<u32>(context, RULES_END), keyspace), RULE);
  }
  const rule = <usize>load<u32>(context, RULE);
  return rule != 0 && leavesOut(rule, key, keyBytes);
}

/** The oldest range tombstone that is newer than the version and covers its key; 0: none. Keys come in order. */
function tombstoneOver(context: usize, ranges: usize, key: usize, keyBytes: i32, sequence: u64): u64 {
  const count = fragmentCount(ranges);
  let at = load<i32>(context, RANGE_AT);
  if (at < count && !endsAbove(fragmentAt(ranges, at), key, keyBytes)) {
    at = fragmentFor(ranges, key, keyBytes);
    store<i32>(context, at, RANGE_AT);
  }
  if (at == count) return 0;
  const fragment = fragmentAt(ranges, at);
  return beginsAtOrBelow(fragment, key, keyBytes) ? fragmentAbove(fragment, sequence) : 0;
}

function keptUnder(context: usize, cover: u64): void {
  const before = load<f64>(context, KEPT_UNDER);
  if (before == 0 || <f64>cover < before) store<f64>(context, <f64>cover, KEPT_UNDER);
}

// @ts-ignore: decorator
@inline
function entryOf(context: usize, pointer: usize): usize {
  return segmentEntry(<usize>load<u32>(context, SEGMENTS), load<u32>(context, SEGMENT_ENTRIES), load<u32>(pointer));
}

/** Accounts for a pointer that stays. 0, MERGE_RELOCATE (then again with POINTER set), or MERGE_BROKEN. */
function keepPointer(context: usize, pointer: usize): i32 {
  const entry = entryOf(context, pointer);
  if (!entry) return MERGE_BROKEN;
  const bytes = load<u32>(pointer, 4);
  const moved = <usize>load<u32>(context, POINTER);
  if (moved) {
    if (load<u32>(moved) != load<u32>(pointer)) segmentDied(entry, bytes);
    const target = entryOf(context, moved);
    if (!target) return MERGE_BROKEN;
    segmentLives(target, bytes);
    return 0;
  }
  if (segmentFlags(entry) & SEGMENT_RELOCATE) {
    store<u32>(context, <u32>pointer, MERGE_POINTER);
    return MERGE_RELOCATE;
  }
  segmentLives(entry, bytes);
  return 0;
}
