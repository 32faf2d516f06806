/** Range deletes as a user meets them, and what becomes of the tables, the values and the tombstones behind. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type Engine, type EngineEvent, type KeyRange, open } from '../../engine/index.ts';
import { KEY_BYTES_MAX } from '../../assembly/memory-map.ts';
import { keyRange, KeyRanges } from '../../engine/key-range.ts';
import { applyEdit, decodeEdit, decodeManifest, EMPTY_VERSION } from '../../engine/manifest/index.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const SETTINGS = {
  memoryBytes: 64 * 1024 * 1024,
  pageCacheBytes: 1024 * 1024,
  memtableBytes: 256 * 1024,
  segmentBytes: 256 * 1024,
  tableBytes: 64 * 1024,
  level1Bytes: 256 * 1024,
  maxBatchBytes: 8 * 1024 * 1024,
  maxValueBytes: 1024 * 1024,
};

let disk: SimFileSystem;
let scheduler: SimScheduler;
let engine: Engine;

beforeEach(async () => {
  disk = new SimFileSystem();
  scheduler = new SimScheduler();
  await start();
});

async function start(): Promise<void> {
  engine = await scheduler.until(open('/data', SETTINGS, { fileSystem: disk, scheduler, clock: new SimClock(scheduler) }));
}

async function reopen(): Promise<void> {
  await scheduler.until(engine.close());
  await start();
}

async function flush(): Promise<void> {
  await scheduler.until(engine.flush());
}

async function settle(): Promise<void> {
  await scheduler.until(engine.settled());
}

function fill(from: number, to: number, bytes: number): void {
  for (let i = from; i < to; i++) void engine.put(keyAt(i), Buffer.alloc(bytes, `${i};`), { durability: 'buffered' });
}

function keyAt(i: number): string {
  return `k${String(i).padStart(5, '0')}`;
}

function keys(options: Parameters<Engine['scanSync']>[0] = {}): string[] {
  return [...engine.scanSync({ ...options, keysOnly: true })].map(([key]) => Buffer.from(key).toString());
}

/** What the manifest on the disk says. */
function storedTombstones(): number {
  const name = disk.listSync('/data').findLast((each) => each.startsWith('MANIFEST-'))!;
  const bytes = disk.contents(`/data/${name}`);
  const { edits } = decodeManifest(bytes, Number(name.slice('MANIFEST-'.length)), name);
  const version = edits.reduce((before, { offset, end }) => applyEdit(before, decodeEdit(bytes, offset, end)), EMPTY_VERSION);
  return version.rangeTombstones.length;
}

describe('deleteRange', () => {
  test.each<[KeyRange, string]>([
    [{ gte: 'b', lt: 'd' }, 'a d da e'],
    [{ gt: 'b', lt: 'd' }, 'a b d da e'],
    [{ gt: 'b', lte: 'd' }, 'a b da e'],
    [{ gte: 'b', lte: 'd' }, 'a da e'],
    [{ prefix: 'd' }, 'a b ba c e'],
    [{ lt: 'c' }, 'c d da e'],
    [{ gt: 'c' }, 'a b ba c'],
    [{}, ''],
    [{ gte: 'd', lt: 'b' }, 'a b ba c d da e'],
  ])('of %j leaves the rest', async (range, left) => {
    for (const place of ['memtable', 'table'] as const) {
      for (const key of ['a', 'b', 'ba', 'c', 'd', 'da', 'e']) void engine.put(key, `v${key}`);
      if (place === 'table') await flush();
      void engine.deleteRange(range);
      expect(keys().join(' ')).toBe(left);
      expect(keys({ reverse: true }).toReversed().join(' ')).toBe(left);
      for (const key of ['a', 'b', 'ba', 'c', 'd', 'da', 'e']) expect(engine.hasSync(key)).toBe(left.split(' ').includes(key));
      await flush();
      await settle();
      expect(keys().join(' ')).toBe(left);
      await reopen();
      expect(keys().join(' ')).toBe(left);
    }
    await scheduler.until(engine.close());
  });

  test('hides what is older and nothing else, in every order of writes and flushes', async () => {
    void engine.put('a', '1');
    void engine.put('b', '1');
    await flush();
    void engine.put('b', '2');
    void engine.deleteRange({ gte: 'a', lt: 'c' });
    void engine.put('a', '3');
    expect(keys()).toEqual(['a']);
    await flush();
    expect(keys()).toEqual(['a']);
    void engine.deleteRange({ gte: 'a', lt: 'b' });
    void engine.put('b', '4');
    expect(keys()).toEqual(['b']);
    await flush();
    await settle();
    expect(keys()).toEqual(['b']);
    expect(engine.getEntrySync('b')).toMatchObject({ version: 7 });
    await scheduler.until(engine.close());
  });

  test('in a batch takes what comes before it and leaves what comes behind, over keyspaces', async () => {
    const other = await scheduler.until(engine.keyspace('other'));
    void other.put('b', 'other');
    await scheduler.until(
      engine.write([
        { type: 'put', key: 'a', value: '1' },
        { type: 'put', key: 'b', value: 'x'.repeat(5000) },
        { type: 'put', key: 'b', value: 'stays', keyspace: other },
        { type: 'increment', key: 'n', by: 5 },
        { type: 'deleteRange', gte: 'a', lt: 'z' },
        { type: 'put', key: 'c', value: '2' },
        { type: 'increment', key: 'n', by: 2 },
      ]),
    );
    const check = (): void => {
      expect(keys()).toEqual(['c', 'n']);
      expect(Buffer.from(engine.getSync('n')!).readBigInt64LE()).toBe(2n);
      expect(Buffer.from(other.getSync('b')!).toString()).toBe('stays');
    };
    check();
    using snapshot = engine.snapshot();
    void snapshot;
    await flush();
    check();
    void other.deleteRange({});
    expect(other.hasSync('b')).toBe(false);
    expect(keys()).toEqual(['c', 'n']);
    await scheduler.until(engine.close());
  });

  test('leaves snapshots and iterators what they see, through flushes and compactions, until they are released', async () => {
    fill(0, 300, 100);
    await flush();
    fill(300, 400, 2000);
    const snapshot = engine.snapshot();
    const iterator = engine.scanSync({ gte: keyAt(10) });
    iterator.next();
    void engine.deleteRange({ gte: keyAt(5), lt: keyAt(390) });
    const left = [...Array(5).keys(), ...Array.from({ length: 10 }, (_, i) => 390 + i)].map(keyAt);
    const check = (): void => {
      expect(keys()).toEqual(left);
      expect(keys({ reverse: true })).toEqual(left.toReversed());
      expect(keys({ snapshot })).toHaveLength(400);
      expect(keys({ snapshot, reverse: true })).toHaveLength(400);
      expect(engine.getSync(keyAt(350), { snapshot })).toHaveLength(2000);
      expect(engine.getSync(keyAt(350))).toBeUndefined();
    };
    check();
    await flush();
    await settle();
    check();
    expect([...iterator]).toHaveLength(389);
    snapshot.release();
    await flush();
    await settle();
    expect(keys()).toEqual(left);
    expect(engine.metrics().values.liveBytes).toBe(10 * 2000);
    expect(storedTombstones()).toBe(0);
    await scheduler.until(engine.close());
  });

  test('of whole tables gives everything back without reading or writing a table, and leaves no tombstone', async () => {
    fill(0, 2000, 300);
    fill(2000, 2020, 20_000);
    await flush();
    await settle();
    expect(engine.metrics().values.liveBytes).toBe(400_000);
    const told: EngineEvent[] = [];
    engine.events.on('tables-dropped', (event) => told.push(event));
    void engine.deleteRange({ prefix: 'k' });
    const before = engine.metrics();
    await flush();
    await settle();
    const after = engine.metrics();
    expect(after.tables.count).toBe(0);
    expect(after.values).toMatchObject({ liveBytes: 0, fileBytes: 0 });
    expect(after.compactions.bytesRead).toBe(before.compactions.bytesRead);
    expect(after.flushes.bytesWritten).toBe(before.flushes.bytesWritten);
    expect(told).toHaveLength(1);
    expect(disk.listSync('/data').filter((name) => name.endsWith('.table'))).toEqual([]);
    expect(storedTombstones()).toBe(0);
    expect(keys()).toEqual([]);
    await scheduler.until(engine.close());
  });

  test('gives its space back by itself after a while, or when everything is to be settled', async () => {
    const tables = (): number => engine.metrics().tables.count;
    for (const patience of [() => scheduler.advance(3000), settle]) {
      fill(0, 500, 100);
      await flush();
      expect(tables()).toBe(1);
      void engine.deleteRange({});
      void engine.put('other', 'value');
      await patience();
      expect(keys()).toEqual(['other']);
      expect(tables()).toBe(1);
      expect(engine.metrics().tables.bytes).toBeLessThan(9000);
      void engine.deleteRange({});
      await settle();
      expect(tables()).toBe(0);
    }
    await scheduler.until(engine.close());
  });

  test('of a part of a table stays in the manifest until the table has been rewritten', async () => {
    fill(0, 1000, 100);
    await flush();
    using snapshot = engine.snapshot();
    void engine.deleteRange({ gte: keyAt(100), lt: keyAt(900) });
    await flush();
    expect(storedTombstones()).toBe(1);
    await reopen();
    expect(keys()).toHaveLength(200);
    void snapshot;
    await settle();
    expect(storedTombstones()).toBe(0);
    expect(keys()).toHaveLength(200);
    await scheduler.until(engine.close());
  });

  test('that comes again and again over the same keys leaves one tombstone', async () => {
    fill(0, 1000, 100);
    await flush();
    using snapshot = engine.snapshot();
    for (let i = 0; i < 50; i++) void engine.deleteRange({ gte: keyAt(100), lt: keyAt(100 + i) });
    await flush();
    expect(storedTombstones()).toBe(1);
    expect(keys({ snapshot })).toHaveLength(1000);
    expect(keys()).toHaveLength(1000 - 49);
    await scheduler.until(engine.close());
  });

  test('a caller that gives what is not a range is told', async () => {
    await expect(engine.deleteRange({ gt: 'a', gte: 'b' })).rejects.toMatchObject({ code: 'SCAN_BOUNDS' });
    await expect(engine.deleteRange({ limit: 3 } as never)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await expect(engine.write([{ type: 'deleteRange', key: 'a' } as never])).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await scheduler.until(engine.close());
  });
});

describe('a range of keys', () => {
  test('ends behind the longest key there can be', () => {
    const longest = Buffer.alloc(4096, 0xff);
    expect(keyRange({ lte: longest }, 300, 4096)).toMatchObject({ end: Uint8Array.of(0xf0, 1, 45) });
    expect(keyRange({ lte: longest }, 2, 4096)!.end).toHaveLength(4098);
    for (const bound of [longest, Buffer.alloc(4096, 1)]) {
      for (const field of ['gt', 'lte'] as const) {
        const range = keyRange({ [field]: bound }, 300, 4096);
        if (range) expect(Math.max(range.start.length, range.end.length)).toBeLessThanOrEqual(KEY_BYTES_MAX);
      }
    }
    expect(keyRange({ gt: longest }, 300, 4096)).toBeUndefined();
  });

  test('and others make a union', () => {
    const ranges = new KeyRanges();
    const add = (start: string, end: string): void => ranges.add({ start: Buffer.from(start), end: Buffer.from(end) });
    const has = (key: string): boolean => ranges.has(Buffer.from(key));
    add('c', 'e');
    add('g', 'i');
    add('e', 'f');
    expect(['b', 'c', 'e', 'f', 'g', 'h', 'i'].map(has)).toEqual([false, true, true, false, true, true, false]);
    add('a', 'h');
    expect(['a', 'b', 'f', 'h', 'i'].map(has)).toEqual([true, true, true, true, false]);
  });
});
