import { beforeAll, describe, expect, it } from 'vitest';
import { dump, type DumpItem, type DumpOptions, stats } from '../../../engine/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { live, openStore } from '../upkeep/store-life.ts';

let fileSystem: SimFileSystem;

beforeAll(async () => {
  fileSystem = new SimFileSystem();
  const engine = await openStore(fileSystem, '/data');
  await live(engine);
  await engine.close();
});

function items(path: string, options?: DumpOptions): DumpItem[] {
  return [...dump(path, options, { fileSystem })];
}

function named(pattern: RegExp): string[] {
  return fileSystem
    .listSync('/data')
    .filter((name) => pattern.test(name))
    .map((name) => `/data/${name}`);
}

function only<K extends DumpItem['item']>(all: readonly DumpItem[], kind: K): Extract<DumpItem, { item: K }>[] {
  return all.filter((each): each is Extract<DumpItem, { item: K }> => each.item === kind);
}

describe('dump', () => {
  it('lists every file of a directory and finds no damage in a sound one', () => {
    const all = items('/data');
    expect(only(all, 'file').map(({ file }) => file)).toEqual(named(/^(CURRENT|MANIFEST.*|\d+\.(log|table|block))$/));
    expect(only(all, 'damage')).toEqual([]);
    for (const kind of ['current', 'edit', 'segment', 'batch', 'footer', 'properties', 'page', 'block file'] as const) {
      expect(only(all, kind).length, kind).toBeGreaterThan(0);
    }
    expect(only(all, 'entry')).toEqual([]);
  });

  it('shows the edits of a manifest', () => {
    const edits = only(items(named(/MANIFEST/)[0]!), 'edit');
    expect(edits[0]!.edit.formatVersion).toBeGreaterThan(0);
    expect(edits.some(({ edit }) => (edit.tablesAdded?.length ?? 0) > 0)).toBe(true);
    expect(items(named(/MANIFEST/)[0]!, { limit: 1 }).at(-1)).toMatchObject({ item: 'end', what: `${edits.length - 1} more edits` });
  });

  it('shows the entries of tables, as many as the tables say', async () => {
    const { levels } = await stats('/data', { fileSystem });
    const all = named(/table$/).flatMap((path) => items(path, { entries: true }));
    expect(only(all, 'entry')).toHaveLength(levels.reduce((sum, level) => sum + level.entries, 0));
    const pointers = only(all, 'entry').filter(({ pointer }) => pointer);
    expect(pointers.length).toBeGreaterThan(0);
    for (const { pointer, operation, value } of pointers)
      expect([pointer!.bytes >= 512, operation, value]).toEqual([true, 'put', undefined]);
    expect(only(all, 'entry').some(({ operation }) => operation === 'delete')).toBe(true);
    expect(only(items(named(/table$/)[0]!, { limit: 0 }), 'page')).toEqual([]);
  });

  it('shows batches and records of the log', () => {
    const log = named(/log$/).at(-1)!;
    const all = items(log, { entries: true });
    const batches = only(all, 'batch');
    expect(only(all, 'record')).toHaveLength(batches.reduce((sum, { records }) => sum + records, 0));
    expect(batches.map(({ sequence }) => sequence)).toEqual(batches.map((_, i) => batches[0]!.sequence + i));
    const last = only(all, 'record').at(-1)!;
    expect([last.keyspace, Buffer.from(last.key).toString()]).toEqual([0, 'small/058']);
    expect(
      new Set(
        only(
          named(/table$/).flatMap((path) => items(path, { entries: true })),
          'entry',
        ).map(({ keyspace }) => keyspace),
      ),
    ).toEqual(new Set([0, 1]));
    expect(only(items(log, { limit: 3 }), 'batch')).toHaveLength(3);
  });

  it('goes on behind damage', () => {
    const log = named(/log$/).at(-1)!;
    const table = named(/table$/)[0]!;
    const whole = only(items(log), 'batch');
    fileSystem.flip(log, whole[2]!.offset + 30);
    fileSystem.flip(table, 100);
    try {
      const damagedLog = items(log);
      expect(only(damagedLog, 'damage')).toMatchObject([
        { offset: whole[2]!.offset, what: `${whole[2]!.bytes} bytes that are no whole batch` },
      ]);
      expect(only(damagedLog, 'batch')).toHaveLength(whole.length - 1);
      expect(only(items(table), 'damage')).toMatchObject([{ offset: 0, what: 'page 0 does not match its checksum' }]);
    } finally {
      fileSystem.flip(log, whole[2]!.offset + 30);
      fileSystem.flip(table, 100);
    }
  });

  it('refuses what is no store', () => {
    expect(() => items('/nowhere')).toThrow(expect.objectContaining({ code: 'NOT_A_STORE' }));
    fileSystem.makeDirectorySync('/other');
    expect(() => items('/other')).toThrow(expect.objectContaining({ code: 'NOT_A_STORE' }));
    fileSystem.replace('/other/notes.txt', Buffer.from('x'));
    expect(() => items('/other/notes.txt')).toThrow(expect.objectContaining({ code: 'NOT_A_STORE' }));
    expect(() => items('/data', { limits: 1 } as never)).toThrow(expect.objectContaining({ code: 'OPTION_UNKNOWN' }));
  });
});

describe('stats', () => {
  it('adds up to what is on the disk', async () => {
    const figures = await stats('/data', { fileSystem });
    const bytes = named(/\.(log|table|block)$/).reduce((sum, path) => sum + fileSystem.contents(path).length, 0);
    expect(figures).toMatchObject({ directory: '/data', diskBytes: bytes, obsoleteFiles: [] });
    expect(figures.levels.length).toBeGreaterThan(1);
    expect(figures.keyspaces).toEqual([{ id: 1, name: 'birds', settings: {} }]);
    expect(figures.liveValueBytes).toBeLessThanOrEqual(figures.blockFileBytes);
    fileSystem.replace('/data/000999.table', Buffer.from('x'));
    expect((await stats('/data', { fileSystem })).obsoleteFiles).toEqual(['000999.table']);
  });
});
