/** What was overwritten is given back when nobody writes any more, though no level is over its size. */
import { expect, test } from 'vitest';
import { open } from '../../engine/index.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const SETTINGS = {
  memoryBytes: 64 * 1024 * 1024,
  pageCacheBytes: 1024 * 1024,
  memtableBytes: 2 ** 17,
  tableBytes: 2 ** 16,
  maxBatchBytes: 2 ** 20,
  maxValueBytes: 2 ** 20,
};

test.each([
  ['while writes may come back', 10_000, false],
  ['after half a minute', 30_000, true],
])('%s', async (_, waitMs, merged) => {
  const scheduler = new SimScheduler();
  const components = { fileSystem: new SimFileSystem(), scheduler, clock: new SimClock(scheduler) };
  const engine = await scheduler.until(open('/data', SETTINGS, components));
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 500; i++) void engine.put(`${i}`, `${round}`.repeat(100), { durability: 'buffered' });
    await scheduler.until(engine.flush());
  }
  const before = engine.metrics().space.diskBytes;
  const reasons: string[] = [];
  engine.events.on('compaction-ended', ({ reason }) => reasons.push(reason));
  await scheduler.advance(waitMs);
  expect(reasons).toEqual(merged ? ['overlap'] : []);
  const { diskBytes } = engine.metrics().space;
  if (merged) expect(diskBytes).toBeLessThan(before / 2);
  else expect(diskBytes).toBe(before);
  await scheduler.until(engine.close());
});
