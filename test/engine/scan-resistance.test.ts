import { describe, expect, test } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

/** 128 frames. */
const CACHE_BYTES = 2 ** 20;
const KEYS = 120_000;
/** In some 60 pages. */
const HOT_KEYS = 4000;
const key = (i: number): string => `key${String(i).padStart(6, '0')}`;

async function filled(): Promise<Engine> {
  const engine = await open(
    '/store',
    { memtableBytes: 8 * 2 ** 20, pageCacheBytes: CACHE_BYTES, memoryBytes: 128 * 2 ** 20, maxBatchBytes: 2 ** 20, maxValueBytes: 2 ** 16 },
    { fileSystem: new SimFileSystem() },
  );
  for (let i = 0; i < KEYS; i++) await engine.put(key(i), `${i}`.padStart(90, '.'), { durability: 'buffered' });
  await engine.flush();
  await engine.settled();
  return engine;
}

const loadsOf = (engine: Engine): number => engine.metrics().pageCache.misses;

describe('page cache', () => {
  test('what point reads use stays while a scan goes over ten times what the cache holds', async () => {
    await using engine = await filled();
    const { tables } = engine.metrics();
    expect(tables.bytes).toBeGreaterThan(10 * CACHE_BYTES);
    let state = 1;
    const hotRead = (): void => {
      state = Math.imul(state, 48_271) & 0x7fffffff;
      engine.getSync(key(50_000 + ((state >>> 8) % HOT_KEYS)));
    };
    for (let i = 0; i < 20_000; i++) hotRead();
    const before = loadsOf(engine);
    for (let i = 0; i < 2000; i++) hotRead();
    expect(loadsOf(engine) - before).toBe(0);

    let hotLoads = 0;
    let hotReads = 0;
    let scanned = 0;
    for (const entry of engine.scanSync()) {
      expect(entry[0].length).toBe(9);
      if (++scanned % 50 !== 0) continue;
      const from = loadsOf(engine);
      for (let i = 0; i < 5; i++) hotRead();
      hotReads += 5;
      hotLoads += loadsOf(engine) - from;
    }
    expect(scanned).toBe(KEYS);
    expect(1 - hotLoads / hotReads).toBeGreaterThan(0.99);
  });

  test('a range that is scanned again and again stays, although it is larger than what a scan may take at once', async () => {
    await using engine = await filled();
    const scanRange = (): number => {
      const from = loadsOf(engine);
      for (const entry of engine.scanSync({ gte: key(30_000), lt: key(34_000) })) expect(entry[1].length).toBe(90);
      return loadsOf(engine) - from;
    };
    // The cache is full of what nobody wants.
    for (let i = 0; i < KEYS; i += 50) engine.getSync(key(i));
    expect(scanRange()).toBeGreaterThan(40);
    // Ghosts get in each other's way now and then.
    for (let times = 0; times < 3; times++) scanRange();
    expect(scanRange()).toBeLessThan(3);
  });

  test('data that fits is all there after one scan', async () => {
    await using engine = await filled();
    for (const range of [
      { gte: key(0), lt: key(3000) },
      { gte: key(90_000), lt: key(93_000) },
    ]) {
      for (const entry of engine.scanSync(range)) expect(entry[1].length).toBe(90);
    }
    const before = loadsOf(engine);
    for (let i = 0; i < 3000; i += 7) expect(engine.getSync(key(i))!.length).toBe(90);
    expect(loadsOf(engine)).toBe(before);
  });
});
