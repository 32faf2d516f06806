import { describe, expect, it } from 'vitest';
import { createTableWriter, type TableFilesWriter, verify } from '../../../engine/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { contents, contentsOf, live, openStore, value } from './store-life.ts';

function newWriter(fileSystem: SimFileSystem, directory = '/made', seed = 5): TableFilesWriter {
  return createTableWriter(directory, { inlineThreshold: 512, tableBytes: 65536 }, { fileSystem, random: new SimRandom(seed) });
}

/** Keys `bulk/000` and on, every tenth with a large value, and some of a keyspace. */
function makeTables(fileSystem: SimFileSystem, count = 300, directory = '/made', seed = 5): void {
  const writer = newWriter(fileSystem, directory, seed);
  for (let i = 0; i < count; i++) writer.put(`bulk/${String(i).padStart(3, '0')}`, value(seed * 1000 + i, i % 10 === 0 ? 3000 : 200));
  for (let i = 0; i < 20; i++) writer.put(`fish/${String(i).padStart(2, '0')}`, value(seed * 1000 + i, 100), { keyspace: 'fish' });
  expect(writer.finish()).toMatchObject({ directory, entries: count + 20, blockFiles: 1 });
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString('latin1');
}

const LARGE = value(5010, 3000).toString();

describe('a table writer', () => {
  it('enforces the order and the limits', () => {
    const fs = new SimFileSystem();
    const writer = newWriter(fs);
    writer.put('b', '1');
    expect(() => writer.put('b', '2')).toThrow(expect.objectContaining({ code: 'ORDER' }));
    expect(() => writer.put('a', '2')).toThrow(expect.objectContaining({ code: 'ORDER' }));
    expect(() => writer.put('', '2')).toThrow(expect.objectContaining({ code: 'KEY_EMPTY' }));
    expect(() => writer.put('c', '2', { expiresAtMs: -1 })).toThrow(expect.objectContaining({ code: 'OPTION_RANGE' }));
    expect(() => writer.put('c', '2', { ttl: 1 } as never)).toThrow(expect.objectContaining({ code: 'OPTION_UNKNOWN' }));
    writer.put('a', '1', { keyspace: 'birds' });
    expect(() => writer.put('z', '1')).toThrow(expect.objectContaining({ code: 'ORDER' }));
    expect(() => newWriter(fs)).toThrow(expect.objectContaining({ code: 'NOT_EMPTY' }));
    writer.discard();
    expect(fs.listSync('/made')).toEqual([]);
    expect(() => writer.put('d', '1')).toThrow(expect.objectContaining({ code: 'WRITER_FINISHED' }));
    const empty = newWriter(fs);
    expect(() => empty.finish()).toThrow(expect.objectContaining({ code: 'NO_ENTRIES' }));
    empty[Symbol.dispose]();
    expect(fs.openFiles).toEqual([]);
    expect(() => createTableWriter('/x', { tableBytes: 1 }, { fileSystem: fs })).toThrow(expect.objectContaining({ code: 'OPTION_RANGE' }));
  });
});

describe('a table writer on a disk that fails', () => {
  it('can be discarded whatever failed, and leaves nothing', () => {
    for (let at = 1, more = true; more; at++) {
      const fs = new SimFileSystem();
      const writer = newWriter(fs);
      for (let i = 0; i < 60; i++) writer.put(`key/${String(i).padStart(3, '0')}`, value(i, i % 10 === 0 ? 3000 : 200));
      fs.failAt({ at: fs.operations + at, error: 'EIO' });
      try {
        writer.finish();
        more = false;
      } catch (error) {
        expect(error, `operation ${at}`).toMatchObject({ code: 'EIO' });
        writer.discard();
        expect(fs.listSync('/made'), `operation ${at}`).toEqual([]);
      }
      expect(fs.openFiles, `operation ${at}`).toEqual([]);
    }
  });
});

describe('a table writer that dies', () => {
  it('leaves what is whole or what nobody takes, and the directory can be used once it was removed', async () => {
    const seen = { nothing: 0, refused: 0, whole: 0 };
    const dry = new SimFileSystem();
    makeTables(dry, 60);
    const operations = dry.operations;
    for (let at = 1; at <= operations; at++) {
      for (const mode of ['none', 'all', 'torn'] as const) {
        const fs = new SimFileSystem({ seed: at });
        fs.makeDirectorySync('/made');
        fs.syncDirectorySync('/');
        fs.killAt(fs.operations + at);
        let ended = false;
        try {
          makeTables(fs, 60);
          ended = true;
        } catch {
          expect(fs.dead).toBe(true);
        }
        fs.crash(mode);
        const names = fs.listSync('/made');
        const engine = await openStore(fs, '/data');
        const where = `operation ${at}, ${mode}: ${names.join(' ')}`;
        if (names.includes('INGEST') && !names.includes('INCOMPLETE')) {
          seen.whole++;
          expect(await engine.ingest('/made'), where).toMatchObject({ entries: 80 });
        } else {
          expect(ended, where).toBe(false);
          await expect(engine.ingest('/made'), where).rejects.toMatchObject({ kind: 'invalid', code: 'NOT_INGESTABLE' });
          if (names.length > 0) {
            seen.refused++;
            expect(names, where).toContain('INCOMPLETE');
            expect(() => newWriter(fs), where).toThrow(
              expect.objectContaining({ code: 'NOT_EMPTY', message: expect.stringContaining('remove the directory') }),
            );
            for (const name of names) fs.unlinkSync(`/made/${name}`);
          } else seen.nothing++;
          makeTables(fs, 60);
          expect(await engine.ingest('/made'), where).toMatchObject({ entries: 80 });
        }
        await engine.close();
      }
    }
    for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0);
  });
});

describe('engine.ingest', () => {
  it('takes everything in at once, newer than what was there, in the right keyspaces', async () => {
    const fs = new SimFileSystem();
    const engine = await openStore(fs, '/data');
    const birds = await engine.keyspace('birds');
    await birds.put('x', 'y');
    await engine.put('bulk/010', 'older');
    await engine.put('bulk/zzz', 'stays');
    await engine.put('other', 'stays');
    makeTables(fs);
    using before = engine.snapshot();
    const result = await engine.ingest('/made');
    expect(result).toMatchObject({ entries: 320, sequence: engine.sequence });
    expect(result.tables).toBeGreaterThan(2);
    expect(text(engine.getSync('bulk/010'))).toBe(LARGE);
    expect(engine.getEntrySync('bulk/011')).toMatchObject({ version: result.sequence });
    expect([text(engine.getSync('bulk/zzz')), text(engine.getSync('other'))]).toEqual(['stays', 'stays']);
    expect(text((await engine.keyspace('fish')).getSync('fish/07'))).toBe(value(5007, 100).toString());
    // A snapshot from before sees none of it.
    expect(text(engine.getSync('bulk/010', { snapshot: before }))).toBe('older');
    expect(engine.getSync('bulk/011', { snapshot: before })).toBeUndefined();
    expect([...engine.scanSync({ prefix: 'bulk/', snapshot: before })]).toHaveLength(2);
    await engine.put('bulk/010', 'newest');
    expect(text(engine.getSync('bulk/010'))).toBe('newest');
    before.release();
    await live(engine, 2);
    await engine.settled();
    const held = await contents(engine);
    expect(held.get('bulk/020')).toBe(value(5020, 3000).toString());
    await engine.close();
    expect(await verify('/data', {}, { fileSystem: fs })).toMatchObject({ problems: [] });
    expect(await contentsOf(fs, '/data')).toEqual(held);
    expect(fs.openFiles).toEqual([]);
  });

  it('places tables as deep as nothing overlaps them', async () => {
    const fs = new SimFileSystem();
    await using engine = await openStore(fs, '/data');
    makeTables(fs, 100);
    expect((await engine.ingest('/made')).levels.every((level) => level === 6)).toBe(true);
    makeTables(fs, 100, '/again', 6);
    // Above the first.
    expect((await engine.ingest('/again')).levels.every((level) => level === 5)).toBe(true);
    expect(text(engine.getSync('bulk/011'))).toBe(value(6011, 200).toString());
    await engine.put('bulk/050', 'in between');
    await engine.flush();
    makeTables(fs, 100, '/third', 7);
    const { levels } = await engine.ingest('/third');
    expect(levels).toContain(0);
    expect(text(engine.getSync('bulk/050'))).toBe(value(7050, 3000).toString());
  });

  it('is right beside writes and compactions that go on', async () => {
    const fs = new SimFileSystem();
    await using engine = await openStore(fs, '/data');
    await live(engine, 1);
    for (let round = 0; round < 4; round++) {
      makeTables(fs, 200, `/made-${round}`, round + 1);
      const ingesting = engine.ingest(`/made-${round}`);
      let settled = false;
      void ingesting.finally(() => (settled = true));
      for (let i = 0; !settled; i++) {
        await engine.put(`bulk/${String(i % 200).padStart(3, '0')}`, `${round}.${i}`, { durability: 'buffered' });
        await engine.put(`small/${i % 90}`, value(i, 400), { durability: 'os' });
      }
      const { sequence } = await ingesting;
      for (let i = 0; i < 200; i++) {
        const entry = engine.getEntrySync(`bulk/${String(i).padStart(3, '0')}`)!;
        // Either what was ingested, or a write that came after.
        expect(entry.version).toBeGreaterThanOrEqual(sequence);
        if (entry.version === sequence) expect(text(entry.value)).toBe(value((round + 1) * 1000 + i, i % 10 === 0 ? 3000 : 200).toString());
      }
    }
    await engine.compact();
    expect((await engine.verify()).problems).toEqual([]);
  });

  it('takes sequence numbers, expiries and modes as told', async () => {
    const fs = new SimFileSystem();
    const engine = await openStore(fs, '/data');
    await engine.put('a', '1', { sequence: 50 });
    const writer = newWriter(fs);
    writer.put('gone', 'x', { expiresAtMs: 1 });
    writer.put('here', value(1, 4000), { expiresAtMs: 2 ** 50 });
    writer.finish();
    await expect(engine.ingest('/made', { sequence: 50 })).rejects.toMatchObject({ code: 'SEQUENCE' });
    expect(await engine.ingest('/made', { sequence: 60, mode: 'move' })).toMatchObject({ sequence: 60 });
    expect([engine.sequence, engine.getSync('gone'), engine.getEntrySync('here')]).toMatchObject([
      60,
      undefined,
      { version: 60, expiresAtMs: 2 ** 50 },
    ]);
    expect(fs.listSync('/made')).toEqual([]);
    makeTables(fs, 50, '/copied', 9);
    await engine.ingest('/copied', { mode: 'copy' });
    await expect(engine.ingest('/copied')).rejects.toMatchObject({ code: 'INGESTED_BEFORE' });
    for (const name of fs.listSync('/copied')) fs.unlinkSync(`/copied/${name}`);
    expect(text(engine.getSync('bulk/010'))).toBe(value(9010, 3000).toString());
    await engine.close();
    expect((await contentsOf(fs, '/data')).size).toBeGreaterThan(50);
  });

  it('that found no room leaves nothing behind, and is taken when there is some', async () => {
    for (let at = 1, more = true; more; at++) {
      const fs = new SimFileSystem();
      const engine = await openStore(fs, '/data');
      await engine.put('a', '1', { durability: 'synced' });
      await (await engine.keyspace('fish')).put('a', '1');
      await engine.flush();
      await engine.settled();
      makeTables(fs, 60);
      const before = fs.listSync('/data');
      fs.failAt({ at: fs.operations + at, error: at % 2 === 0 ? 'short' : 'ENOSPC', on: 'space', forGood: true });
      const failure = await engine.ingest('/made', { mode: 'copy' }).then(
        () => undefined,
        (error: unknown) => error as { code: string },
      );
      more = failure !== undefined;
      if (failure) expect(['ENOSPC', 'DISK_FULL'], `operation ${at}`).toContain(failure.code);
      fs.failAt();
      // The manifest may have taken it in the end: then it counts.
      if (failure && engine.getSync('bulk/010') === undefined) {
        expect(fs.listSync('/data'), `operation ${at}`).toEqual(before);
        await engine.ingest('/made', { mode: 'copy' });
      }
      expect(text(engine.getSync('bulk/010')), `operation ${at}`).toBe(LARGE);
      await engine.close();
    }
  });

  it('refuses what is damaged, unfinished or nothing, and leaves nothing behind', async () => {
    const fs = new SimFileSystem();
    const engine = await openStore(fs, '/data');
    await engine.put('a', '1');
    makeTables(fs, 60);
    await engine.keyspace('fish');
    const before = fs.listSync('/data');
    for (const name of fs.listSync('/made')) {
      const path = `/made/${name}`;
      fs.flip(path, Math.floor(fs.contents(path).length / 2));
      await expect(engine.ingest('/made'), name).rejects.toMatchObject({ kind: 'corrupt' });
      fs.flip(path, Math.floor(fs.contents(path).length / 2));
      expect(fs.listSync('/data')).toEqual(before);
    }
    await expect(engine.ingest('/nowhere')).rejects.toMatchObject({ code: 'NOT_INGESTABLE' });
    newWriter(fs, '/unfinished').put('a', '1');
    await expect(engine.ingest('/unfinished')).rejects.toMatchObject({ code: 'NOT_INGESTABLE' });
    await expect(engine.ingest('/made', { mode: 'steal' as never })).rejects.toMatchObject({ code: 'OPTION_RANGE' });
    const ingesting = engine.ingest('/made');
    const closing = engine.close();
    await expect(ingesting).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
    await closing;
    expect([...(await contentsOf(fs, '/data')).keys()]).toEqual(['a']);
  });
});
