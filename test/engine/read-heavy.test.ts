/** Level 0 goes down early when reads have spent on it what the merge costs, and stays when they have not. */
import { expect, test } from 'vitest';
import { open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const SETTINGS = {
  memoryBytes: 64 * 1024 * 1024,
  pageCacheBytes: 1024 * 1024,
  memtableBytes: 65536,
  maxBatchBytes: 2 ** 20,
  maxValueBytes: 2 ** 20,
};

test.each([
  ['point reads', 20_000, 0, 2],
  ['scans', 0, 2000, 2],
  ['few reads', 300, 20, 0],
])('%s of level 0', async (_, gets, scans, moved) => {
  const scheduler = new SimScheduler();
  const components = { fileSystem: new SimFileSystem(), scheduler, clock: new SimClock(scheduler) };
  const engine = await scheduler.until(open('/data', SETTINGS, components));
  for (let table = 0; table < 2; table++) {
    for (let i = 0; i < 50; i++) void engine.put(`${i}`, `${table}`.repeat(50), { durability: 'buffered' });
    await scheduler.until(engine.flush());
  }
  await scheduler.until(engine.settled());
  const merged: string[] = [];
  engine.events.on('compaction-begun', ({ reason, inputs }) => merged.push(...inputs.map(() => reason)));
  for (let i = 0; i < gets; i++) engine.getSync(`${i % 50}`);
  for (let i = 0; i < scans; i++) for (const entry of engine.scanSync({ limit: 1 })) void entry;
  await scheduler.advance(60_000);
  expect(merged).toEqual(Array(moved).fill('reads'));
  expect(engine.metrics().tables.levels.map(({ tables }) => tables)).toEqual(moved > 0 ? [0, 1] : [2]);
  await scheduler.until(engine.close());
});
