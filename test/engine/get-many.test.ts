/** getMany and has: many keys from one point in time, and whether one is there. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';
import { lookupOrder } from '../../engine/key-order.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SMALL = { memtableBytes: 64 * 1024, tableBytes: 64 * 1024, pageCacheBytes: 2 ** 20, memoryBytes: 2 ** 26, maxBatchBytes: 2 ** 20 };
const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();

function started(): Promise<Engine> {
  return open('/data', SMALL, { fileSystem: new SimFileSystem() });
}

test('values come in the order of the keys, whatever that is, from memory and from tables', async () => {
  await using engine = await started();
  const birds = await engine.keyspace('birds');
  const keys = Array.from({ length: 300 }, (_, i) => `key ${(i * 7919) % 300}`);
  for (const [i, key] of keys.entries())
    if (i % 3 > 0) void birds.put(key, `${key}!`.repeat(i % 10 === 0 ? 300 : 1), { durability: 'buffered' });
  const expected = keys.map((key, i) => (i % 3 > 0 ? `${key}!`.repeat(i % 10 === 0 ? 300 : 1) : undefined));
  for (const flushed of [false, true]) {
    if (flushed) await engine.flush();
    expect(birds.getManySync(keys).map(text)).toEqual(expected);
    expect((await birds.getMany([...keys, ...keys])).map(text)).toEqual([...expected, ...expected]);
    expect(keys.map((key) => birds.hasSync(key))).toEqual(expected.map((value) => value !== undefined));
    expect(engine.getManySync(keys)).toEqual(keys.map(() => undefined));
  }
  expect(await engine.getMany([])).toEqual([]);
  expect(await birds.has(keys[1]!)).toBe(true);
});

test('as of a snapshot', async () => {
  await using engine = await started();
  await engine.put('a', 'old');
  using snapshot = engine.snapshot();
  await engine.put('a', 'new');
  await engine.put('b', 'later');
  expect(engine.getManySync(['a', 'b'], { snapshot }).map(text)).toEqual(['old', undefined]);
  expect([engine.hasSync('b'), engine.hasSync('b', { snapshot }), engine.hasSync('a', { snapshot })]).toEqual([true, false, true]);
  await engine.delete('a');
  expect([engine.hasSync('a'), engine.hasSync('a', { snapshot })]).toEqual([false, true]);
});

test('each value is an array of its own, of the same key too', async () => {
  await using engine = await started();
  await engine.put('a', 'value');
  const [one, two] = engine.getManySync(['a', 'a']);
  one!.fill(0);
  expect(text(two)).toBe('value');
});

test('reads no large value to tell whether it is there', async () => {
  const fileSystem = new SimFileSystem();
  await using engine = await open('/data', { ...SMALL, valueCacheBytes: 0 }, { fileSystem });
  await engine.put('large', Buffer.alloc(50_000));
  await engine.flush();
  expect(engine.hasSync('large')).toBe(true);
  fileSystem.failAt({ at: 1, error: 'EIO', on: 'read', forGood: true });
  expect(engine.hasSync('large')).toBe(true);
  expect(() => engine.getSync('large')).toThrow();
});

test('refusals', async () => {
  await using engine = await started();
  await expect(engine.getMany(['a', ''])).rejects.toMatchObject({ code: 'KEY_EMPTY' });
  expect(() => engine.hasSync('')).toThrow(expect.objectContaining({ code: 'KEY_EMPTY' }));
  await expect(engine.has('a', { at: 1 } as object)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN', details: { field: 'at' } });
  await expect(engine.getMany(['a'], { snapshot: {} as never })).rejects.toMatchObject({ code: 'SNAPSHOT_FOREIGN' });
});

test('reads a page once, though the cache holds few and the keys come in any order', async () => {
  const fileSystem = new SimFileSystem();
  await using engine = await open('/data', { ...SMALL, tableBytes: 16 * 2 ** 20, memtableBytes: 2 ** 20 }, { fileSystem });
  const key = (i: number): string => `key ${String(i).padStart(6, '0')}`;
  const value = Buffer.alloc(900, 'v');
  for (let i = 0; i < 4000; i++) await engine.put(key(i), value, { durability: 'buffered' });
  await engine.flush();
  await engine.settled();
  const pages = engine.metrics().tables.levels.reduce((sum, level) => sum + level.bytes, 0) / 8192;
  expect(pages).toBeGreaterThan(400);
  const before = engine.metrics().reads.pageReads;
  const keys = Array.from({ length: 4000 }, (_, i) => key((i * 1237) % 4000));
  expect(engine.getManySync(keys).every((found) => found?.length === 900)).toBe(true);
  expect(engine.metrics().reads.pageReads - before).toBeLessThan(pages + 10);
});

test('an order to look keys up in has each of the rest once, ascending where they differ early', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 5 }), { maxLength: 40 }), fc.nat(40), (tails, some) => {
      const keys = tails.map((tail) => Buffer.concat([Buffer.from('prefix/'), tail]));
      const from = Math.min(some, keys.length);
      const order = [...lookupOrder(keys, from)];
      expect(order.toSorted((a, b) => a - b)).toEqual([...keys.keys()].slice(from));
      // Zeros at an end do not count.
      const looked = order.map((i) => Buffer.concat([keys[i]!, Buffer.alloc(20 - keys[i]!.length)]));
      for (let i = 1; i < looked.length; i++) expect(Buffer.compare(looked[i - 1]!, looked[i]!)).toBeLessThanOrEqual(0);
    }),
  );
});
