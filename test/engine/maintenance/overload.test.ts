/**
 * Writers that bring more than the background may take away, on virtual time: what each of their writes waits. `bench/engine/overload.ts` measures the
 * same on a real machine.
 */
import { expect, test } from 'vitest';
import { type EngineMetrics, open } from '../../../engine/index.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const MIB = 2 ** 20;
const SETTINGS = {
  memoryBytes: 64 * MIB,
  pageCacheBytes: MIB,
  maxBatchBytes: MIB,
  maxValueBytes: MIB / 4,
  memtableBytes: 64 * 1024,
  segmentBytes: 256 * 1024,
  tableBytes: 64 * 1024,
  level1Bytes: 256 * 1024,
};
const SECONDS = 8;
const KEYS = 5000;
const VALUE = new Uint8Array(100);

/** `pauseMs`: after each put. `rate`: what flushes and compactions may read and write in a second. */
async function overload(load: {
  writers: number;
  pauseMs: number;
  rate: number;
  value?: Uint8Array;
}): Promise<{ waits: number[]; bySecond: number[]; metrics: EngineMetrics }> {
  const scheduler = new SimScheduler();
  const settings = { ...SETTINGS, backgroundBytesPerSecMax: load.rate };
  const components = { fileSystem: new SimFileSystem(), scheduler, clock: new SimClock(scheduler) };
  const engine = await scheduler.until(open('/data', settings, components));
  const random = new SimRandom(load.writers);
  const waits: number[] = [];
  const bySecond: number[] = [];
  let isOver = false;
  const writer = async (): Promise<void> => {
    while (!isOver) {
      const begunMs = scheduler.nowMs;
      await engine.put(`k${random.below(KEYS)}`, load.value ?? VALUE);
      waits.push(scheduler.nowMs - begunMs);
      await new Promise<void>((resolve) => scheduler.after(load.pauseMs, resolve));
    }
  };
  const all = Promise.all(Array.from({ length: load.writers }, writer));
  for (let second = 1; second <= SECONDS; second++) {
    const before = waits.length;
    await scheduler.runUntil(() => scheduler.nowMs >= second * 1000);
    bySecond.push(waits.length - before);
  }
  const metrics = engine.metrics();
  isOver = true;
  await scheduler.until(all);
  await scheduler.until(engine.close());
  return { waits: waits.toSorted((a, b) => a - b), bySecond, metrics };
}

test.each([
  { writers: 1, pauseMs: 0.2, rate: MIB },
  { writers: 4, pauseMs: 0.5, rate: MIB },
  { writers: 8, pauseMs: 1, rate: 2 * MIB },
  // At the least rate that can be set.
  { writers: 64, pauseMs: 0.5, rate: MIB, value: new Uint8Array(1024) },
])('$writers writers are slowed and never stopped: 99.9 % of puts take less than 50 ms', async (load) => {
  const { waits, bySecond, metrics } = await overload(load);
  // It was an overload, and what was allowed behind was kept to. A step may be done on credit.
  expect(metrics.stalls.count + metrics.stalls.now.length).toBeGreaterThan(0);
  const { flush, compaction } = metrics.backgroundIo.bytesByKind;
  expect(compaction).toBeLessThan(load.rate * SECONDS + 2 * MIB);
  expect(flush).toBeGreaterThan(0);
  expect(waits[Math.floor(waits.length * 0.999)]).toBeLessThan(50);
  expect(waits.at(-1)).toBeLessThan(100);
  expect(Math.min(...bySecond)).toBeGreaterThan(0);
  expect(metrics.stalls.blocking.count).toBe(0);
});
