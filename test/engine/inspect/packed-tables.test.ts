/** verify, dump and repair of a store whose tables are compressed: what a damaged page takes with it, with and without the index. */
import { describe, expect, test } from 'vitest';
import { dump, open, repair, verify } from '../../../engine/index.ts';
import type { EngineSettingsInput } from '../../../engine/settings.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';

const SETTINGS: EngineSettingsInput = {
  memoryBytes: 64 * 2 ** 20,
  pageCacheBytes: 2 ** 20,
  maxBatchBytes: 2 ** 20,
  maxValueBytes: 2 ** 16,
  memtableBytes: 2 ** 22,
};
const KEYS = 6000;
const key = (i: number): string => `key${String(i).padStart(6, '0')}`;

async function store(compression: 'lz4' | 'zstd'): Promise<{ disk: SimFileSystem; table: string }> {
  const disk = new SimFileSystem();
  const engine = await open('/store', { ...SETTINGS, compression }, { fileSystem: disk });
  for (let i = 0; i < KEYS; i++) await engine.put(key(i), `the value of ${i} and of no other key, `.repeat(3), { durability: 'buffered' });
  await engine.flush();
  await engine.close();
  const tables = disk.listSync('/store').filter((name) => name.endsWith('.table'));
  expect(tables).toHaveLength(1);
  return { disk, table: `/store/${tables[0]!}` };
}

/** Where the pages of data lie: they say themselves how long they are. */
function pagesOf(disk: SimFileSystem, table: string): number[] {
  const bytes = Buffer.from(disk.contents(table));
  const end = Number(bytes.readBigUInt64LE(bytes.length - 80 + 16));
  const places: number[] = [];
  for (let at = 0; at < end; at += bytes.readUInt16LE(at + 10) === 0xffff ? Math.ceil(bytes.readUInt16LE(at + 8) / 8) * 8 : 8192)
    places.push(at);
  return places;
}

async function keysLeft(disk: SimFileSystem): Promise<number> {
  const engine = await open('/store', SETTINGS, { fileSystem: disk });
  const count = [...engine.scanSync()].length;
  await engine.close();
  return count;
}

describe.each(['lz4', 'zstd'] as const)('a store compressed by %s', (compression) => {
  test('is verified to the last byte, and a damaged page hides no other', async () => {
    const { disk, table } = await store(compression);
    expect(await verify('/store', {}, { fileSystem: disk })).toMatchObject({ sound: true, entries: KEYS });
    const places = pagesOf(disk, table);
    expect(places.length).toBeGreaterThan(50);
    for (const page of [0, 7, 8]) disk.flip(table, places[page]! + 9, 1);
    const report = await verify('/store', {}, { fileSystem: disk });
    expect(report.sound).toBe(false);
    expect(report.problems.map(({ offset }) => offset)).toEqual([0, 7, 8].map((page) => places[page]));
  });

  test('is listed and repaired without its index and footer, but for the damaged pages', async () => {
    const { disk, table } = await store(compression);
    const places = pagesOf(disk, table);
    const perPage = KEYS / places.length;
    disk.flip(table, disk.contents(table).length - 30, 1);
    for (const page of [5, 9, 10]) disk.flip(table, places[page]! + 8, 4);
    const items = [...dump(table, {}, { fileSystem: disk })];
    const pages = items.filter(({ item }) => item === 'page').length;
    expect(pages).toBe(places.length - 3);
    await repair('/store', {}, { fileSystem: disk });
    expect(await verify('/store', {}, { fileSystem: disk })).toMatchObject({ sound: true });
    const left = await keysLeft(disk);
    expect(left).toBeLessThan(KEYS);
    expect(left).toBeGreaterThan(KEYS - 3 * perPage * 1.5);
  });
});
