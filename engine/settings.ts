/**
 * Settings of an engine: plain data, validated once at the door, frozen after. Each field states its unit, default and range.
 * An unknown field is an error: a misspelt setting must not silently mean its default.
 */
import { THREADS_MAX } from '../assembly/memory-map.ts';
import { SparrowError } from '../base/errors.ts';
import type { Durability } from './api.ts';
import {
  type CompressionSetting,
  FILTER_BITS_PER_KEY,
  type LevelCompression,
  PAGE_COMPRESSIONS,
  type PageCompression,
} from './table/index.ts';
import { checkObject } from './keys.ts';
import { planMemory, plannedBytes, planResources } from './memory-plan.ts';

/** What engines may share (resources.ts). An engine without shared resources takes these among its own settings. */
export interface ResourceSettings {
  /** Pages of tables kept in memory. Default 256 MiB, 1 MiB to 1.5 GiB. */
  pageCacheBytes: number;
  /**
   * Large values kept in memory once they were read. Default 64 MiB, but at most a sixteenth of memoryBytes; 0 (none) to 1 GiB.
   * A value over a quarter of it is not kept.
   */
  valueCacheBytes: number;
  /**
   * Indexes and filters of tables that are in memory as a whole. Those that find no room are read through the page cache, a page at a time.
   * They take 1 to 2 % of the tables. Default 128 MiB, but at most an eighth of memoryBytes; 0 (all are read page by page) to 1.5 GiB.
   */
  indexBytes: number;
  /**
   * Address space for everything that is kept outside the JavaScript heap (taken only when used). Default 1 GiB, 64 MiB to 2 GiB. Beside it each background
   * thread takes what a compaction needs while it runs, and keeps up to an eighth of memoryBytes of that until it has had nothing to do for a minute.
   */
  memoryBytes: number;
  /**
   * Memory that the memtables of all engines may take together, records and index: when those that take writes have half of it, the largest
   * is flushed, whatever its size. Default: a quarter of memoryBytes for shared resources; for an engine's own all of it, so that its
   * memtableBytes alone decides. 4 MiB to 2 GiB.
   */
  memtableBytesTotal: number;
  /**
   * What background work of all engines together may read and write in a second, in bytes: flushes, compactions, moving of values, backups,
   * checkpoints, ingests, verifying. Less is used while syncs that callers wait for are slow because of it, unless work is left undone. 0, the default: no bound but that. Otherwise 1 MiB
   * to 16 GiB. Too little of it slows writers down to what it allows.
   */
  backgroundBytesPerSecMax: number;
  /**
   * Tables, files of large values and logs that all engines together keep open; beyond it the one used least recently is closed until it is
   * used again. A log that is written stays open, and each engine has one descriptor more for its lock. Default 512, 16 to 1,000,000.
   */
  openFilesMax: number;
  /**
   * Threads that flush and compact, started as they are needed. A large compaction is run in parts by as many as are free. Each may keep as much
   * processor busy as the caller's thread: worth it where there are cores to spare. Default 1, 1 to 4.
   */
  backgroundThreads: number;
}

export interface EngineSettings extends ResourceSettings {
  /** When a write's promise settles unless the call says otherwise. Default `os`. */
  durability: Durability;
  /** Longest key in bytes. Default 4096, 1 to 4096. */
  maxKeyBytes: number;
  /** Longest value in bytes. Default 16 MiB, 1 to 256 MiB. */
  maxValueBytes: number;
  /** Keys and values of one batch together, in bytes. Default 64 MiB, 1 KiB to 512 MiB. */
  maxBatchBytes: number;
  /** A value of at least this many bytes is written once, to the log, and stays there (block file); smaller ones move with their key. Default 1024, 64 to 4096. */
  inlineThreshold: number;
  /** A memtable is sealed and flushed at this size. Default 32 MiB, 64 KiB to 256 MiB. */
  memtableBytes: number;
  /** A log segment is closed at this size. Default 64 MiB, 64 KiB to 1 GiB. */
  segmentBytes: number;
  /**
   * A synced write that nobody waits beside is synced on the caller's thread, which spares the way to another and back (60 us), as long as
   * the disk takes less than this many milliseconds for it; after a slower one, a thread does it for a while. Default 0.5, 0 (never) to 10.
   */
  callerSyncMs: number;
  /** Size that compaction aims at for one table. Default 32 MiB, 64 KiB to 256 MiB. */
  tableBytes: number;
  /**
   * How pages of tables are compressed when they are written: `none`, `lz4` (about half the bytes, 3 us for a page that is read from a file) or
   * `zstd` (a third, 25 us), which needs Node 22.15, 23.8 or later. One for all, or `upper` and `bottom` apart: the deepest level that has
   * tables, nine tenths of the data, and those above. What is written already stays as it is until it is compacted. Default `none`.
   */
  compression: Readonly<LevelCompression>;
  /**
   * Bits of a table's filter for each key, by which reads of keys that are not there pass it by: with 12 one in 190 does not, with 8 one in 45, with 16
   * one in 600. A filter in memory is a part of indexBytes. Default 12, 0 (none) to 32.
   */
  filterBitsPerKey: number;
  /** Level-0 tables that start a compaction. Default 4, 1 to 16. */
  level0Compact: number;
  /**
   * Level-0 tables at which writes crawl, each waiting up to 40 ms; from halfway between level0Compact and this on they are slowed little by little. Where many writers
   * bring more even so, there may be about twice as many. Default 20, 2 to 32, not below level0Compact.
   */
  level0Stop: number;
  /** Size of level 1; each level below holds levelRatio times as much. Default 128 MiB, 256 KiB to 16 GiB. */
  level1Bytes: number;
  /** Default 10, 2 to 100. */
  levelRatio: number;
  /** Share of a block file that may be garbage before compaction moves its live values elsewhere. Default 0.3, 0.05 to 0.95. */
  garbageRatio: number;
  /** A value that has expired takes space for at most about this long, whatever its neighbours do. Default 24 hours, 1 second to 10 years. */
  expiryLagMs: number;
  /** The manifest is begun anew at this size. Default 1 MiB, 256 bytes to 64 MiB. */
  manifestBytes: number;
}

export type EngineSettingsInput = Partial<Omit<EngineSettings, 'compression'>> & { compression?: CompressionSetting };
export type ResourceSettingsInput = Partial<ResourceSettings>;

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const HOUR_MS = 3_600_000;

const VALUE_CACHE_PART = 16;
const INDEX_PART = 8;

type Range = { default: number; min: number; max: number; integer: boolean };

const RESOURCE_RANGES: Record<keyof ResourceSettings, Range> = {
  pageCacheBytes: { default: 256 * MIB, min: MIB, max: 1536 * MIB, integer: true },
  valueCacheBytes: { default: 64 * MIB, min: 0, max: GIB, integer: true },
  indexBytes: { default: 128 * MIB, min: 0, max: 1536 * MIB, integer: true },
  memoryBytes: { default: GIB, min: 64 * MIB, max: 2 * GIB, integer: true },
  memtableBytesTotal: { default: 2 * GIB, min: 4 * MIB, max: 2 * GIB, integer: true },
  backgroundBytesPerSecMax: { default: 0, min: 0, max: 16 * GIB, integer: true },
  openFilesMax: { default: 512, min: 16, max: 1_000_000, integer: true },
  backgroundThreads: { default: 1, min: 1, max: THREADS_MAX, integer: true },
};

const RANGES: Record<Exclude<keyof EngineSettings, 'durability' | 'compression'>, Range> = {
  ...RESOURCE_RANGES,
  maxKeyBytes: { default: 4096, min: 1, max: 4096, integer: true },
  maxValueBytes: { default: 16 * MIB, min: 1, max: 256 * MIB, integer: true },
  maxBatchBytes: { default: 64 * MIB, min: KIB, max: 512 * MIB, integer: true },
  inlineThreshold: { default: 1024, min: 64, max: 4096, integer: true },
  memtableBytes: { default: 32 * MIB, min: 64 * KIB, max: 256 * MIB, integer: true },
  segmentBytes: { default: 64 * MIB, min: 64 * KIB, max: GIB, integer: true },
  callerSyncMs: { default: 0.5, min: 0, max: 10, integer: false },
  tableBytes: { default: 32 * MIB, min: 64 * KIB, max: 256 * MIB, integer: true },
  filterBitsPerKey: { default: FILTER_BITS_PER_KEY, min: 0, max: 32, integer: true },
  level0Compact: { default: 4, min: 1, max: 16, integer: true },
  level0Stop: { default: 20, min: 2, max: 32, integer: true },
  level1Bytes: { default: 128 * MIB, min: 256 * KIB, max: 16 * GIB, integer: true },
  levelRatio: { default: 10, min: 2, max: 100, integer: true },
  garbageRatio: { default: 0.3, min: 0.05, max: 0.95, integer: false },
  expiryLagMs: { default: 24 * HOUR_MS, min: 1000, max: 10 * 365 * 24 * HOUR_MS, integer: true },
  manifestBytes: { default: MIB, min: 256, max: 64 * MIB, integer: true },
};

const DURABILITIES: readonly string[] = ['buffered', 'os', 'synced'];

/**
 * Throws `invalid/OPTION_UNKNOWN` or `invalid/OPTION_RANGE`, naming the field and its limits. `shared`: what the engine gets from resources
 * that it shares; to give it any of these as well is `invalid/OPTION_SHARED`.
 */
export function resolveSettings(input: EngineSettingsInput = {}, shared?: Readonly<ResourceSettings>): Readonly<EngineSettings> {
  checkObject(input, 'settings');
  const given = Object.keys(input).find(
    (field) => Object.hasOwn(RESOURCE_RANGES, field) && input[field as keyof EngineSettings] !== undefined,
  );
  if (shared && given !== undefined) {
    throw new SparrowError('invalid', 'OPTION_SHARED', `${given} is a setting of the resources that the engine shares, not its own`, {
      field: given,
    });
  }
  const { durability = 'os', compression = 'none', ...numbers } = input;
  const settings: EngineSettings = {
    durability: checkDurability(durability),
    compression: Object.freeze({ upper: 'none', bottom: 'none', ...checkCompression(compression) }),
    ...resolveNumbers(RANGES, { ...shared, ...numbers }, ['durability', 'compression']),
  };
  if (!shared) {
    fitParts(settings, input);
    checkBackgroundRate(settings);
  }
  checkMemory(settings, { ...planMemory(settings) });
  if (settings.level0Stop < settings.level0Compact) {
    throw new SparrowError(
      'invalid',
      'OPTION_RANGE',
      `level0Stop (${settings.level0Stop}) is below level0Compact (${settings.level0Compact}): writes would wait for a compaction that never starts`,
      { field: 'level0Stop', min: settings.level0Compact, max: RANGES.level0Stop.max },
    );
  }
  return Object.freeze(settings);
}

/** The value of one setting that is a number, or `invalid/OPTION_RANGE`. */
export function checkSetting(field: keyof typeof RANGES, value: number): number {
  return checkRange(field, value, RANGES[field]);
}

/** As `resolveSettings`, for resources. */
export function resolveResourceSettings(input: ResourceSettingsInput = {}): Readonly<ResourceSettings> {
  checkObject(input, 'settings');
  const settings = resolveNumbers(RESOURCE_RANGES, input, []);
  fitParts(settings, input);
  checkBackgroundRate(settings);
  if (input.memtableBytesTotal === undefined) settings.memtableBytesTotal = Math.floor(settings.memoryBytes / 4);
  checkMemory(settings, { ...planResources(settings), memtableBytesTotal: settings.memtableBytesTotal });
  return Object.freeze(settings);
}

/** Of settings of both kinds: those of resources, and the others, which engines have of their own. */
export function partSettings(input: EngineSettingsInput): { resources: ResourceSettingsInput; engine: EngineSettingsInput } {
  const entries = Object.entries(input);
  const shared = ([field]: [string, unknown]): boolean => Object.hasOwn(RESOURCE_RANGES, field);
  return {
    resources: Object.fromEntries(entries.filter(shared)),
    engine: Object.fromEntries(entries.filter((entry) => !shared(entry))),
  };
}

/** Whether all that cannot be done without fits the memory. `plan`: bytes by setting, and `fixed`. */
function checkMemory(settings: Readonly<ResourceSettings>, { fixed, ...plan }: { fixed: number } & Record<string, number>): void {
  const planned = plannedBytes({ fixed, ...plan });
  const limit = settings.memoryBytes;
  if (planned <= limit) return;
  const parts = Object.entries(plan).toSorted(([, a], [, b]) => b - a);
  const [largest, second] = parts.map(([field]) => field);
  const taken = parts.map(([field, bytes]) => `${bytes} for ${field}`).join(', ');
  const raise = planned <= RESOURCE_RANGES.memoryBytes.max ? `set memoryBytes to ${planned} or more, or ` : '';
  throw new SparrowError(
    'invalid',
    'OPTION_RANGE',
    `memoryBytes (${limit}) is less than the other settings take: ${planned} (${taken}, ${fixed} in any case); ${raise}lower ${largest} or ${second}`,
    { field: 'memoryBytes', limit, wanted: planned },
  );
}

function checkBackgroundRate({ backgroundBytesPerSecMax: rate }: ResourceSettings): void {
  if (rate === 0 || rate >= MIB) return;
  throw new SparrowError('invalid', 'OPTION_RANGE', `backgroundBytesPerSecMax is 0 (no bound) or at least ${MIB}, not ${rate}`, {
    field: 'backgroundBytesPerSecMax',
    min: MIB,
  });
}

/** Unless they were asked for, the cache of large values and the indexes take a part of the memory at most. */
function fitParts(settings: ResourceSettings, input: ResourceSettingsInput): void {
  if (input.indexBytes === undefined) settings.indexBytes = Math.min(settings.indexBytes, settings.memoryBytes / INDEX_PART);
  if (input.valueCacheBytes === undefined)
    settings.valueCacheBytes = Math.min(settings.valueCacheBytes, settings.memoryBytes / VALUE_CACHE_PART);
}

function resolveNumbers<Fields extends string>(
  ranges: Record<Fields, Range>,
  input: Partial<Record<string, unknown>>,
  others: readonly string[],
): Record<Fields, number> {
  const resolved = Object.fromEntries(Object.entries<Range>(ranges).map(([field, range]) => [field, range.default])) as Record<
    Fields,
    number
  >;
  for (const [field, value] of Object.entries(input)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(ranges, field)) {
      const known = [...others, ...Object.keys(ranges)].join(', ');
      throw new SparrowError('invalid', 'OPTION_UNKNOWN', `unknown setting '${field}'; known are: ${known}`, { field });
    }
    resolved[field as Fields] = checkRange(field, value as number, ranges[field as Fields]);
  }
  return resolved;
}

/** A write's durability, or `invalid/OPTION_RANGE`. */
export function checkDurability(value: string): Durability {
  if (!DURABILITIES.includes(value)) {
    throw new SparrowError('invalid', 'OPTION_RANGE', `durability is one of ${DURABILITIES.join(', ')}, not '${String(value)}'`, {
      field: 'durability',
    });
  }
  return value as Durability;
}

/** `invalid/OPTION_RANGE`. */
export function checkPageCompression(value: PageCompression): PageCompression {
  if (PAGE_COMPRESSIONS.includes(value)) return value;
  throw new SparrowError('invalid', 'OPTION_RANGE', `compression is one of ${PAGE_COMPRESSIONS.join(', ')}, not '${String(value)}'`, {
    field: 'compression',
  });
}

/** By level, as far as it is given. `invalid/OPTION_UNKNOWN`, `invalid/OPTION_RANGE`. */
export function checkCompression(value: CompressionSetting): Partial<LevelCompression> {
  const levels = typeof value === 'object' && value !== null ? value : { upper: value, bottom: value };
  const resolved: Partial<LevelCompression> = {};
  for (const [field, compression] of Object.entries(levels)) {
    if (compression === undefined) continue;
    if (field !== 'upper' && field !== 'bottom') {
      throw new SparrowError('invalid', 'OPTION_UNKNOWN', `unknown setting 'compression.${field}'; known are: upper, bottom`, {
        field: `compression.${field}`,
      });
    }
    if (!PAGE_COMPRESSIONS.includes(compression)) {
      throw new SparrowError(
        'invalid',
        'OPTION_RANGE',
        `compression is one of ${PAGE_COMPRESSIONS.join(', ')}, or one for upper and one for bottom, not '${String(compression)}'`,
        { field: 'compression' },
      );
    }
    resolved[field] = compression;
  }
  return resolved;
}

function checkRange(field: string, value: number, range: Range): number {
  if (typeof value !== 'number' || !(value >= range.min && value <= range.max) || (range.integer && !Number.isInteger(value))) {
    throw new SparrowError(
      'invalid',
      'OPTION_RANGE',
      `${field} is ${range.integer ? 'a whole number' : 'a number'} from ${range.min} to ${range.max}, not ${String(value)}`,
      { field, min: range.min, max: range.max },
    );
  }
  return value;
}
