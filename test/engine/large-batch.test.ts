/** A batch of small records about as large as the engine's memory: it is refused before anything has changed, or found again after a crash. */
import { expect, test } from 'vitest';
import { type BatchOperation, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const MIB = 2 ** 20;
const SMALL = {
  memoryBytes: 64 * MIB,
  memtableBytes: 64 * 1024,
  pageCacheBytes: MIB,
  valueCacheBytes: 0,
  maxBatchBytes: 40 * MIB,
  maxValueBytes: 2 * MIB,
};

function batchOf(operations: number, valueBytes: number): BatchOperation[] {
  const value = new Uint8Array(valueBytes).fill(7);
  return Array.from({ length: operations }, (_, i) => ({ type: 'put', key: `k${i}`, value }));
}

test.each([
  { operations: 12_000, valueBytes: 1000, fits: true },
  { operations: 19_000, valueBytes: 1000, fits: true },
  { operations: 36_000, valueBytes: 1000, fits: false },
  { operations: 80_000, valueBytes: 1, fits: true },
  { operations: 400_000, valueBytes: 1, fits: false },
  { operations: 14, valueBytes: 2 * MIB, fits: true },
])('$operations values of $valueBytes bytes', async ({ operations, valueBytes, fits }) => {
  const fileSystem = new SimFileSystem();
  // Its scheduler is never run: nothing of it goes on after the crash.
  const engine = await open('/store', SMALL, { fileSystem, scheduler: new SimScheduler() });
  await engine.put('before', 'v');
  const written = engine.write(batchOf(operations, valueBytes), { durability: 'synced' });
  if (!fits) await expect(written).rejects.toMatchObject({ kind: 'invalid', code: 'BATCH_TOO_LARGE', details: { field: 'batch' } });
  else await written;
  expect(engine.getSync('k0') !== undefined).toBe(fits);
  await engine.put('after', 'v', { durability: 'synced' });
  fileSystem.crash('all');
  const again = await open('/store', SMALL, { fileSystem });
  expect(again.getSync('after')).toBeDefined();
  expect([...again.scanSync({ keysOnly: true, prefix: 'k' })]).toHaveLength(fits ? operations : 0);
  await again.flush();
  expect(again.getSync(`k${operations - 1}`)?.length).toBe(fits ? valueBytes : undefined);
  await again.close();
});

test('a log with more in it than there is memory is replayed into tables', async () => {
  const fileSystem = new SimFileSystem();
  const roomy = { ...SMALL, memoryBytes: 1024 * MIB, memtableBytes: 128 * MIB };
  const engine = await open('/store', roomy, { fileSystem, scheduler: new SimScheduler() });
  for (let i = 0; i < 80_000; i++) void engine.put(`k${i % 79_000}`, `${i}`.padEnd(900, 'v'), { durability: 'buffered' });
  await engine.sync();
  expect(engine.metrics().memtables.bytes).toBeGreaterThan(64 * MIB);
  fileSystem.crash('all');
  for (let round = 0; round < 2; round++) {
    const scheduler = new SimScheduler();
    const again = await open('/store', { ...SMALL, memtableBytes: 4 * MIB, maxBatchBytes: 32 * MIB }, { fileSystem, scheduler });
    expect(again.metrics().flushes.count).toBeGreaterThan(round === 0 ? 10 : -1);
    expect([...again.scanSync({ keysOnly: true })]).toHaveLength(79_000);
    expect(Buffer.from(again.getSync('k999')!).toString()).toMatch(/^79999v/);
    // What was flushed while the log was replayed counts once the log is on disk.
    if (round === 0) await scheduler.until(again.flush());
    fileSystem.crash('none');
  }
});
