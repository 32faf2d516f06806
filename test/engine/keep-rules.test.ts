/** Rules of what to keep of a keyspace, as a user meets them. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type Engine, type EngineEvent, keepHash, type KeepRule, type Keyspace, open, type Snapshot } from '../../engine/index.ts';
import type { CrashMode } from '../sim/sim-file.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';
import { hashKey } from '../assembly/twins/hash-key.ts';

const SETTINGS = {
  memoryBytes: 64 * 1024 * 1024,
  pageCacheBytes: 1024 * 1024,
  memtableBytes: 256 * 1024,
  segmentBytes: 256 * 1024,
  tableBytes: 64 * 1024,
  level0Compact: 2,
  level1Bytes: 256 * 1024,
  maxBatchBytes: 8 * 1024 * 1024,
  maxValueBytes: 1024 * 1024,
};
const KEYS = 2000;

let disk: SimFileSystem;
let scheduler: SimScheduler;
let engine: Engine;
let users: Keyspace;

beforeEach(async () => {
  disk = new SimFileSystem();
  scheduler = new SimScheduler();
  await start();
});

async function start(): Promise<void> {
  engine = await scheduler.until(open('/data', SETTINGS, { fileSystem: disk, scheduler, clock: new SimClock(scheduler) }));
  users = await scheduler.until(engine.keyspace('users'));
}

async function reopen(): Promise<void> {
  await scheduler.until(engine.close());
  await start();
}

/** Power is lost; what was under way never goes on. */
async function restartAfter(mode: CrashMode): Promise<void> {
  disk.crash(mode);
  scheduler = new SimScheduler();
  await start();
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function keyAt(i: number): string {
  return `k${String(i).padStart(5, '0')}`;
}

/** 1 MiB in two tables of level 0 that overlap, and the same keys in the default keyspace. */
async function fill(bytes: number = 500): Promise<void> {
  for (const part of [0, 1]) {
    for (let i = part; i < KEYS; i += 2) {
      void users.put(keyAt(i), Buffer.alloc(bytes, `${i};`), { durability: 'buffered' });
      void engine.put(keyAt(i), 'default', { durability: 'buffered' });
    }
    await scheduler.until(engine.flush());
  }
  await scheduler.until(engine.settled());
}

async function keep(rule: KeepRule | undefined): Promise<void> {
  await scheduler.until(users.keepOnly(rule));
}

async function settle(): Promise<void> {
  await scheduler.until(engine.settled());
}

function keys(options: Parameters<Engine['scanSync']>[0] = {}): string[] {
  return [...users.scanSync({ ...options, keysOnly: true })].map(([key]) => Buffer.from(key).toString());
}

const all = Array.from({ length: KEYS }, (_, i) => keyAt(i));

test('keepHash is what tables hash keys by', () => {
  for (const text of ['a', 'ab', 'k00012', 'a key of more than sixteen bytes']) {
    const key = Buffer.from(text);
    expect(keepHash(key)).toBe(Number(hashKey(key) & 0xffffffffn));
  }
});

describe('a rule', () => {
  test('takes away what lies outside of its bounds, of its keyspace alone', async () => {
    await fill();
    const before = engine.metrics().tables.bytes;
    await keep({ gte: keyAt(500), lt: keyAt(700) });
    await settle();
    expect(keys()).toEqual(all.slice(500, 700));
    expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(KEYS);
    expect(engine.metrics().tables.bytes).toBeLessThan(before / 4);
  });

  test('drops tables without reading them where it can', async () => {
    await fill();
    await scheduler.until(engine.compact());
    const dropped: EngineEvent[] = [];
    engine.events.on('tables-dropped', (event) => dropped.push(event));
    await keep({ lt: keyAt(1000) });
    await settle();
    expect(keys()).toEqual(all.slice(0, 1000));
    expect(dropped).toMatchObject([{ reason: 'rules' }]);
  });

  test('divides by hash, so that two halves make the whole', async () => {
    await fill();
    await keep({ hash: { mask: 3, value: 2 } });
    await settle();
    const kept = all.filter((key) => (keepHash(Buffer.from(key)) & 3) === 2);
    expect(kept.length).toBeGreaterThan(KEYS / 5);
    expect(keys()).toEqual(kept);
  });

  test('gives back large values', async () => {
    await fill(5000);
    const before = engine.metrics().values.fileBytes;
    await keep({ lt: keyAt(10) });
    await settle();
    expect(keys()).toEqual(all.slice(0, 10));
    expect(engine.metrics().values.fileBytes).toBeLessThan(before / 20);
  });

  test('holds for what is written later, once compaction comes to it', async () => {
    await keep({ lt: 'm' });
    await users.put('z', 'new');
    expect(users.getSync('z')).toBeDefined();
    await fill();
    await scheduler.until(engine.compact());
    expect(keys()).toEqual(all);
  });

  test('is there after opening again; taken back, it leaves everything', async () => {
    await keep({ gte: 'b', hash: { mask: 1, value: 1 } });
    await reopen();
    expect(users.kept).toEqual({ gte: bytes('b'), hash: { mask: 1, value: 1 } });
    await keep(undefined);
    expect(users.kept).toBeUndefined();
    await reopen();
    expect(users.kept).toBeUndefined();
    await fill();
    expect(keys()).toEqual(all);
  });

  test('is there after a crash once it was promised, and so is what it keeps', async () => {
    await fill();
    await keep({ gte: keyAt(100), lt: keyAt(200) });
    await restartAfter('none');
    await settle();
    expect(users.kept).toEqual({ gte: bytes(keyAt(100)), lt: bytes(keyAt(200)) });
    expect(keys()).toEqual(all.slice(100, 200));
  });

  test('survives power loss at any moment of its work: what it keeps is there, the rest is as it was or gone', async () => {
    await fill(60);
    const begun = disk.operations;
    await keep({ gte: keyAt(700), lt: keyAt(800) });
    await settle();
    const operations = disk.operations - begun;
    for (let after = 1; after < operations; after++) {
      disk = new SimFileSystem();
      scheduler = new SimScheduler();
      await start();
      await fill(60);
      disk.killAt(disk.operations + after);
      await scheduler.until(
        users
          .keepOnly({ gte: keyAt(700), lt: keyAt(800) })
          .then(() => engine.settled())
          .catch(() => {}),
      );
      await restartAfter('torn');
      expect(keys({ gte: keyAt(700), lt: keyAt(800) })).toEqual(all.slice(700, 800));
      for (const [key, value] of users.scanSync()) {
        expect(Buffer.from(value).equals(Buffer.alloc(60, `${Number(Buffer.from(key).toString().slice(1))};`))).toBe(true);
      }
      await scheduler.until(engine.close());
    }
  });

  test('leaves alone what a snapshot sees', async () => {
    await fill();
    const snapshot = engine.snapshot();
    await keep({ lt: keyAt(10) });
    await scheduler.until(engine.compact());
    await settle();
    expect(keys({ snapshot })).toEqual(all);
    expect(keys()).toEqual(all);
    snapshot.release();
    await settle();
    expect(keys()).toEqual(all.slice(0, 10));
  });

  test('waits for a snapshot that was taken while it was being applied', async () => {
    await fill();
    const ended: EngineEvent[] = [];
    let snapshot: Snapshot | undefined;
    engine.events.on('compaction-begun', () => (snapshot ??= engine.snapshot()));
    engine.events.on('compaction-ended', (event) => ended.push(event));
    const files = disk.listSync('/data').length;
    await keep({ hash: { mask: 3, value: 2 } });
    await settle();
    expect(snapshot).toBeDefined();
    expect(keys({ snapshot: snapshot! })).toEqual(all);
    expect(ended).toMatchObject([{ reason: 'rules', outcome: 'repeated' }]);
    expect(disk.listSync('/data')).toHaveLength(files);
    snapshot!.release();
    await scheduler.advance(6000);
    await settle();
    expect(keys()).toEqual(all.filter((key) => (keepHash(Buffer.from(key)) & 3) === 2));
  });

  test.each<[KeepRule, string]>([
    [{}, 'gte'],
    [{ lt: '' }, 'lt'],
    [{ gte: 'b', lt: 'b' }, 'gte'],
    [{ hash: { mask: 0, value: 0 } }, 'mask'],
    [{ hash: { mask: 1.5, value: 0 } }, 'mask'],
    [{ hash: { mask: 4, value: 2 } }, 'value'],
    [{ hash: { mask: 2 ** 32, value: 0 } }, 'mask'],
    [{ below: 3 } as KeepRule, 'below'],
  ])('%j is refused', async (rule, what) => {
    await expect(users.keepOnly(rule)).rejects.toMatchObject({ code: 'KEEP_RULE', message: expect.stringContaining(what) });
    expect(users.kept).toBeUndefined();
  });
});
