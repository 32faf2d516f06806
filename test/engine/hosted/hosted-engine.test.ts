/** Engines under a host's log: what they keep of it, what they give back, and what they refuse. */
import { describe, expect, it } from 'vitest';
import {
  type EngineEvent,
  type EngineSettingsInput,
  type HostedEngine,
  type HostedOperation,
  open,
  repair,
  verify,
  stats,
  dump,
  restore,
  backup,
  ConditionFailedError,
} from '../../../engine/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { HostLog, logged, putLogged, valueOf } from './host-log.ts';

const SETTINGS: EngineSettingsInput = {
  memoryBytes: 64 * 1024 * 1024,
  pageCacheBytes: 1024 * 1024,
  memtableBytes: 65536,
  tableBytes: 65536,
  level0Compact: 2,
  level1Bytes: 262144,
  levelRatio: 2,
  inlineThreshold: 512,
  maxBatchBytes: 8 * 1024 * 1024,
  maxValueBytes: 1024 * 1024,
  valueCacheBytes: 0,
};

interface World {
  fs: SimFileSystem;
  log: HostLog;
  engine: HostedEngine;
}

async function world(settings: EngineSettingsInput = {}): Promise<World> {
  const fs = new SimFileSystem();
  const log = new HostLog(fs, '/log');
  return { fs, log, engine: await openHosted(fs, log, '/store', settings) };
}

function openHosted(fs: SimFileSystem, log: HostLog, directory = '/store', settings: EngineSettingsInput = {}): Promise<HostedEngine> {
  return open(directory, { ...SETTINGS, ...settings }, { fileSystem: fs, hosted: log.hosted });
}

function names(fs: SimFileSystem, suffix: string, directory = '/store'): string[] {
  return fs.listSync(directory).filter((name) => name.endsWith(suffix));
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString('latin1');
}

describe("values in the host's log", () => {
  it('are read from there: before a flush, after it, after opening again, and when the log has dropped its segment', async () => {
    const { fs, log, engine } = await world();
    const value = valueOf(1, 16_000);
    await putLogged(engine, log, 'large', value);
    await engine.write([{ type: 'put', key: 'small', value: 'inline', at: log.append(Buffer.from('inline')) }], { sequence: 2 });
    expect(engine.getSync('large')).toEqual(Uint8Array.from(value));
    await engine.flush();
    expect(engine.getSync('large')).toEqual(Uint8Array.from(value));
    expect(names(fs, '.link')).toHaveLength(1);
    expect(names(fs, '.log')).toHaveLength(0);
    log.remove(1);
    await engine.close();
    const again = await openHosted(fs, log);
    expect(again.sequence).toBe(2);
    expect(again.getSync('large')).toEqual(Uint8Array.from(value));
    expect(text(again.getSync('small'))).toBe('inline');
    expect([...again.scanSync()].map(([key, found]) => [text(key), found.length])).toEqual([
      ['large', 16_000],
      ['small', 6],
    ]);
    await again.close();
  });

  it('are not written again by the engine: next to nothing goes to its directory', async () => {
    const { fs, log, engine } = await world({ memtableBytes: 1024 * 1024 });
    let logBytes = 0;
    const before = fs.bytesWritten;
    for (let i = 0; i < 500; i++) {
      const value = valueOf(i, 16 * 1024);
      logBytes += value.length + 13;
      await putLogged(engine, log, `key/${i}`, value);
    }
    await engine.flush();
    await engine.settled();
    const own = fs.bytesWritten - before - logBytes;
    expect(own / logBytes).toBeLessThan(0.02);
    expect(engine.metrics().writes.amplification).toBeLessThan(0.02);
    await engine.close();
  });

  it('that are overwritten before the flush leave no link behind', async () => {
    const { fs, log, engine } = await world();
    await putLogged(engine, log, 'a', valueOf(1, 1000));
    log.roll();
    await putLogged(engine, log, 'a', valueOf(2, 1000));
    expect(engine.hostSegments().map(({ segment }) => segment)).toEqual([1, 2]);
    await engine.flush();
    await engine.settled();
    expect(names(fs, '.link')).toHaveLength(1);
    expect(engine.hostSegments()).toEqual([{ segment: 2, bytes: 1000, liveBytes: 1000, end: 1013 }]);
    await engine.close();
  });

  it('count for garbage as far as this engine wrote them, and move to a block file when most of them is garbage', async () => {
    const { fs, log, engine } = await world();
    // What others have in the segment is not this engine's garbage.
    for (let i = 0; i < 60; i++) log.append(valueOf(0, 2000));
    for (let i = 0; i < 10; i++) await putLogged(engine, log, `key/${i}`, valueOf(i, 2000));
    await engine.flush();
    await engine.settled();
    expect(engine.metrics().space.garbage.bytes).toBe(0);
    expect(names(fs, '.block')).toHaveLength(0);
    for (let i = 0; i < 8; i++) await putLogged(engine, log, `key/${i}`, valueOf(100 + i, 2000));
    await engine.flush();
    await engine.compact();
    await engine.settled();
    expect(names(fs, '.block')).toHaveLength(1);
    expect(engine.getSync('key/9')).toEqual(Uint8Array.from(valueOf(9, 2000)));
    expect(engine.getSync('key/1')).toEqual(Uint8Array.from(valueOf(101, 2000)));
    await engine.close();
  });

  it('are in files of its own in a copy, which is under no host: what else is in them is garbage there', async () => {
    const { fs, log, engine } = await world();
    for (let i = 0; i < 30; i++) log.append(valueOf(0, 2000));
    for (let i = 0; i < 10; i++) await putLogged(engine, log, `key/${i}`, valueOf(i, 2000));
    const before = engine.hostSegments();
    const { sequence, contents } = await engine.checkpoint('/copy');
    expect(sequence).toBe(10);
    expect(contents.map(({ name }) => name)).toEqual(names(fs, '.table', '/copy').concat(names(fs, '.link', '/copy')));
    expect(contents.at(-1)!.bytes).toBe(before[0]!.end);
    // The numbers of another log are not those of this one.
    const other = new HostLog(fs, '/other');
    const copy = await open('/copy', SETTINGS, { fileSystem: fs, hosted: other.hosted });
    expect(copy.hostSegments()).toEqual([{ segment: 0, bytes: before[0]!.end, liveBytes: 20_000, end: before[0]!.end }]);
    await copy.settled();
    expect(copy.hostSegments()).toEqual([]);
    for (let i = 0; i < 10; i++) expect(copy.getSync(`key/${i}`)).toEqual(Uint8Array.from(valueOf(i, 2000)));
    await copy.close();
    await engine.close();
  });

  it('move out of several segments at once', async () => {
    const { fs, log, engine } = await world();
    for (let i = 0; i < 9; i++) {
      if (i % 3 === 0 && i > 0) log.roll();
      await putLogged(engine, log, `key/${i}`, valueOf(i, 2000));
    }
    await engine.relocate([1, 3]);
    expect(engine.hostSegments().map(({ segment }) => segment)).toEqual([2]);
    expect(names(fs, '.block')).toHaveLength(1);
    for (let i = 0; i < 9; i++) expect(engine.getSync(`key/${i}`)).toEqual(Uint8Array.from(valueOf(i, 2000)));
    await expect(engine.relocate([2, -1])).rejects.toMatchObject({ code: 'OPTION_RANGE', details: { field: 'segment' } });
    await engine.close();
  });

  it('expire, and stay at a snapshot, as others do', async () => {
    const { log, engine } = await world();
    await putLogged(engine, log, 'expired', valueOf(1, 1000), { expiresAtMs: 1 });
    await putLogged(engine, log, 'later', valueOf(2, 1000), { expiresAtMs: 1e15 });
    const snapshot = engine.snapshot();
    await putLogged(engine, log, 'later', valueOf(3, 1000));
    await engine.flush();
    expect(engine.getSync('expired')).toBeUndefined();
    expect(engine.getEntrySync('later', { snapshot })).toEqual({ value: Uint8Array.from(valueOf(2, 1000)), version: 2, expiresAtMs: 1e15 });
    expect(engine.getSync('later')).toEqual(Uint8Array.from(valueOf(3, 1000)));
    snapshot.release();
    await engine.close();
  });

  it('are waited for: the manifest does not refer to what the host has not on disk', async () => {
    const fs = new SimFileSystem();
    const log = new HostLog(fs, '/log');
    const { promise, resolve } = Promise.withResolvers<void>();
    let asked = 0;
    const hosted = { ...log.hosted, sync: () => (asked++, promise.then(() => log.sync())) };
    const engine = await open('/store', SETTINGS, { fileSystem: fs, hosted });
    await engine.write([{ type: 'put', key: 'small', value: 'x' }], { sequence: 1 });
    await engine.flush();
    expect(asked).toBe(0);
    await putLogged(engine, log, 'large', valueOf(1, 1000));
    const flushed = engine.flush();
    while (asked === 0) await new Promise((turn) => setImmediate(turn));
    expect(asked).toBe(1);
    expect(engine.durableSequence).toBe(1);
    resolve();
    await flushed;
    expect(engine.durableSequence).toBe(2);
    await engine.close();
  });
});

describe('a write that is not waited for', () => {
  it('is done when it returns, pointers included; one that cannot be done throws and changes nothing', async () => {
    const { log, engine } = await world();
    const large = Buffer.alloc(2000, 'v');
    expect(engine.writeNow([{ type: 'put', key: 'a', value: '1' }, logged(log, 'b', large)], 7)).toBeUndefined();
    expect([engine.sequence, text(engine.getSync('a')), engine.getEntrySync('b')?.version]).toEqual([7, '1', 7]);
    expect(engine.getSync('b')).toEqual(new Uint8Array(large));
    expect(() => engine.writeNow([{ type: 'put', key: 'a', value: '2' }], 7)).toThrow(expect.objectContaining({ code: 'SEQUENCE' }));
    expect(() => engine.writeNow([{ type: 'put', key: 'a', value: large.toString().repeat(8) }], 8)).toThrow(
      expect.objectContaining({ code: 'NO_PLACE' }),
    );
    expect([engine.sequence, text(engine.getSync('a'))]).toEqual([7, '1']);
    await engine.close();
    expect(() => engine.writeNow([], 9)).toThrow(expect.objectContaining({ code: 'ENGINE_CLOSED' }));
  });
});

describe('a segment that the host wants back', () => {
  it('is free after relocate, whatever still lived there', async () => {
    const { fs, log, engine } = await world();
    for (let i = 0; i < 40; i++) await putLogged(engine, log, `key/${String(i).padStart(2, '0')}`, valueOf(i, 3000));
    await engine.flush();
    log.roll();
    const snapshot = engine.snapshot();
    for (let i = 0; i < 40; i += 2) await putLogged(engine, log, `key/${String(i).padStart(2, '0')}`, valueOf(100 + i, 3000));
    expect(engine.hostSegments().map(({ segment }) => segment)).toEqual([1, 2]);
    await engine.relocate(1);
    expect(engine.hostSegments().map(({ segment }) => segment)).toEqual([2]);
    log.remove(1);
    for (let i = 0; i < 40; i++) {
      const key = `key/${String(i).padStart(2, '0')}`;
      expect(engine.getSync(key)).toEqual(Uint8Array.from(valueOf(i % 2 === 0 ? 100 + i : i, 3000)));
      expect(engine.getSync(key, { snapshot })).toEqual(Uint8Array.from(valueOf(i, 3000)));
    }
    expect((await engine.verify()).problems).toEqual([]);
    snapshot.release();
    await engine.relocate(2);
    expect(names(fs, '.link')).toEqual([]);
    expect(engine.hostSegments()).toEqual([]);
    await engine.relocate(77);
    await engine.close();
  });
});

describe('what is durable', () => {
  it('is what was flushed: `durableSequence` and the event follow, batches without operations too', async () => {
    const { fs, log, engine } = await world();
    const told: number[] = [];
    engine.events.on('made-durable', ({ sequence }) => told.push(sequence));
    expect(engine.durableSequence).toBe(0);
    await engine.write([{ type: 'put', key: 'a', value: '1' }], { sequence: 5 });
    await engine.write([], { sequence: 9 });
    expect([engine.sequence, engine.durableSequence]).toEqual([9, 0]);
    await engine.sync();
    expect(engine.durableSequence).toBe(9);
    await engine.write([], { sequence: 12 });
    await engine.flush();
    expect(engine.durableSequence).toBe(12);
    expect(told.at(-1)).toBe(12);
    await engine.write([{ type: 'put', key: 'b', value: '2' }], { sequence: 13 });
    await engine.close();
    fs.crash('none');
    log.recover();
    const again = await openHosted(fs, log);
    expect([again.sequence, again.durableSequence]).toEqual([12, 12]);
    expect(again.getSync('b')).toBeUndefined();
    await again.write([{ type: 'put', key: 'b', value: '2' }], { sequence: 13 });
    expect(text(again.getSync('b'))).toBe('2');
    await again.close();
  });

  it('is the same again when the same batches are written again, with links of their own', async () => {
    const { fs, log, engine } = await world();
    const birds = await engine.keyspace('birds');
    const batches: HostedOperation[][] = [];
    for (let i = 0; i < 30; i++) {
      batches.push([
        logged(log, `large/${i % 7}`, valueOf(i, 2000)),
        { type: 'increment', key: 'count', by: i },
        { type: 'put', key: `small/${i}`, value: 'x' },
        ...(i % 5 === 4 ? [{ type: 'deleteRange', gte: 'small/1', lt: 'small/2' } as const] : []),
        ...(i % 6 === 5 ? [{ type: 'delete', key: `large/${i % 5}` } as const] : []),
      ]);
    }
    const apply = async (to: HostedEngine, from: number, until: number): Promise<void> => {
      const keyspace = await to.keyspace('birds');
      for (let i = from; i < until; i++)
        await to.write([...batches[i]!, { type: 'put', key: 'last', value: String(i), keyspace }], { sequence: i + 1 });
    };
    await apply(engine, 0, 12);
    await engine.flush();
    await apply(engine, 12, 30);
    const contents = (of: HostedEngine): string[] => [...of.scanSync()].map(([key, value]) => `${text(key)}=${text(value)}`);
    const wanted = contents(engine);
    expect(text(birds.getSync('last'))).toBe('29');
    await log.sync();
    fs.crash('none');
    log.recover();
    const again = await openHosted(fs, log);
    expect(again.sequence).toBe(12);
    const linksBefore = names(fs, '.link');
    await apply(again, 12, 30);
    expect(contents(again)).toEqual(wanted);
    await again.flush();
    expect(contents(again)).toEqual(wanted);
    expect(names(fs, '.link')).not.toEqual(linksBefore);
    // Each value is counted once, though its segment has two names.
    const counted = again.hostSegments().reduce((sum, { bytes }) => sum + bytes, 0);
    expect(counted).toBeLessThanOrEqual(30 * 2000);
    expect((await again.verify()).problems).toEqual([]);
    await again.close();
  });

  it('survives a dropped keyspace: its name goes only after what it had', async () => {
    const { fs, log, engine } = await world();
    const birds = await engine.keyspace('birds');
    await engine.write([{ type: 'put', key: 'a', value: '1', keyspace: birds }], { sequence: 1 });
    await expect(birds.drop()).rejects.toMatchObject({ code: 'SEQUENCE' });
    await birds.drop({ sequence: 2 });
    expect(engine.durableSequence).toBe(2);
    const other = await engine.keyspace('birds');
    expect(other.getSync('a')).toBeUndefined();
    await engine.close();
    const again = await openHosted(fs, log);
    expect((await again.keyspace('birds')).getSync('a')).toBeUndefined();
    await again.close();
  });
});

describe('copies of a hosted engine', () => {
  async function filled(): Promise<World> {
    const made = await world();
    for (let i = 0; i < 30; i++) await putLogged(made.engine, made.log, `key/${i}`, valueOf(i, 2500));
    await made.engine.write([{ type: 'put', key: 'last', value: 'unflushed' }], { sequence: 31 });
    return made;
  }
  const check = (engine: { getSync(key: string): Uint8Array | undefined; sequence: number }): void => {
    expect(engine.sequence).toBe(31);
    expect(text(engine.getSync('last'))).toBe('unflushed');
    for (let i = 0; i < 30; i++) expect(engine.getSync(`key/${i}`)).toEqual(Uint8Array.from(valueOf(i, 2500)));
  };

  it('a checkpoint has all that was acknowledged, and opens hosted or with a log of its own', async () => {
    const { fs, log, engine } = await filled();
    await engine.checkpoint('/copy');
    await engine.checkpoint('/second');
    await engine.close();
    for (let segment = 1; segment <= log.segment; segment++) log.remove(segment);
    log.roll();
    const hosted = await openHosted(fs, log, '/copy');
    check(hosted);
    await putLogged(hosted, log, 'more', valueOf(9, 900));
    await hosted.close();
    const plain = await open('/second', SETTINGS, { fileSystem: fs });
    check(plain);
    await plain.put('more', valueOf(1, 3000), { durability: 'synced' });
    await plain.close();
    await expect(openHosted(fs, log, '/second')).rejects.toMatchObject({ kind: 'conflict', code: 'LOG_LEFT' });
    const again = await open('/second', SETTINGS, { fileSystem: fs });
    await again.flush();
    await again.close();
    const back = await openHosted(fs, log, '/second');
    expect(back.getSync('more')).toEqual(Uint8Array.from(valueOf(1, 3000)));
    await back.close();
  });

  it('a backup can be restored where the log is not', async () => {
    const { fs, log, engine } = await filled();
    const first = await engine.backup('/backups');
    expect((await engine.backup('/backups')).copiedBytes).toBe(0);
    expect(first.files).toBeGreaterThan(1);
    await engine.close();
    await backup('/store', '/backups', {}, { fileSystem: fs });
    await restore('/backups', '/restored', {}, { fileSystem: fs });
    for (let segment = 1; segment <= log.segment; segment++) log.remove(segment);
    const engineAgain = await open('/restored', SETTINGS, { fileSystem: fs });
    check(engineAgain);
    await engineAgain.close();
  });

  it('verify, stats, dump and repair know links', async () => {
    const { fs, engine } = await filled();
    await engine.flush();
    await engine.close();
    expect(await verify('/store', {}, { fileSystem: fs })).toMatchObject({ sound: true });
    const { blockFiles, liveValueBytes } = await stats('/store', { fileSystem: fs });
    expect(blockFiles).toBe(names(fs, '.link').length);
    expect(liveValueBytes).toBe(30 * 2500);
    expect([...dump('/store', {}, { fileSystem: fs })].filter((item) => item.item === 'damage')).toEqual([]);
    expect((await repair('/store', {}, { fileSystem: fs })).wasSound).toBe(true);
  });

  it('repair without a manifest keeps what links hold', async () => {
    const { fs, log, engine } = await filled();
    await engine.flush();
    await engine.close();
    fs.unlinkSync('/store/CURRENT');
    for (const name of fs.listSync('/store')) if (name.startsWith('MANIFEST')) fs.unlinkSync(`/store/${name}`);
    const report = await repair('/store', {}, { fileSystem: fs });
    expect(report).toMatchObject({ manifest: 'lost', lostCount: 0 });
    const again = await openHosted(fs, log);
    check(again);
    expect(again.hostSegments().map(({ segment }) => segment)).toEqual([0]);
    await again.relocate(0);
    expect(names(fs, '.link')).toEqual([]);
    check(again);
    await again.close();
  });

  it('a damaged byte of a link is found, and named', async () => {
    const { fs, log, engine } = await filled();
    await engine.flush();
    const file = fs.openSync(log.path(1), 'write');
    file.writeSync(Uint8Array.of(1, 2, 3), 0, 3, 13 + 100);
    file.closeSync();
    const { problems } = await engine.verify();
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.some(({ file, what }) => `${file} ${what}`.includes('.link'))).toBe(true);
    expect(() => engine.getSync('key/0')).toThrow(/\.link@13/);
    await engine.close();
  });
});

describe("what makes no sense under a host's log", () => {
  it('is refused, naming what', async () => {
    const fs = new SimFileSystem();
    const log = new HostLog(fs, '/log');
    const hosted = log.hosted;
    for (const settings of [{ durability: 'synced' }, { segmentBytes: 65536 }, { callerSyncMs: 0 }] as const) {
      await expect(open('/s', settings, { fileSystem: fs, hosted })).rejects.toMatchObject({ kind: 'invalid', code: 'OPTION_HOSTED' });
    }
    await expect(open('/s', {}, { fileSystem: fs, hosted: {} as never })).rejects.toMatchObject({ code: 'TYPE' });
    await expect(open('/s', {}, { fileSystem: fs, hosted: { ...hosted, path: '' } as never })).rejects.toMatchObject({
      code: 'OPTION_UNKNOWN',
    });
    const engine = await openHosted(fs, log);
    await expect(engine.put('a', 'b')).rejects.toMatchObject({ code: 'SEQUENCE' });
    await expect(engine.write([{ type: 'put', key: 'a', value: 'b' }], {} as never)).rejects.toMatchObject({ code: 'SEQUENCE' });
    await expect(engine.put('a', 'b', { sequence: 1, durability: 'os' })).rejects.toMatchObject({ code: 'OPTION_HOSTED' });
    await engine.put('a', 'b', { sequence: 3 });
    await expect(engine.put('a', 'b', { sequence: 3 })).rejects.toMatchObject({ code: 'SEQUENCE' });
    await expect(engine.ingest('/none')).rejects.toMatchObject({ code: 'SEQUENCE' });
    await engine.close();
  });

  it('a place that cannot be: nothing has changed', async () => {
    const { log, engine } = await world();
    const value = valueOf(1, 9000);
    const put = (at: unknown): Promise<unknown> =>
      engine.write([{ type: 'put', key: 'a', value, at } as HostedOperation], { sequence: engine.sequence + 1 });
    await expect(put(undefined)).rejects.toMatchObject({ kind: 'invalid', code: 'NO_PLACE', details: { operation: 0 } });
    await expect(put({ segment: 0, offset: 0 })).rejects.toMatchObject({ code: 'OPTION_RANGE' });
    await expect(put({ segment: 1, offset: -1 })).rejects.toMatchObject({ code: 'OPTION_RANGE' });
    await expect(put({ segment: 1, offset: 2 ** 32 - 9000 })).rejects.toMatchObject({ code: 'OPTION_RANGE' });
    await expect(put({ segment: 1, offset: 0, bytes: 3 })).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await expect(put({ segment: 99, offset: 0 })).rejects.toMatchObject({ kind: 'invalid', code: 'NO_SEGMENT' });
    expect([engine.sequence, engine.getSync('a')]).toEqual([0, undefined]);
    await put(log.append(value));
    expect(engine.getSync('a')).toEqual(Uint8Array.from(value));
    await engine.close();
  });

  it('and a put of another engine has no place', async () => {
    const engine = await open('/plain', SETTINGS, { fileSystem: new SimFileSystem() });
    const put = { type: 'put', key: 'a', value: 'b', at: { segment: 1, offset: 0 } } as never;
    await expect(engine.write([put])).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await engine.close();
  });

  it('conditions are judged and counters counted as elsewhere', async () => {
    const { engine } = await world();
    await engine.write([{ type: 'increment', key: 'n', by: 5 }], { sequence: 1 });
    const { counters } = await engine.write([{ type: 'increment', key: 'n' }], { sequence: 2, conditions: [{ key: 'n', version: 1 }] });
    expect(counters).toEqual([6n]);
    const refused = engine.write([], { sequence: 3, conditions: [{ key: 'n', absent: true }] });
    await expect(refused).rejects.toBeInstanceOf(ConditionFailedError);
    expect(engine.sequence).toBe(2);
    await engine.close();
  });
});

describe('a disk that fails under a hosted engine', () => {
  it('full for a link: the batch is refused, and the next is taken when there is room', async () => {
    const { fs, log, engine } = await world();
    const put = logged(log, 'a', valueOf(1, 1000));
    fs.failAt({ at: fs.operations + 1, error: 'ENOSPC' });
    await expect(engine.write([put], { sequence: 1 })).rejects.toMatchObject({ kind: 'exhausted', code: 'DISK_FULL' });
    await engine.write([put], { sequence: 1 });
    expect(engine.getSync('a')).toBeDefined();
    await engine.close();
  });

  it('broken for a link: nothing is written any more, reads go on', async () => {
    const { fs, log, engine } = await world();
    await engine.write([{ type: 'put', key: 'small', value: 'x' }], { sequence: 1 });
    const put = logged(log, 'a', valueOf(1, 1000));
    fs.failAt({ at: fs.operations + 1, error: 'EIO' });
    await expect(engine.write([put], { sequence: 2 })).rejects.toMatchObject({ kind: 'closed', code: 'WRITER_FAILED' });
    await expect(engine.write([put], { sequence: 2 })).rejects.toMatchObject({ code: 'WRITER_FAILED' });
    expect(text(engine.getSync('small'))).toBe('x');
    await engine.close();
  });

  it('a host whose sync fails stops the engine; one that has no space is asked again', async () => {
    const fs = new SimFileSystem();
    const log = new HostLog(fs, '/log');
    const failures: Error[] = [Object.assign(new Error('full'), { code: 'ENOSPC' })];
    const hosted = {
      ...log.hosted,
      sync: async () => {
        const failure = failures.shift();
        if (failure) throw failure;
        await log.sync();
      },
    };
    const events: EngineEvent['type'][] = [];
    const engine = await open('/store', SETTINGS, { fileSystem: fs, hosted });
    engine.events.onAny(({ type }) => events.push(type));
    await putLogged(engine, log, 'a', valueOf(1, 1000));
    await expect(engine.flush()).rejects.toMatchObject({ code: 'DISK_FULL' });
    await engine.flush();
    expect(engine.durableSequence).toBe(1);
    failures.push(new Error('broken'));
    await putLogged(engine, log, 'b', valueOf(1, 1000));
    await expect(engine.flush()).rejects.toMatchObject({ code: 'BACKGROUND_FAILED' });
    expect(engine.durableSequence).toBe(1);
    expect(events).toContain('writing-failed');
    await engine.close();
  });
});
