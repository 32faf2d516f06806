/** Iterators that outlive what they were made from. */
import { expect, test } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SMALL = { memtableBytes: 64 * 1024, pageCacheBytes: 2 ** 20, tableBytes: 64 * 1024, level1Bytes: 256 * 1024, memoryBytes: 2 ** 28 };
const KEYS = 3000;

async function fill(engine: Engine, value: (i: number) => string): Promise<void> {
  for (let i = 0; i < KEYS; i++) void engine.put(`k${String(i).padStart(6, '0')}`, value(i), { durability: 'buffered' });
  await engine.flush();
  await engine.settled();
}

test('an iterator over a snapshot goes on as it began when the snapshot is released', async () => {
  const engine = await open('/store', SMALL, { fileSystem: new SimFileSystem() });
  const old = (i: number): string => `old${i}`.repeat(i % 3 === 0 ? 500 : 1);
  await fill(engine, old);
  const snapshot = engine.snapshot();
  const entries = engine.scanSync({ snapshot });
  const values = [entries.next().value as [Uint8Array, Uint8Array]];
  await engine.put('k', 'newer than the snapshot');
  const second = engine.scanSync({ snapshot });
  snapshot.release();
  await fill(engine, () => 'new');
  values.push(...entries);
  expect(values.map(([, value]) => Buffer.from(value).toString())).toEqual(Array.from({ length: KEYS }, (_, i) => old(i)));
  expect([...second]).toHaveLength(KEYS);
  expect(engine.metrics().snapshots.count).toBe(0);
  await engine.close();
});

test('an iterator of a closed engine says so', async () => {
  const engine = await open('/store', SMALL, { fileSystem: new SimFileSystem() });
  await fill(engine, (i) => `${i}`);
  const entries = engine.scanSync();
  entries.next();
  await engine.close();
  expect(() => [...entries]).toThrow(expect.objectContaining({ code: 'ENGINE_CLOSED' }));
});
