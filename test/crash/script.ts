/**
 * A short life of a store that passes everything a crash could fall into: the first opening, log segments that fill up, group commits,
 * values in the log, flushes, compactions with deletes and with values to move, a snapshot meanwhile, closing and opening again.
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

export function scriptedRun(seed: number): Run {
  // Both ways of a sync: on the caller's thread and beside it.
  return { seed, settings: { ...SETTINGS, callerSyncMs: seed % 2 === 0 ? 0 : 0.5 }, commands: COMMANDS };
}
