/**
 * Flush: walks a sealed memtable in key order and gives a page builder every version that someone may still read: the newest one of each
 * key, and of the older ones the newest at or below each snapshot. Deletes are kept: deeper levels may hold what they hide. What has
 * expired becomes a delete.
 *
 * Runs in steps: WINDOW_FULL asks the host to take the builder's window and call again. Its place is kept in cells of the context
 * (WORK), the descent in the context's first stack.
 *
 *   cells, from FLUSH: | leaf u32 | reserved u32 | limit u64 |     leaf: the key whose versions are being added, 0: take the next key
 *                                                                  limit: its next version is the newest at or below this
 *                | now u64 |                                       ms since the epoch
 *                | ranges u32 | reserved | kept under f64 |        range tombstones; as in merge.ts
 *   snapshots: f64 x n, ascending, sequence numbers
 */
import { CELLS, FLUSH_DONE, FLUSH_FAILED, KIND_DELETE, KIND_POINTER, STACKS, WINDOW_FULL } from './memory-map';
import { memtableNext, memtableSeek } from './memtable-iterator';
import { leafRecord } from './radix-node';
import { packBody } from './page';
import { builderAdd, builderFull, builderPinned } from './page-builder';
import {
  expiryBytes,
  hasExpired,
  recordFlags,
  recordKey,
  recordKeyBytes,
  recordKind,
  recordSequence,
  recordValue,
  recordValueBytes,
} from './record';
import { rangeAbove } from './range-tombstones';
import { segmentEntry, segmentLives } from './segment-table';

const FLUSH: usize = CELLS + 960;
const LEAF: usize = FLUSH;
const LIMIT: usize = FLUSH + 8;
const NOW: usize = FLUSH + 16;
const RANGES: usize = FLUSH + 24;
const KEPT_UNDER: usize = FLUSH + 32;

/** `now`: ms since the epoch. `ranges`: a set of range tombstones, or 0. */
export function flushBegin(context: usize, memtable: usize, now: f64, ranges: usize): void {
  store<u32>(context, <u32>ranges, RANGES);
  store<f64>(context, 0, KEPT_UNDER);
  store<u64>(context, <u64>now, NOW);
  store<u32>(context, 0, LEAF);
  memtableSeek(memtable, context + STACKS, 0, 0);
}

/**
 * Adds versions until the builder is full (WINDOW_FULL), all are added (FLUSH_DONE), or FLUSH_FAILED. The value bytes of every
 * pointer that is kept are counted as live in the segment table (assembly/segment-table.ts).
 */
export function flushStep(context: usize, builder: usize, snapshots: usize, snapshotCount: i32, segments: usize, segmentEntries: u32): i32 {
  let leaf = load<u32>(context, LEAF);
  let limit = load<u64>(context, LIMIT);
  const now = load<u64>(context, NOW);
  const ranges = <usize>load<u32>(context, RANGES);
  while (!builderFull(builder)) {
    if (!leaf) {
      leaf = memtableNext(context + STACKS);
      if (!leaf) return FLUSH_DONE;
      limit = ~(<u64>0);
    }
    const record = leafRecord(leaf, limit);
    if (!record) {
      leaf = 0;
      continue;
    }
    const newest = limit == ~(<u64>0);
    const cover = ranges ? rangeAbove(ranges, recordKey(record), recordKeyBytes(record), recordSequence(record)) : 0;
    if (cover) {
      // Only who reads between the version and the tombstone, and at nothing newer of the key, sees it.
      const seen = snapshotBefore(snapshots, snapshotCount, newest || cover <= limit ? cover : limit + 1);
      if (seen < <f64>recordSequence(record)) {
        const older = snapshotBefore(snapshots, snapshotCount, recordSequence(record));
        if (older < 0) leaf = 0;
        else limit = <u64>older;
        continue;
      }
      const kept = load<f64>(context, KEPT_UNDER);
      if (kept == 0 || <f64>cover < kept) store<f64>(context, <f64>cover, KEPT_UNDER);
    }
    const value = recordValue(record);
    let kind = recordKind(record);
    let flags = recordFlags(record);
    let valueBytes = recordValueBytes(record);
    const sequence = recordSequence(record);
    if (hasExpired(flags, value, now)) {
      kind = KIND_DELETE;
      flags = 0;
      valueBytes = 0;
    }
    let pinned = recordKeyBytes(record) + valueBytes;
    if (kind == KIND_POINTER) {
      const pointer = value + expiryBytes(flags);
      const segment = segmentEntry(segments, segmentEntries, load<u32>(pointer));
      if (!segment) return FLUSH_FAILED;
      segmentLives(segment, load<u32>(pointer, 4));
      pinned += load<i32>(pointer, 4);
    }
    const body = packBody(sequence, kind, flags);
    if (builderAdd(builder, recordKey(record), recordKeyBytes(record), body, value, valueBytes) < 0) return FLUSH_FAILED;
    // Older than another of its key, or than a tombstone: there is only one reason to keep it.
    if (!newest || cover) builderPinned(builder, pinned);
    const before = snapshotBefore(snapshots, snapshotCount, sequence);
    if (before < 0) leaf = 0;
    else limit = <u64>before;
  }
  store<u32>(context, leaf, LEAF);
  store<u64>(context, limit, LIMIT);
  return WINDOW_FULL;
}

/** The oldest range tombstone over a version that was kept in spite of it; 0: none. */
export function flushKeptUnder(context: usize): f64 {
  return load<f64>(context, KEPT_UNDER);
}

/** The newest snapshot below `sequence`, or -1. */
// @ts-ignore: decorator
@inline
function snapshotBefore(snapshots: usize, count: i32, sequence: u64): f64 {
  const wanted = <f64>sequence;
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<f64>(snapshots + ((<usize>middle) << 3)) < wanted) low = middle + 1;
    else high = middle;
  }
  return low ? load<f64>(snapshots + ((<usize>(low - 1)) << 3)) : -1;
}
