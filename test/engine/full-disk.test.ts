/** A disk without space: every call is answered, nothing acknowledged is lost, and writing goes on by itself when there is room again. */
import { expect, test } from 'vitest';
import { open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const SMALL = { memtableBytes: 64 * 1024, pageCacheBytes: 2 ** 20, tableBytes: 64 * 1024, level1Bytes: 256 * 1024, memoryBytes: 2 ** 28 };
const VALUE = 'v'.repeat(100);
const BUFFERED = { durability: 'buffered' } as const;
const code = (name: string): unknown => expect.objectContaining({ code: name });

test('flush and settled answer, and closing ends, when there is no room for the table', async () => {
  const fileSystem = new SimFileSystem();
  const engine = await open('/store', { ...SMALL, memtableBytes: 8 * 2 ** 20 }, { fileSystem });
  for (let i = 0; i < 20_000; i++) void engine.put(`k${i}`, VALUE, BUFFERED);
  await engine.sync();
  fileSystem.capacityBytes = engine.metrics().space.diskBytes + 2_000_000;
  await expect(engine.flush()).rejects.toThrow(code('DISK_FULL'));
  await expect(engine.settled()).rejects.toThrow(code('DISK_FULL'));
  // More than what closing would leave in the log.
  for (let i = 20_000; i < 30_000; i++) void engine.put(`k${i}`, VALUE, BUFFERED);
  await engine.close();
  fileSystem.capacityBytes = Infinity;
  const again = await open('/store', SMALL, { fileSystem });
  for (let i = 0; i < 30_000; i++) expect(again.getSync(`k${i}`)).toBeDefined();
  await again.close();
});

test('flush succeeds at once when there is room again', async () => {
  const fileSystem = new SimFileSystem();
  const engine = await open('/store', SMALL, { fileSystem });
  for (let i = 0; i < 100; i++) await engine.put(`k${i}`, VALUE);
  fileSystem.capacityBytes = engine.metrics().space.diskBytes;
  await expect(engine.flush()).rejects.toThrow(code('DISK_FULL'));
  fileSystem.capacityBytes = Infinity;
  await engine.flush();
  expect(engine.metrics().tables.levels[0]!.tables).toBe(1);
  await engine.close();
});

test('a caller that never awaits is refused, not blocked for good, and goes on when there is room', async () => {
  const fileSystem = new SimFileSystem();
  const engine = await open('/store', SMALL, { fileSystem });
  fileSystem.capacityBytes = 30_000;
  let refused = 0;
  const put = (i: number): Promise<void> => engine.put(`k${i}`, VALUE, BUFFERED).catch(() => void refused++);
  const first: Promise<void>[] = [];
  for (let i = 0; i < 5000; i++) first.push(put(i));
  await Promise.all(first);
  expect(refused).toBeGreaterThan(1000);
  const puts = engine.metrics().writes.operations;
  expect(puts).toBe(5000 - refused);
  fileSystem.capacityBytes = Infinity;
  // Not even a timer is needed: awaited refusals alone would keep the event loop from bringing it.
  await engine.put('after', VALUE, BUFFERED);
  await engine.settled();
  expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(puts + 1);
  await engine.close();
});

test('an edit of the manifest waits for the log that has no room', async () => {
  const fileSystem = new SimFileSystem();
  const scheduler = new SimScheduler();
  const engine = await open('/store', SMALL, { fileSystem, scheduler });
  fileSystem.capacityBytes = 75_000;
  for (let i = 0; i < 600; i++) void engine.put(`k${i}`, VALUE, BUFFERED);
  await scheduler.advance(100);
  expect(engine.metrics().flushes.count).toBe(1);
  await expect(scheduler.until(engine.put('refused', VALUE))).rejects.toThrow(code('DISK_FULL'));
  fileSystem.capacityBytes = Infinity;
  await scheduler.advance(1000);
  await scheduler.until(engine.put('after', VALUE));
  await scheduler.until(engine.settled());
  await scheduler.until(engine.close());
  const again = await scheduler.until(open('/store', SMALL, { fileSystem, scheduler }));
  for (let i = 0; i < 600; i++) expect(again.getSync(`k${i}`)).toBeDefined();
  await scheduler.until(again.close());
});

test('a disk that is full when a store has just been opened is no end', async () => {
  const fileSystem = new SimFileSystem();
  const scheduler = new SimScheduler();
  const first = await open('/store', SMALL, { fileSystem });
  await first.put('before', VALUE, { durability: 'synced' });
  await first.flush();
  await first.close();
  const engine = await scheduler.until(open('/store', SMALL, { fileSystem, scheduler }));
  // The first write brings what the opening has found to the disk, in case only the system's cache had it.
  fileSystem.failAt({ at: 1, error: 'ENOSPC', on: 'space', forGood: true });
  await expect(engine.put('refused', VALUE)).rejects.toThrow(code('DISK_FULL'));
  fileSystem.failAt();
  await scheduler.until(engine.put('after', VALUE, { durability: 'synced' }));
  await scheduler.until(engine.flush());
  expect([...engine.scanSync()].map(([key]) => Buffer.from(key).toString())).toEqual(['after', 'before']);
  await engine.close();
});
