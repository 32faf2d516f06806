/** Tables whose filter and index are read page by page, and how tables change between that and having them in memory. */
import { describe, expect, test } from 'vitest';
import { IndexBudget, type OpenTable, PAGE_COMPRESSIONS, type TableMeta } from '../../../engine/table/index.ts';
import type { PageEntry } from '../../assembly/twins/page.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { DIRECTORY, entry, TableHarness } from './table-harness.ts';

/** Keys so long that an index page has a handful. */
const LONG = 'k'.repeat(1500);
/** Some hundred pages, several filter pages and many index pages; one key has so many versions that they go over several index pages. */
const MANY: PageEntry[] = [
  ...Array.from({ length: 30_000 }, (_, i) => entry(`a${String(i).padStart(6, '0')}`, i + 1, 'some value')),
  ...Array.from({ length: 60 }, (_, i) => entry(`${LONG}${String(i).padStart(3, '0')}`, i + 1, 'x'.repeat(2000))),
  ...Array.from({ length: 40 }, (_, i) => entry(`${LONG}hot`, 1000 - i, `${i}`.repeat(1500))),
  ...Array.from({ length: 60 }, (_, i) => entry(`${LONG}x${String(i).padStart(3, '0')}`, i + 1, 'x'.repeat(2000))),
];

function check(harness: TableHarness, table: OpenTable, every: number): void {
  for (const [i, { key, sequence, value }] of MANY.entries()) {
    if (i % every !== 0) continue;
    const found = harness.find(table, key, sequence);
    if (found?.sequence !== sequence || Buffer.compare(found.value, value) !== 0) throw new Error(`entry ${i} is not found`);
    if (i % (7 * every) === 0) expect(harness.find(table, Buffer.concat([key, Buffer.from('-')]), sequence)).toBeUndefined();
  }
  for (const key of ['a', 'a0000000', 'b', 'k', 'z', LONG, `${LONG}hos`, `${LONG}hotx`, `${LONG}zz`])
    expect(harness.find(table, Buffer.from(key))).toBeUndefined();
  expect(harness.find(table, Buffer.from(`${LONG}hot`), 960)).toBeUndefined();
}

describe('paged table', () => {
  test.each(PAGE_COMPRESSIONS)('every version is found at its sequence, through few frames (%s)', (compression) => {
    const harness = new TableHarness(new SimFileSystem());
    const meta = harness.write(7, MANY, [], { compression });
    const table = harness.open(meta, new IndexBudget(0));
    check(harness, table, 3);
    expect(table.paged).toBe(true);
    expect(table.indexBytes).toBeLessThan(meta.pages * 100);
    expect(harness.cache.stats().evictions).toBeGreaterThan(50);
    table.close();
    expect(harness.cache.stats().used).toBe(0);
  });

  test('takes a fraction of the memory', () => {
    const harness = new TableHarness(new SimFileSystem());
    const plain = Array.from({ length: 200_000 }, (_, i) =>
      entry(`key${String(i).padStart(8, '0')}`, i + 1, 'a value of some length that is not much'),
    );
    const meta = harness.write(7, plain);
    const [whole, paged] = [harness.open(meta), harness.open(meta, new IndexBudget(0))];
    for (const table of [whole, paged]) expect(harness.find(table, plain[77_777]!.key)).toMatchObject({ sequence: 77_778 });
    expect(whole.indexBytes / meta.bytes).toBeGreaterThan(0.01);
    expect(paged.indexBytes).toBeLessThan(whole.indexBytes / 200);
  });

  test('damage in a page of filter, index or top is told by file and offset, and other pages stay readable', () => {
    const disk = new SimFileSystem();
    const harness = new TableHarness(disk);
    const meta = harness.write(7, MANY);
    const path = `${DIRECTORY}/000007.table`;
    const bytes = Buffer.from(disk.contents(path));
    const footer = bytes.length - 80;
    const filterAt = Number(bytes.readBigUInt64LE(footer + 16));
    const indexAt = filterAt + bytes.readUInt32LE(footer + 24);
    const read = (i: number): unknown => {
      const table = harness.open(meta, new IndexBudget(0));
      try {
        return harness.find(table, MANY[i]!.key, MANY[i]!.sequence);
      } finally {
        table.close();
      }
    };
    for (const at of [filterAt + 100, indexAt + 100]) {
      disk.flip(path, at, 4);
      const failures = [10, 10_000, 29_000, 30_150].map((i) => {
        try {
          expect(read(i)).toMatchObject({ sequence: MANY[i]!.sequence });
          return undefined;
        } catch (error) {
          return error as { code: string; details: { offset: number } };
        }
      });
      const failed = failures.filter((error) => error !== undefined);
      expect(failed.length).toBeGreaterThan(0);
      expect(failed.length).toBeLessThan(4);
      for (const error of failed) expect(error).toMatchObject({ code: 'CORRUPT_TABLE', details: { file: path, offset: at - 100 } });
      disk.flip(path, at, 4);
    }
    expect(read(10)).toMatchObject({ sequence: MANY[10]!.sequence });
  });

  test('an input or output error keeps its code, and the next read succeeds', () => {
    const disk = new SimFileSystem();
    const harness = new TableHarness(disk);
    const meta = harness.write(7, MANY.slice(0, 3000), [], { compression: 'lz4' });
    harness.open(meta, new IndexBudget(0)).close();
    const used = harness.memory.usedBytes;
    // Footer, top, filter page, index page, page.
    for (let nth = 1; nth <= 5; nth++) {
      const table = harness.open(meta, new IndexBudget(0));
      disk.failAt({ at: disk.reads + nth, error: 'EIO', on: 'read' });
      expect(() => harness.find(table, MANY[2000]!.key)).toThrow(expect.objectContaining({ code: 'EIO' }));
      disk.failAt();
      expect(harness.find(table, MANY[2000]!.key)).toMatchObject({ sequence: 2001 });
      table.close();
    }
    expect(harness.memory.usedBytes).toBe(used);
  });
});

describe('index budget', () => {
  const KEYS = 6000;
  const entries = (file: number): PageEntry[] =>
    Array.from({ length: KEYS }, (_, i) => entry(`${file}/${String(i).padStart(6, '0')}`, i + 1, 'v'.repeat(60)));

  function tables(count: number): { harness: TableHarness; metas: TableMeta[]; each: number } {
    const harness = new TableHarness(new SimFileSystem());
    const metas = Array.from({ length: count }, (_, file) => harness.write(file + 1, entries(file)));
    const probe = harness.open(metas[0]!);
    probe.loadIndex();
    const each = probe.indexBytes;
    probe.close();
    return { harness, metas, each };
  }
  const readSome = (harness: TableHarness, table: OpenTable, file: number, count: number, step = 611): void => {
    for (let i = 0, at = 0; i < count; i++, at = (at + step) % KEYS) {
      expect(harness.find(table, entriesOf(file)[at]!.key)).toMatchObject({ sequence: at + 1 });
    }
  };
  const made = new Map<number, PageEntry[]>();
  const entriesOf = (file: number): PageEntry[] => {
    if (!made.has(file)) made.set(file, entries(file));
    return made.get(file)!;
  };

  test('tables are whole while there is room, and paged beyond it', () => {
    const { harness, metas, each } = tables(5);
    const budget = new IndexBudget(Math.floor(each * 2.5));
    const used = harness.memory.usedBytes;
    const open = metas.map((meta) => harness.open(meta, budget));
    for (const [file, table] of open.entries()) readSome(harness, table, file, 3);
    expect(open.map(({ paged }) => paged)).toEqual([false, false, true, true, true]);
    expect([budget.wholeTables, budget.pagedTables, budget.bytes]).toEqual([2, 3, 2 * each]);
    for (const table of open) table.close();
    expect([budget.wholeTables, budget.pagedTables, budget.bytes]).toEqual([0, 0, 0]);
    expect(harness.memory.usedBytes).toBe(used);
  });

  test('a table that is read much takes the place of one that is not, and the pages of both stay in the cache', () => {
    const { harness, metas, each } = tables(5);
    const budget = new IndexBudget(Math.floor(each * 1.5));
    const open = metas.map((meta) => harness.open(meta, budget));
    const [idle, busy, ...others] = open as [OpenTable, OpenTable, ...OpenTable[]];
    readSome(harness, idle, 0, 5);
    readSome(harness, busy, 1, 5);
    expect([idle.paged, busy.paged]).toEqual([false, true]);
    // Its pages of filter and index are put out by those of others again and again, so it pays for them.
    for (let round = 0; round < 60 && !idle.paged; round++) {
      readSome(harness, busy, 1, 20, 997);
      for (const [i, other] of others.entries()) readSome(harness, other, 2 + i, 90, 61);
    }
    expect(idle.paged).toBe(true);
    expect(budget.wholeTables).toBe(1);
    expect(budget.bytes).toBeLessThanOrEqual(budget.bytesMax);
    for (const [file, table] of open.entries()) readSome(harness, table, file, 300);
    const { used, frames } = harness.cache.stats();
    expect(used).toBe(frames);
    for (const table of open) table.close();
    expect([harness.cache.stats().used, budget.bytes]).toEqual([0, 0]);
  });

  test('changing there and back keeps what the cache has', () => {
    const { harness, metas } = tables(1);
    const budget = new IndexBudget(2 ** 20);
    const table = harness.open(metas[0]!, budget);
    readSome(harness, table, 0, 20);
    const { loads } = harness.cache.stats();
    table.becomePaged();
    expect(table.paged).toBe(true);
    readSome(harness, table, 0, 20);
    // A page of the filter or two, and one of the index.
    expect(harness.cache.stats().loads - loads).toBeLessThan(5);
    table.unload();
    readSome(harness, table, 0, 20);
    expect(table.paged).toBe(false);
    table.close();
  });
});
