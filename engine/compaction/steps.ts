/**
 * The steps that a compaction can be (down a level, or a rewrite where it is), and what must be known of key ranges to take one. Pure.
 */
import { keyspaceOf } from '../keyspace-key.ts';
import { type BlockFile, reachesRun, runWithin, type Version } from '../manifest/index.ts';
import type { TableMeta } from '../table/index.ts';
import type { Compaction, CompactionInput } from './compaction.ts';

export type PickerVersion = Pick<Version, 'levels' | 'rangeTombstones'> & { readonly segments: ReadonlyMap<number, BlockFile> };

/** Tables of level 0 that go down at once: each is an input of its own to the merge. */
const LEVEL0_TABLES_MAX = 32;
/** What costs nothing goes first. */
const DROP_SCORE = 1000;

/** Tables of a level into the next one, with what overlaps there. Below level 0 a table has keys of one keyspace only. */
export function goDown(
  version: PickerVersion,
  level: number,
  tables: readonly TableMeta[],
  reason: Compaction['reason'],
  score: number,
): Compaction {
  const target = level + 1;
  const below = overlapping(version.levels[target]!, rangeOf(tables));
  const inputs = [...tables.map((table) => ({ level, table })), ...below.map((table) => ({ level: target, table }))];
  const move = below.length === 0 && tables.length === 1 && keyspaceOf(tables[0]!.smallest) === keyspaceOf(tables[0]!.largest);
  return { reason, score, inputs, target, move, drop: false, dropDeletes: !move && isBottom(version, target, inputs), relocate: [] };
}

/** A table where it is. */
export function rewrite(version: PickerVersion, input: CompactionInput, reason: Compaction['reason'], score: number): Compaction {
  const inputs = [input];
  const dropDeletes = isBottom(version, input.level, inputs);
  return { reason, score, inputs, target: input.level, move: false, drop: false, dropDeletes, relocate: [] };
}

/** Tables of which nobody sees anything. */
export function dropAll(inputs: readonly CompactionInput[], reason: Compaction['reason']): Compaction {
  return { reason, score: DROP_SCORE, inputs, target: 0, move: false, drop: true, dropDeletes: false, relocate: [] };
}

/** The oldest table of level 0 (or `first`) and all that overlap it, directly or through one another: no older version may stand above a newer one. */
export function oldestOverlapping(tables: readonly TableMeta[], first: TableMeta = tables.at(-1)!): TableMeta[] {
  const chosen = new Set([first]);
  let range = rangeOf([...chosen]);
  for (let before = 0; before !== chosen.size;) {
    before = chosen.size;
    for (const table of tables) if (overlaps(table, range)) chosen.add(table);
    range = rangeOf([...chosen]);
  }
  // The oldest of them may go without the others: what stays above is newer.
  return tables.filter((table) => chosen.has(table)).slice(-LEVEL0_TABLES_MAX);
}

/** Whether no table outside the inputs, at their target or below, or older within level 0, holds keys of their range. */
export function isBottom(version: PickerVersion, target: number, inputs: readonly CompactionInput[]): boolean {
  const range = rangeOf(inputs.map(({ table }) => table));
  const chosen = new Set(inputs.map(({ table }) => table));
  const within = version.levels[target]!;
  const rest = target === 0 ? within.slice(within.findLastIndex((table) => chosen.has(table)) + 1) : [];
  return !rest.some((table) => overlaps(table, range)) && !version.levels.slice(target + 1).some((tables) => reachesRun(tables, range));
}

export interface KeyRange {
  readonly smallest: Uint8Array;
  readonly largest: Uint8Array;
}

export function rangeOf(tables: readonly KeyRange[]): KeyRange {
  let { smallest, largest } = tables[0]!;
  for (const table of tables) {
    if (Buffer.compare(table.smallest, smallest) < 0) smallest = table.smallest;
    if (Buffer.compare(table.largest, largest) > 0) largest = table.largest;
  }
  return { smallest, largest };
}

export function overlaps(a: KeyRange, b: KeyRange): boolean {
  return Buffer.compare(a.smallest, b.largest) <= 0 && Buffer.compare(b.smallest, a.largest) <= 0;
}

/** Of a level below level 0. */
export function overlapping(tables: readonly TableMeta[], range: KeyRange): readonly TableMeta[] {
  const { from, to } = runWithin(tables, range);
  return tables.slice(from, to);
}
