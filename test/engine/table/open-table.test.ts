import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IndexBudget, OpenTable, PAGE_COMPRESSIONS, readTableMeta, type TableMeta } from '../../../engine/table/index.ts';
import { entriesArbitrary } from '../../assembly/entries.ts';
import type { PageEntry } from '../../assembly/twins/page.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { DIRECTORY, entry, TableHarness } from './table-harness.ts';

const PATH = `${DIRECTORY}/000007.table`;
/** Two pages with a key whose versions straddle them, a delete and a pointer. */
const SMALL: PageEntry[] = [
  entry('apple', 40, 'a'.repeat(2000)),
  ...Array.from({ length: 8 }, (_, i) => entry('bird', 30 - i, `${i}`.repeat(1200))),
  entry('cat', 2, '', 3),
  entry('dog', 1, 'p'.repeat(24), 2),
];

/** Reads everything that the table holds, by every way there is. */
function readAll(harness: TableHarness, meta: TableMeta, indexBudget?: IndexBudget): unknown[] {
  const table = harness.open(meta, indexBudget);
  try {
    const found = SMALL.map(({ key, sequence }) => harness.find(table, key, sequence));
    return [readTableMeta(harness.fileSystem, DIRECTORY, meta.fileId), ...found, harness.find(table, Buffer.from('bi'))];
  } finally {
    table.close();
  }
}

describe('open table', () => {
  test('every version is found at its sequence, and nothing else', () => {
    fc.assert(
      fc.property(
        entriesArbitrary(40),
        fc.constantFrom(...PAGE_COMPRESSIONS),
        fc.constantFrom(undefined, 0),
        (entries, compression, bytesMax) => {
          const harness = new TableHarness(new SimFileSystem());
          const budget = bytesMax === undefined ? undefined : new IndexBudget(bytesMax);
          const table = harness.open(harness.write(7, entries, [], { compression }), budget);
          for (const { key, sequence, kind, value } of entries) {
            expect(harness.find(table, key, sequence)).toEqual({ kind, sequence, value });
            expect(harness.find(table, Buffer.concat([key, Buffer.from('-')]).subarray(0, 4096), 0)).toBeUndefined();
          }
          table.close();
        },
      ),
      { numRuns: 20 },
    );
  });

  test("a key of the length of an index page's first key, and before it, is found in the page before", () => {
    const harness = new TableHarness(new SimFileSystem());
    const long = (bytes: number, end: number): Buffer => Buffer.concat([Buffer.alloc(bytes - 1, 'a'), Buffer.of(end)]);
    const versions = (key: Buffer, count: number, newest: number, bytes: number) =>
      Array.from({ length: count }, (_, i) => ({ ...entry('', newest - i, 'x'.repeat(bytes)), key }));
    // The first index page ends in front of the last key, whose versions then fill one by themselves. The top keeps a shorter separator for it.
    const entries = [
      ...versions(Buffer.from('0'), 4, 99, 3000),
      ...versions(long(4014, 0x1d), 3, 79, 3000),
      ...versions(long(4082, 0x45), 1, 59, 100),
      ...versions(long(4082, 0xce), 6, 39, 3100),
    ];
    const table = harness.open(harness.write(7, entries), new IndexBudget(0));
    for (const { key, sequence } of entries) expect(harness.find(table, key, sequence)?.sequence).toBe(sequence);
    table.close();
  });

  test('touches its file only when a read needs it', () => {
    const disk = new SimFileSystem();
    const harness = new TableHarness(disk);
    const meta = harness.write(7, SMALL);
    harness.open(meta).close();
    const used = harness.memory.usedBytes;
    const table = harness.open(meta);
    expect([disk.openFiles, table.loaded]).toEqual([[], false]);
    expect(harness.find(table, Buffer.from('zebra'))).toBeUndefined();
    expect([disk.openFiles, table.loaded]).toEqual([[], false]);
    expect(harness.find(table, Buffer.from('cat'))).toMatchObject({ kind: 3 });
    expect([disk.openFiles, table.loaded]).toEqual([[PATH], true]);
    const reads = disk.reads;
    expect(harness.find(table, Buffer.from('dog'))).toMatchObject({ kind: 2 });
    expect(disk.reads).toBe(reads);
    table.unload();
    expect([table.loaded, harness.cache.stats().used]).toEqual([false, 0]);
    expect(harness.find(table, Buffer.from('apple'))).toMatchObject({ sequence: 40 });
    table.close();
    table.close();
    expect([disk.openFiles, harness.memory.usedBytes, harness.cache.stats().used]).toEqual([[], used, 0]);
  });

  test.each(PAGE_COMPRESSIONS.flatMap((each) => [[each, undefined] as const, [each, new IndexBudget(0)] as const]))(
    'any changed byte is detected, wherever it is (%s, %o)',
    (compression, budget) => {
      const disk = new SimFileSystem();
      const harness = new TableHarness(disk);
      const meta = harness.write(7, SMALL, [{ segment: 5, bytes: 99 }], { compression });
      expect([meta.pages, meta.bytes < 8192]).toEqual([2, compression !== 'none']);
      readAll(harness, meta, budget);
      const undetected: number[] = [];
      for (let at = 0; at < meta.bytes; at++) {
        disk.flip(PATH, at, 1 << (at % 8));
        try {
          readAll(harness, meta, budget);
          undetected.push(at);
        } catch (error) {
          const { kind, code, details } = error as { kind: string; code: string; details: { file: string; offset: number } };
          if (kind !== 'corrupt' || code !== 'CORRUPT_TABLE' || details.file !== PATH || details.offset > at) throw error;
        }
        disk.flip(PATH, at, 1 << (at % 8));
      }
      expect(undetected).toEqual([]);
      readAll(harness, meta);
    },
  );

  test.each(PAGE_COMPRESSIONS)('any shorter file is detected (%s)', (compression) => {
    const disk = new SimFileSystem();
    const harness = new TableHarness(disk);
    const meta = harness.write(7, SMALL, [], { compression });
    const contents = disk.contents(PATH);
    for (let bytes = 0; bytes < contents.length; bytes += bytes > contents.length - 700 ? 1 : 97) {
      disk.replace(PATH, contents.subarray(0, bytes));
      expect(() => readAll(harness, meta)).toThrow(expect.objectContaining({ kind: 'corrupt', code: 'CORRUPT_TABLE' }));
    }
    disk.replace(PATH, Buffer.concat([contents, Buffer.from([0])]));
    expect(() => readAll(harness, meta)).toThrow(expect.objectContaining({ code: 'CORRUPT_TABLE' }));
  });

  test('a file that is missing, or another table under its name, is corrupt', () => {
    const disk = new SimFileSystem();
    const harness = new TableHarness(disk);
    const meta = harness.write(7, SMALL);
    harness.write(8, SMALL);
    disk.replace(PATH, disk.contents(`${DIRECTORY}/000008.table`));
    expect(() => readAll(harness, meta)).toThrow('another table');
    disk.unlinkSync(PATH);
    expect(() => readAll(harness, meta)).toThrow('the file is missing');
    expect(disk.openFiles).toEqual([]);
  });

  test('a file that the manifest knows otherwise is corrupt', () => {
    const harness = new TableHarness(new SimFileSystem());
    const meta = harness.write(7, SMALL);
    expect(() => readAll(harness, { ...meta, pages: 3 })).toThrow('the manifest knows it with 3 pages');
  });

  test('an input or output error keeps its code, and the next read succeeds', () => {
    const disk = new SimFileSystem();
    const harness = new TableHarness(disk);
    const meta = harness.write(7, SMALL);
    readAll(harness, meta);
    const used = harness.memory.usedBytes;
    // Footer, top, filter, index, page.
    for (let read = 1; read <= 5; read++) {
      const table = harness.open(meta);
      disk.failAt({ at: disk.reads + read, error: 'EIO', on: 'read' });
      expect(() => harness.find(table, Buffer.from('apple'))).toThrow(expect.objectContaining({ code: 'EIO' }));
      disk.failAt();
      expect(harness.find(table, Buffer.from('apple'))).toMatchObject({ sequence: 40 });
      table.close();
      expect(harness.memory.usedBytes).toBe(used);
    }
  });

  test('without zstd, a table that is compressed by it says what is missing', () => {
    const harness = new TableHarness(new SimFileSystem());
    const meta = harness.write(7, SMALL, [], { compression: 'zstd' });
    const table = new OpenTable(harness.memory, harness.fileSystem, DIRECTORY, meta);
    expect(() => harness.find(table, Buffer.from('apple'))).toThrow(expect.objectContaining({ kind: 'invalid', code: 'ZSTD_MISSING' }));
    expect(() => harness.write(8, SMALL, [], { compression: 'zstd', zstd: undefined })).toThrow('use Node 22.15, 23.8 or later');
    expect(harness.fileSystem.listSync(DIRECTORY)).toEqual(['000007.table']);
    table.close();
  });
});
