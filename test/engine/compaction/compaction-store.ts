/** What the tests of compaction jobs share. */
import { afterEach, beforeEach, expect } from 'vitest';
import { BLOCK_BYTES, PAGE_BYTES } from '../../../assembly/memory-map.ts';
import {
  fileIdsWanted,
  joinResults,
  runCompaction,
  runSplit,
  type CompactionJob,
  type CompactionResult,
} from '../../../engine/compaction/index.ts';
import { JobMemories } from '../../../engine/memory/job-memories.ts';
import { LinearMemory } from '../../../engine/memory/linear-memory.ts';
import { readTableMeta, type PageCompression, PageStream, TableWriter, type TableMeta } from '../../../engine/table/index.ts';
import { nodeZstd } from '../../../base/node/index.ts';
import { compareVersions, pointer, put, readPages, type Version } from '../../assembly/sources.ts';
import { bytesBySegment } from '../../assembly/twins/merge.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { formsOf } from '../table/table-harness.ts';

export const DIRECTORY = '/store';
const KIB = 1024;

/** One for all: what a job leaves in its memory must not matter to the next. */
export const memories: JobMemories = new JobMemories(64 * KIB * KIB);

/** A store of its own for each test of the file, which leaves no file open. */
export function eachWithStore(use: (store: CompactionStore) => void): void {
  let store: CompactionStore;
  beforeEach(() => {
    store = new CompactionStore();
    use(store);
  });
  afterEach(() => {
    if (store.disk.openFiles.length > 0) throw new Error(`left open: ${store.disk.openFiles.join(' ')}`);
  });
}

/** Tables and segments of a test on a disk of its own, compactions of them, and what they come to. */
export class CompactionStore {
  readonly memory: LinearMemory = new LinearMemory(64 * KIB * KIB);
  disk: SimFileSystem = newDisk();

  /** Begins anew. */
  clear(): void {
    this.disk = newDisk();
  }

  readonly writeTable = (fileId: number, versions: readonly Version[], compression: PageCompression = 'none'): TableMeta => {
    const writer = new TableWriter(this.memory, this.disk, DIRECTORY, fileId, { forms: formsOf(compression), zstd: nodeZstd });
    const scratch = this.memory.allocate(16 * KIB);
    for (const { key, sequence, kind, value } of versions.toSorted(compareVersions)) {
      this.memory.u8.set(key, scratch);
      this.memory.u8.set(value, scratch + 8192);
      const answer = this.memory.kernel['builderPut']!(
        writer.builder,
        scratch,
        key.length,
        sequence,
        kind,
        0,
        scratch + 8192,
        value.length,
      );
      if (answer !== 0) writer.drain();
    }
    this.memory.free(scratch, 16 * KIB);
    return writer.finish(bytesBySegment(versions));
  };

  readonly #readFile = (name: string, length: number, position = 0): Uint8Array => {
    const file = this.disk.openSync(`${DIRECTORY}/${name}`, 'read');
    const bytes = new Uint8Array(length);
    expect(file.readSync(bytes, 0, length, position)).toBe(length);
    file.closeSync();
    return bytes;
  };

  readonly readTable = (table: TableMeta): Version[] => {
    // The manifest alone knows which rules were applied.
    const { ruledTo: _, ...stated } = table;
    expect(readTableMeta(this.disk, DIRECTORY, table.fileId)).toEqual(stated);
    const buffer = this.memory.allocate(BLOCK_BYTES);
    const stream = new PageStream(this.memory, this.disk, DIRECTORY, table.fileId, nodeZstd);
    const versions: Version[] = [];
    while (!stream.done) {
      const pages = stream.next(buffer);
      versions.push(...readPages(this.memory.u8.slice(buffer, buffer + pages * PAGE_BYTES)));
    }
    stream.close();
    this.memory.free(buffer, BLOCK_BYTES);
    return versions;
  };

  readonly run = (job: CompactionJob, onStep = (): void => {}): CompactionResult => {
    // As it would cross to the worker and back.
    const steps = runCompaction(this.disk, structuredClone(job), memories, nodeZstd);
    for (;;) {
      const step = steps.next();
      if (step.done) return structuredClone(step.value);
      onStep();
    }
  };

  /** The same, in parts. */
  readonly runInParts = (job: CompactionJob, partsMax: number): { result: CompactionResult; parts: number } => {
    const { directory, inputs, tableBytes, relocate } = job;
    const steps = runSplit(this.disk, structuredClone({ directory, inputs, partsMax, partBytesMin: 64 }), memories);
    let step = steps.next();
    while (!step.done) step = steps.next();
    const parts = structuredClone(step.value);
    const results = parts.map((part, i) => {
      const wanted = fileIdsWanted({ inputs: part.inputs, relocate }, tableBytes, [1, 2]);
      const fileIds = Array.from({ length: wanted }, (_, n) => 1000 * (i + 1) + n);
      return this.run({ ...job, inputs: part.inputs, from: part.from, to: part.to, fileIds });
    });
    return { result: joinResults(results), parts: parts.length };
  };

  /** Writes values into a segment as the log would, and returns their pointers. */
  readonly writeSegment = (segment: number, values: readonly { key: string; sequence: number; value: Uint8Array }[]): Version[] => {
    const file = this.disk.openSync(`${DIRECTORY}/${String(segment).padStart(6, '0')}.log`, 'create');
    let offset = 1024;
    const versions = values.map(({ key, sequence, value }) => {
      file.writeSync(value, 0, value.length, offset);
      const version = this.#sealed(pointer(key, sequence, segment, value.length, offset), value);
      offset += value.length;
      return version;
    });
    file.closeSync();
    return versions;
  };

  readonly #sealed = (version: Version, value: Uint8Array): Version => {
    const view = new DataView(version.value.buffer);
    const at = this.memory.allocate(value.length + 64);
    this.memory.u8.set(value, at + 64);
    this.memory.kernel['sealPointer']!(at, view.getUint32(0, true), at + 64, value.length, view.getUint32(8, true));
    const bytes = this.memory.u8.slice(at, at + 24);
    this.memory.free(at, value.length + 64);
    return { ...version, value: bytes };
  };

  /** What a pointer leads to, verified. */
  readonly readValue = (version: Version, name: string): Uint8Array => {
    const view = new DataView(version.value.buffer, version.value.byteOffset);
    const value = this.#readFile(name, view.getUint32(4, true), view.getUint32(8, true));
    expect(this.#sealed({ ...version, value: version.value.slice() }, value).value).toEqual(version.value);
    return value;
  };
}

export function jobOf(tables: readonly { level: number; table: TableMeta }[], rest: Partial<CompactionJob> = {}): CompactionJob {
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

export function failureOf(work: () => void): { code: string } | undefined {
  try {
    work();
    return undefined;
  } catch (thrown) {
    return thrown as { code: string };
  }
}

export function bytesOfLength(length: number, fill: number): Uint8Array {
  return new Uint8Array(length).fill(fill);
}

/** Length and content of what `bytesOfLength` made. */
export function summary(bytes: Uint8Array): [length: number, fill: number | undefined] {
  return [bytes.length, bytes.every((byte) => byte === bytes[0]) ? bytes[0] : -1];
}

export function series(count: number, sequence: number, step = 1, valueBytes = 60): Version[] {
  return Array.from({ length: count }, (_, i) =>
    put(`key:${String(i * step).padStart(6, '0')}`, sequence + i, `${sequence}`.padEnd(valueBytes, '.')),
  );
}

function newDisk(): SimFileSystem {
  const disk = new SimFileSystem();
  disk.makeDirectorySync(DIRECTORY);
  return disk;
}
