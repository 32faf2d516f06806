/**
 * Decides what to compact next, from the version and the settings alone. Pure.
 *
 * Leveled compaction (after LevelDB and RocksDB): level 0 holds flushed tables that overlap; each level below is one sorted run of
 * levelRatio times the size of the level above. Every need gets a score, 1 meaning that its bound is reached; the highest goes first.
 *
 * - tables:  tables of level 0 / level0Compact. The oldest table goes down with all that overlap it, directly or through one another.
 * - size:    bytes of a level / its share. Of its tables the one with the least to rewrite below for its size goes down.
 * - garbage: what nobody refers to in all block files / garbageRatio, and at least 1 when a single block file is over garbageRatio. Tables
 *            that refer to the worst file are rewritten where they are, and values move out of every file that is over the bound or small.
 *            Under load both bounds are a half instead, and a single file is no reason.
 * - values:  large values that level 0 refers to / garbageRatio of all that tables refer to: until level 0 has met what it overlaps, nobody
 *            knows how many of them, or of those below, were overwritten. Only where the tables are small against their values.
 * - range-deletes: tables of which everything is hidden by range tombstones go at once. One of which a part of the pages is hidden is
 *            rewritten where it is, from a twentieth on, under load from a half; and any when there are many range tombstones.
 * - deletes: 1 for a table of which over half are deletes and that no snapshot keeps: it goes down, or drops them where nothing is below.
 *
 * Each step makes its own reason smaller, so that picking comes to an end when writing does: tables only go down, a rewritten table no
 * longer refers to the files that were over the bound, its deletes are gone, and range tombstones hide nothing in it.
 */
import { keyspaceOf } from '../keyspace-key.ts';
import { hidesAllOf, tablesUnder, type RangeTombstone, type Version } from '../manifest/index.ts';
import type { EngineSettings } from '../settings.ts';
import type { TableMeta } from '../table/index.ts';
import { BLOCK_HEADER_BYTES } from './block-file.ts';
import type { Compaction, CompactionInput } from './compaction.ts';

export type PickerSettings = Pick<EngineSettings, 'level0Compact' | 'level1Bytes' | 'levelRatio' | 'garbageRatio' | 'tableBytes'>;
export type PickerVersion = Pick<Version, 'levels' | 'segments' | 'rangeTombstones'>;

/** A rewrite of tables for their block files takes about this many tables' worth at once. */
const GARBAGE_TABLES_MAX = 4;
/** Tables of level 0 that go down at once: each is an input of its own to the merge. */
const LEVEL0_TABLES_MAX = 32;
const DELETES_SHARE = 0.5;
/** A table of which this share of the pages is hidden by range tombstones is rewritten without them. */
const HIDDEN_SHARE = 0.05;
const HIDDEN_SHARE_LOADED = 0.5;
/** From so many range tombstones on, whatever they hide is reason enough. */
const RANGE_TOMBSTONES_MAX = 64;
/** What costs nothing goes first. */
const DROP_SCORE = 1000;
/** Under load, half of the block files may be garbage: then a file that is emptied gives back more than it costs to move the rest. */
const GARBAGE_SHARE_LOADED = 0.5;
/** A block file below this share of a table's size is small: a rewrite that meets it takes its values along, so that files stay few. */
const SMALL_FILE_SHARE = 1 / 8;

/** `loaded`: writes are under way. More garbage is borne then: moving values out of files that are mostly live costs the writers. */
export type Pace = 'loaded' | 'resting';

/** What counts beside the version and the settings. */
export interface Circumstances {
  /** Sequences that somebody reads at, ascending. */
  readonly snapshots: readonly number[];
  readonly pace: Pace;
  /** How many pages of the table lie within range tombstones that hide versions in it. Asked for those only in which some may. */
  readonly hiddenPages: (table: TableMeta) => number;
}

export function pickCompaction(version: PickerVersion, settings: PickerSettings, circumstances: Circumstances): Compaction | undefined {
  const { snapshots, pace } = circumstances;
  const garbageShare = pace === 'loaded' ? Math.max(settings.garbageRatio, GARBAGE_SHARE_LOADED) : settings.garbageRatio;
  const candidates = [
    pickLevel0(version, settings),
    ...version.levels.slice(1, -1).map((_, i) => pickLevel(version, i + 1, settings)),
    pickGarbage(version, settings, garbageShare, pace),
    pickValues(version, settings, garbageShare),
    pickRangeDeletes(version, circumstances),
    pickDeletes(version, snapshots[0] ?? Infinity),
  ];
  let best: Compaction | undefined;
  for (const candidate of candidates) if (candidate && (!best || candidate.score > best.score)) best = candidate;
  return best;
}

/** What a level may hold before it is compacted into the next. */
export function levelBytesMax(level: number, settings: Pick<EngineSettings, 'level1Bytes' | 'levelRatio'>): number {
  return settings.level1Bytes * settings.levelRatio ** (level - 1);
}

function pickLevel0(version: PickerVersion, settings: PickerSettings): Compaction | undefined {
  const tables = version.levels[0]!;
  const score = tables.length / settings.level0Compact;
  return score < 1 ? undefined : goDown(version, 0, oldestOverlapping(tables), 'tables', score);
}

function pickValues(version: PickerVersion, settings: PickerSettings, garbageShare: number): Compaction | undefined {
  const [flushed, ...below] = version.levels.map((tables) => valueBytesOf(tables));
  if (!flushed) return undefined;
  const score = flushed / ((flushed + sum(below)) * garbageShare);
  if (score < 1) return undefined;
  const compaction = goDown(version, 0, oldestOverlapping(version.levels[0]!), 'values', score);
  const tables = compaction.inputs.map(({ table }) => table);
  // One table alone has overwritten nothing; and rewriting the index must cost little against what it may give back.
  return tables.length > 1 && bytesOf(tables) <= flushed * settings.garbageRatio ? compaction : undefined;
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

function pickLevel(version: PickerVersion, level: number, settings: PickerSettings): Compaction | undefined {
  const tables = version.levels[level]!;
  const score = bytesOf(tables) / levelBytesMax(level, settings);
  if (score < 1 || tables.length === 0) return undefined;
  const below = version.levels[level + 1]!;
  let best = tables[0]!;
  let bestCost = Infinity;
  for (const table of tables) {
    const cost = bytesOf(overlapping(below, table)) / table.bytes;
    if (cost < bestCost || (cost === bestCost && table.fileId < best.fileId)) [best, bestCost] = [table, cost];
  }
  return goDown(version, level, [best], 'size', score);
}

function pickGarbage(version: PickerVersion, settings: PickerSettings, garbageShare: number, pace: Pace): Compaction | undefined {
  let bytes = 0;
  let garbage = 0;
  let worst: { segment: number; share: number } | undefined;
  const movable: number[] = [];
  for (const [segment, file] of version.segments) {
    // The header that every file has is nobody's fault: without it a file that was just written has no garbage, whatever its size.
    const fileBytes = file.bytes - BLOCK_HEADER_BYTES;
    const share = (fileBytes - file.liveBytes) / fileBytes;
    bytes += fileBytes;
    garbage += fileBytes - file.liveBytes;
    if (share > garbageShare || fileBytes < settings.tableBytes * SMALL_FILE_SHARE) movable.push(segment);
    if (share <= garbageShare) continue;
    if (!worst || share > worst.share) worst = { segment, share };
  }
  if (!worst || (pace === 'loaded' && garbage <= bytes * garbageShare)) return undefined;
  const { segment } = worst;
  // The deepest level has most of the references, and its tables are the oldest: begin there.
  const level = version.levels.findLastIndex((tables) => tables.some((table) => refersTo(table, segment)));
  if (level < 0) return undefined;
  const inputs: CompactionInput[] = [];
  let inputBytes = 0;
  for (const table of version.levels[level]!) {
    if (!refersTo(table, segment)) {
      // The outputs take the place of neighbours: a table between two inputs would overlap them.
      if (inputs.length > 0) break;
      continue;
    }
    if (inputs.length > 0 && (level === 0 || inputBytes + table.bytes > GARBAGE_TABLES_MAX * settings.tableBytes)) break;
    inputs.push({ level, table });
    inputBytes += table.bytes;
  }
  const referred = new Set(inputs.flatMap(({ table }) => table.references.map((reference) => reference.segment)));
  return {
    reason: 'garbage',
    score: Math.max(1, garbage / bytes / garbageShare),
    inputs,
    target: level,
    move: false,
    drop: false,
    dropDeletes: isBottom(version, level, inputs),
    relocate: movable.filter((id) => referred.has(id)).toSorted((a, b) => a - b),
  };
}

function pickRangeDeletes(version: PickerVersion, { snapshots, pace, hiddenPages }: Circumstances): Compaction | undefined {
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
  if (dropped.length > 0) {
    return {
      reason: 'range-deletes',
      score: DROP_SCORE,
      inputs: dropped,
      target: 0,
      move: false,
      drop: true,
      dropDeletes: false,
      relocate: [],
    };
  }
  if (!best) return undefined;
  const crowd = rangeTombstones.length / RANGE_TOMBSTONES_MAX;
  const score = Math.max(bestShare / (pace === 'loaded' ? HIDDEN_SHARE_LOADED : HIDDEN_SHARE), crowd);
  return score < 1 ? undefined : rewrite(version, best, 'range-deletes', score);
}

/** A table where it is. */
function rewrite(version: PickerVersion, input: CompactionInput, reason: Compaction['reason'], score: number): Compaction {
  const inputs = [input];
  const dropDeletes = isBottom(version, input.level, inputs);
  return { reason, score, inputs, target: input.level, move: false, drop: false, dropDeletes, relocate: [] };
}

function pickDeletes(version: PickerVersion, oldestSnapshot: number): Compaction | undefined {
  for (const [level, tables] of version.levels.entries()) {
    if (level === 0) continue;
    for (const table of tables) {
      if (table.tombstones <= table.entries * DELETES_SHARE || table.maxSequence > oldestSnapshot) continue;
      const inputs = [{ level, table }];
      if (!isBottom(version, level, inputs)) return goDown(version, level, [table], 'deletes', 1);
      return rewrite(version, { level, table }, 'deletes', 1);
    }
  }
  return undefined;
}

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

/** Whether no table outside the inputs, at their target or below, or older within level 0, holds keys of their range. */
export function isBottom(version: PickerVersion, target: number, inputs: readonly CompactionInput[]): boolean {
  const range = rangeOf(inputs.map(({ table }) => table));
  const chosen = new Set(inputs.map(({ table }) => table));
  const within = version.levels[target]!;
  const rest = target === 0 ? within.slice(within.findLastIndex((table) => chosen.has(table)) + 1) : [];
  return (
    !rest.some((table) => overlaps(table, range)) &&
    !version.levels.slice(target + 1).some((tables) => overlapping(tables, range).length > 0)
  );
}

interface KeyRange {
  readonly smallest: Uint8Array;
  readonly largest: Uint8Array;
}

function rangeOf(tables: readonly KeyRange[]): KeyRange {
  let { smallest, largest } = tables[0]!;
  for (const table of tables) {
    if (Buffer.compare(table.smallest, smallest) < 0) smallest = table.smallest;
    if (Buffer.compare(table.largest, largest) > 0) largest = table.largest;
  }
  return { smallest, largest };
}

function overlaps(a: KeyRange, b: KeyRange): boolean {
  return Buffer.compare(a.smallest, b.largest) <= 0 && Buffer.compare(b.smallest, a.largest) <= 0;
}

function overlapping(tables: readonly TableMeta[], range: KeyRange): TableMeta[] {
  return tables.filter((table) => overlaps(table, range));
}

function refersTo(table: TableMeta, segment: number): boolean {
  return table.references.some((reference) => reference.segment === segment);
}

function bytesOf(tables: readonly TableMeta[]): number {
  return sum(tables.map((table) => table.bytes));
}

function valueBytesOf(tables: readonly TableMeta[]): number {
  return sum(tables.flatMap((table) => table.references.map((reference) => reference.bytes)));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
