/** What is left of an engine that has been closed: what it gave out refuses, also where it had something at hand; and nothing holds it. */
import { expect, test } from 'vitest';
import type { Scheduler, Timer } from '../../base/env.ts';
import { NodeScheduler } from '../../base/node/index.ts';
import { type Engine, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const CLOSED = expect.objectContaining({ kind: 'closed', code: 'ENGINE_CLOSED' }) as Error;

async function filled(): Promise<Engine> {
  const engine = await open('/store', { memoryBytes: 2 ** 28, pageCacheBytes: 2 ** 20 }, { fileSystem: new SimFileSystem() });
  for (let i = 0; i < 100; i++) await engine.put(`k${i}`, 'v');
  return engine;
}

test('an iterator has nothing left of its window', async () => {
  const engine = await filled();
  const iterator = engine.iterator();
  iterator.next();
  await engine.close();
  expect(() => iterator.next()).toThrow(CLOSED);
  expect(() => iterator.nextMany(3)).toThrow(CLOSED);
  expect(() => iterator.seek('k5')).toThrow(CLOSED);
  iterator.close();
});

test('a scan has nothing left of its window, and may be left', async () => {
  const engine = await filled();
  const scan = engine.scanSync()[Symbol.iterator]();
  const other = engine.scan()[Symbol.asyncIterator]();
  scan.next();
  await other.next();
  await engine.close();
  expect(() => scan.next()).toThrow(CLOSED);
  expect(scan.return!()).toEqual({ done: true, value: undefined });
  expect(scan.next()).toEqual({ done: true, value: undefined });
  await expect(other.next()).rejects.toEqual(CLOSED);
});

/** Knows which of its timers are still to come. */
class WatchedScheduler implements Scheduler {
  readonly delays = new Map<Timer, number>();
  readonly #scheduler = new NodeScheduler();

  after(delayMs: number, task: () => void, background?: boolean): Timer {
    const due = (): void => {
      this.delays.delete(watched);
      task();
    };
    const timer = this.#scheduler.after(delayMs, due, background);
    const watched: Timer = {
      cancel: () => {
        this.delays.delete(watched);
        timer.cancel();
      },
    };
    this.delays.set(watched, delayMs);
    return watched;
  }

  soon(task: () => void): void {
    this.#scheduler.soon(task);
  }
}

// One held the engine and its memory until the next value expires, an hour at most.
test('no timer is left', async () => {
  const scheduler = new WatchedScheduler();
  const settings = { memoryBytes: 2 ** 28, pageCacheBytes: 2 ** 20, memtableBytes: 64 * 1024 };
  const engine = await open('/store', settings, { fileSystem: new SimFileSystem(), scheduler });
  for (let table = 0; table < 2; table++) {
    for (let i = 0; i < 100; i++) await engine.put(`k${i}`, Buffer.alloc(500), { ttlMs: 86_400_000 });
    await engine.deleteRange({ gte: 'k1', lt: 'k2' });
    await engine.flush();
  }
  for (let i = 0; i < 200; i++) await engine.put(`k${i}`, Buffer.alloc(500));
  expect([...scheduler.delays.values()].filter((ms) => ms > 1000).length).toBeGreaterThan(0);
  await engine.close();
  expect([...scheduler.delays.values()]).toEqual([]);
});
