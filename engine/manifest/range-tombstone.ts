/** A range tombstone of the version, and what follows from it for tables. Pure. The structure that reads ask is engine/range-tombstones.ts. */
import { KeyRanges } from '../key-range.ts';
import type { TableMeta } from '../table/index.ts';
import { firstFrom, firstReaching } from './sorted-run.ts';

/** Hides every version of a key in its range that is older than itself. */
export interface RangeTombstone {
  /** Internal keys: the first that it covers, and the first behind. */
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  readonly sequence: number;
}

type Levels = readonly (readonly TableMeta[])[];
type Bounds = Pick<RangeTombstone, 'start' | 'end'>;

export function sameTombstone(a: RangeTombstone, b: RangeTombstone): boolean {
  return a.sequence === b.sequence && Buffer.compare(a.start, b.start) === 0 && Buffer.compare(a.end, b.end) === 0;
}

/** Whether the table may hold keys of the range. */
export function reaches({ start, end }: Bounds, table: Pick<TableMeta, 'smallest' | 'largest'>): boolean {
  return Buffer.compare(table.smallest, end) < 0 && Buffer.compare(start, table.largest) <= 0;
}

/** Whether the tombstone may hide anything in the table: it reaches it, is newer than something there, and has not been applied to it. */
export function hidesIn(tombstone: RangeTombstone, table: TableMeta): boolean {
  const { sequence } = tombstone;
  return table.minSequence < sequence && table.clearedTo < sequence && reaches(tombstone, table);
}

/** The tables in which the tombstone may hide anything, the deepest level first; of them `max` at most. */
export function tablesUnder(tombstone: RangeTombstone, levels: Levels, max: number = Infinity): { level: number; table: TableMeta }[] {
  const { start, end, sequence } = tombstone;
  const found: { level: number; table: TableMeta }[] = [];
  for (let level = levels.length - 1; level > 0; level--) {
    const tables = levels[level]!;
    const to = firstFrom(tables, end);
    for (let i = firstReaching(tables, start); i < to; i++) {
      const table = tables[i]!;
      if (table.minSequence >= sequence || table.clearedTo >= sequence) continue;
      found.push({ level, table });
      if (found.length === max) return found;
    }
  }
  for (const table of levels[0] ?? []) {
    if (!hidesIn(tombstone, table)) continue;
    found.push({ level: 0, table });
    if (found.length === max) return found;
  }
  return found;
}

/**
 * Those of the tombstones for which nothing is left: there is nothing in any table (what is in memtables is newer), or some of `fresh`, which
 * come with this edit, hide as much and more, for all who read. `pinned`: sequences that somebody reads at, ascending. Tens of thousands of
 * tombstones are no reason to hold the caller's thread: n log n.
 */
export function spentTombstones(
  tombstones: readonly RangeTombstone[],
  levels: Levels,
  fresh: readonly RangeTombstone[],
  pinned: readonly number[],
): Set<RangeTombstone> {
  const spent = new Set(tombstones.filter((tombstone) => tablesUnder(tombstone, levels, 1).length === 0));
  if (fresh.length === 0) return spent;
  // Newest first. Nobody tells one from those that are newer and cover it, unless a reader stands in between: then they count no more.
  let newer = new KeyRanges();
  let pins = pinned.length;
  const outdoing = new Set(fresh);
  for (const tombstone of [...new Set([...tombstones, ...fresh])].toSorted((a, b) => b.sequence - a.sequence)) {
    if (pins > 0 && pinned[pins - 1]! >= tombstone.sequence) {
      while (pins > 0 && pinned[pins - 1]! >= tombstone.sequence) pins--;
      newer = new KeyRanges();
    }
    if (newer.covers(tombstone)) spent.add(tombstone);
    else if (outdoing.has(tombstone)) newer.add(tombstone);
  }
  return spent;
}

/** Whether all that the table has is hidden: every key of its range by some tombstone that is newer than all its versions. */
export function hidesAllOf(tombstones: readonly RangeTombstone[], table: TableMeta): boolean {
  const hidden = new KeyRanges();
  for (const tombstone of tombstones) if (tombstone.sequence > table.maxSequence && reaches(tombstone, table)) hidden.add(tombstone);
  return hidden.coversThrough(table.smallest, table.largest);
}
