/** The asynchronous verbs over a disk that takes its time: what they answer, what they cost, and what happens beside them. */
import { describe, expect, test } from 'vitest';
import { type Engine, type EngineSettingsInput, open } from '../../../engine/index.ts';
import type { ReadPolicy } from '../../../engine/cold-reads/index.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { drain, SimScheduler } from '../../sim/sim-scheduler.ts';

const SETTINGS: EngineSettingsInput = {
  memtableBytes: 256 * 1024,
  tableBytes: 64 * 1024,
  level0Compact: 16,
  level0Stop: 32,
  pageCacheBytes: 2 ** 20,
  valueCacheBytes: 2 ** 20,
  memoryBytes: 2 ** 27,
  maxBatchBytes: 2 ** 20,
  maxValueBytes: 2 ** 24,
};
const AWAY: ReadPolicy = { choose: () => 'away', took: () => undefined };
const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes.subarray(0, 40)).toString();
const keyOf = (i: number): string => `key ${String(i).padStart(6, '0')}`;
/** How a call ended. */
const endOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'answered',
    (error: unknown) => (error as { code?: string }).code,
  );
const code = (value: string): unknown => expect.objectContaining({ code: value });

/** An engine over a disk whose reads take `readMs`, and so many of them at a time as are asked for. */
class Slow {
  readonly scheduler = new SimScheduler();
  readonly clock = new SimClock(this.scheduler);
  readMs = 5;
  readonly fs = new SimFileSystem({
    slowReads: {
      scheduler: this.scheduler,
      readMs: () => this.readMs,
    },
  });
  engine!: Engine;
  #policy: ReadPolicy | 'own' = AWAY;

  static async with(fill: (engine: Engine) => void, settings: EngineSettingsInput = {}, policy: ReadPolicy | 'own' = AWAY): Promise<Slow> {
    const slow = new Slow();
    slow.#policy = policy;
    await slow.open(settings);
    fill(slow.engine);
    await slow.until(slow.engine.flush());
    await slow.reopen(settings);
    return slow;
  }

  async open(settings: EngineSettingsInput): Promise<void> {
    const components = { fileSystem: this.fs, scheduler: this.scheduler, clock: this.clock };
    const policy = this.#policy;
    this.engine = await open(
      '/data',
      { ...SETTINGS, ...settings },
      policy === 'own' ? components : { ...components, readPolicy: () => policy },
    );
  }

  /** Nothing is cached after it. */
  async reopen(settings: EngineSettingsInput = {}): Promise<void> {
    await this.until(this.engine.close());
    await this.open(settings);
  }

  until<T>(promise: Promise<T>): Promise<T> {
    return this.scheduler.until(promise);
  }

  async close(): Promise<void> {
    await this.until(this.engine.close());
    expect(this.fs.openFiles).toEqual([]);
  }
}

function fill(count: number, bytes = 100): (engine: Engine) => void {
  return (engine) => {
    for (let i = 0; i < count; i++) void engine.put(keyOf(i), `${i}!`.padEnd(bytes, '.'), { durability: 'buffered' });
  };
}

async function entries(scan: AsyncIterable<[Uint8Array, Uint8Array]>): Promise<string[]> {
  const found: string[] = [];
  for await (const [key, value] of scan) found.push(`${text(key)} ${text(value)?.split('!')[0]}`);
  return found;
}

describe('reads that wait for the disk', () => {
  test('answer what the synchronous ones do, and hold nobody', async () => {
    const slow = await Slow.with(fill(2000));
    const { engine } = slow;
    const begunMs = slow.scheduler.nowMs;
    const get = engine.get(keyOf(77));
    const all = Promise.all([get, engine.getEntry(keyOf(1234)), engine.has(keyOf(500)), engine.has('nothing'), engine.get(keyOf(9999))]);
    expect(slow.scheduler.nowMs).toBe(begunMs);
    const [value, entry, is, isNot, missing] = await slow.until(all);
    expect([text(value)?.split('!')[0], entry?.version, is, isNot, missing]).toEqual(['77', 1235, true, false, undefined]);
    expect(engine.metrics().reads).toMatchObject({ gets: 5 });
    expect(engine.metrics().reads.awayReads).toBeGreaterThan(5);
    expect(engine.metrics().snapshots.count).toBe(0);
    await slow.close();
  });

  test.each(['none', 'lz4'] as const)('scans both ways, in few reads (%s)', async (compression) => {
    const slow = await Slow.with(fill(20_000), { compression, tableBytes: 2 ** 20, memtableBytes: 2 ** 23 });
    const expected = [...Array(20_000).keys()].map((i) => `${keyOf(i)} ${i}`);
    for (const reverse of [false, true]) {
      await slow.reopen({ compression });
      expect(await slow.until(entries(slow.engine.scan({ reverse })))).toEqual(reverse ? expected.toReversed() : expected);
      const { pageReads, awayReads } = slow.engine.metrics().reads;
      expect(pageReads).toBeGreaterThan(250);
      expect(awayReads).toBeLessThan(25);
    }
    await slow.reopen({ compression });
    const { awayReads } = slow.engine.metrics().reads;
    const { bytesRead } = slow.fs;
    expect(await slow.until(entries(slow.engine.scan({ gte: keyOf(7000), limit: 5 })))).toEqual(expected.slice(7000, 7005));
    expect(slow.engine.metrics().reads.awayReads - awayReads).toBeLessThan(8);
    expect(slow.fs.bytesRead - bytesRead).toBeLessThan(100_000);
    await slow.close();
  });

  test('are as of the call, whatever is written, compacted and released before the disk has answered', async () => {
    const slow = await Slow.with(fill(3000));
    const { engine } = slow;
    const snapshot = engine.snapshot();
    const key = Buffer.from(keyOf(100));
    const reads = [engine.get(key), engine.getMany([keyOf(100), keyOf(2000)]), engine.get(keyOf(2000), { snapshot })] as const;
    const scan = entries(engine.scan({ gte: keyOf(10), lt: keyOf(20) }));
    key.fill(0);
    snapshot.release();
    expect(engine.metrics().snapshots).toMatchObject({ count: 4, iterators: 4 });
    void engine.deleteRange({ gte: keyOf(0), lt: keyOf(2500) }, { durability: 'buffered' });
    for (let i = 0; i < 3000; i++) void engine.put(keyOf(i), 'new!', { durability: 'buffered' });
    slow.readMs = 200;
    const compacted = engine.compact();
    const [one, many, old] = await slow.until(Promise.all(reads));
    expect([one, ...many, old].map((value) => text(value)?.split('!')[0])).toEqual(['100', '100', '2000', '2000']);
    expect(await slow.until(scan)).toEqual([...Array(10).keys()].map((i) => `${keyOf(i + 10)} ${i + 10}`));
    await slow.until(compacted);
    expect(engine.metrics().snapshots.count).toBe(0);
    expect(text(await slow.until(engine.get(keyOf(100))))).toBe('new!');
    await slow.close();
  });

  test('find what compaction has moved out of the table, and out of the file, that they wait for', async () => {
    const slow = await Slow.with(
      (engine) => {
        for (let i = 0; i < 400; i++) void engine.put(keyOf(i), `${i}!`.padEnd(4000, '.'), { durability: 'buffered' });
      },
      { garbageRatio: 0.05, segmentBytes: 256 * 1024 },
    );
    const { engine } = slow;
    for (let i = 0; i < 400; i++) if (i % 3 > 0) void engine.delete(keyOf(i), { durability: 'buffered' });
    await slow.until(engine.flush());
    const before = slow.fs.listSync('/data');
    slow.readMs = 50;
    const reads = [3, 90, 300, 396].map((i) => engine.get(keyOf(i)));
    // Compaction reads as well, on the thread: it has to be quicker than those who wait.
    slow.readMs = 0;
    await slow.until(engine.compact());
    const gone = before.filter((name) => !slow.fs.existsSync(`/data/${name}`));
    expect(gone.some((name) => name.endsWith('.table'))).toBe(true);
    const values = await slow.until(Promise.all(reads));
    expect(values.map((value) => text(value)?.split('!')[0])).toEqual(['3', '90', '300', '396']);
    await slow.close();
  });

  test('share a page, and are with the pool a few at a time', async () => {
    const slow = await Slow.with(fill(20_000), { tableBytes: 2 ** 22, memtableBytes: 2 ** 23 });
    const { engine } = slow;
    await slow.until(engine.get(keyOf(0)));
    const before = engine.metrics().reads;
    const one = Array.from({ length: 100 }, () => engine.get(keyOf(15_000)));
    expect((await slow.until(Promise.all(one))).every((value) => text(value)?.startsWith('15000!'))).toBe(true);
    expect(engine.metrics().reads.awayReads - before.awayReads).toBe(1);
    // Pages that are not cached, 16 at a time of 5 ms each.
    const begunMs = slow.scheduler.nowMs;
    await slow.until(Promise.all(Array.from({ length: 5000 }, (_, i) => engine.get(keyOf(i * 2)))));
    const reads = engine.metrics().reads.awayReads - before.awayReads - 1;
    expect(reads).toBeGreaterThan(100);
    expect(slow.scheduler.nowMs - begunMs).toBeGreaterThanOrEqual(Math.floor(reads / 16) * 5);
    expect(slow.scheduler.nowMs - begunMs).toBeLessThan((reads / 16 + 3) * 5);
    await slow.close();
  });

  test('getMany has its reads done together', async () => {
    const slow = await Slow.with(fill(20_000), { tableBytes: 2 ** 22, memtableBytes: 2 ** 23 });
    const { engine } = slow;
    await slow.until(engine.get(keyOf(0)));
    const { gets, awayReads } = engine.metrics().reads;
    const begunMs = slow.scheduler.nowMs;
    const keys = Array.from({ length: 320 }, (_, i) => keyOf((i * 7919) % 20_000));
    const values = await slow.until(engine.getMany(keys));
    expect(values.map((value, i) => text(value)?.startsWith(`${Number(keys[i]!.slice(4))}!`))).not.toContain(false);
    const { reads } = engine.metrics();
    expect(reads.gets - gets).toBe(320);
    expect(slow.scheduler.nowMs - begunMs).toBeLessThan(((reads.awayReads - awayReads) * 5) / 8);
    await slow.close();
  });

  test('large values come away from the thread, whatever the disk did before', async () => {
    const large = Buffer.alloc(12 * 2 ** 20, 'large!');
    const slow = new Slow();
    await slow.open({});
    void slow.engine.put('large', large, { durability: 'buffered' });
    await slow.until(slow.engine.flush());
    await slow.reopen();
    slow.readMs = 0;
    expect(slow.engine.getSync('small')).toBe(undefined);
    slow.engine.hasSync('large');
    slow.readMs = 30;
    const begunMs = slow.scheduler.nowMs;
    const get = slow.engine.get('large');
    expect(slow.scheduler.nowMs).toBe(begunMs);
    expect(Buffer.compare((await slow.until(get))!, large)).toBe(0);
    await slow.close();
  });

  test('go away by themselves when the disk is slow, and come back when it is quick', async () => {
    const slow = await Slow.with(fill(20_000), { tableBytes: 2 ** 22, memtableBytes: 2 ** 23 }, 'own');
    const { engine } = slow;
    const pass = async (): Promise<number> => {
      const { awayReads, pageReads } = engine.metrics().reads;
      for (let i = 0; i < 20_000; i += 80) {
        await slow.until(engine.get(keyOf((i * 11) % 20_000)));
        await slow.scheduler.advance(1);
      }
      const { reads } = engine.metrics();
      expect(reads.pageReads - pageReads).toBeGreaterThan(100);
      return (reads.awayReads - awayReads) / (reads.pageReads - pageReads);
    };
    slow.readMs = 0;
    expect(await pass()).toBe(0);
    slow.readMs = 3;
    await pass();
    expect(await pass()).toBeGreaterThan(0.9);
    slow.readMs = 0;
    for (let i = 0; i < 3; i++) await pass();
    expect(await pass()).toBe(0);
    await slow.close();
  });
});

describe('what goes wrong while the disk is waited for', () => {
  test('a read that fails rejects with what the synchronous one throws, and the next one succeeds', async () => {
    const slow = await Slow.with(fill(2000));
    const { engine, fs } = slow;
    // Footer, top, filter, index, page.
    for (let nth = 1; nth <= 5; nth++) {
      await slow.reopen();
      fs.failAt({ at: fs.reads + nth, error: 'EIO', on: 'read' });
      await expect(slow.until(slow.engine.get(keyOf(1000)))).rejects.toThrow(code('EIO'));
      fs.failAt();
      expect(text(await slow.until(slow.engine.get(keyOf(1000))))).toContain('1000!');
    }
    fs.failAt({ at: fs.reads + 1, error: 'EIO', on: 'read', forGood: true });
    await expect(slow.until(slow.engine.getMany([keyOf(0), keyOf(1900)]))).rejects.toThrow(code('EIO'));
    await expect(slow.until(entries(slow.engine.scan()))).rejects.toThrow(code('EIO'));
    fs.failAt();
    expect(engine).not.toBe(slow.engine);
    expect(slow.engine.metrics().snapshots.count).toBe(0);
    await slow.close();
  });

  test('damage is told with its event, of a page and of a value', async () => {
    const slow = await Slow.with((engine) => {
      void engine.put('small', 'x'.repeat(100), { durability: 'buffered' });
      void engine.put('value', 'y'.repeat(5000), { durability: 'buffered' });
    });
    const { fs, engine } = slow;
    const seen: string[] = [];
    engine.events.on('corruption', (event) => void seen.push(`${event.during} ${event.code}`));
    const names = fs.listSync('/data');
    const segment = `/data/${names.find((name) => name.endsWith('.log'))!}`;
    fs.flip(segment, Buffer.from(fs.contents(segment)).indexOf('yyyyyyyy') + 100);
    await expect(slow.until(engine.get('value'))).rejects.toThrow(code('CORRUPT_VALUE'));
    await slow.reopen();
    slow.engine.events.on('corruption', (event) => void seen.push(`${event.during} ${event.code}`));
    const table = `/data/${names.find((name) => name.endsWith('.table'))!}`;
    fs.flip(table, 100);
    for (const verb of [() => slow.engine.get('small'), () => slow.engine.getMany(['small']), () => entries(slow.engine.scan())]) {
      await expect(slow.until<unknown>(verb())).rejects.toThrow(code('CORRUPT_TABLE'));
    }
    expect(() => slow.engine.getSync('small')).toThrow(code('CORRUPT_TABLE'));
    await slow.scheduler.advance(1);
    expect(seen).toEqual(['read CORRUPT_VALUE', ...Array<string>(4).fill('read CORRUPT_TABLE')]);
    await slow.close();
  });

  test('closing waits for reads, which are answered; a scan is told', async () => {
    const slow = await Slow.with(fill(3000));
    const { engine } = slow;
    const answers: string[] = [];
    const note = (what: string) => (): void => void answers.push(what);
    void engine.get(keyOf(1)).then(note('get'));
    void engine.getMany([keyOf(1), keyOf(900), keyOf(2900)]).then((values) => answers.push(`many ${values.filter(Boolean).length}`));
    const scan = endOf(entries(engine.scan()));
    const closing = engine.close().then(note('closed'));
    await expect(engine.get(keyOf(2))).rejects.toThrow(code('ENGINE_CLOSED'));
    await slow.until(closing);
    expect(await scan).toBe('ENGINE_CLOSED');
    expect(answers).toEqual(['get', 'many 3', 'closed']);
    expect(slow.fs.openFiles).toEqual([]);
  });

  test('a keyspace that is dropped meanwhile refuses', async () => {
    const slow = new Slow();
    slow.fs.makeDirectorySync('/data');
    const components = { fileSystem: slow.fs, scheduler: slow.scheduler, clock: slow.clock, readPolicy: (): ReadPolicy => AWAY };
    const engine = await open('/data', SETTINGS, components);
    const birds = await slow.until(engine.keyspace('birds'));
    void birds.put('wren', 'small', { durability: 'buffered' });
    await slow.until(engine.flush());
    const get = endOf(birds.get('wren'));
    const many = endOf(birds.getMany(['wren']));
    const scan = endOf(entries(birds.scan()));
    await slow.until(birds.drop());
    expect(await slow.until(Promise.all([get, many, scan]))).toEqual(Array(3).fill('KEYSPACE_DROPPED'));
    await slow.until(engine.close());
    expect(slow.fs.openFiles).toEqual([]);
  });

  test('files are closed when reads of them have ended, however few may be open', async () => {
    const slow = await Slow.with(fill(20_000, 20), { openFilesMax: 16 });
    await slow.until(slow.engine.compact());
    await slow.reopen({ openFilesMax: 16 });
    expect(slow.engine.metrics().tables.count).toBeGreaterThan(4);
    const keys = Array.from({ length: 200 }, (_, i) => keyOf(i * 100));
    const values = await slow.until(Promise.all(keys.map((key) => slow.engine.get(key))));
    expect(values.filter(Boolean).length).toBe(200);
    await drain();
    expect(slow.fs.openFiles.length).toBeLessThanOrEqual(17);
    await slow.close();
  });
});
