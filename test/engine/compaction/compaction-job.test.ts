import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KIND_DELETE, KIND_POINTER, BLOCK_BYTES, PAGE_BYTES } from '../../../assembly/memory-map.ts';
import {
  blockFileName,
  fileIdsWanted,
  joinResults,
  runCompaction,
  runSplit,
  type CompactionJob,
  type CompactionResult,
} from '../../../engine/compaction/index.ts';
import { internalKey } from '../../../engine/keyspace-key.ts';
import { JobMemories } from '../../../engine/memory/job-memories.ts';
import { LinearMemory } from '../../../engine/memory/linear-memory.ts';
import {
  readTableMeta,
  tableFileName,
  PAGE_COMPRESSIONS,
  type PageCompression,
  PageStream,
  TableWriter,
  type TableMeta,
} from '../../../engine/table/index.ts';
import { nodeZstd } from '../../../base/node/index.ts';
import { compareVersions, del, pointer, put, readPages, showVersion, type Version } from '../../assembly/sources.ts';
import { bytesBySegment, survivors } from '../../assembly/twins/merge.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { formsOf } from '../table/table-harness.ts';

const DIRECTORY = '/store';
const KIB = 1024;

let memory: LinearMemory;
let fileSystem: SimFileSystem;
/** One for all: what a job leaves in its memory must not matter to the next. */
const memories = new JobMemories(64 * KIB * KIB);

beforeEach(() => {
  memory = new LinearMemory(64 * KIB * KIB);
  fileSystem = newDisk();
});
afterEach(() => {
  if (fileSystem.openFiles.length > 0) throw new Error(`left open: ${fileSystem.openFiles.join(' ')}`);
});

function newDisk(): SimFileSystem {
  const disk = new SimFileSystem();
  disk.makeDirectorySync(DIRECTORY);
  return disk;
}

function writeTable(fileId: number, versions: readonly Version[], compression: PageCompression = 'none'): TableMeta {
  const writer = new TableWriter(memory, fileSystem, DIRECTORY, fileId, { forms: formsOf(compression), zstd: nodeZstd });
  const scratch = memory.allocate(16 * KIB);
  for (const { key, sequence, kind, value } of versions.toSorted(compareVersions)) {
    memory.u8.set(key, scratch);
    memory.u8.set(value, scratch + 8192);
    const answer = memory.kernel['builderPut']!(writer.builder, scratch, key.length, sequence, kind, 0, scratch + 8192, value.length);
    if (answer !== 0) writer.drain();
  }
  memory.free(scratch, 16 * KIB);
  return writer.finish(bytesBySegment(versions));
}

function readFile(name: string, length: number, position = 0): Uint8Array {
  const file = fileSystem.openSync(`${DIRECTORY}/${name}`, 'read');
  const bytes = new Uint8Array(length);
  expect(file.readSync(bytes, 0, length, position)).toBe(length);
  file.closeSync();
  return bytes;
}

function readTable(table: TableMeta): Version[] {
  // The manifest alone knows which rules were applied.
  const { ruledTo: _, ...stated } = table;
  expect(readTableMeta(fileSystem, DIRECTORY, table.fileId)).toEqual(stated);
  const buffer = memory.allocate(BLOCK_BYTES);
  const stream = new PageStream(memory, fileSystem, DIRECTORY, table.fileId, nodeZstd);
  const versions: Version[] = [];
  while (!stream.done) {
    const pages = stream.next(buffer);
    versions.push(...readPages(memory.u8.slice(buffer, buffer + pages * PAGE_BYTES)));
  }
  stream.close();
  memory.free(buffer, BLOCK_BYTES);
  return versions;
}

function jobOf(tables: readonly { level: number; table: TableMeta }[], rest: Partial<CompactionJob> = {}): CompactionJob {
  const tableBytes = rest.tableBytes ?? 64 * KIB;
  const wanted = fileIdsWanted({ inputs: tables, relocate: rest.relocate ?? [] }, tableBytes);
  const fileIds = Array.from({ length: wanted }, (_, i) => 500 + i);
  return {
    directory: DIRECTORY,
    inputs: tables,
    dropDeletes: false,
    relocate: [],
    snapshots: [],
    nowMs: 0,
    forms: formsOf(),
    rangeTombstones: [],
    clearedTo: 0,
    rules: [],
    ruledTo: 0,
    tableBytes,
    fileIds,
    ...rest,
  };
}

function run(job: CompactionJob, onStep = (): void => {}): CompactionResult {
  // As it would cross to the worker and back.
  const steps = runCompaction(fileSystem, structuredClone(job), memories, nodeZstd);
  for (;;) {
    const step = steps.next();
    if (step.done) return structuredClone(step.value);
    onStep();
  }
}

/** The same, in parts. */
function runInParts(job: CompactionJob, partsMax: number): { result: CompactionResult; parts: number } {
  const { directory, inputs, tableBytes, relocate } = job;
  const steps = runSplit(fileSystem, structuredClone({ directory, inputs, partsMax, partBytesMin: 64 }), memories);
  let step = steps.next();
  while (!step.done) step = steps.next();
  const parts = structuredClone(step.value);
  const results = parts.map((part, i) => {
    const wanted = fileIdsWanted({ inputs: part.inputs, relocate }, tableBytes, [1, 2]);
    const fileIds = Array.from({ length: wanted }, (_, n) => 1000 * (i + 1) + n);
    return run({ ...job, inputs: part.inputs, from: part.from, to: part.to, fileIds });
  });
  return { result: joinResults(results), parts: parts.length };
}

function failureOf(work: () => void): { code: string } | undefined {
  try {
    work();
    return undefined;
  } catch (thrown) {
    return thrown as { code: string };
  }
}

function bytesOfLength(length: number, fill: number): Uint8Array {
  return new Uint8Array(length).fill(fill);
}

/** Length and content of what `bytesOfLength` made. */
function summary(bytes: Uint8Array): [length: number, fill: number | undefined] {
  return [bytes.length, bytes.every((byte) => byte === bytes[0]) ? bytes[0] : -1];
}

/** Writes values into a segment as the log would, and returns their pointers. */
function writeSegment(segment: number, values: readonly { key: string; sequence: number; value: Uint8Array }[]): Version[] {
  const file = fileSystem.openSync(`${DIRECTORY}/${String(segment).padStart(6, '0')}.log`, 'create');
  let offset = 1024;
  const versions = values.map(({ key, sequence, value }) => {
    file.writeSync(value, 0, value.length, offset);
    const version = sealed(pointer(key, sequence, segment, value.length, offset), value);
    offset += value.length;
    return version;
  });
  file.closeSync();
  return versions;
}

function sealed(version: Version, value: Uint8Array): Version {
  const view = new DataView(version.value.buffer);
  const at = memory.allocate(value.length + 64);
  memory.u8.set(value, at + 64);
  memory.kernel['sealPointer']!(at, view.getUint32(0, true), at + 64, value.length, view.getUint32(8, true));
  const bytes = memory.u8.slice(at, at + 24);
  memory.free(at, value.length + 64);
  return { ...version, value: bytes };
}

/** What a pointer leads to, verified. */
function readValue(version: Version, name: string): Uint8Array {
  const view = new DataView(version.value.buffer, version.value.byteOffset);
  const value = readFile(name, view.getUint32(4, true), view.getUint32(8, true));
  expect(sealed({ ...version, value: version.value.slice() }, value).value).toEqual(version.value);
  return value;
}

function series(count: number, sequence: number, step = 1, valueBytes = 60): Version[] {
  return Array.from({ length: count }, (_, i) =>
    put(`key:${String(i * step).padStart(6, '0')}`, sequence + i, `${sequence}`.padEnd(valueBytes, '.')),
  );
}

describe('compaction job', () => {
  test('merges level 0 and the level below into tables of the wanted size', () => {
    const level0 = [series(900, 10_000, 3), series(900, 20_000, 5), [del('key:000003', 30_000)]];
    const level1 = [series(3000, 1).slice(0, 1500), series(3000, 1).slice(1500)];
    const inputs = [
      ...level0.map((versions, i) => ({ level: 0, table: writeTable(10 + i, versions) })),
      ...level1.map((versions, i) => ({ level: 1, table: writeTable(20 + i, versions) })),
    ];
    const { outputs, versionsDropped, bytesRead, bytesWritten, blockFiles, dead } = run(jobOf(inputs, { dropDeletes: true }));
    const all = [...level0, ...level1].flat();
    const expected = survivors(all, [], true);
    expect(outputs.flatMap(readTable).map(showVersion)).toEqual(expected.map(showVersion));
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
      { level: 0, table: writeTable(10, series(500, 1)) },
      { level: 0, table: writeTable(11, series(500, 1000)) },
    ];
    fileSystem.syncDirectorySync(DIRECTORY);
    const { outputs } = run(jobOf(inputs));
    fileSystem.crash('none');
    expect(outputs.flatMap(readTable)).toHaveLength(500);
  });

  test('yields about every mebibyte', () => {
    const inputs = [
      { level: 0, table: writeTable(10, series(20_000, 1, 1, 200)) },
      { level: 0, table: writeTable(11, series(20_000, 100_000, 1, 200)) },
    ];
    let steps = 0;
    const { bytesRead } = run(jobOf(inputs, { tableBytes: 512 * KIB }), () => steps++);
    expect(steps).toBeGreaterThanOrEqual(Math.floor(bytesRead / 2 ** 20) - 1);
    expect(steps).toBeLessThanOrEqual(Math.ceil(bytesRead / 2 ** 20));
  });

  test('has no output when nothing is left', () => {
    const inputs = [
      { level: 0, table: writeTable(11, [del('a', 3), del('b', 4)]) },
      { level: 1, table: writeTable(10, [put('a', 1), put('b', 2)]) },
    ];
    const { outputs } = run(jobOf(inputs, { dropDeletes: true }));
    expect(outputs).toEqual([]);
    expect(fileSystem.listSync(DIRECTORY)).toEqual(['000010.table', '000011.table']);
  });

  test('lets the last table grow when ids run out', () => {
    const inputs = [{ level: 0, table: writeTable(10, series(3000, 1)) }];
    const { outputs } = run(jobOf(inputs, { tableBytes: 16 * KIB, fileIds: [500, 501, 502] }));
    expect(outputs.map(({ fileId, pages }) => [fileId, pages > 2])).toEqual([
      [500, false],
      [501, false],
      [502, true],
    ]);
    expect(outputs.flatMap(readTable)).toHaveLength(3000);
  });

  test('moves live values out of the segments that it is told, and says what they left behind', () => {
    const values = Array.from({ length: 40 }, (_, i) => ({
      key: `k${String(i).padStart(2, '0')}`,
      sequence: i + 1,
      value: bytesOfLength(1000 + i * 3000, i),
    }));
    const old = writeSegment(3, values);
    const kept = writeSegment(4, [{ key: 'k40', sequence: 90, value: bytesOfLength(5000, 90) }]);
    const large = writeSegment(5, [{ key: 'k41', sequence: 91, value: bytesOfLength(3 * 2 ** 20, 91) }]);
    const newer = [put('k00', 100), del('k01', 101), ...kept];
    const inputs = [
      { level: 0, table: writeTable(11, newer) },
      { level: 1, table: writeTable(10, [...old, ...large]) },
    ];
    const { outputs, blockFiles, dead } = run(jobOf(inputs, { dropDeletes: true, relocate: [3, 5] }));
    const versions = outputs.flatMap(readTable);
    const [blockFile] = blockFiles;
    const name = blockFileName(blockFile!.segment);
    expect(versions.map(({ key }) => Buffer.from(key).toString())).toEqual(['k00', ...values.slice(2).map(({ key }) => key), 'k40', 'k41']);
    const heldBy = (version: Version): Uint8Array => {
      const inPlace = version.kind !== KIND_POINTER || new DataView(version.value.buffer).getUint32(0, true) !== blockFile!.segment;
      return inPlace ? version.value : readValue(version, name);
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
    const [version] = writeSegment(3, [{ key: 'a', sequence: 9, value: new Uint8Array(2000).fill(7) }]);
    const inputs = [{ level: 0, table: writeTable(10, [...series(1000, 10), version!]) }];
    const before = fileSystem.listSync(DIRECTORY);
    const damage = (name: string, offset: number): void => fileSystem.flip(`${DIRECTORY}/${name}`, offset);
    damage('000003.log', 1024 + 1999);
    expect(() => run(jobOf(inputs, { relocate: [3] }))).toThrow(
      expect.objectContaining({ code: 'CORRUPT_VALUE', details: expect.objectContaining({ file: '/store/000003.log', offset: 1024 }) }),
    );
    damage('000003.log', 1024 + 1999);
    damage('000010.table', 2 * PAGE_BYTES + 100);
    expect(() => run(jobOf(inputs))).toThrow(
      expect.objectContaining({
        code: 'CORRUPT_TABLE',
        details: expect.objectContaining({ file: '/store/000010.table', offset: 2 * PAGE_BYTES }),
      }),
    );
    expect(fileSystem.listSync(DIRECTORY)).toEqual(before);
    damage('000010.table', 2 * PAGE_BYTES + 100);
    expect(run(jobOf(inputs, { relocate: [3] })).outputs.flatMap(readTable)).toHaveLength(1001);
  });

  test('given up between steps it leaves nothing behind', () => {
    const versions = writeSegment(3, [{ key: 'a', sequence: 9, value: new Uint8Array(2000).fill(7) }]);
    const inputs = [{ level: 0, table: writeTable(10, [...series(30_000, 10, 1, 200), ...versions]) }];
    const before = fileSystem.listSync(DIRECTORY);
    const steps = runCompaction(fileSystem, jobOf(inputs, { relocate: [3] }), memories);
    steps.next();
    steps.next();
    expect(fileSystem.listSync(DIRECTORY).length).toBeGreaterThan(before.length);
    steps.return(undefined as never);
    expect(fileSystem.listSync(DIRECTORY)).toEqual(before);
  });

  test('an error at any operation leaves nothing behind', () => {
    for (const error of ['EIO', 'ENOSPC', 'short'] as const) {
      for (let at = 1, failed = true; failed; at++) {
        fileSystem = newDisk();
        const versions = writeSegment(3, [{ key: 'a', sequence: 9, value: new Uint8Array(2000).fill(7) }]);
        const inputs = [
          { level: 0, table: writeTable(10, [...series(600, 10), ...versions]) },
          { level: 0, table: writeTable(11, series(600, 1000)) },
        ];
        const before = fileSystem.listSync(DIRECTORY);
        fileSystem.failAt({ at: fileSystem.operations + at, error });
        const thrown = failureOf(() => run(jobOf(inputs, { relocate: [3], tableBytes: 24 * KIB })));
        failed = thrown !== undefined;
        expect([undefined, error === 'EIO' ? 'EIO' : 'ENOSPC']).toContain(thrown?.code);
        const added = fileSystem.listSync(DIRECTORY).filter((name) => !before.includes(name));
        expect(added.length > 0).toBe(!failed);
        expect(fileSystem.openFiles).toEqual([]);
      }
    }
  });

  test('keeps what its twin keeps, whatever the tables and snapshots', () => {
    const draft = fc.record({ key: fc.nat(150), deleted: fc.nat(4), bytes: fc.nat(700), place: fc.nat(99) });
    fc.assert(
      fc.property(
        fc.array(draft, { minLength: 1, maxLength: 400, size: 'max' }),
        fc.integer({ min: 1, max: 5 }),
        fc.uniqueArray(fc.nat(420), { maxLength: 4 }),
        fc.boolean(),
        (drafts, level0, snapshotDrafts, dropDeletes) => {
          fileSystem = newDisk();
          const versions = drafts.map(({ key, deleted, bytes }, i): Version => {
            const text = `k${String(key).padStart(3, '0')}`;
            return deleted === 0 ? del(text, i + 1) : { ...put(text, i + 1), value: new Uint8Array(bytes).fill(i) };
          });
          const snapshots = snapshotDrafts.toSorted((a, b) => a - b);
          const runs = Array.from({ length: level0 + 1 }, (_, i) => versions.filter((_, at) => drafts[at]!.place % (level0 + 1) === i));
          const below = runs.pop()!.toSorted(compareVersions);
          const middle = below[below.length >> 1]?.key;
          const halves = [
            below.filter(({ key }) => Buffer.compare(key, middle!) < 0),
            below.filter(({ key }) => Buffer.compare(key, middle!) >= 0),
          ];
          const inputs = [...runs.map((run) => ({ level: 0, run })), ...halves.map((run) => ({ level: 1, run }))]
            .filter(({ run }) => run.length > 0)
            .map(({ level, run }, i) => ({ level, table: writeTable(10 + i, run) }));
          const { outputs } = run(jobOf(inputs, { dropDeletes, snapshots, tableBytes: 16 * KIB }));
          expect(outputs.flatMap(readTable).map(showVersion)).toEqual(survivors(versions, snapshots, dropDeletes).map(showVersion));
          for (const table of outputs) {
            const held = readTable(table);
            expect(table).toMatchObject({ entries: held.length, tombstones: held.filter(({ kind }) => kind === KIND_DELETE).length });
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test('in parts it keeps, drops, moves and counts what it does as a whole', () => {
    const draft = fc.record({ key: fc.nat(300), kind: fc.nat(9), bytes: fc.nat(700), place: fc.nat(99) });
    let divided = 0;
    fc.assert(
      fc.property(
        fc.array(draft, { minLength: 500, maxLength: 1200, size: 'max' }),
        fc.integer({ min: 1, max: 4 }),
        fc.uniqueArray(fc.nat(900), { maxLength: 4 }),
        fc.boolean(),
        fc.array(fc.tuple(fc.nat(299), fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 900 })), { maxLength: 4 }),
        fc.constantFrom(...PAGE_COMPRESSIONS),
        fc.integer({ min: 2, max: 5 }),
        fc.option(fc.nat(300), { nil: undefined }),
        (drafts, level0, pins, dropDeletes, ranges, compression, partsMax, keepFrom) => {
          fileSystem = newDisk();
          // Of two keyspaces; every tenth a value of a segment.
          const name = (key: number): Uint8Array => internalKey(key % 2, Buffer.from(`k${String(key >> 1).padStart(3, '0')}`));
          const held = drafts.flatMap(({ key, kind, bytes }, i) =>
            kind === 1
              ? [{ key: Buffer.from(name(key)).toString('latin1'), sequence: i + 1, value: bytesOfLength(1000 + bytes, i % 251) }]
              : [],
          );
          const pointers = new Map(writeSegment(3, held).map((version) => [version.sequence, version]));
          const versions = drafts.map(({ key, kind, bytes }, i): Version => {
            const moved = pointers.get(i + 1);
            if (moved) return { ...moved, key: name(key) };
            const version = kind === 0 ? del('', i + 1) : { ...put('', i + 1), value: new Uint8Array(300 + bytes).fill(i) };
            return { ...version, key: name(key) };
          });
          const runs = Array.from({ length: level0 + 1 }, (_, n) => versions.filter((_, at) => drafts[at]!.place % (level0 + 1) === n));
          const inputs = runs
            .filter((each) => each.length > 0)
            .map((each, n, all) => ({ level: n < all.length - 1 ? 0 : 1, table: writeTable(10 + n, each, compression) }));
          const rangeTombstones = ranges.flatMap(([from, length, sequence]) => {
            const [start, end] = [name(from & ~1), name((from & ~1) + 2 * length)];
            return [{ start, end, sequence }];
          });
          const rules =
            keepFrom === undefined ? [] : [{ keyspace: 1, rule: { id: 7, gte: Buffer.from(`k${String(keepFrom).padStart(3, '0')}`) } }];
          const rest = { dropDeletes, rangeTombstones, rules, ruledTo: 7, relocate: [3], clearedTo: 900, compression };
          const job = jobOf(inputs, { ...rest, snapshots: pins.toSorted((a, b) => a - b), tableBytes: 4 * PAGE_BYTES });
          const whole = run({ ...job, fileIds: Array.from({ length: 500 }, (_, n) => 400_000 + n) });
          const { result, parts } = runInParts(job, partsMax);
          divided += parts > 1 ? 1 : 0;
          const contents = ({ outputs }: CompactionResult): string[] =>
            outputs.flatMap(readTable).map((version) => {
              if (version.kind !== KIND_POINTER) return showVersion(version);
              const value = readValue(
                version,
                blockFileName(new DataView(version.value.buffer, version.value.byteOffset).getUint32(0, true)),
              );
              return `${showVersion({ ...version, value: new Uint8Array(0) })} ${summary(value).join(' ')}`;
            });
          expect(contents(result)).toEqual(contents(whole));
          const facts = ({ dead, versionsDropped, versionsLeftOut }: CompactionResult): object => ({
            dead,
            versionsDropped,
            versionsLeftOut,
          });
          expect(facts(result)).toEqual(facts(whole));
          const sizeOf = (tables: readonly TableMeta[], field: 'entries' | 'tombstones' | 'pinnedBytes'): number =>
            tables.reduce((sum, table) => sum + table[field], 0);
          for (const field of ['entries', 'tombstones', 'pinnedBytes'] as const)
            expect(sizeOf(result.outputs, field)).toBe(sizeOf(whole.outputs, field));
          // Tables ascend and do not share a key.
          for (const [n, table] of result.outputs.entries())
            if (n > 0) expect(Buffer.compare(result.outputs[n - 1]!.largest, table.smallest)).toBeLessThan(0);
          for (const { references } of result.outputs)
            for (const { segment } of references) expect(result.blockFiles.map((file) => file.segment)).toContain(segment);
        },
      ),
      { numRuns: 30, endOnFailure: true, unbiased: true },
    );
    expect(divided).toBeGreaterThan(20);
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
        .map((third, n) => ({ level: 0, table: writeTable(20 + 10 * i + n, third, PAGE_COMPRESSIONS[(i + n) % 3]) }))
        .toReversed();
      const { outputs } = run(
        jobOf(inputs, {
          forms: formsOf(compression),
          tableBytes: 256 * KIB,
          fileIds: Array.from({ length: 20 }, (_, n) => 500 + 100 * i + n),
        }),
      );
      expect(outputs.length).toBeGreaterThan(1);
      expect(outputs.flatMap(readTable).map(showVersion)).toEqual(expected);
      const pageBytes = outputs.reduce((sum, { pages }) => sum + pages * PAGE_BYTES, 0);
      const share = outputs.reduce((sum, { bytes }) => sum + bytes, 0) / pageBytes;
      expect(share < 0.7).toBe(compression !== 'none');
      for (const { table } of inputs) fileSystem.unlinkSync(`${DIRECTORY}/${tableFileName(table.fileId)}`);
    }
  });

  test('outputs of packed tables have their size: it counts pages as they are in memory', () => {
    const versions = Array.from({ length: 6000 }, (_, i) =>
      put(`key${String(i).padStart(5, '0')}`, i + 1, `value ${i} of many `.repeat(9)),
    );
    const inputs = [writeTable(20, versions.slice(0, 3000), 'zstd'), writeTable(21, versions.slice(2000), 'zstd')].map((table) => ({
      level: 0,
      table,
    }));
    const { outputs } = run(jobOf(inputs, { forms: formsOf('zstd'), tableBytes: 128 * KIB }));
    expect(outputs.flatMap(readTable).map(showVersion)).toEqual(versions.map(showVersion));
    for (const { pages } of outputs) expect(pages * PAGE_BYTES).toBeLessThan(160 * KIB);
  });
});
