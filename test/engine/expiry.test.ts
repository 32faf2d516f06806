/** Values that expire: by the injected clock and never before, in memtables, tables and at snapshots, and gone from the disk after. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';
import { type HandRecord, writeLog } from './log/hand-made-log.ts';
import { replayed } from './log/log-harness.ts';

const PUT = 1;
const POINTER = 2;
const DELETE = 3;
const SETTINGS = {
  memoryBytes: 64 * 1024 * 1024,
  pageCacheBytes: 1024 * 1024,
  memtableBytes: 65536,
  segmentBytes: 65536,
  maxBatchBytes: 1024 * 1024,
  maxValueBytes: 1024 * 1024,
};
const LARGE = Buffer.alloc(5000, 'large');

let disk: SimFileSystem;
let scheduler: SimScheduler;
let clock: SimClock;

beforeEach(() => {
  disk = new SimFileSystem();
  scheduler = new SimScheduler();
  clock = new SimClock(scheduler);
});

function start(): Promise<Engine> {
  return scheduler.until(open('/data', SETTINGS, { fileSystem: disk, scheduler, clock }));
}

/** A store whose log holds the batches. */
async function storeWith(...batches: HandRecord[][]): Promise<Engine> {
  await scheduler.until((await start()).close());
  writeLog(disk, '/data/000001.log', 1, batches);
  return start();
}

function contents(engine: Engine, options: Parameters<Engine['scanSync']>[0] = {}): string[] {
  return [...engine.scanSync(options)].map(([key, value]) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString().slice(0, 5)}`);
}

async function flushed(engine: Engine): Promise<void> {
  await scheduler.until(engine.flush());
  await scheduler.until(engine.settled());
}

describe('a value that expires', () => {
  test('is there until its time and not after, from the log, a table, and at a snapshot', async () => {
    const end = clock.wallMs() + 1000;
    let engine = await storeWith(
      [
        { key: 'a', kind: PUT, value: 'small', expiresAtMs: end },
        { key: 'b', kind: POINTER, value: LARGE, expiresAtMs: end },
        { key: 'c', kind: PUT, value: 'stays' },
        { key: 'd', kind: PUT, value: '', expiresAtMs: end },
      ],
      [{ key: 'e', kind: PUT, value: 'later', expiresAtMs: end + 500 }],
    );
    const all = ['a=small', 'b=large', 'c=stays', 'd=', 'e=later'];
    const snapshot = engine.snapshot();
    const before = async (): Promise<void> => {
      expect(contents(engine)).toEqual(all);
      expect(contents(engine, { reverse: true })).toEqual(all.toReversed());
      expect(engine.getEntrySync('a')).toEqual({ value: Uint8Array.from(Buffer.from('small')), version: 1, expiresAtMs: end });
      expect(Buffer.from((await engine.get('b'))!).equals(LARGE)).toBe(true);
      expect(engine.getEntrySync('c')).not.toHaveProperty('expiresAtMs');
      expect(engine.getSync('d')).toHaveLength(0);
    };
    await before();
    await flushed(engine);
    await before();
    await scheduler.advance(999 - (clock.wallMs() - (end - 1000)));
    await before();
    expect(contents(engine, { snapshot })).toEqual(all);
    await scheduler.advance(1);
    const after = (): void => {
      expect(contents(engine)).toEqual(['c=stays', 'e=later']);
      expect(contents(engine, { reverse: true, limit: 1 })).toEqual(['e=later']);
      for (const key of ['a', 'b', 'd']) expect(engine.getSync(key)).toBeUndefined();
      expect(engine.getEntrySync('e')).toMatchObject({ version: 2, expiresAtMs: end + 500 });
    };
    after();
    expect(contents(engine, { snapshot })).toEqual(['c=stays', 'e=later']);
    expect(engine.getSync('a', { snapshot })).toBeUndefined();
    snapshot.release();
    await scheduler.until(engine.close());
    engine = await start();
    after();
    await scheduler.until(engine.close());
  });

  test('hides what it was written over when it has expired, before a flush and after', async () => {
    const end = clock.wallMs() + 1000;
    const engine = await storeWith(
      [{ key: 'a', kind: PUT, value: 'old' }],
      [{ key: 'a', kind: PUT, value: 'new', expiresAtMs: end }],
      [{ key: 'b', kind: PUT, value: 'brief', expiresAtMs: end }],
      [{ key: 'b', kind: PUT, value: 'for good' }],
      [{ key: 'c', kind: PUT, value: 'x', expiresAtMs: end }],
      [{ key: 'c', kind: DELETE }],
    );
    expect(contents(engine)).toEqual(['a=new', 'b=for g']);
    await scheduler.advance(1000);
    expect(contents(engine)).toEqual(['b=for g']);
    await flushed(engine);
    expect(contents(engine)).toEqual(['b=for g']);
    expect(engine.getSync('a')).toBeUndefined();
    await scheduler.until(engine.close());
  });

  test('takes no space once a flush has met it: its large value goes with the log segment', async () => {
    const end = clock.wallMs() + 1000;
    const engine = await storeWith([
      { key: 'a', kind: POINTER, value: LARGE, expiresAtMs: end },
      { key: 'b', kind: PUT, value: 'b' },
    ]);
    await scheduler.advance(1000);
    await flushed(engine);
    expect(engine.metrics().values).toMatchObject({ liveBytes: 0, fileBytes: 0 });
    expect(disk.listSync('/data').filter((name) => name.endsWith('.log'))).toEqual([]);
    await scheduler.until(engine.close());
  });

  test('gives its space back by itself: whole tables unread, a part when it is enough, the rest after expiryLagMs', async () => {
    const settings = { ...SETTINGS, expiryLagMs: 60_000 };
    const engine = await scheduler.until(open('/data', settings, { fileSystem: disk, scheduler, clock }));
    const begun = clock.wallMs();
    const { tables } = engine.metrics();
    expect(tables.count).toBe(0);
    const fill = (prefix: string, expiresAtMs: number): void => {
      for (let i = 0; i < 100; i++) void engine.put(`${prefix}${i}`, Buffer.alloc(100, prefix), { expiresAtMs, durability: 'buffered' });
    };
    const left = (): number => engine.metrics().tables.entries;
    fill('a', begun + 10_000);
    await flushed(engine);
    const dropped: unknown[] = [];
    engine.events.on('tables-dropped', (event) => dropped.push(event.reason));
    await scheduler.advance(10_001);
    expect(dropped).toEqual(['expiry']);
    expect(left()).toBe(0);
    // Half of a table.
    fill('b', begun + 30_000);
    fill('c', begun + 200_000);
    await flushed(engine);
    await scheduler.advance(15_000);
    expect(left()).toBe(200);
    await scheduler.advance(70_000);
    await scheduler.until(engine.settled());
    expect(left()).toBe(100);
    // Little of one.
    for (let i = 0; i < 5; i++) void engine.put(`d${i}`, 'brief', { expiresAtMs: begun + 150_000, durability: 'buffered' });
    for (let i = 0; i < 100; i++) void engine.put(`e${i}`, Buffer.alloc(100), { durability: 'buffered' });
    await flushed(engine);
    await scheduler.advance(begun + 160_000 - clock.wallMs());
    await scheduler.until(engine.settled());
    expect(left()).toBe(205);
    await scheduler.advance(50_001);
    await scheduler.until(engine.settled());
    expect(left()).toBe(100);
    await scheduler.until(engine.close());
  });

  test('may end while an iterator is on its way to it', async () => {
    const end = clock.wallMs() + 1000;
    const engine = await storeWith([
      { key: 'a', kind: PUT, value: 'a' },
      { key: 'b', kind: POINTER, value: LARGE, expiresAtMs: end },
      { key: 'c', kind: PUT, value: 'c' },
    ]);
    const iterator = engine.scanSync();
    expect(Buffer.from(iterator.next().value![0]).toString()).toBe('a');
    await scheduler.advance(1000);
    await flushed(engine);
    expect(engine.metrics().values.fileBytes).toBe(0);
    expect(Buffer.from(iterator.next().value![0]).toString()).toBe('c');
    expect(iterator.next().done).toBe(true);
    await scheduler.until(engine.close());
  });
});

describe('a record in the log', () => {
  const found = (...batch: HandRecord[]): ReturnType<typeof replayed> => {
    disk.makeDirectorySync('/log');
    writeLog(disk, '/log/000001.log', 1, [batch]);
    return replayed(disk);
  };

  test('is replayed with its expiry', () => {
    expect(
      found({ key: 'a', kind: PUT, value: 'v', expiresAtMs: 258 }, { key: 'b', kind: POINTER, value: LARGE, expiresAtMs: 1 }),
    ).toMatchObject({
      records: [
        { key: 'a', kind: PUT, value: '020100000000000076' },
        { key: 'b', kind: POINTER, value: '01000000000000000100000088130000' },
      ],
    });
  });

  test.each<[string, HandRecord]>([
    ['a flag that is not known', { key: 'a', kind: PUT, value: 'v', flags: 2 }],
    ['no room for the expiry that it says to have', { key: 'a', kind: PUT, value: '1234567', flags: 1 }],
    ['a pointer without its expiry', { key: 'a', kind: POINTER, value: LARGE, flags: 1 }],
    ['a delete that expires', { key: 'a', kind: DELETE, flags: 1 }],
    ['an expiry past all numbers', { key: 'a', kind: PUT, value: Buffer.alloc(8, 0xff), flags: 1 }],
  ])('is refused with %s', (_, record) => {
    expect(found(record)).toBe('CORRUPT_LOG');
  });

  test('of an older format is refused', () => {
    disk.makeDirectorySync('/log');
    writeLog(disk, '/log/000001.log', 1, [], 1);
    expect(replayed(disk)).toBe('FORMAT_OLDER');
  });
});
