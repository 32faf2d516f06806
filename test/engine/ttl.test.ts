/** Expiry as a caller gives it: by write, by keyspace, by a time or from now. What expiring means to reads and files is expiry.test.ts. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const SETTINGS = { memoryBytes: 2 ** 26, pageCacheBytes: 2 ** 20, memtableBytes: 65536, maxBatchBytes: 2 ** 20, maxValueBytes: 2 ** 20 };

let fileSystem: SimFileSystem;
let scheduler: SimScheduler;
let clock: SimClock;
let engine: Engine;

beforeEach(async () => {
  fileSystem = new SimFileSystem();
  scheduler = new SimScheduler();
  clock = new SimClock(scheduler);
  engine = await started();
});
afterEach(() => scheduler.until(engine.close()));

function started(): Promise<Engine> {
  return scheduler.until(open('/data', SETTINGS, { fileSystem, scheduler, clock }));
}

describe('a write that says when its value ends', () => {
  test.each([10, 1023, 1024, 7970, 7985, 8000, 100_000])(
    'of %i bytes, alone and in a batch, through log, table and reopening',
    async (bytes) => {
      const value = Buffer.alloc(bytes, 'value');
      const until = clock.wallMs() + 60_000;
      void engine.put('a', value, { ttlMs: 60_000 });
      void engine.put('b', value, { expiresAtMs: until });
      void engine.write([
        { type: 'put', key: 'c', value, ttlMs: 60_000 },
        { type: 'put', key: 'd', value, expiresAtMs: until },
        { type: 'put', key: 'e', value },
        { type: 'put', key: 'gone', value, expiresAtMs: 1 },
      ]);
      const check = (): void => {
        for (const key of ['a', 'b', 'c', 'd']) expect(engine.getEntrySync(key), key).toMatchObject({ expiresAtMs: until });
        expect(engine.getEntrySync('e')).not.toHaveProperty('expiresAtMs');
        for (const key of ['a', 'b', 'c', 'd', 'e']) expect(value.equals(engine.getSync(key)!), key).toBe(true);
        expect([...engine.scanSync()].map(([key, found]) => [Buffer.from(key).toString(), found.length])).toEqual(
          ['a', 'b', 'c', 'd', 'e'].map((key) => [key, bytes]),
        );
      };
      check();
      await scheduler.until(engine.close());
      engine = await started();
      check();
      await scheduler.until(engine.flush());
      check();
      await scheduler.advance(60_000);
      expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(1);
      expect(['a', 'b', 'c', 'd', 'e'].map((key) => engine.hasSync(key))).toEqual([false, false, false, false, true]);
    },
  );

  test('the keyspace says it where the write does not', async () => {
    const opened = async (ttlMs?: number): ReturnType<Engine['keyspace']> =>
      scheduler.until(engine.keyspace('brief', ttlMs === undefined ? undefined : { ttlMs }));
    const brief = await opened(1000);
    const now = clock.wallMs();
    void brief.put('a', '1');
    void brief.put('b', '1', { ttlMs: 5000 });
    void brief.put('c', '1', { ttlMs: Infinity });
    void brief.put('d', '1', { expiresAtMs: now + 7000 });
    void engine.write([
      { type: 'put', key: 'e', value: '1', keyspace: brief },
      { type: 'put', key: 'f', value: '1', keyspace: brief, ttlMs: Infinity },
      { type: 'put', key: 'a', value: '1' },
    ]);
    const ends = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => brief.getEntrySync(key)!.expiresAtMs);
    expect(ends).toEqual([now + 1000, now + 5000, undefined, now + 7000, now + 1000, undefined]);
    expect(engine.getEntrySync('a')).not.toHaveProperty('expiresAtMs');
    await opened(3000);
    void brief.put('a', '2');
    expect(brief.getEntrySync('a')!.expiresAtMs).toBe(clock.wallMs() + 3000);
    expect(brief.settings).toEqual({ ttlMs: 3000 });
  });

  test('a put without one over a value that ends stays', async () => {
    void engine.put('a', 'brief', { ttlMs: 1 });
    void engine.put('a', 'stays');
    await scheduler.advance(10);
    expect(Buffer.from(engine.getSync('a')!).toString()).toBe('stays');
  });

  test.each<[string, object, object]>([
    ['both', { ttlMs: 1, expiresAtMs: 1 }, { code: 'EXPIRY', details: { field: 'expiresAtMs' } }],
    ['no time', { ttlMs: 0 }, { code: 'OPTION_RANGE', details: { field: 'ttlMs', min: 1 } }],
    ['half a millisecond', { ttlMs: 0.5 }, { code: 'OPTION_RANGE' }],
    ['time without end', { ttlMs: 2 ** 52 + 2 }, { code: 'OPTION_RANGE', details: { field: 'ttlMs', max: 2 ** 52 } }],
    ['time 0', { expiresAtMs: 0 }, { code: 'OPTION_RANGE', details: { field: 'expiresAtMs', min: 1 } }],
    ['a time past exact numbers', { expiresAtMs: 2 ** 53 }, { code: 'OPTION_RANGE' }],
    ['a time that is text', { expiresAtMs: 'tomorrow' }, { code: 'OPTION_RANGE' }],
    ['another name', { ttlMS: 1 }, { code: 'OPTION_UNKNOWN', details: { field: 'ttlMS' } }],
  ])('with %s is refused, alone and in a batch', async (_, options, error) => {
    await expect(engine.put('a', '1', options)).rejects.toMatchObject({ kind: 'invalid', ...error });
    await expect(engine.write([{ type: 'put', key: 'a', value: '1', ...options }])).rejects.toMatchObject({ kind: 'invalid', ...error });
    expect(engine.hasSync('a')).toBe(false);
  });

  test('a delete has none, and a keyspace has one from 1 ms on', async () => {
    await expect(engine.delete('a', { ttlMs: 1 } as object)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN', details: { field: 'ttlMs' } });
    await expect(engine.write([{ type: 'delete', key: 'a', ttlMs: 1 } as never])).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await expect(engine.keyspace('brief', { ttlMs: 0 })).rejects.toMatchObject({ code: 'OPTION_RANGE', details: { field: 'ttlMs' } });
  });
});
