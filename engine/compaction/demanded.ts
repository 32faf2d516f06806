/**
 * Compaction that somebody asked for: brings what was written of a key range up to some moment down to one level, step by step, and drops there
 * what nobody can see; or moves the values out of some segments. Pure; every step makes less of what is left, so that it comes to an end.
 */
import { firstAbove, firstReaching } from '../manifest/index.ts';
import type { TableMeta } from '../table/index.ts';
import type { Compaction } from './compaction.ts';
import { goDown, isBottom, oldestOverlapping, type PickerVersion } from './steps.ts';

export interface Demand {
  /** Internal keys; undefined: from the first, to the last. */
  readonly from: Uint8Array | undefined;
  readonly to: Uint8Array | undefined;
  /** What was written later is nobody's demand. */
  readonly upTo: number;
  /** Not that: the live values of these segments are to be moved elsewhere. */
  readonly relocate?: readonly number[];
}

/** The next step; undefined: there is nothing left to do. `oldestSnapshot`: the smallest sequence that somebody reads at, Infinity when nobody does. */
export function pickDemanded(version: PickerVersion, demand: Demand, oldestSnapshot: number): Compaction | undefined {
  if (demand.relocate) return pickRelocation(version, demand.relocate);
  const wanted = version.levels.map((tables, level) => within(tables, level, demand).filter((table) => isWanted(table, demand)));
  const deepest = Math.max(
    1,
    wanted.findLastIndex((tables) => tables.length > 0),
  );
  const flushed = version.levels[0]!;
  const oldest = flushed.findLastIndex((table) => isWanted(table, demand));
  if (oldest >= 0) return rewriting(version, goDown(version, 0, oldestOverlapping(flushed, flushed[oldest]), 'demand', Infinity));
  for (let level = 1; level < deepest; level++) {
    const [table] = wanted[level]!;
    if (table) return rewriting(version, goDown(version, level, [table], 'demand', Infinity));
  }
  // At the bottom already: worth a rewrite where there are deletes that it would drop.
  const table = wanted[deepest]!.find(({ tombstones, maxSequence }) => tombstones > 0 && maxSequence <= oldestSnapshot);
  if (table === undefined) return undefined;
  const inputs = [{ level: deepest, table }];
  if (!isBottom(version, deepest, inputs)) return undefined;
  return { reason: 'demand', score: Infinity, inputs, target: deepest, move: false, drop: false, dropDeletes: true, relocate: [] };
}

/** Below level 0 those that hold keys of the range are found by halving. */
function within(tables: readonly TableMeta[], level: number, { from, to }: Demand): readonly TableMeta[] {
  if (level === 0) return tables;
  return tables.slice(from ? firstReaching(tables, from) : 0, to ? firstAbove(tables, to) : undefined);
}

/** The next table that refers to any of the segments is rewritten where it is. */
function pickRelocation(version: PickerVersion, segments: readonly number[]): Compaction | undefined {
  for (const [level, tables] of version.levels.entries()) {
    const table = tables.find(({ references }) => references.some(({ segment }) => segments.includes(segment)));
    if (table === undefined) continue;
    const inputs = [{ level, table }];
    const relocate = segments.filter((segment) => table.references.some((reference) => reference.segment === segment));
    const dropDeletes = isBottom(version, level, inputs);
    return { reason: 'demand', score: Infinity, inputs, target: level, move: false, drop: false, dropDeletes, relocate };
  }
  return undefined;
}

/** A table that could go down as it is goes through the merge all the same when that drops something. */
function rewriting(version: PickerVersion, compaction: Compaction): Compaction {
  if (!compaction.move || compaction.inputs.every(({ table }) => table.tombstones === 0)) return compaction;
  return { ...compaction, move: false, dropDeletes: isBottom(version, compaction.target, compaction.inputs) };
}

function isWanted({ smallest, largest, minSequence }: TableMeta, { from, to, upTo }: Demand): boolean {
  if (minSequence > upTo) return false;
  return (from === undefined || Buffer.compare(largest, from) >= 0) && (to === undefined || Buffer.compare(smallest, to) <= 0);
}
