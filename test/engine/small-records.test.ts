/** Memtables of very many small records: what a flush needs beside them grows with their number, not with their bytes. */
import { expect, test } from 'vitest';
import { open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const MIB = 2 ** 20;
const BUFFERED = { durability: 'buffered' } as const;
const key = (i: number): string => (Math.imul(i, 2_654_435_761) >>> 0).toString(36);

test('are flushed, and compacted', async () => {
  const engine = await open('/store', { memtableBytes: 8 * MIB, level0Compact: 1 }, { fileSystem: new SimFileSystem() });
  for (let i = 0; i < 300; i++) {
    await engine.write(
      Array.from({ length: 1000 }, (_, j) => ({ type: 'put' as const, key: key(i * 1000 + j), value: '' })),
      BUFFERED,
    );
  }
  await engine.flush();
  await engine.settled();
  expect(engine.metrics().flushes.count).toBeGreaterThan(0);
  expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(300_000);
  await engine.close();
});

test('fit a memory that has just room for the settings', async () => {
  const settings = { memoryBytes: 64 * MIB, memtableBytes: 16 * MIB, pageCacheBytes: MIB, maxBatchBytes: MIB };
  const engine = await open('/store', settings, { fileSystem: new SimFileSystem() });
  const refused: unknown[] = [];
  for (let i = 0; i < 500_000; i++) void engine.put(key(i), 'v', BUFFERED).catch((error: unknown) => refused.push(error));
  await engine.flush();
  expect(refused).toEqual([]);
  expect(engine.getSync(key(499_999))).toBeDefined();
  await engine.close();
});
