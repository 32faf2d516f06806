import { describe, expect, test } from 'vitest';
import { KIND_POINTER, PAGE_BYTES } from '../../../assembly/memory-map.ts';
import { blockFileName, runCompaction } from '../../../engine/compaction/index.ts';
import { tableFileName, PAGE_COMPRESSIONS } from '../../../engine/table/index.ts';
import { compareVersions, del, put, showVersion, type Version } from '../../assembly/sources.ts';
import { survivors } from '../../assembly/twins/merge.ts';
import { formsOf } from '../table/table-harness.ts';
import {
  bytesOfLength,
  type CompactionStore,
  DIRECTORY,
  eachWithStore,
  failureOf,
  jobOf,
  memories,
  series,
  summary,
} from './compaction-store.ts';

const KIB = 1024;

let store: CompactionStore;
eachWithStore((made) => (store = made));

describe('compaction job', () => {
  test('merges level 0 and the level below into tables of the wanted size', () => {
    const level0 = [series(900, 10_000, 3), series(900, 20_000, 5), [del('key:000003', 30_000)]];
    const level1 = [series(3000, 1).slice(0, 1500), series(3000, 1).slice(1500)];
    const inputs = [
      ...level0.map((versions, i) => ({ level: 0, table: store.writeTable(10 + i, versions) })),
      ...level1.map((versions, i) => ({ level: 1, table: store.writeTable(20 + i, versions) })),
    ];
    const { outputs, versionsDropped, bytesRead, bytesWritten, blockFiles, dead } = store.run(jobOf(inputs, { dropDeletes: true }));
    const all = [...level0, ...level1].flat();
    const expected = survivors(all, [], true);
    expect(outputs.flatMap(store.readTable).map(showVersion)).toEqual(expected.map(showVersion));
    expect(versionsDropped).toBe(all.length - expected.length);
    expect(outputs.length).toBeGreaterThan(2);
    for (const table of outputs.slice(0, -1)) expect(table.pages).toBe(8);
    expect(bytesRead).toBe(inputs.reduce((sum, { table }) => sum + table.pages * PAGE_BYTES, 0));
    expect(bytesWritten).toBe(outputs.reduce((sum, table) => sum + table.bytes, 0));
    expect(blockFiles).toEqual([]);
    expect(dead).toEqual([]);
  });

  test('leaves durable files with durable names', () => {
    const inputs = [
      { level: 0, table: store.writeTable(10, series(500, 1)) },
      { level: 0, table: store.writeTable(11, series(500, 1000)) },
    ];
    store.disk.syncDirectorySync(DIRECTORY);
    const { outputs } = store.run(jobOf(inputs));
    store.disk.crash('none');
    expect(outputs.flatMap(store.readTable)).toHaveLength(500);
  });

  test('yields about every mebibyte', () => {
    const inputs = [
      { level: 0, table: store.writeTable(10, series(20_000, 1, 1, 200)) },
      { level: 0, table: store.writeTable(11, series(20_000, 100_000, 1, 200)) },
    ];
    let steps = 0;
    const { bytesRead } = store.run(jobOf(inputs, { tableBytes: 512 * KIB }), () => steps++);
    expect(steps).toBeGreaterThanOrEqual(Math.floor(bytesRead / 2 ** 20) - 1);
    expect(steps).toBeLessThanOrEqual(Math.ceil(bytesRead / 2 ** 20));
  });

  test('has no output when nothing is left', () => {
    const inputs = [
      { level: 0, table: store.writeTable(11, [del('a', 3), del('b', 4)]) },
      { level: 1, table: store.writeTable(10, [put('a', 1), put('b', 2)]) },
    ];
    const { outputs } = store.run(jobOf(inputs, { dropDeletes: true }));
    expect(outputs).toEqual([]);
    expect(store.disk.listSync(DIRECTORY)).toEqual(['000010.table', '000011.table']);
  });

  test('lets the last table grow when ids run out', () => {
    const inputs = [{ level: 0, table: store.writeTable(10, series(3000, 1)) }];
    const { outputs } = store.run(jobOf(inputs, { tableBytes: 16 * KIB, fileIds: [500, 501, 502] }));
    expect(outputs.map(({ fileId, pages }) => [fileId, pages > 2])).toEqual([
      [500, false],
      [501, false],
      [502, true],
    ]);
    expect(outputs.flatMap(store.readTable)).toHaveLength(3000);
  });

  test('moves live values out of the segments that it is told, and says what they left behind', () => {
    const values = Array.from({ length: 40 }, (_, i) => ({
      key: `k${String(i).padStart(2, '0')}`,
      sequence: i + 1,
      value: bytesOfLength(1000 + i * 3000, i),
    }));
    const old = store.writeSegment(3, values);
    const kept = store.writeSegment(4, [{ key: 'k40', sequence: 90, value: bytesOfLength(5000, 90) }]);
    const large = store.writeSegment(5, [{ key: 'k41', sequence: 91, value: bytesOfLength(3 * 2 ** 20, 91) }]);
    const newer = [put('k00', 100), del('k01', 101), ...kept];
    const inputs = [
      { level: 0, table: store.writeTable(11, newer) },
      { level: 1, table: store.writeTable(10, [...old, ...large]) },
    ];
    const { outputs, blockFiles, dead } = store.run(jobOf(inputs, { dropDeletes: true, relocate: [3, 5] }));
    const versions = outputs.flatMap(store.readTable);
    const [blockFile] = blockFiles;
    const name = blockFileName(blockFile!.segment);
    expect(versions.map(({ key }) => Buffer.from(key).toString())).toEqual(['k00', ...values.slice(2).map(({ key }) => key), 'k40', 'k41']);
    const heldBy = (version: Version): Uint8Array => {
      const inPlace = version.kind !== KIND_POINTER || new DataView(version.value.buffer).getUint32(0, true) !== blockFile!.segment;
      return inPlace ? version.value : store.readValue(version, name);
    };
    const expected = [newer[0]!.value, ...values.slice(2).map(({ value }) => value), kept[0]!.value, bytesOfLength(3 * 2 ** 20, 91)];
    expect(versions.map(heldBy).map(summary)).toEqual(expected.map(summary));
    const moved = values.slice(2).reduce((sum, { value }) => sum + value.length, 0) + 3 * 2 ** 20;
    expect(blockFile!.bytes).toBe(64 + moved);
    expect(outputs.flatMap(({ references }) => references)).toEqual([
      { segment: 4, bytes: 5000 },
      { segment: blockFile!.segment, bytes: moved },
    ]);
    expect(dead).toEqual([
      { segment: 3, bytes: values.reduce((sum, { value }) => sum + value.length, 0) },
      { segment: 5, bytes: 3 * 2 ** 20 },
    ]);
  });

  test('a damaged page or value stops it with file and offset, and leaves nothing behind', () => {
    const [version] = store.writeSegment(3, [{ key: 'a', sequence: 9, value: new Uint8Array(2000).fill(7) }]);
    const inputs = [{ level: 0, table: store.writeTable(10, [...series(1000, 10), version!]) }];
    const before = store.disk.listSync(DIRECTORY);
    const damage = (name: string, offset: number): void => store.disk.flip(`${DIRECTORY}/${name}`, offset);
    damage('000003.log', 1024 + 1999);
    expect(() => store.run(jobOf(inputs, { relocate: [3] }))).toThrow(
      expect.objectContaining({ code: 'CORRUPT_VALUE', details: expect.objectContaining({ file: '/store/000003.log', offset: 1024 }) }),
    );
    damage('000003.log', 1024 + 1999);
    damage('000010.table', 2 * PAGE_BYTES + 100);
    expect(() => store.run(jobOf(inputs))).toThrow(
      expect.objectContaining({
        code: 'CORRUPT_TABLE',
        details: expect.objectContaining({ file: '/store/000010.table', offset: 2 * PAGE_BYTES }),
      }),
    );
    expect(store.disk.listSync(DIRECTORY)).toEqual(before);
    damage('000010.table', 2 * PAGE_BYTES + 100);
    expect(store.run(jobOf(inputs, { relocate: [3] })).outputs.flatMap(store.readTable)).toHaveLength(1001);
  });

  test('given up between steps it leaves nothing behind', () => {
    const versions = store.writeSegment(3, [{ key: 'a', sequence: 9, value: new Uint8Array(2000).fill(7) }]);
    const inputs = [{ level: 0, table: store.writeTable(10, [...series(30_000, 10, 1, 200), ...versions]) }];
    const before = store.disk.listSync(DIRECTORY);
    const steps = runCompaction(store.disk, jobOf(inputs, { relocate: [3] }), memories);
    steps.next();
    steps.next();
    expect(store.disk.listSync(DIRECTORY).length).toBeGreaterThan(before.length);
    steps.return(undefined as never);
    expect(store.disk.listSync(DIRECTORY)).toEqual(before);
  });

  test('an error at any operation leaves nothing behind', () => {
    for (const error of ['EIO', 'ENOSPC', 'short'] as const) {
      for (let at = 1, failed = true; failed; at++) {
        store.clear();
        const versions = store.writeSegment(3, [{ key: 'a', sequence: 9, value: new Uint8Array(2000).fill(7) }]);
        const inputs = [
          { level: 0, table: store.writeTable(10, [...series(600, 10), ...versions]) },
          { level: 0, table: store.writeTable(11, series(600, 1000)) },
        ];
        const before = store.disk.listSync(DIRECTORY);
        store.disk.failAt({ at: store.disk.operations + at, error });
        const thrown = failureOf(() => store.run(jobOf(inputs, { relocate: [3], tableBytes: 24 * KIB })));
        failed = thrown !== undefined;
        expect([undefined, error === 'EIO' ? 'EIO' : 'ENOSPC']).toContain(thrown?.code);
        const added = store.disk.listSync(DIRECTORY).filter((name) => !before.includes(name));
        expect(added.length > 0).toBe(!failed);
        expect(store.disk.openFiles).toEqual([]);
      }
    }
  });

  test('tables compressed in any way are merged into tables compressed in any other', () => {
    const versions = Array.from({ length: 6000 }, (_, i) =>
      put(`key${String((i * 7) % 2500).padStart(5, '0')}`, i + 1, `value ${i} of many `.repeat(9)),
    );
    const thirds = [versions.slice(0, 2000), versions.slice(2000, 4000), versions.slice(4000)] as const;
    const newest = new Map(versions.map((version) => [Buffer.from(version.key).toString(), version]));
    const expected = [...newest.values()].toSorted(compareVersions).map(showVersion);
    for (const [i, compression] of PAGE_COMPRESSIONS.entries()) {
      const inputs = thirds
        .map((third, n) => ({ level: 0, table: store.writeTable(20 + 10 * i + n, third, PAGE_COMPRESSIONS[(i + n) % 3]) }))
        .toReversed();
      const { outputs } = store.run(
        jobOf(inputs, {
          forms: formsOf(compression),
          tableBytes: 256 * KIB,
          fileIds: Array.from({ length: 20 }, (_, n) => 500 + 100 * i + n),
        }),
      );
      expect(outputs.length).toBeGreaterThan(1);
      expect(outputs.flatMap(store.readTable).map(showVersion)).toEqual(expected);
      const pageBytes = outputs.reduce((sum, { pages }) => sum + pages * PAGE_BYTES, 0);
      const share = outputs.reduce((sum, { bytes }) => sum + bytes, 0) / pageBytes;
      expect(share < 0.7).toBe(compression !== 'none');
      for (const { table } of inputs) store.disk.unlinkSync(`${DIRECTORY}/${tableFileName(table.fileId)}`);
    }
  });

  test('outputs of packed tables have their size: it counts pages as they are in memory', () => {
    const versions = Array.from({ length: 6000 }, (_, i) =>
      put(`key${String(i).padStart(5, '0')}`, i + 1, `value ${i} of many `.repeat(9)),
    );
    const inputs = [store.writeTable(20, versions.slice(0, 3000), 'zstd'), store.writeTable(21, versions.slice(2000), 'zstd')].map(
      (table) => ({
        level: 0,
        table,
      }),
    );
    const { outputs } = store.run(jobOf(inputs, { forms: formsOf('zstd'), tableBytes: 128 * KIB }));
    expect(outputs.flatMap(store.readTable).map(showVersion)).toEqual(versions.map(showVersion));
    for (const { pages } of outputs) expect(pages * PAGE_BYTES).toBeLessThan(160 * KIB);
  });
});
