import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OpenTable, readTableMeta, TableWriter } from '../../../engine/table/index.ts';
import { entriesArbitrary } from '../../assembly/entries.ts';
import { buildPages } from '../../assembly/twins/page-builder.ts';
import { encodeTable } from '../../assembly/twins/table-file.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { DIRECTORY, entry, TableHarness } from './table-harness.ts';

const PATH = `${DIRECTORY}/000007.table`;
const SOME = Array.from({ length: 500 }, (_, i) => entry(`key${String(i).padStart(4, '0')}`, i + 1, `value ${i}`.repeat(5)));

describe('table writer', () => {
  test('the file is the pages, filter and index of the twins, and the meta is what the file says', () => {
    fc.assert(
      fc.property(entriesArbitrary(40), fc.constantFrom(8192, 3 * 8192, 1024 * 1024), fc.boolean(), (entries, windowBytes, packed) => {
        const disk = new SimFileSystem();
        const harness = new TableHarness(disk);
        const references = [{ segment: 3, bytes: 4096 }];
        const meta = harness.write(7, entries, references, { windowBytes, compression: packed ? 'lz4' : 'none' });
        const twin = buildPages(entries, 7);
        const expected = encodeTable(twin, 7, packed);
        const contents = disk.contents(PATH);
        expect(Buffer.compare(contents.subarray(0, expected.length), expected)).toBe(0);
        expect(meta).toMatchObject({ fileId: 7, bytes: contents.length, pages: twin.pages.length, entries: entries.length, references });
        expect(meta.smallest).toEqual(entries[0]!.key);
        expect(meta.largest).toEqual(entries.at(-1)!.key);
        expect(readTableMeta(disk, DIRECTORY, 7)).toEqual(meta);
      }),
      { numRuns: 30 },
    );
  });

  test('what it wrote is durable once the directory is', () => {
    const disk = new SimFileSystem();
    const harness = new TableHarness(disk);
    disk.syncDirectorySync('/');
    const meta = harness.write(7, SOME);
    const contents = disk.contents(PATH);
    disk.syncDirectorySync(DIRECTORY);
    disk.crash('none');
    expect(Buffer.compare(disk.contents(PATH), contents)).toBe(0);
    expect(readTableMeta(disk, DIRECTORY, 7)).toEqual(meta);
  });

  test('takes no memory and no file with it when it is done, discarded or fails', () => {
    const disk = new SimFileSystem();
    const harness = new TableHarness(disk);
    const state = (): unknown => ({ files: disk.openFiles, names: disk.listSync(DIRECTORY) });
    harness.write(1, SOME);
    const before = state();
    const used = harness.memory.usedBytes;

    const discarded = new TableWriter(harness.memory, disk, DIRECTORY, 7);
    for (const each of SOME) harness.add(discarded, each);
    discarded.discard();
    discarded.discard();
    expect([state(), harness.memory.usedBytes]).toEqual([before, used]);

    const operations = disk.operations;
    harness.write(7, SOME);
    const steps = disk.operations - operations;
    disk.unlinkSync(PATH);
    expect([state(), harness.memory.usedBytes]).toEqual([before, used]);
    for (let step = 1; step <= steps; step++) {
      disk.failAt({ at: disk.operations + step, error: 'ENOSPC' });
      expect(() => harness.write(7, SOME)).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
      expect([state(), harness.memory.usedBytes]).toEqual([before, used]);
    }
    expect(steps).toBeGreaterThan(5);
  });

  test('holds many more entries than its areas begin with room for', () => {
    const harness = new TableHarness(new SimFileSystem());
    const entries = Array.from({ length: 40_000 }, (_, i) => entry(`${'p'.repeat(i % 60)}${i}`, i + 1)).sort((a, b) =>
      Buffer.compare(a.key, b.key),
    );
    const meta = harness.write(7, entries, [], { windowBytes: 1024 * 1024 });
    const table = harness.open(meta);
    for (const { key, sequence } of entries.filter((_, i) => i % 97 === 0)) expect(harness.find(table, key)).toMatchObject({ sequence });
    table.close();
  });

  test('does not replace a file that is there', () => {
    const harness = new TableHarness(new SimFileSystem());
    const meta = harness.write(7, SOME);
    expect(() => harness.write(7, [entry('other', 1)])).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(readTableMeta(harness.fileSystem, DIRECTORY, 7)).toEqual(meta);
    expect(new OpenTable(harness.memory, harness.fileSystem, DIRECTORY, meta).loaded).toBe(false);
  });
});
