/**
 * Short lives of a store. The first passes everything a crash could fall into: the first opening, log segments that fill up, group commits,
 * values in the log, flushes, compactions with deletes and with values to move, a snapshot meanwhile, closing and opening again.
 * The others are about one thing each.
 */
import type { EngineSettingsInput } from '../../engine/index.ts';
import type { Command, DrawnWrite, Run } from '../model/commands.ts';

const SETTINGS: EngineSettingsInput = {
  inlineThreshold: 256,
  memtableBytes: 64 * 1024,
  segmentBytes: 64 * 1024,
  tableBytes: 64 * 1024,
  level0Compact: 2,
  level1Bytes: 256 * 1024,
  levelRatio: 2,
  garbageRatio: 0.05,
  manifestBytes: 1024,
  pageCacheBytes: 1024 * 1024,
  memoryBytes: 64 * 1024 * 1024,
  maxBatchBytes: 8 * 1024 * 1024,
  maxValueBytes: 1024 * 1024,
};

function write(durability: 'buffered' | 'os' | 'synced', awaited: boolean, ...writes: DrawnWrite[]): Command {
  return { type: 'write', writes, durability, awaited };
}

function many(from: number, count: number, bytes: number): DrawnWrite[] {
  return Array.from({ length: count }, (_, i) => ({ key: from + i, bytes }));
}

const COMMANDS: readonly Command[] = [
  write('synced', true, { key: 1, bytes: 20 }),
  write('buffered', false, { key: 2, bytes: 30 }),
  write('os', true, { key: 3, bytes: 3000 }, { key: 1, bytes: undefined }, { key: 40, bytes: 5 }),
  { type: 'flush' },
  { type: 'fill', from: 36, count: 20, bytes: 4000 },
  write('synced', false, { key: 41, bytes: 700 }),
  write('synced', false, { key: 42, bytes: 0 }, { key: 43, bytes: 1000 }),
  { type: 'wait' },
  { type: 'flush' },
  { type: 'snapshot' },
  { type: 'fill', from: 36, count: 12, bytes: 100 },
  write('synced', true, { key: 3, bytes: undefined }),
  { type: 'flush' },
  { type: 'settle' },
  { type: 'releaseSnapshot', which: 0 },
  { type: 'reopen' },
  { type: 'fill', from: 30, count: 8, bytes: 9000 },
  write('os', true, { key: 77, bytes: 10 }),
  { type: 'flush' },
  { type: 'fill', from: 30, count: 8, bytes: undefined },
  write('synced', true, { key: 78, bytes: 10 }),
  { type: 'flush' },
  { type: 'settle' },
  write('buffered', false, { key: 79, bytes: 2000 }),
];

/** Range deletes, from the log over the manifest to tables that go whole or are rewritten, with what a snapshot sees in between. */
const RANGE_DELETES: readonly Command[] = [
  { type: 'fill', from: 36, count: 12, bytes: 1500 },
  { type: 'flush' },
  { type: 'fill', from: 60, count: 12, bytes: 1500 },
  { type: 'flush' },
  { type: 'snapshot' },
  // What a batch puts before its range delete goes, what it puts behind stays.
  write('synced', true, { key: 45, bytes: 5 }, { key: 40, bytes: undefined, to: 77 }, { key: 44, bytes: 600 }),
  { type: 'flush' },
  { type: 'releaseSnapshot', which: 0 },
  { type: 'settle' },
  write('os', true, { key: 36, bytes: undefined, to: 38 }),
  write('buffered', false, { key: 79, bytes: 2000 }),
];

/** Values that expire: before a flush, before a compaction that drops them or a table of them, and after. */
const EXPIRY: readonly Command[] = [
  { type: 'fill', from: 36, count: 12, bytes: 1500, ttl: 1000 },
  write('synced', true, { key: 70, bytes: 700, ttl: 5 }, { key: 71, bytes: 5, ttl: 10_000 }),
  { type: 'pass', ms: 10 },
  { type: 'flush' },
  { type: 'fill', from: 42, count: 12, bytes: 900 },
  { type: 'snapshot' },
  { type: 'flush' },
  { type: 'pass', ms: 2000 },
  { type: 'settle' },
  { type: 'releaseSnapshot', which: 0 },
  { type: 'pass', ms: 20_000 },
  write('os', true, { key: 71, bytes: 6, ttl: 10_000 }),
  { type: 'flush' },
  { type: 'settle' },
  write('buffered', false, { key: 79, bytes: 2000, ttl: 'never' }),
];

/** Keyspaces whose settings are altered between the tables that they hold for, while they are dropped and made again, and after all. */
const SETTINGS_ALTERED: readonly Command[] = [
  { type: 'settings', keyspace: 1, settings: { compression: 'lz4', filterBitsPerKey: 0 } },
  { type: 'fill', from: 36, count: 30, bytes: 200, keyspace: 1 },
  { type: 'fill', from: 36, count: 20, bytes: 200 },
  { type: 'flush' },
  { type: 'settings', keyspace: 1, settings: { compression: { upper: 'zstd', bottom: 'none' }, inlineThreshold: 64 } },
  { type: 'settings', keyspace: 2, settings: { compression: 'zstd' } },
  { type: 'fill', from: 40, count: 30, bytes: 200, keyspace: 1 },
  { type: 'fill', from: 40, count: 30, bytes: 90, keyspace: 2 },
  { type: 'flush' },
  { type: 'settle' },
  { type: 'settings', keyspace: 2, settings: {} },
  write('synced', true, { key: 45, bytes: 100, keyspace: 2 }, { key: 45, bytes: 100, keyspace: 1 }),
  { type: 'drop', keyspace: 1 },
  { type: 'reopen' },
  { type: 'settings', keyspace: 1, settings: { filterBitsPerKey: 20 } },
  { type: 'fill', from: 50, count: 10, bytes: 200, keyspace: 1 },
  { type: 'flush' },
  { type: 'settle' },
  write('buffered', false, { key: 79, bytes: 2000 }),
];

/** Small values, so that tables are large, and level 0 is merged in parts; a deleted range and values to move among them. */
const PARTS: readonly Command[] = [
  write('os', true, ...many(36, 36, 3900), ...many(50, 3, 9000)),
  { type: 'flush' },
  write('synced', true, ...many(40, 36, 3800)),
  write('synced', true, { key: 50, bytes: undefined, to: 56 }, { key: 44, bytes: 600 }),
  { type: 'flush' },
  { type: 'settle' },
  write('os', true, { key: 36, bytes: undefined }),
  { type: 'settle' },
  write('buffered', false, { key: 79, bytes: 2000 }),
];

/** Keyspaces that are made, dropped with what tables and log have of them, and made anew under the same name. */
const KEYSPACES: readonly Command[] = [
  { type: 'fill', from: 36, count: 12, bytes: 1500, keyspace: 1 },
  write('synced', true, { key: 1, bytes: 20, keyspace: 2 }, { key: 2, bytes: 700 }),
  { type: 'flush' },
  { type: 'fill', from: 40, count: 6, bytes: 90, keyspace: 1 },
  { type: 'snapshot' },
  { type: 'drop', keyspace: 1 },
  write('os', true, { key: 40, bytes: 300, keyspace: 1 }),
  { type: 'flush' },
  { type: 'releaseSnapshot', which: 0 },
  { type: 'drop', keyspace: 2 },
  { type: 'settle' },
  write('synced', true, { key: 41, bytes: 10, keyspace: 2 }),
  { type: 'drop', keyspace: 1 },
  write('buffered', false, { key: 79, bytes: 2000, keyspace: 3 }),
];

export type Script = 'life' | 'rangeDeletes' | 'expiry' | 'settings' | 'keyspaces' | 'parts';
const SCRIPTS: Readonly<Record<Script, readonly Command[]>> = {
  life: COMMANDS,
  rangeDeletes: RANGE_DELETES,
  expiry: EXPIRY,
  settings: SETTINGS_ALTERED,
  keyspaces: KEYSPACES,
  parts: PARTS,
};
export const SCRIPT_NAMES = Object.keys(SCRIPTS) as readonly Script[];
/** What a script has otherwise. */
const OTHERWISE: Partial<Readonly<Record<Script, EngineSettingsInput>>> = { parts: { inlineThreshold: 4096, backgroundThreads: 2 } };

export function scriptedRun(seed: number, script: Script = 'life'): Run {
  // Both ways of a sync: on the caller's thread and beside it.
  return { seed, settings: { ...SETTINGS, ...OTHERWISE[script], callerSyncMs: seed % 2 === 0 ? 0 : 0.5 }, commands: SCRIPTS[script] };
}
