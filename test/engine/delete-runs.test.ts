/** Deletes that have nothing between them are written as one range delete: the same to every reader, and nothing for scans to walk over. */
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BatchOperation, type Engine, open } from '../../engine/index.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const SETTINGS = {
  memoryBytes: 64 * 2 ** 20,
  pageCacheBytes: 2 ** 20,
  memtableBytes: 2 ** 20,
  maxBatchBytes: 2 ** 20,
  maxValueBytes: 2 ** 20,
};

let scheduler: SimScheduler;
let engine: Engine;

async function start(): Promise<void> {
  scheduler = new SimScheduler();
  const components = { fileSystem: new SimFileSystem(), scheduler, clock: new SimClock(scheduler) };
  engine = await scheduler.until(open('/data', SETTINGS, components));
}

beforeEach(start);
afterEach(() => scheduler.until(engine.close()));

function keyAt(i: number): string {
  return `k${String(i).padStart(4, '0')}`;
}

function fill(from: number, to: number): void {
  for (let i = from; i < to; i++) void engine.put(keyAt(i), `v${i}`, { durability: 'buffered' });
}

function deletes(from: number, to: number): BatchOperation[] {
  return Array.from({ length: to - from }, (_, i) => ({ type: 'delete' as const, key: keyAt(from + i) }));
}

function write(batch: BatchOperation[]): Promise<unknown> {
  return scheduler.until(engine.write(batch));
}

async function flush(): Promise<void> {
  await scheduler.until(engine.flush());
}

function keys(): string[] {
  return [...engine.scanSync({ keysOnly: true })].map(([key]) => Buffer.from(key).toString());
}

/** Point deletes that a flush has written. */
function pointDeletes(): number {
  return engine.metrics().tables.deletes;
}

describe('a batch of deletes in key order', () => {
  test('with nothing in between leaves no deletes, and joins the one before', async () => {
    fill(0, 1000);
    using snapshot = engine.snapshot();
    await flush();
    for (let from = 0; from < 500; from += 100) await write(deletes(from, from + 100));
    expect(keys()).toEqual(Array.from({ length: 500 }, (_, i) => keyAt(500 + i)));
    expect(engine.metrics().writes.operations).toBe(1500);
    await flush();
    expect(pointDeletes()).toBe(0);
    expect(keys()).toHaveLength(500);
    expect([...engine.scanSync({ snapshot })]).toHaveLength(1000);
  });

  test.each([
    ['a key that stays', () => void engine.put(`${keyAt(60)}x`, 'stays'), 39],
    ['a key at the beginning', () => void engine.put(`${keyAt(0)}x`, 'stays'), 99],
    ['another keyspace between', () => void engine.put('a', 'stays'), 0],
  ])('stops at %s', async (_, disturb, left) => {
    fill(0, 100);
    await flush();
    disturb();
    const before = keys().length;
    await write(deletes(0, 100));
    expect(keys()).toHaveLength(before - 100);
    await flush();
    // The 61 deletes up to the one that stays are one, the rest are themselves. With less than 32 of them all are.
    expect(pointDeletes()).toBe(left === 99 ? 100 : left);
  });

  test('takes keys that were deleted already, and never were, along', async () => {
    fill(0, 100);
    for (let i = 10; i < 50; i++) void engine.delete(keyAt(i));
    await write([...deletes(0, 100), { type: 'delete', key: keyAt(9999) }]);
    expect(keys()).toEqual([]);
    void engine.put(keyAt(20), 'again');
    expect(keys()).toEqual([keyAt(20)]);
    await flush();
    expect(keys()).toEqual([keyAt(20)]);
  });

  test('is what it says beside puts, in any order, and of several keyspaces', async () => {
    const other = await scheduler.until(engine.keyspace('other'));
    fill(0, 200);
    for (let i = 0; i < 200; i++) void other.put(keyAt(i), 'other');
    await write([{ type: 'put', key: keyAt(50), value: 'new' }, ...deletes(0, 40)]);
    await write(deletes(100, 150).toReversed());
    await write(deletes(150, 200).map((operation, i) => (i % 2 === 0 ? { ...operation, keyspace: other } : operation)));
    expect(keys()).toHaveLength(200 - 40 - 50 - 25);
    expect([...other.scanSync()]).toHaveLength(175);
  });

  test('agrees with a map, whatever was there, with snapshots and flushes in between', async () => {
    const step = fc.oneof(
      fc.record({
        type: fc.constant('put' as const),
        at: fc.nat(150),
        count: fc.integer({ min: 1, max: 60 }),
        by: fc.integer({ min: 1, max: 3 }),
      }),
      fc.record({
        type: fc.constant('delete' as const),
        at: fc.nat(150),
        count: fc.integer({ min: 32, max: 90 }),
        by: fc.integer({ min: 1, max: 2 }),
      }),
      fc.constantFrom({ type: 'snapshot' as const }, { type: 'flush' as const }, { type: 'release' as const }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25, size: 'max' }), async (steps) => {
        await scheduler.until(engine.close());
        await start();
        const map = new Set<string>();
        let held: { snapshot: ReturnType<Engine['snapshot']>; seen: string[] } | undefined;
        for (const each of steps) {
          if (each.type === 'flush') await flush();
          else if (each.type === 'release') {
            held?.snapshot.release();
            held = undefined;
          } else if (each.type === 'snapshot') held ??= { snapshot: engine.snapshot(), seen: [...map].toSorted() };
          else {
            const touched = Array.from({ length: each.count }, (_, i) => keyAt(each.at + i * each.by));
            await write(touched.map((key) => (each.type === 'put' ? { type: 'put', key, value: 'v' } : { type: 'delete', key })));
            for (const key of touched)
              if (each.type === 'put') map.add(key);
              else map.delete(key);
          }
          expect(keys()).toEqual([...map].toSorted());
          if (held) {
            const { snapshot, seen } = held;
            expect([...engine.scanSync({ snapshot, keysOnly: true })].map(([key]) => Buffer.from(key).toString())).toEqual(seen);
          }
        }
        held?.snapshot.release();
        await scheduler.until(engine.settled());
        expect(keys()).toEqual([...map].toSorted());
      }),
      { numRuns: 60 },
    );
  });
});

describe("a queue's consumer, who looks for the head and deletes it", () => {
  test('leaves few deletes behind, and takes nothing along that somebody put there meanwhile', async () => {
    fill(0, 1000);
    await flush();
    for (let i = 0; i < 900; i++) {
      const [head] = engine.scanSync({ limit: 1, keysOnly: true });
      expect(Buffer.from(head![0]).toString()).toBe(keyAt(i));
      void engine.delete(keyAt(i));
    }
    // Between the look and the delete.
    for (const entry of engine.scanSync({ limit: 1 })) void entry;
    void engine.put(keyAt(3), 'back');
    void engine.delete(keyAt(900));
    expect(keys()).toEqual([keyAt(3), ...Array.from({ length: 99 }, (_, i) => keyAt(901 + i))]);
    await flush();
    expect(keys()).toHaveLength(100);
    expect(pointDeletes()).toBeLessThan(100);
  });
});
