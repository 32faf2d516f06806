/**
 * How many bytes on the disk nobody can see any more, and when they come back. Pure: from the version, the settings and how fast
 * compactions have been. Estimates, each with its rule:
 *
 * garbage   bytes of block files - their headers - large values that tables refer to. Exact for what merges have met; what was overwritten
 *           and has not met its successor yet is not in it. Due: a file of which more than `garbageRatio` is garbage. Then its live
 *           values are to be moved.
 * deleted   each delete in a table at the mean size of the table's entries, plus what it can hide: one entry of the levels below, at their
 *           mean size with large values, as long as there are any. An upper bound. Due: a table of which over half are deletes, or that is
 *           dense with them in places, and that no snapshot keeps. Then it is to be rewritten.
 * expired   of each table's expiring bytes the share (now - earliest) / (latest - earliest), between 0 and 1. Due: a table of which that is
 *           at least `garbageRatio`, or in which something expired longer ago than `expiryLagMs`. Then it is to be rewritten.
 *
 * inMs = (debt of the levels + bytes to be moved or rewritten) / bytes that compactions have read and written in a millisecond of their
 * time. Undefined when nothing is due, or before the first compaction.
 */
import {
  areDeletesDue,
  BLOCK_HEADER_BYTES,
  expiredBytes,
  type ExpirySettings,
  isExpiryDue,
  type PickerVersion,
} from '../compaction/index.ts';
import type { Version } from '../manifest/index.ts';
import type { TableMeta } from '../table/index.ts';
import type { ReclaimableMetrics } from '../engine-metrics.ts';

export interface Situation {
  /** The oldest sequence number that somebody reads at, Infinity: nobody does. */
  readonly oldestSnapshot: number;
  /** The wall clock. */
  readonly nowMs: number;
  readonly debtBytes: number;
  /** undefined: not known yet. */
  readonly compactionBytesPerMs: number | undefined;
}

type Found = { bytes: number; workBytes: number; due: boolean };

export function reclaimable(
  version: Pick<PickerVersion, 'levels' | 'segments'>,
  settings: ExpirySettings,
  situation: Situation,
): { garbage: ReclaimableMetrics; deleted: ReclaimableMetrics; expired: ReclaimableMetrics } {
  const answer = ({ bytes, workBytes, due }: Found): ReclaimableMetrics => {
    const { debtBytes, compactionBytesPerMs } = situation;
    const known = due && compactionBytesPerMs !== undefined;
    return { bytes: Math.round(bytes), due, inMs: known ? Math.ceil((debtBytes + workBytes) / compactionBytesPerMs) : undefined };
  };
  return {
    garbage: answer(garbageOf(version, settings.garbageRatio)),
    deleted: answer(deletedOf(version, situation.oldestSnapshot)),
    expired: answer(expiredOf(version, settings, situation.nowMs)),
  };
}

/** Bytes that levels hold beyond their share. `bytesMax` of each level; undefined: none. Level 0 counts whole once it is due. */
export function compactionDebt(
  levels: readonly { tables: number; bytes: number; bytesMax: number | undefined }[],
  level0Compact: number,
): number {
  let debt = 0;
  for (const [level, { tables, bytes, bytesMax }] of levels.entries()) {
    if (level === 0) debt += tables >= level0Compact ? bytes : 0;
    else if (bytesMax !== undefined) debt += Math.max(0, bytes - bytesMax);
  }
  return debt;
}

function garbageOf({ segments }: Pick<PickerVersion, 'segments'>, garbageRatio: number): Found {
  const found: Found = { bytes: 0, workBytes: 0, due: false };
  for (const { bytes, liveBytes } of segments.values()) {
    const fileBytes = bytes - BLOCK_HEADER_BYTES;
    found.bytes += fileBytes - liveBytes;
    if (fileBytes - liveBytes <= fileBytes * garbageRatio) continue;
    found.due = true;
    // Read and written.
    found.workBytes += 2 * liveBytes;
  }
  return found;
}

function deletedOf({ levels }: Pick<Version, 'levels'>, oldestSnapshot: number): Found {
  const found: Found = { bytes: 0, workBytes: 0, due: false };
  const below = { entries: 0, bytes: 0 };
  for (let level = levels.length - 1; level >= 0; level--) {
    const tables = levels[level]!;
    let deletes = 0;
    for (const table of tables) {
      deletes += table.tombstones;
      found.bytes += table.tombstones * (table.bytes / table.entries);
      if (!areDeletesDue(table, level, oldestSnapshot)) continue;
      found.due = true;
      found.workBytes += 2 * table.bytes;
    }
    if (below.entries > 0) found.bytes += Math.min(deletes, below.entries) * (below.bytes / below.entries);
    for (const table of tables) {
      below.entries += table.entries;
      below.bytes += table.bytes + valueBytesOf(table);
    }
  }
  return found;
}

function expiredOf({ levels }: Pick<Version, 'levels'>, settings: ExpirySettings, nowMs: number): Found {
  const found: Found = { bytes: 0, workBytes: 0, due: false };
  for (const table of levels.flat()) {
    found.bytes += expiredBytes(table, nowMs);
    if (!isExpiryDue(table, settings, settings.garbageRatio, nowMs)) continue;
    found.due = true;
    found.workBytes += 2 * table.bytes;
  }
  return found;
}

function valueBytesOf({ references }: TableMeta): number {
  return references.reduce((sum, { bytes }) => sum + bytes, 0);
}
