/** Settings of keyspaces for tables: what is written has them exactly, below level 0 table by table; they are kept, altered, shown and refused. */
import { describe, expect, test } from 'vitest';
import { nodeZstd } from '../../base/node/index.ts';
import {
  createTableWriter,
  type Engine,
  type EngineSettingsInput,
  type KeyspaceSettings,
  open,
  repair,
  stats,
} from '../../engine/index.ts';
import { readPages } from '../../engine/inspect/index.ts';
import { keyspaceOf } from '../../engine/keyspace-key.ts';
import { Manifest, readVersion, type Version } from '../../engine/manifest/index.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { readFooter, readTableMeta, tableFileName, decodeProperties, tableLayout } from '../../engine/table/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SMALL: EngineSettingsInput = {
  memtableBytes: 1024 * 1024,
  segmentBytes: 64 * 1024,
  tableBytes: 64 * 1024,
  level0Compact: 2,
  level1Bytes: 256 * 1024,
  pageCacheBytes: 2 ** 20,
  memoryBytes: 2 ** 26,
  maxBatchBytes: 2 ** 20,
};
const CODECS = ['none', 'lz4', 'zstd'];

interface Written {
  readonly level: number;
  /** By the pages that it has, in order: the keyspace of the first key, and how it is stored. */
  readonly pages: readonly { readonly keyspace: number; readonly codec: string }[];
  readonly keyspaces: readonly [number, number];
  /** Blocks of the filter, and distinct keys. */
  readonly filterBlocks: number;
  readonly keys: number;
}

/** The tables of a store as its files say. */
function tablesOf(disk: SimFileSystem, directory = '/data', version: Version = readVersion(disk, directory).version): Written[] {
  return version.levels.flatMap((tables, level) =>
    tables.map(({ fileId, pages: count, smallest, largest }) => {
      const path = `${directory}/${tableFileName(fileId)}`;
      const file = disk.openSync(path, 'read');
      const footer = readFooter(file, path, fileId);
      const bytes = Buffer.from(disk.contents(path));
      const found = readPages(new LinearMemory(2 ** 25), file, fileId, count, { packed: true, zstd: nodeZstd });
      const pages = [...found].map(({ entries, offset }) => ({
        keyspace: keyspaceOf(entries![0]!.key),
        codec: CODECS[bytes.readUInt16LE(offset + 10) === 0xffff ? bytes.readUInt32LE(offset + 12) : 0]!,
      }));
      file.closeSync();
      const at = tableLayout(footer).properties;
      const { distinctKeys } = decodeProperties(bytes.subarray(at, at + footer.propertiesBytes), footer, path, at);
      const filterBlocks = Math.ceil((footer.filterBytes - 32) / 32);
      return { level, pages, keyspaces: [keyspaceOf(smallest), keyspaceOf(largest)] as const, filterBlocks, keys: distinctKeys };
    }),
  );
}

const value = (i: number): string => JSON.stringify({ id: i, name: 'sparrow', place: 'on the roof', seen: [i % 7, i % 11] });

async function fill(engine: Engine, spaces: Record<string, KeyspaceSettings | undefined>, round: number): Promise<void> {
  for (const [name, settings] of Object.entries(spaces)) {
    const store = name === '' ? engine : await engine.keyspace(name, settings);
    for (let i = 0; i < 250; i++) void store.put(`key ${(i * 7 + round * 3) % 900}`, value(i), { durability: 'buffered' });
  }
  await engine.flush();
}

async function readAll(engine: Engine, rounds: number): Promise<void> {
  for (const name of ['', ...engine.keyspaces()]) {
    const store = name === '' ? engine : await engine.keyspace(name);
    const newest = new Map<string, string>();
    for (let round = 0; round < rounds; round++) for (let i = 0; i < 250; i++) newest.set(`key ${(i * 7 + round * 3) % 900}`, value(i));
    for (const [key, wanted] of newest) expect(Buffer.from(store.getSync(key)!).toString()).toBe(wanted);
    expect([...store.scanSync({ keysOnly: true })]).toHaveLength(newest.size);
    for (let i = 0; i < 50; i++) expect(store.hasSync(`none ${i}`)).toBe(false);
  }
}

/** Ids are given in the order of the names: 0 the default one, then 1, 2 ... */
const SPACES: Record<string, KeyspaceSettings | undefined> = {
  '': undefined,
  plain: { compression: 'none', filterBitsPerKey: 20 },
  lz4: { compression: 'lz4' },
  zstd: { compression: 'zstd', filterBitsPerKey: 0 },
  deep: { compression: { bottom: 'zstd' }, filterBitsPerKey: 8 },
  mine: { inlineThreshold: 256 },
};
const ENGINE = { ...SMALL, compression: { upper: 'none', bottom: 'lz4' }, filterBitsPerKey: 10 } as const;
const BOTTOM = ['lz4', 'none', 'lz4', 'zstd', 'zstd', 'lz4'];
const UPPER = ['none', 'none', 'lz4', 'zstd', 'none', 'none'];
const FILTER_BITS = [10, 20, 10, 0, 8, 10];

describe('settings of a keyspace', () => {
  test('hold exactly in tables below level 0, and page by page in level 0', async () => {
    const disk = new SimFileSystem();
    let engine = await open('/data', { ...ENGINE, level0Compact: 16 }, { fileSystem: disk });
    await fill(engine, SPACES, 0);
    await fill(engine, { plain: SPACES['plain'], lz4: SPACES['lz4'] }, 0);
    await engine.close();
    const flushed = tablesOf(disk);
    expect(flushed.map(({ level, keyspaces }) => [level, ...keyspaces])).toEqual([
      [0, 1, 2],
      [0, 0, 5],
    ]);
    expect(flushed[1]!.pages.length).toBeGreaterThan(6);
    for (const { pages, filterBlocks, keys } of flushed) {
      for (const { keyspace, codec } of pages) expect([keyspace, codec]).toEqual([keyspace, UPPER[keyspace]]);
      expect(filterBlocks).toBe(Math.ceil((10 * keys) / 256));
    }

    engine = await open('/data', ENGINE, { fileSystem: disk });
    for (let round = 1; round < 6; round++) await fill(engine, SPACES, round);
    await engine.settled();
    await engine.compact();
    await readAll(engine, 6);
    await engine.close();
    const below = tablesOf(disk).filter(({ level }) => level > 0);
    expect(new Set(below.map(({ keyspaces }) => keyspaces[0]))).toEqual(new Set([0, 1, 2, 3, 4, 5]));
    for (const { keyspaces, pages, filterBlocks, keys } of below) {
      expect(keyspaces[1]).toBe(keyspaces[0]);
      expect(new Set(pages.map(({ codec }) => codec))).toEqual(new Set([BOTTOM[keyspaces[0]]]));
      expect(filterBlocks).toBe(Math.max(1, Math.ceil((FILTER_BITS[keyspaces[0]]! * keys) / 256)));
    }
    await readAll(await open('/data', SMALL, { fileSystem: disk }), 6);
  });

  test('are altered for what is written from then on, and are there again after power loss', async () => {
    const disk = new SimFileSystem();
    // Manifests are begun anew all the time.
    const settings = { ...SMALL, level0Compact: 16, manifestBytes: 256 };
    let engine = await open('/data', settings, { fileSystem: disk });
    const codecs = (): string[] =>
      tablesOf(disk).map(({ pages }) => [...new Set(pages.flatMap(({ keyspace, codec }) => (keyspace === 1 ? [codec] : [])))].join());
    await fill(engine, { '': undefined, birds: {} }, 0);
    await fill(engine, { '': undefined, birds: { compression: 'lz4', filterBitsPerKey: 4, ttlMs: 1e9 } }, 1);
    await fill(engine, { '': undefined, birds: undefined }, 2);
    const birds = await engine.keyspace('birds');
    expect(birds.settings).toEqual({ compression: 'lz4', filterBitsPerKey: 4, ttlMs: 1e9 });
    await engine.keyspace('birds', { compression: { bottom: 'none', upper: 'zstd' } });
    disk.crash('none');
    engine = await open('/data', settings, { fileSystem: disk });
    expect((await engine.keyspace('birds')).settings).toEqual({ compression: { upper: 'zstd', bottom: 'none' } });
    expect(engine.metrics().keyspaceSettings).toEqual({ birds: { compression: { upper: 'zstd', bottom: 'none' } } });
    await fill(engine, { '': undefined, birds: undefined }, 3);
    expect(codecs()).toEqual(['zstd', 'lz4', 'lz4', 'none']);
    await readAll(engine, 4);
    await engine.close();
    expect((await stats('/data', { fileSystem: disk })).keyspaces).toEqual([
      { id: 1, name: 'birds', settings: { compression: { upper: 'zstd', bottom: 'none' } } },
    ]);
  });

  test('hold while there are more keyspaces than a compaction has tables, some of them dropped', async () => {
    const disk = new SimFileSystem();
    const engine = await open('/data', SMALL, { fileSystem: disk });
    const snapshots = [];
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 60; i++) {
        const space = await engine.keyspace(`space ${i}`, { compression: i % 2 === 0 ? 'lz4' : 'zstd', filterBitsPerKey: i % 3 });
        for (let key = 0; key < 8; key++) void space.put(`key ${key}`, value(key).repeat(4), { durability: 'buffered' });
      }
      snapshots.push(engine.snapshot());
      for (let i = 0; i < 60; i += 5) await (await engine.keyspace(`space ${i}`)).drop();
      await engine.flush();
    }
    await engine.settled();
    await engine.compact();
    const below = tablesOf(disk).filter(({ level }) => level > 0);
    expect(below.length).toBeGreaterThan(48);
    for (const { keyspaces, pages } of below) {
      expect(keyspaces[1]).toBe(keyspaces[0]);
      const { version } = readVersion(disk, '/data');
      const name = version.keyspaces.get(keyspaces[0])?.name;
      if (name !== undefined) expect(pages[0]!.codec).toBe(Number(name.slice(6)) % 2 === 0 ? 'lz4' : 'zstd');
    }
    for (const snapshot of snapshots) snapshot.release();
    await engine.close();
  });

  test('hold in what an ingest writes, whatever the tables that it takes are compressed by', async () => {
    for (const compression of ['none', 'lz4', 'zstd'] as const) {
      const disk = new SimFileSystem();
      using writer = createTableWriter('/made', { compression }, { fileSystem: disk });
      for (const keyspace of [undefined, 'lz4', 'zstd']) {
        for (let i = 0; i < 900; i++)
          writer.put(`key ${String(i).padStart(4, '0')}`, value(i), { ...(keyspace !== undefined && { keyspace }), expiresAtMs: 4e12 });
      }
      const { tables, bytes } = writer.finish();
      const version = { levels: [Array.from({ length: tables }, (_, i) => readTableMeta(disk, '/made', i + 1))] };
      for (const { pages } of tablesOf(disk, '/made', version as unknown as Version)) {
        expect(new Set(pages.map(({ codec }) => codec))).toEqual(new Set([compression]));
      }
      if (compression !== 'none') expect(bytes).toBeLessThan(150_000);
      await using engine = await open('/data', ENGINE, { fileSystem: disk });
      await engine.keyspace('zstd', { compression: 'zstd', filterBitsPerKey: 0 });
      await engine.ingest('/made');
      for (const { keyspaces, pages, filterBlocks, keys } of tablesOf(disk)) {
        const isZstd = keyspaces[0] === 1;
        expect(new Set(pages.map(({ codec }) => codec))).toEqual(new Set([isZstd ? 'zstd' : 'lz4']));
        expect(filterBlocks).toBe(isZstd ? 1 : Math.ceil((10 * keys) / 256));
      }
      for (const store of [engine, await engine.keyspace('zstd'), await engine.keyspace('lz4')]) {
        let i = 0;
        for (const [, found] of store.scanSync()) expect(Buffer.from(found).toString()).toBe(value(i++));
        expect(i).toBe(900);
      }
    }
  });

  test('hold in what a repair makes, and the options say the rest', async () => {
    for (const manifestLost of [false, true]) {
      const disk = new SimFileSystem();
      const engine = await open('/data', { ...SMALL, level0Compact: 16 }, { fileSystem: disk });
      await fill(engine, { '': undefined, zstd: { compression: 'zstd', filterBitsPerKey: 0 }, plain: { compression: 'none' } }, 0);
      await engine.close();
      const [table] = disk.listSync('/data').filter((name) => name.endsWith('.table'));
      const bytes = Uint8Array.from(disk.contents(`/data/${table}`));
      bytes[bytes.length - 40]! ^= 1;
      disk.replace(`/data/${table}`, bytes);
      if (manifestLost) disk.unlinkSync('/data/CURRENT');
      const report = await repair('/data', { compression: 'lz4', filterBitsPerKey: 5 }, { fileSystem: disk });
      expect([report.wasSound, report.lostEntries]).toEqual([false, 0]);
      const made = tablesOf(disk);
      expect(made).toHaveLength(report.tablesMade);
      for (const { keyspaces, pages, filterBlocks, keys } of made) {
        expect(new Set(pages.map(({ codec }) => codec))).toEqual(new Set([['lz4', 'zstd', 'none'][keyspaces[0]]]));
        expect(filterBlocks).toBe(keyspaces[0] === 1 ? 1 : Math.ceil((5 * keys) / 256));
      }
      await using again = await open('/data', SMALL, { fileSystem: disk });
      await readAll(again, 1);
    }
  });

  test('that only a later version takes are refused at the door, and those that it adds are kept', async () => {
    for (const settings of [{ compressionBottom: 7 }, { filterBitsPerKey: 1000 }, { inlineThreshold: 5000 }, { later: 3 }] as const) {
      const disk = new SimFileSystem();
      await (await open('/data', SMALL, { fileSystem: disk })).close();
      const { manifest } = Manifest.open(disk, '/data');
      await manifest.append({ keyspacesAdded: [{ id: 1, name: 'new', settings }] });
      await manifest.close();
      const opened = open('/data', SMALL, { fileSystem: disk });
      if ('later' in settings) {
        await using engine = await opened;
        expect([(await engine.keyspace('new')).settings, readVersion(disk, '/data').version.keyspaces.get(1)!.settings]).toEqual([
          {},
          settings,
        ]);
      } else {
        await expect(opened).rejects.toMatchObject({ kind: 'invalid', code: 'FORMAT_NEWER', details: { keyspace: 'new' } });
      }
    }
  });

  test('are refused when they are none, or this runtime or this version cannot write so', async () => {
    const disk = new SimFileSystem();
    const engine = await open('/data', SMALL, { fileSystem: disk });
    const refused = async (settings: object, code: string, field: string): Promise<void> => {
      await expect(engine.keyspace('a', settings)).rejects.toMatchObject({ kind: 'invalid', code, details: { field } });
    };
    await refused({ compression: 'snappy' }, 'OPTION_RANGE', 'compression');
    await refused({ compression: { upper: 'lz4', lower: 'lz4' } }, 'OPTION_UNKNOWN', 'compression.lower');
    await refused({ filterBitsPerKey: 33 }, 'OPTION_RANGE', 'filterBitsPerKey');
    await refused({ filterBitsPerKey: 1.5 }, 'OPTION_RANGE', 'filterBitsPerKey');
    await refused({ compressionUpper: 1 }, 'OPTION_UNKNOWN', 'compressionUpper');
    expect(engine.keyspaces()).toEqual([]);
    await engine.keyspace('packed', { compression: { bottom: 'zstd' } });
    await engine.close();
    const without = { fileSystem: disk, zstd: undefined };
    await expect(open('/data', SMALL, without)).rejects.toMatchObject({
      code: 'ZSTD_MISSING',
      message: expect.stringContaining("'packed'"),
    });
    await using other = await open('/other', SMALL, without);
    await expect(other.keyspace('a', { compression: 'zstd' })).rejects.toMatchObject({ code: 'ZSTD_MISSING' });
    expect(other.keyspaces()).toEqual([]);
    for (const compression of ['snappy', { upper: 'lz4' }]) {
      expect(() => createTableWriter('/made', { compression: compression as 'none' }, { fileSystem: disk })).toThrow(
        expect.objectContaining({ code: 'OPTION_RANGE', details: { field: 'compression' } }),
      );
    }
    expect(() => createTableWriter('/made', { compression: 'zstd' }, without)).toThrow(expect.objectContaining({ code: 'ZSTD_MISSING' }));
    await expect(repair('/data', { filterBitsPerKey: -1 }, { fileSystem: disk })).rejects.toMatchObject({ code: 'OPTION_RANGE' });
  });
});
