/**
 * Decides what to compact next, from the version and the settings alone. Pure.
 *
 * Leveled compaction (after LevelDB and RocksDB): level 0 holds flushed tables that overlap; each level below is one sorted run of
 * levelRatio times the size of the level above. Every need gets a score, 1 meaning that its bound is reached; the highest goes first.
 *
 * - tables:  tables of level 0 / level0Compact. The oldest table goes down with all that overlap it, directly or through one another.
 * - size:    bytes of a level / its share. Of its tables the one with the least to rewrite below for its size goes down.
 * - garbage: what nobody refers to in all block files / garbageRatio, and at least 1 when a single block file is over garbageRatio. Tables
 *            that refer to the worst file are rewritten where they are, and values move out of the worst ones over the bound, and out of small
 *            ones. Under load both bounds are GARBAGE_SHARE_LOADED instead, and a single file is no reason.
 * - values:  large values that level 0 refers to / half of garbageRatio of all that tables refer to: until level 0 has met what it overlaps, nobody
 *            knows how many of them, or of those below, were overwritten. Only where the tables are small against their values.
 * - range-deletes: tables of which everything is hidden by range tombstones go at once. One of which a part of the pages is hidden is
 *            rewritten where it is, from a twentieth on, under load from a half; and any when there are many range tombstones.
 * - reads:   what reads have spent on looking into the tables of level 0 / what merging them would cost. So tables go down early where many
 *            reads meet few writes, and a burst of writes is not disturbed by some reads.
 * - overlap: 1, when nobody has written for long, for what lies above the deepest level: of all that is there, it may hide as much (pick-overlap.ts).
 * - expiry:  tables of which everything has expired go at once, where nothing is below that they hide. One of which a part has is rewritten
 *            where it is: the part that should have by now / garbageRatio (GARBAGE_SHARE_LOADED under load), or how long ago the first has / expiryLagMs.
 * - deletes: 1 for a table of which over half are deletes, or on a twentieth of whose pages they are dense, and that no snapshot keeps: it
 *            goes down, or drops them where nothing is below.
 * - rules:   1 for a table that may have what its keyspace's rule leaves out, and that no snapshot sees.
 *
 * Each step makes its own reason smaller, so that picking comes to an end when writing does: tables only go down, a rewritten table no
 * longer refers to the files that were over the bound, its deletes and what has expired are gone, range tombstones hide nothing in it, and its
 * keyspace's rule leaves nothing out of it.
 */
import type { EngineSettings } from '../settings.ts';
import type { TableMeta } from '../table/index.ts';
import { BLOCK_HEADER_BYTES } from './block-file.ts';
import type { Compaction, CompactionInput } from './compaction.ts';
import { type ExpirySettings, pickDeletes, pickExpiry, pickRangeDeletes } from './pick-unseen.ts';
import { LevelFacts } from './level-facts.ts';
import { pickOverlap } from './pick-overlap.ts';
import { pickRules } from './pick-rules.ts';
import type { KeyspaceRule } from './rule-table.ts';
import { goDown, isBottom, oldestOverlapping, type PickerVersion } from './steps.ts';

export type PickerSettings = ExpirySettings & Pick<EngineSettings, 'level0Compact' | 'level1Bytes' | 'levelRatio' | 'tableBytes'>;

/**
 * Of the large values that tables refer to, level 0 may have this share of garbageRatio: how many of them, or of those below, have been
 * overwritten shows when the two are merged, which costs little where values are large.
 */
const FLUSHED_SHARE = 0.5;
/** A rewrite of tables for their block files takes about this many tables' worth at once. */
const GARBAGE_TABLES_MAX = 4;
/** A merge takes about 10 ns for a byte of its inputs, a look into a table that does not have the key 25 ns. */
const PROBES_PER_BYTE = 0.4;
/** Under load, so much of the block files may be garbage: then a file that is emptied gives back nearly as much as it costs to move the rest. */
const GARBAGE_SHARE_LOADED = 0.4;
/**
 * Values move out of so many files at a time that this share of all bytes is on the way. Until every table that refers to a file has been
 * rewritten its moved values are there twice: with keys overwritten at random, where all files fill with garbage alike, all of them would be.
 * With what level 0 may hide (FLUSHED_SHARE of garbageRatio) about twice the live values may lie on disk under load.
 */
const MOVED_SHARE_MAX = 1 / 8;
/** A block file below this share of a table's size is small: a rewrite that meets it takes its values along, so that files stay few. */
const SMALL_FILE_SHARE = 1 / 8;

/**
 * `loaded`: writes are under way. More garbage is borne then: moving values out of files that are mostly live costs the writers. `idle`: there have been none for so long that work
 * which the next ones might make needless is done.
 */
export type Pace = 'loaded' | 'resting' | 'idle';

/** What counts beside the version and the settings. */
export interface Circumstances {
  /** Sequences that somebody reads at, ascending. */
  readonly snapshots: readonly number[];
  readonly pace: Pace;
  /** The wall clock, ms since the epoch. */
  readonly nowMs: number;
  /** How often reads have looked into a table of level 0 since one went down; a seek of a scan counts SCAN_PROBES times. */
  readonly level0Probes: number;
  /** How many pages of the table lie within range tombstones that hide versions in it. Asked for those only in which some may. */
  readonly hiddenPages: (table: TableMeta) => number;
  /** Of keyspaces, those that can be applied now. */
  readonly rules: readonly KeyspaceRule[];
}

/** `facts`: of the version's levels, carried on from those before; without them they are found anew. */
export function pickCompaction(
  version: PickerVersion,
  settings: PickerSettings,
  circumstances: Circumstances,
  facts: LevelFacts = new LevelFacts(version.levels),
): Compaction | undefined {
  const { snapshots, pace } = circumstances;
  const garbageShare = garbageShareAt(pace, settings);
  const candidates = [
    pickLevel0(version, settings),
    ...version.levels.slice(1, -1).map((_, i) => pickLevel(version, i + 1, settings, facts)),
    pickGarbage(version, settings, garbageShare, pace, facts),
    pickValues(version, settings, facts),
    pickReads(version, circumstances.level0Probes),
    pace === 'idle' ? pickOverlap(version, settings, facts) : undefined,
    pickRangeDeletes(version, { snapshots, loaded: pace === 'loaded', hiddenPages: circumstances.hiddenPages }),
    pickExpiry(version, settings, garbageShare, circumstances.nowMs, facts),
    pickDeletes(version, snapshots[0] ?? Infinity, facts),
    pickRules(version, circumstances.rules, snapshots.at(-1) ?? -1),
  ];
  let best: Compaction | undefined;
  for (const candidate of candidates) if (candidate && (!best || candidate.score > best.score)) best = candidate;
  return best;
}

/** The share of what is stored that may be of no use to anybody. */
export function garbageShareAt(pace: Pace, { garbageRatio }: Pick<EngineSettings, 'garbageRatio'>): number {
  return pace === 'loaded' ? Math.max(garbageRatio, GARBAGE_SHARE_LOADED) : garbageRatio;
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

/**
 * Reads have paid for the tables of level 0 what merging them costs: then they are merged, however few they are. (The renter's rule: never more
 * than twice the cost of having known.)
 */
function pickReads(version: PickerVersion, probes: number): Compaction | undefined {
  const flushed = version.levels[0]!;
  if (flushed.length < 2 || probes === 0) return undefined;
  const compaction = goDown(version, 0, oldestOverlapping(flushed), 'reads', 0);
  // One table would have been looked into in any case.
  const wasted = probes * (1 - 1 / flushed.length);
  const score = wasted / (bytesOf(compaction.inputs.map(({ table }) => table)) * PROBES_PER_BYTE);
  return score < 1 ? undefined : { ...compaction, score };
}

function pickValues(version: PickerVersion, settings: PickerSettings, facts: LevelFacts): Compaction | undefined {
  const flushed = facts.of(0).valueBytes;
  if (flushed === 0) return undefined;
  const score = flushed / (facts.valueBytes * settings.garbageRatio * FLUSHED_SHARE);
  if (score < 1) return undefined;
  const compaction = goDown(version, 0, oldestOverlapping(version.levels[0]!), 'values', score);
  const tables = compaction.inputs.map(({ table }) => table);
  // One table alone has overwritten nothing; and rewriting the index must cost little against what it may give back.
  return tables.length > 1 && bytesOf(tables) <= flushed * settings.garbageRatio ? compaction : undefined;
}

function pickLevel(version: PickerVersion, level: number, settings: PickerSettings, facts: LevelFacts): Compaction | undefined {
  const score = facts.of(level).bytes / levelBytesMax(level, settings);
  if (score < 1 || version.levels[level]!.length === 0) return undefined;
  return goDown(version, level, [facts.cheapestDown(level)], 'size', score);
}

function pickGarbage(
  version: PickerVersion,
  settings: PickerSettings,
  garbageShare: number,
  pace: Pace,
  facts: LevelFacts,
): Compaction | undefined {
  let bytes = 0;
  let garbage = 0;
  let worst = 0;
  // The header that every file has is nobody's fault: without it a file that was just written has no garbage, whatever its size.
  version.segments.forEach((file) => {
    const fileBytes = file.bytes - BLOCK_HEADER_BYTES;
    bytes += fileBytes;
    garbage += fileBytes - file.liveBytes;
    worst = Math.max(worst, (fileBytes - file.liveBytes) / fileBytes);
  });
  if (worst <= garbageShare || (pace === 'loaded' && garbage <= bytes * garbageShare)) return undefined;
  const over: { segment: number; share: number; liveBytes: number }[] = [];
  const movable = new Set<number>();
  version.segments.forEach((file, segment) => {
    const fileBytes = file.bytes - BLOCK_HEADER_BYTES;
    const share = (fileBytes - file.liveBytes) / fileBytes;
    if (fileBytes < settings.tableBytes * SMALL_FILE_SHARE) movable.add(segment);
    if (share > garbageShare) over.push({ segment, share, liveBytes: file.liveBytes });
  });
  // A file that is being emptied gets worse by it: what one step has begun the next ones go on with.
  over.sort((a, b) => b.share - a.share || a.segment - b.segment);
  const { segment } = over[0]!;
  let moved = 0;
  for (const file of over) {
    if (moved > 0 && moved + file.liveBytes > bytes * MOVED_SHARE_MAX) break;
    moved += file.liveBytes;
    movable.add(file.segment);
  }
  // The deepest level has most of the references, and its tables are the oldest: begin there.
  const level = version.levels.findLastIndex((tables, i) => facts.of(i).valueBytes > 0 && tables.some((table) => refersTo(table, segment)));
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
    relocate: [...movable].filter((id) => referred.has(id)).toSorted((a, b) => a - b),
  };
}

function refersTo({ references }: TableMeta, segment: number): boolean {
  const last = references.at(-1);
  // They are ascending: most tables need not be looked through.
  if (last === undefined || last.segment < segment || references[0]!.segment > segment) return false;
  return references.some((reference) => reference.segment === segment);
}

function bytesOf(tables: readonly TableMeta[]): number {
  return tables.reduce((sum, { bytes }) => sum + bytes, 0);
}
