/** Compactions in parts: one outcome for all of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Engine, type EngineSettingsInput, open, verify } from '../../../engine/index.ts';
import type { Background, OnEnd } from '../../../engine/background/index.ts';
import type { CompactionJob, CompactionPart, CompactionResult } from '../../../engine/compaction/index.ts';
import { compactInParts } from '../../../engine/maintenance/parted-compaction.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const SETTINGS: EngineSettingsInput = {
  memtableBytes: 256 * 1024,
  tableBytes: 64 * 1024,
  level1Bytes: 4 * 2 ** 20,
  level0Compact: 16,
  pageCacheBytes: 2 ** 20,
  memoryBytes: 64 * 2 ** 20,
  maxBatchBytes: 2 ** 20,
  backgroundThreads: 3,
};

/** A background whose jobs end when the test says so. */
class Hand implements Background {
  readonly running: { job: CompactionJob; end: OnEnd<CompactionResult>; cancelled: boolean }[] = [];
  compactionsFree = 3;
  readonly #parts: readonly CompactionPart[];

  constructor(parts: number) {
    this.#parts = Array.from({ length: parts }, () => ({ from: undefined, to: undefined, inputs: [], bytes: 0 }));
  }
  flush(): void {}
  split(_: unknown, onEnd: OnEnd<readonly CompactionPart[]>): void {
    onEnd(undefined, this.#parts);
  }
  compact(job: CompactionJob, end: OnEnd<CompactionResult>): () => void {
    const one = { job, end, cancelled: false };
    this.running.push(one);
    return () => void (one.cancelled = true);
  }
  waitSync(): void {}
  close(): Promise<void> {
    return Promise.resolve();
  }
}

function resultOf(fileId: number): CompactionResult {
  return {
    outputs: [{ fileId } as CompactionResult['outputs'][number]],
    blockFiles: [],
    dead: [],
    versionsDropped: 0,
    versionsLeftOut: 0,
    bytesRead: 1,
    bytesWritten: 1,
  };
}

describe('the parts of a compaction', () => {
  const begin = (hand: Hand): { outcomes: { error: Error | undefined; tables: number[] }[] } => {
    const outcomes: { error: Error | undefined; tables: number[] }[] = [];
    const parting = { partsMax: 3, partBytesMin: 1, fileIds: () => [] };
    compactInParts(hand, {} as CompactionJob, parting, (error, results) =>
      outcomes.push({ error, tables: results.flatMap(({ outputs }) => outputs.map(({ fileId }) => fileId)) }),
    );
    return { outcomes };
  };

  it('end as one, by key, however they end among themselves', () => {
    const hand = new Hand(3);
    const { outcomes } = begin(hand);
    for (const part of [2, 0, 1]) {
      expect(outcomes).toEqual([]);
      hand.running[part]!.end(undefined, resultOf(part));
    }
    expect(outcomes).toEqual([{ error: undefined, tables: [0, 1, 2] }]);
  });

  it('are given up when one fails, and the first failure counts', () => {
    const hand = new Hand(3);
    const { outcomes } = begin(hand);
    hand.running[1]!.end(undefined, resultOf(1));
    hand.running[2]!.end(new Error('the disk'), undefined);
    expect(hand.running.map(({ cancelled }) => cancelled)).toEqual([true, true, true]);
    expect(outcomes).toEqual([]);
    hand.running[0]!.end(new Error('given up'), undefined);
    expect(outcomes).toEqual([{ error: new Error('the disk'), tables: [1] }]);
  });

  it('are not made of what cannot be divided', () => {
    const hand = new Hand(1);
    const { outcomes } = begin(hand);
    expect(hand.running).toHaveLength(1);
    hand.running[0]!.end(undefined, resultOf(5));
    expect(outcomes).toEqual([{ error: undefined, tables: [5] }]);
  });
});

/** Keys in a scattered order, every seventh with a large value. */
async function fill(engine: Engine, settle: <T>(promise: Promise<T>) => Promise<T>, count = 4000): Promise<void> {
  for (let i = 0; i < count; i++) {
    const key = `key/${String((i * 7919) % 2503).padStart(5, '0')}`;
    await settle(engine.put(key, Buffer.alloc(i % 7 === 0 ? 2000 : 200, `${i} `), { durability: 'buffered' }));
  }
  await settle(engine.deleteRange({ gte: 'key/00500', lt: 'key/00700' }));
  await settle(engine.flush());
}

function contents(engine: Engine): string[] {
  return [...engine.scanSync()].map(([key, value]) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`);
}

/** How many operations the disk has done for `compact` when its first compaction in parts is so far. */
async function operationOf(share: number): Promise<number> {
  const disk = new SimFileSystem();
  const scheduler = new SimScheduler();
  const settle = <T>(promise: Promise<T>): Promise<T> => scheduler.until(promise, 1e6);
  const engine = await settle(open('/data', SETTINGS, { fileSystem: disk, scheduler, clock: new SimClock(scheduler) }));
  await fill(engine, settle);
  const before = disk.operations;
  let begun = 0;
  let operation: number | undefined;
  engine.events.on('compaction-begun', () => (begun = disk.operations - before));
  engine.events.on('compaction-ended', ({ parts }) => {
    if (parts > 1) operation ??= begun + Math.max(1, Math.round((disk.operations - before - begun) * share));
  });
  await settle(engine.compact());
  await settle(engine.close());
  return operation!;
}

describe('an engine with several background threads', () => {
  it('compacts in parts on real threads', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-parts-'));
    try {
      const engine = await open(directory, SETTINGS);
      const parts: number[] = [];
      engine.events.on('compaction-ended', (event) => parts.push(event.parts));
      await fill(engine, (promise) => promise);
      const before = contents(engine);
      await engine.compact();
      expect(Math.max(...parts)).toBe(3);
      expect(contents(engine)).toEqual(before);
      await engine.close();
      expect(await verify(directory)).toMatchObject({ sound: true, noticeCount: 0 });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it.each([0.1, 0.4, 0.7, 0.95])(
    'leaves nothing of a compaction that finds the disk full in one part (%d of the way), and does it again',
    async (share) => {
      const at = await operationOf(share);
      const disk = new SimFileSystem();
      const scheduler = new SimScheduler();
      const settle = <T>(promise: Promise<T>): Promise<T> => scheduler.until(promise, 1e6);
      const engine = await settle(open('/data', SETTINGS, { fileSystem: disk, scheduler, clock: new SimClock(scheduler) }));
      await fill(engine, settle);
      const before = contents(engine);
      const outcomes: string[] = [];
      engine.events.on('compaction-ended', ({ outcome, parts }) => outcomes.push(`${outcome} ${parts > 1}`));
      disk.failAt({ at: disk.operations + at, error: 'ENOSPC' });
      await expect(settle(engine.compact())).rejects.toMatchObject({ code: 'DISK_FULL' });
      await settle(engine.compact());
      await settle(engine.settled());
      const full = outcomes.findIndex((outcome) => outcome.startsWith('disk-full'));
      expect(full).toBeGreaterThanOrEqual(0);
      expect(outcomes.slice(full)).toContain('done true');
      expect(contents(engine)).toEqual(before);
      await settle(engine.close());
      expect(disk.openFiles).toEqual([]);
      // No part's files are left, of those neither that had ended before the failure.
      expect(await verify('/data', {}, { fileSystem: disk })).toMatchObject({ sound: true, noticeCount: 0 });
    },
  );

  it('closes in the midst of it and leaves no files of parts behind', async () => {
    const disk = new SimFileSystem();
    const scheduler = new SimScheduler();
    const settle = <T>(promise: Promise<T>): Promise<T> => scheduler.until(promise, 1e6);
    for (const steps of [1, 3, 8, 20]) {
      const engine = await settle(open('/data', SETTINGS, { fileSystem: disk, scheduler, clock: new SimClock(scheduler) }));
      await fill(engine, settle, 2000);
      const before = contents(engine);
      const compacting = engine.compact().catch((error: { code: string }) => error.code);
      for (let step = 0; step < steps; step++) await scheduler.step();
      await settle(engine.close());
      expect(['ENGINE_CLOSED', undefined]).toContain(await compacting);
      expect(await verify('/data', {}, { fileSystem: disk })).toMatchObject({ sound: true, noticeCount: 0 });
      const again = await settle(open('/data', SETTINGS, { fileSystem: disk, scheduler, clock: new SimClock(scheduler) }));
      expect(contents(again)).toEqual(before);
      await settle(again.close());
    }
    expect(disk.openFiles).toEqual([]);
  });
});
