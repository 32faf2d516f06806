/** The figures of an engine after a known life, compared with what is on its (simulated) disk and what was done to it. */
import { expect, test } from 'vitest';
import { type Engine, type EngineSettingsInput, open } from '../../../engine/index.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const SMALL = { memtableBytes: 64 * 1024, pageCacheBytes: 2 ** 20, tableBytes: 64 * 1024, level1Bytes: 256 * 1024, memoryBytes: 2 ** 28 };
const VALUE = 'v'.repeat(100);
const LARGE = 'V'.repeat(2000);
const key = (i: number): string => `k${String(i).padStart(6, '0')}`;

function openStore(fileSystem: SimFileSystem, settings: EngineSettingsInput = {}): Promise<Engine> {
  return open('/store', { ...SMALL, ...settings }, { fileSystem });
}

test('an empty engine: plain data, nothing undefined that has a value, no rate of nothing', async () => {
  const engine = await openStore(new SimFileSystem());
  const metrics = engine.metrics();
  expect(structuredClone(metrics)).toEqual(metrics);
  expect(metrics).toMatchObject({
    sequence: 0,
    failure: undefined,
    writes: { operations: 0, userBytes: 0, amplification: undefined },
    tables: { count: 0, levels: [] },
    pageCache: { hits: 0, misses: 0, hitRate: undefined },
    space: { amplification: undefined, garbage: { bytes: 0, due: false } },
    snapshots: { count: 0, iterators: 0, oldestSequence: undefined },
    stalls: { count: 0, now: [] },
    memory: { fileBytes: 0 },
  });
  await engine.close();
});

test('space: what the files hold, and what writing cost', async () => {
  const fileSystem = new SimFileSystem();
  // Every flush meets what was there before.
  const engine = await openStore(fileSystem, { level0Compact: 1 });
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 400; i++) void engine.put(key(i), i % 10 === 0 ? LARGE : VALUE);
    await engine.flush();
  }
  await engine.settled();
  const { space, writes, tables, values, log, manifest, flushes, compactions, memtables } = engine.metrics();
  const names = fileSystem.listSync('/store');
  const onDisk = (ending: string): number => names.filter((name) => name.endsWith(ending)).length;
  const bytes = names.filter((name) => name !== 'CURRENT').reduce((sum, name) => sum + fileSystem.contents(`/store/${name}`).length, 0);
  expect(space.diskBytes).toBe(bytes);
  expect([tables.count, values.files + log.segments]).toEqual([onDisk('.table'), onDisk('.log') + onDisk('.block')]);
  expect(tables.bytes + values.fileBytes + log.bytes + manifest.bytes).toBe(space.diskBytes);
  expect(writes).toMatchObject({ operations: 2400, userBytes: 6 * (400 * 7 + 40 * 2000 + 360 * 100) });
  const written = log.bytesWritten + flushes.bytesWritten + compactions.bytesWritten + manifest.bytesWritten;
  expect(writes.amplification).toBeCloseTo(written / writes.userBytes, 10);
  // The headers of the files in front of the first frame are written twice, CURRENT is not counted.
  expect(written / fileSystem.bytesWritten).toBeGreaterThan(0.98);
  expect(written / fileSystem.bytesWritten).toBeLessThan(1.01);
  expect(values.liveBytes).toBe(40 * 2000);
  expect(space.garbage.bytes).toBeLessThan(values.fileBytes);
  expect(space.amplification).toBeCloseTo(space.diskBytes / (tables.bytes + values.liveBytes + memtables.bytes), 10);
  expect(flushes.count).toBeGreaterThanOrEqual(6);
  expect(compactions.byReason.tables.count + compactions.byReason.values.count + compactions.byReason.garbage.count).toBe(
    compactions.count,
  );
  expect(compactions.versionsDropped).toBe(2000);
  await engine.close();
});

test('deletes are counted with what they may hide until they have met it', async () => {
  const engine = await openStore(new SimFileSystem(), { memtableBytes: 2 ** 20, level0Compact: 3 });
  for (let i = 0; i < 1000; i++) void engine.put(key(i), VALUE);
  await engine.flush();
  for (let i = 0; i < 500; i++) void engine.delete(key(i));
  await engine.flush();
  const before = engine.metrics();
  expect(before.tables.deletes).toBe(500);
  // Both tables are in level 0, so that nothing is below them: only the deletes themselves.
  expect(before.space.deleted.bytes).toBeGreaterThan(500 * 8);
  void engine.put(key(999), VALUE);
  await engine.flush();
  await engine.settled();
  expect(engine.metrics()).toMatchObject({ tables: { deletes: 0, entries: 500 }, space: { deleted: { bytes: 0 } } });
  await engine.close();
});

test('range tombstones: in memtables, in the version, and gone with what they hid', async () => {
  const engine = await openStore(new SimFileSystem(), { level0Compact: 2 });
  for (let i = 0; i < 200; i++) void engine.put(key(i), VALUE);
  await engine.flush();
  await engine.deleteRange({ gte: key(0), lt: key(100) });
  expect(engine.metrics().rangeTombstones).toBe(1);
  void engine.put(key(150), VALUE);
  await engine.flush();
  await engine.settled();
  expect(engine.metrics()).toMatchObject({ rangeTombstones: 0, tables: { entries: 100 } });
  await engine.close();
});

test('caches: hits and misses, of pages and of large values', async () => {
  const engine = await openStore(new SimFileSystem());
  await engine.put('small', VALUE);
  await engine.put('large', LARGE);
  await engine.flush();
  for (let i = 0; i < 10; i++) engine.getSync('small');
  expect(engine.metrics().pageCache).toMatchObject({ hits: 9, misses: 1, hitRate: 0.9, bytes: 8192, bytesMax: 2 ** 20 });
  for (let i = 0; i < 4; i++) engine.getSync('large');
  expect(engine.metrics().valueCache).toMatchObject({ hits: 3, misses: 1, hitRate: 0.75 });
  expect(engine.metrics().reads).toEqual({ gets: 14, pageReads: 1, awayReads: 0 });
  await engine.close();
});

test('syncs: how many calls each one served', async () => {
  const engine = await openStore(new SimFileSystem(), { durability: 'synced' });
  await engine.put('alone', VALUE);
  await Promise.all(Array.from({ length: 10 }, (_, i) => engine.put(key(i), VALUE)));
  // What is synced for a flush serves nobody's call.
  await engine.flush();
  expect(engine.metrics().log).toMatchObject({ syncs: 2, syncCalls: 11, syncCallsMax: 10 });
  await engine.close();
});

test('a snapshot tells what is kept for it, until it is released', async () => {
  const engine = await openStore(new SimFileSystem());
  for (let i = 0; i < 100; i++) await engine.put(key(i), LARGE);
  const before = engine.snapshot();
  for (let i = 0; i < 100; i++) await engine.delete(key(i));
  const after = engine.snapshot();
  // In the memtable, which holds all that both see.
  const kept = 100 * (LARGE.length + 24 + 8);
  expect([before.pinnedBytes, after.pinnedBytes, engine.metrics().snapshots.pinnedBytes]).toEqual([kept, kept, kept]);
  await engine.flush();
  await engine.settled();
  const pinned = engine.metrics().snapshots.pinnedBytes;
  expect(pinned).toBeGreaterThanOrEqual(100 * LARGE.length);
  expect(before.pinnedBytes).toBe(pinned);
  before.release();
  expect(before.pinnedBytes).toBe(0);
  after.release();
  await engine.close();
});

test('snapshots: how many, how old', async () => {
  const engine = await openStore(new SimFileSystem());
  await engine.put('a', VALUE);
  const first = engine.snapshot();
  await engine.put('a', 'b');
  const second = engine.snapshot();
  expect(engine.metrics().snapshots).toMatchObject({ count: 2, oldestSequence: 1 });
  first.release();
  expect(engine.metrics().snapshots).toMatchObject({ count: 1, oldestSequence: 2 });
  second.release();
  await engine.close();
});

test('time: by the clock that was given', async () => {
  const scheduler = new SimScheduler();
  const clock = new SimClock(scheduler);
  const engine = await open('/store', SMALL, { fileSystem: new SimFileSystem(), scheduler, clock });
  scheduler.after(250, () => undefined);
  while (await scheduler.step());
  expect(engine.metrics().uptimeMs).toBe(250);
  await engine.close();
});

test('a full disk and a failed writer are seen, and how long a full disk lasted', async () => {
  const fileSystem = new SimFileSystem();
  const engine = await openStore(fileSystem, { callerSyncMs: 0 });
  await engine.put('a', VALUE);
  fileSystem.capacityBytes = 1;
  await expect(engine.put('b', VALUE)).rejects.toThrow('no space');
  expect(engine.metrics().diskFull).toMatchObject({ count: 0, now: ['log'] });
  fileSystem.capacityBytes = Infinity;
  await engine.put('b', VALUE);
  expect(engine.metrics().diskFull).toMatchObject({ count: 1, now: [] });
  fileSystem.failAt({ at: fileSystem.operations + 1, error: 'EIO', forGood: true });
  await expect(engine.put('c', VALUE)).rejects.toThrow();
  expect(engine.metrics().failure).toContain("the log's write failed");
  await engine.close().catch(() => undefined);
});
