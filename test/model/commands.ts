/** What a model run may do, and how runs are drawn. Small domains, so that keys collide, memtables overlap and snapshots matter. */
import fc from 'fast-check';
import type { Durability, EngineSettingsInput, KeyspaceSettings, ScanOptions } from '../../engine/index.ts';
import { CRASH_MODES, type CrashMode } from '../sim/sim-file.ts';

/** 0: the default one. The others are made when they are first used. */
export const KEYSPACES = 4;

/** Milliseconds from now; 0 or less: a time that has come; `never`: though the keyspace has a default. */
export type DrawnTtl = number | 'never';

/** `key` is a number that `keyOf` spells; `bytes` undefined is a delete. */
export interface DrawnWrite {
  readonly key: number;
  readonly bytes: number | undefined;
  /** A delete of all keys between the two, the smaller one included. */
  readonly to?: number | undefined;
  /** An increment. */
  readonly by?: number | undefined;
  readonly ttl?: DrawnTtl | undefined;
  readonly keyspace?: number | undefined;
}

export interface DrawnCondition {
  readonly key: number;
  readonly keyspace: number;
  readonly kind: 'absent' | 'value' | 'version';
  /** It asks for what is not there. */
  readonly wrong: boolean;
}

export interface DrawnScan {
  readonly from: { readonly key: number; readonly exclusive: boolean } | undefined;
  readonly to: { readonly key: number; readonly exclusive: boolean } | undefined;
  readonly prefix: number | undefined;
  readonly reverse: boolean;
  readonly limit: number | undefined;
  readonly keysOnly: boolean;
}

export type Command =
  | {
      readonly type: 'write';
      readonly writes: readonly DrawnWrite[];
      readonly durability: Durability;
      readonly awaited: boolean;
      readonly conditions?: readonly DrawnCondition[];
    }
  | {
      readonly type: 'fill';
      readonly from: number;
      readonly count: number;
      readonly bytes: number | undefined;
      readonly keyspace?: number;
      readonly ttl?: DrawnTtl | undefined;
    }
  | { readonly type: 'get'; readonly keys: readonly number[]; readonly keyspace?: number }
  | { readonly type: 'scan'; readonly scan: DrawnScan; readonly keyspace?: number }
  | { readonly type: 'snapshot' }
  | {
      readonly type: 'readSnapshot';
      readonly which: number;
      readonly keys: readonly number[];
      readonly scan: DrawnScan;
      readonly keyspace?: number;
    }
  | { readonly type: 'releaseSnapshot'; readonly which: number }
  /** `seeks`: by `iterator`, else by `scan`. */
  | { readonly type: 'openIterator'; readonly scan: DrawnScan; readonly keyspace?: number; readonly seeks?: boolean }
  | { readonly type: 'advanceIterator'; readonly which: number; readonly count: number; readonly to?: number | undefined }
  /** Time goes by. */
  | { readonly type: 'pass'; readonly ms: number }
  /** In the form in which a keyspace shows them. */
  | { readonly type: 'settings'; readonly keyspace: number; readonly settings: KeyspaceSettings }
  | { readonly type: 'drop'; readonly keyspace: number }
  | { readonly type: 'flush' }
  | { readonly type: 'sync' }
  | { readonly type: 'settle' }
  | { readonly type: 'wait' }
  | { readonly type: 'reopen' }
  | { readonly type: 'crash'; readonly mode: CrashMode | 'process'; readonly after: number };

const KEYS = 80;

/** Short and long keys, keys that are prefixes of others, bytes at both ends of the range; never empty. */
export function keyOf(number: number): Uint8Array {
  const n = number % KEYS;
  if (n < 10) return Uint8Array.of(n * 28);
  if (n < 20) return Buffer.from('a'.repeat(n - 9), 'latin1');
  if (n < 30) return Uint8Array.from([0xff, 0xff, 0xff, n % 3].slice(0, 1 + (n % 4)));
  if (n < 36) return Buffer.from(`long/${'x'.repeat(n * 40)}/${n}`, 'latin1');
  return Buffer.from(`key/${String(n).padStart(4, '0')}`, 'latin1');
}

/** Content that tells which write it is from. */
export function valueOf(stamp: number, bytes: number): Uint8Array {
  const value = Buffer.alloc(bytes, `<${stamp}>`, 'latin1');
  if (bytes >= 8) value.writeUInt32LE(stamp, bytes - 4);
  return value;
}

export function scanOptionsOf(scan: DrawnScan): ScanOptions {
  const options: ScanOptions = { reverse: scan.reverse, keysOnly: scan.keysOnly };
  if (scan.limit !== undefined) options.limit = scan.limit;
  if (scan.prefix !== undefined) {
    options.prefix = keyOf(scan.prefix).subarray(0, 1 + (scan.prefix % 4));
    return options;
  }
  if (scan.from) options[scan.from.exclusive ? 'gt' : 'gte'] = keyOf(scan.from.key);
  if (scan.to) options[scan.to.exclusive ? 'lt' : 'lte'] = keyOf(scan.to.key);
  return options;
}

const key = fc.nat(KEYS - 1);
const smallSize = fc.oneof(
  { weight: 2, arbitrary: fc.nat(40) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 63, 64, 255, 256, 1023, 1024, 4000, 4096, 7990, 8100) },
);
const size = fc.oneof({ weight: 9, arbitrary: smallSize }, { weight: 1, arbitrary: fc.integer({ min: 10_000, max: 70_000 }) });
const keyspace = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: KEYSPACES - 1 }) });
const ttl: fc.Arbitrary<DrawnTtl | undefined> = fc.oneof(
  { weight: 8, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.constantFrom(1, 3, 20, 200, 5000, 100_000) },
  { weight: 1, arbitrary: fc.constantFrom<DrawnTtl>(0, -1, 'never') },
);
const deleted = fc.constant(undefined);
const write: fc.Arbitrary<DrawnWrite> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ key, bytes: size, ttl, keyspace }) },
  { weight: 3, arbitrary: fc.record({ key, bytes: deleted, keyspace }) },
  { weight: 3, arbitrary: fc.record({ key: fc.nat(9), bytes: deleted, by: fc.integer({ min: -5, max: 9 }), ttl, keyspace }) },
  { weight: 1, arbitrary: fc.record({ key, bytes: deleted, to: key, keyspace }) },
);
const condition: fc.Arbitrary<DrawnCondition> = fc.record({
  key,
  keyspace,
  kind: fc.constantFrom('absent', 'value', 'version'),
  wrong: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});
const bound = fc.option(fc.record({ key, exclusive: fc.boolean() }), { nil: undefined });
const scan: fc.Arbitrary<DrawnScan> = fc.record({
  from: bound,
  to: bound,
  prefix: fc.option(key, { nil: undefined, freq: 4 }),
  reverse: fc.boolean(),
  limit: fc.option(fc.nat(30), { nil: undefined }),
  keysOnly: fc.boolean(),
});
const which = fc.nat(3);
const keys = fc.array(key, { minLength: 1, maxLength: 8 });

export const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      writes: fc.oneof(
        { weight: 3, arbitrary: fc.tuple(write) },
        { weight: 1, arbitrary: fc.array(write, { minLength: 1, maxLength: 12 }) },
      ),
      durability: fc.constantFrom<Durability>('buffered', 'os', 'synced'),
      awaited: fc.boolean(),
      conditions: fc.oneof(
        { weight: 4, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: fc.array(condition, { minLength: 1, maxLength: 3 }) },
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('fill' as const),
      from: key,
      count: fc.integer({ min: 1, max: 60 }),
      // Sometimes as much as makes compactions large enough for parts.
      bytes: fc.oneof({ weight: 3, arbitrary: smallSize }, { weight: 1, arbitrary: fc.constant(3900) }),
      keyspace,
      ttl,
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('get' as const), keys, keyspace }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('scan' as const), scan, keyspace }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('snapshot' as const) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('readSnapshot' as const), which, keys, scan, keyspace }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('releaseSnapshot' as const), which }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('openIterator' as const), scan, keyspace, seeks: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('advanceIterator' as const),
      which,
      count: fc.integer({ min: 1, max: 40 }),
      to: fc.option(key, { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('pass' as const), ms: fc.constantFrom(1, 10, 150, 3000, 60_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('settings' as const),
      keyspace: fc.integer({ min: 1, max: KEYSPACES - 1 }),
      settings: fc.record(
        {
          ttlMs: fc.constantFrom(5, 1000),
          inlineThreshold: fc.constantFrom(64, 4096),
          compression: fc.constantFrom<NonNullable<KeyspaceSettings['compression']>>(
            'none',
            'lz4',
            'zstd',
            { bottom: 'zstd' },
            { upper: 'lz4', bottom: 'none' },
          ),
          filterBitsPerKey: fc.constantFrom(0, 2, 20),
        },
        { requiredKeys: [], noNullPrototype: true },
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('drop' as const), keyspace: fc.integer({ min: 1, max: KEYSPACES - 1 }) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('sync' as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('settle' as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('wait' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('crash' as const),
      mode: fc.constantFrom<CrashMode | 'process'>(...CRASH_MODES, 'process'),
      after: fc.nat(25),
    }),
  },
);

/** Settings near their lower ends, so that everything happens in a short run. */
export const anySettings: fc.Arbitrary<EngineSettingsInput> = fc.record({
  inlineThreshold: fc.constantFrom(64, 256, 1024, 4096),
  memtableBytes: fc.constant(64 * 1024),
  segmentBytes: fc.constantFrom(64 * 1024, 256 * 1024),
  tableBytes: fc.constant(64 * 1024),
  level0Compact: fc.constantFrom(1, 2, 4),
  backgroundThreads: fc.constantFrom(1, 2, 3),
  level1Bytes: fc.constant(256 * 1024),
  levelRatio: fc.constantFrom(2, 10),
  garbageRatio: fc.constantFrom(0.05, 0.3, 0.9),
  callerSyncMs: fc.constantFrom(0, 0.5),
  indexBytes: fc.constantFrom(0, 64 * 1024, 8 * 1024 * 1024),
  compression: fc.constantFrom('none' as const, 'lz4' as const, { upper: 'lz4' as const, bottom: 'zstd' as const }),
  filterBitsPerKey: fc.constantFrom(12, 12, 0, 3),
  manifestBytes: fc.constantFrom(256, 1024 * 1024),
  pageCacheBytes: fc.constant(1024 * 1024),
  memoryBytes: fc.constant(64 * 1024 * 1024),
  maxBatchBytes: fc.constant(8 * 1024 * 1024),
  maxValueBytes: fc.constant(1024 * 1024),
});

export interface Run {
  readonly seed: number;
  /** Of an engine under a host's log. */
  readonly hosted?: boolean;
  readonly settings: EngineSettingsInput;
  readonly commands: readonly Command[];
}

/** fast-check shrinks the commands one by one, then what is in them. */
export function anyRun(commandsMax: number, hosted = false): fc.Arbitrary<Run> {
  return fc.record({
    seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    hosted: fc.constant(hosted),
    settings: anySettings,
    commands: fc.array(anyCommand, { minLength: 1, maxLength: commandsMax, size: 'max' }),
  });
}
