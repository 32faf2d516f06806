/** A range tombstone of the version, and what follows from it for tables. Pure. The structure that reads ask is engine/range-tombstones.ts. */
import type { TableMeta } from '../table/index.ts';

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

/** The tables in which the tombstone may hide anything, the deepest level first. */
export function tablesUnder(tombstone: RangeTombstone, levels: Levels): { level: number; table: TableMeta }[] {
  const found: { level: number; table: TableMeta }[] = [];
  for (let level = levels.length - 1; level >= 0; level--) {
    const tables = levels[level]!;
    for (let i = level === 0 ? 0 : firstReached(tables, tombstone.start); i < tables.length; i++) {
      const table = tables[i]!;
      // Below level 0 tables are in order: behind the range there is none.
      if (level > 0 && Buffer.compare(table.smallest, tombstone.end) >= 0) break;
      if (hidesIn(tombstone, table)) found.push({ level, table });
    }
  }
  return found;
}

/**
 * Whether nothing is left for a tombstone of the version: there is nothing in any table (what is in memtables is newer), or one of `fresh`
 * hides as much and more, for all who read. `pinned`: sequences that somebody reads at.
 */
export function isSpent(tombstone: RangeTombstone, levels: Levels, fresh: readonly RangeTombstone[], pinned: readonly number[]): boolean {
  return fresh.some((newer) => outdoes(newer, tombstone, pinned)) || tablesUnder(tombstone, levels).length === 0;
}

function outdoes(newer: RangeTombstone, older: RangeTombstone, pinned: readonly number[]): boolean {
  if (newer.sequence <= older.sequence) return false;
  if (Buffer.compare(newer.start, older.start) > 0 || Buffer.compare(newer.end, older.end) < 0) return false;
  return !pinned.some((pin) => older.sequence <= pin && pin < newer.sequence);
}

/** Whether all that the table has is hidden: every key of its range by some tombstone that is newer than all its versions. */
export function hidesAllOf(tombstones: readonly RangeTombstone[], table: TableMeta): boolean {
  const newer = tombstones.filter((each) => each.sequence > table.maxSequence && reaches(each, table));
  // Every key below `reached` is hidden.
  let reached = table.smallest;
  for (;;) {
    const next = newer
      .filter(({ start, end }) => Buffer.compare(start, reached) <= 0 && Buffer.compare(end, reached) > 0)
      .reduce<Uint8Array | undefined>((far, { end }) => (far === undefined || Buffer.compare(end, far) > 0 ? end : far), undefined);
    if (next === undefined) return false;
    if (Buffer.compare(next, table.largest) > 0) return true;
    reached = next;
  }
}

/** Of tables by key, the first that does not end below `key`. */
function firstReached(tables: readonly TableMeta[], key: Uint8Array): number {
  let low = 0;
  for (let high = tables.length; low < high;) {
    const middle = (low + high) >> 1;
    if (Buffer.compare(tables[middle]!.largest, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
