/**
 * Compactions for what nobody sees any more, found by what tables say of themselves: what range tombstones hide, what has expired, deletes.
 * Pure.
 */
import { hidesAllOf, tablesUnder, type RangeTombstone } from '../manifest/index.ts';
import type { EngineSettings } from '../settings.ts';
import type { TableMeta } from '../table/index.ts';
import type { Compaction, CompactionInput } from './compaction.ts';
import { isFullOfDeletes } from './full-of-deletes.ts';
import type { LevelFacts } from './level-facts.ts';
import { dropAll, goDown, isBottom, type PickerVersion, rewrite } from './steps.ts';

export type ExpirySettings = Pick<EngineSettings, 'garbageRatio' | 'expiryLagMs'>;

/** A table of which this share of the pages is hidden by range tombstones is rewritten without them. */
const HIDDEN_SHARE = 0.05;
const HIDDEN_SHARE_LOADED = 0.5;
/** From so many range tombstones on, whatever they hide is reason enough. */
const RANGE_TOMBSTONES_MAX = 64;

export interface RangeCircumstances {
  /** Sequences that somebody reads at, ascending. */
  readonly snapshots: readonly number[];
  readonly loaded: boolean;
  /** How many pages of the table lie within range tombstones that hide versions in it. Asked for those only in which some may. */
  readonly hiddenPages: (table: TableMeta) => number;
}

export function pickRangeDeletes(version: PickerVersion, { snapshots, loaded, hiddenPages }: RangeCircumstances): Compaction | undefined {
  const { levels, rangeTombstones } = version;
  const under = new Map<TableMeta, { level: number; tombstones: RangeTombstone[] }>();
  for (const tombstone of rangeTombstones) {
    for (const { level, table } of tablesUnder(tombstone, levels)) {
      const found = under.get(table);
      if (found) found.tombstones.push(tombstone);
      else under.set(table, { level, tombstones: [tombstone] });
    }
  }
  const dropped: CompactionInput[] = [];
  let best: CompactionInput | undefined;
  let bestShare = 0;
  for (const [table, { level, tombstones }] of under) {
    // Who reads between a version and the tombstone over it sees the version: it would have to stay.
    const newest = tombstones.reduce((most, { sequence }) => Math.max(most, sequence), 0);
    if (snapshots.some((snapshot) => table.minSequence <= snapshot && snapshot < newest)) continue;
    if (hidesAllOf(tombstones, table)) {
      dropped.push({ level, table });
      continue;
    }
    const share = hiddenPages(table) / table.pages;
    if (best && share <= bestShare) continue;
    best = { level, table };
    bestShare = share;
  }
  if (dropped.length > 0) return dropAll(dropped, 'range-deletes');
  if (!best) return undefined;
  const crowd = rangeTombstones.length / RANGE_TOMBSTONES_MAX;
  const score = Math.max(bestShare / (loaded ? HIDDEN_SHARE_LOADED : HIDDEN_SHARE), crowd);
  return score < 1 ? undefined : rewrite(version, best, 'range-deletes', score);
}

/**
 * Tables of which everything has expired go at once where nothing is below that they would have to hide. One of which a part has is rewritten
 * where it is: once that part, taken to be even between the earliest and the latest expiry, is more than `share`; and at the latest
 * `expiryLagMs` after the first. Snapshots are no reason to keep it: what has expired is not there for them either.
 */
export function pickExpiry(
  version: PickerVersion,
  settings: ExpirySettings,
  share: number,
  nowMs: number,
  facts: LevelFacts,
): Compaction | undefined {
  const dropped: CompactionInput[] = [];
  let best: CompactionInput | undefined;
  let bestScore = 1;
  for (const [level, tables] of version.levels.entries()) {
    if (facts.of(level).expiring === 0) continue;
    for (const table of tables) {
      const { expiring } = table;
      if (expiring === undefined || expiring.earliestMs > nowMs) continue;
      const input = { level, table };
      if (expiring.latestMs <= nowMs && expiring.entries === table.entries && isBottom(version, level, [input])) {
        dropped.push(input);
        continue;
      }
      const score = expiryScore(table, settings, share, nowMs);
      if (score < bestScore || (best && score === bestScore)) continue;
      best = input;
      bestScore = score;
    }
  }
  if (dropped.length > 0) return dropAll(dropped, 'expiry');
  return best && rewrite(version, best, 'expiry', bestScore);
}

/** How much of the table has expired, if what expires does so evenly between the earliest and the latest expiry. */
export function expiredBytes({ expiring }: Pick<TableMeta, 'expiring'>, nowMs: number): number {
  if (expiring === undefined || expiring.earliestMs > nowMs) return 0;
  const { bytes, earliestMs, latestMs } = expiring;
  return latestMs <= nowMs ? bytes : (bytes * (nowMs - earliestMs)) / (latestMs - earliestMs);
}

/** Whether so much of the table has expired that it is to be rewritten: from 1 on. */
function expiryScore(table: TableMeta, settings: ExpirySettings, share: number, nowMs: number): number {
  const { expiring } = table;
  if (expiring === undefined || expiring.earliestMs > nowMs) return 0;
  return Math.max(expiredBytes(table, nowMs) / table.bytes / share, (nowMs - expiring.earliestMs) / settings.expiryLagMs);
}

/** Whether `pickExpiry` would take the table. */
export function isExpiryDue(table: TableMeta, settings: ExpirySettings, share: number, nowMs: number): boolean {
  return expiryScore(table, settings, share, nowMs) >= 1;
}

/** Whether `pickDeletes` would take the table: scans waste time on it, and no snapshot keeps the deletes. Level 0 is left to its own bound. */
export function areDeletesDue(table: TableMeta, level: number, oldestSnapshot: number): boolean {
  return level > 0 && isFullOfDeletes(table) && table.maxSequence <= oldestSnapshot;
}

/** When `pickExpiry` would first find something that it does not now; undefined: never, as things are. */
export function nextExpiry(
  version: Pick<PickerVersion, 'levels'>,
  settings: ExpirySettings,
  share: number,
  nowMs: number,
  facts: LevelFacts,
): number | undefined {
  let next = Infinity;
  for (const [level, tables] of version.levels.entries()) {
    if (facts.of(level).expiring === 0) continue;
    for (const { expiring, bytes } of tables) {
      if (expiring === undefined) continue;
      const { earliestMs, latestMs } = expiring;
      const lagAt = earliestMs + settings.expiryLagMs;
      const shareAt = earliestMs + (latestMs - earliestMs) * ((share * bytes) / expiring.bytes);
      if (latestMs > nowMs && latestMs < next) next = latestMs;
      if (lagAt > nowMs && lagAt < next) next = lagAt;
      if (shareAt > nowMs && shareAt < next) next = shareAt;
    }
  }
  return next === Infinity ? undefined : next;
}

export function pickDeletes(version: PickerVersion, oldestSnapshot: number, facts: LevelFacts): Compaction | undefined {
  for (const [level, tables] of version.levels.entries()) {
    if (facts.of(level).fullOfDeletes === 0) continue;
    for (const table of tables) {
      if (!areDeletesDue(table, level, oldestSnapshot)) continue;
      const inputs = [{ level, table }];
      if (!isBottom(version, level, inputs)) return goDown(version, level, [table], 'deletes', 1);
      return rewrite(version, { level, table }, 'deletes', 1);
    }
  }
  return undefined;
}
