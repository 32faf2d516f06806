/**
 * Runs a compaction: streams the inputs' pages through the merge kernel into new tables. Synchronous, over an injected file system and a
 * linear memory of its own (job-memories.ts), as a generator that yields between steps of about a mebibyte, so that whoever drives it can flush in between
 * or give up (`return`): then, as after any failure, what was written is removed.
 *
 * When it returns, the new files and their names are durable and nothing refers to them yet: that is the manifest's to say.
 */
import {
  CURSORS_MAX,
  HEAP,
  MERGE_BROKEN,
  MERGE_DONE,
  MERGE_DROP_DELETES,
  MERGE_INPUT,
  MERGE_NEEDS_INPUT,
  MERGE_OUTPUT_READY,
  MERGE_POINTER,
  MERGE_RELOCATE,
  MERGE_SPLIT,
  PAGE_BYTES,
  SLACK_BYTES,
  WORK,
} from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { FileSystem, Zstd } from '../../base/env.ts';
import type { JobMemories } from '../memory/job-memories.ts';
import { LINEAR_MEMORY_BYTES_MAX, type LinearMemory } from '../memory/linear-memory.ts';
import { RangeTombstones } from '../range-tombstones.ts';
import { openTableFile, readFooter, SegmentTable, tableFileName, type TableFooter, type TableMeta, TableWriter } from '../table/index.ts';
import { BlockFileWriter } from './block-file.ts';
import { type CompactionInput, type CompactionJob, type CompactionResult, shareOf } from './compaction.ts';
import { InputStream } from './input-stream.ts';
import { layRules, rulesBytes } from './rule-table.ts';

const STEP_BYTES = 1024 * 1024;
const MIB = 1024 * 1024;
const NO_END = 0xffffffff;

/** `zstd`: where tables are compressed by it, or are to be. `memories`: where its memory is from, and goes back to. */
export function* runCompaction(
  fileSystem: FileSystem,
  job: CompactionJob,
  memories: JobMemories,
  zstd?: Zstd,
): Generator<void, CompactionResult, void> {
  const run = new CompactionRun(fileSystem, job, memories, zstd);
  let state: 'running' | 'done' | 'failed' = 'running';
  try {
    const result = yield* run.steps();
    state = 'done';
    return result;
  } catch (error) {
    state = 'failed';
    throw error;
  } finally {
    run.close();
    if (state === 'running') run.discard();
    else if (state === 'failed') run.discardIfPossible();
    memories.give(run.memory);
  }
}

class CompactionRun {
  readonly #fileSystem: FileSystem;
  readonly #zstd: Zstd | undefined;
  readonly #job: CompactionJob;
  readonly memory: LinearMemory;
  readonly #streams: InputStream[];
  readonly #segments: SegmentTable;
  readonly #blockFile: BlockFileWriter | undefined;
  readonly #outputs: TableMeta[] = [];
  /** Ids for tables, next one last. */
  readonly #fileIds: number[];
  #writer: TableWriter | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;

  constructor(fileSystem: FileSystem, job: CompactionJob, memories: JobMemories, zstd: Zstd | undefined) {
    const runs = sortedRuns(job.inputs);
    assert(runs.length > 0 && runs.length <= CURSORS_MAX, 'a compaction has inputs, and no more than the merge has cursors');
    this.#fileSystem = fileSystem;
    this.#zstd = zstd;
    this.#job = job;
    this.memory = memories.take(memoryBytes(job, runs.length, readFooters(fileSystem, job)));
    this.#fileIds = job.fileIds.toReversed();
    const referred = new Set(job.inputs.flatMap(({ table }) => table.references.map(({ segment }) => segment)));
    this.#segments = new SegmentTable(this.memory, referred.size + 1);
    if (job.relocate.length > 0) {
      this.#blockFile = new BlockFileWriter(this.memory, fileSystem, job.directory, this.#takeFileId());
      for (const segment of job.relocate) if (referred.has(segment)) this.#segments.markRelocate(segment);
    }
    const shared = sharedKeyBytes(job.inputs);
    const files = { fileSystem, directory: job.directory, zstd };
    this.#streams = runs.map((run, i) => new InputStream(i, this.memory, files, run, shared));
  }

  *steps(): Generator<void, CompactionResult, void> {
    const { kernel, u32, f64 } = this.memory;
    const { snapshots, dropDeletes, nowMs } = this.#job;
    const ranges = new RangeTombstones(this.memory);
    ranges.reset(this.#job.rangeTombstones, snapshots);
    const snapshotList = this.memory.allocate(Math.max(8, snapshots.length * 8));
    f64.set(snapshots, snapshotList >>> 3);
    for (const stream of this.#streams) this.#bytesRead += stream.feed();
    kernel['mergeBegin']!(
      WORK,
      this.#streams.length,
      dropDeletes ? MERGE_DROP_DELETES : 0,
      snapshotList,
      snapshots.length,
      this.#segments.address,
      this.#segments.entries,
      nowMs,
      ranges.address,
    );
    const rules = layRules(this.memory, this.#job.rules);
    kernel['mergeRules']!(WORK, rules.from, rules.to);
    const [from, to] = [this.#layBound(this.#job.from), this.#layBound(this.#job.to)];
    kernel['mergeBounds']!(WORK, from.address, from.bytes, to.address, to.bytes);
    this.#beginOutput();
    for (let yielded = 0; ;) {
      const answer = kernel['mergeStep']!(WORK);
      if (answer === MERGE_NEEDS_INPUT) this.#bytesRead += this.#streams[u32[(WORK + MERGE_INPUT) >>> 2]!]!.feed();
      else if (answer === MERGE_OUTPUT_READY) this.#writer!.drain();
      else if (answer === MERGE_RELOCATE) kernel['mergeRelocated']!(WORK, this.#blockFile!.move(u32[(WORK + MERGE_POINTER) >>> 2]!));
      else if (answer === MERGE_SPLIT) {
        this.#finishOutput();
        this.#beginOutput();
      } else {
        assert(answer !== MERGE_BROKEN, 'every entry fits a page and every segment is listed');
        assert(answer === MERGE_DONE, 'the merge answers what this loop knows');
        break;
      }
      const worked = this.#bytesRead + (this.#blockFile?.bytesRead ?? 0);
      if (worked - yielded < STEP_BYTES) continue;
      yielded = worked;
      yield;
    }
    return this.#finish();
  }

  /** Lets go of what was opened for reading. */
  close(): void {
    for (const stream of this.#streams) stream.close();
  }

  /** Removes what was written. */
  discard(): void {
    try {
      this.#writer?.discard();
    } finally {
      try {
        this.#blockFile?.discard();
      } finally {
        for (const { fileId } of this.#outputs) this.#fileSystem.unlinkSync(`${this.#job.directory}/${tableFileName(fileId)}`);
      }
    }
  }

  /** After a failure, which may well go on: then that failure is what counts, and the next opening removes what no manifest names. */
  discardIfPossible(): void {
    try {
      this.discard();
    } catch {
      // Said above.
    }
  }

  #layBound(key: Uint8Array | undefined): { address: number; bytes: number } {
    if (key === undefined) return { address: 0, bytes: 0 };
    const address = this.memory.allocateSmall(key.length + SLACK_BYTES);
    this.memory.u8.set(key, address);
    return { address, bytes: key.length };
  }

  #beginOutput(): void {
    const { directory, tableBytes, forms } = this.#job;
    const options = { forms, zstd: this.#zstd };
    this.#writer = new TableWriter(this.memory, this.#fileSystem, directory, this.#takeFileId(), options);
    const pages = this.#fileIds.length > 0 ? Math.max(1, Math.floor(tableBytes / PAGE_BYTES)) : NO_END;
    this.memory.kernel['mergeOutput']!(WORK, this.#writer.builder, pages);
  }

  #finishOutput(): void {
    const writer = this.#writer!;
    if (writer.entries === 0) {
      writer.discard();
      return;
    }
    const { clearedTo, rules, ruledTo } = this.#job;
    const keptUnder = this.memory.kernel['mergeTakeKeptUnder']!(WORK);
    const spared = this.memory.kernel['mergeTakeSpared']!(WORK);
    const table = writer.finish(this.#segments.takeLive(), keptUnder === 0 ? clearedTo : Math.min(clearedTo, keptUnder - 1));
    this.#outputs.push(rules.length > 0 && spared === 0 ? { ...table, ruledTo } : table);
    this.#bytesWritten += table.bytes;
  }

  #finish(): CompactionResult {
    this.#finishOutput();
    const blockBytes = this.#blockFile?.finish();
    this.#fileSystem.syncDirectorySync(this.#job.directory);
    return {
      outputs: this.#outputs,
      blockFiles: blockBytes === undefined ? [] : [{ segment: this.#blockFile!.segment, bytes: blockBytes }],
      dead: this.#segments.takeDead(),
      versionsDropped: this.memory.kernel['mergeDropped']!(WORK),
      versionsLeftOut: this.memory.kernel['mergeLeftOut']!(WORK),
      bytesRead: this.#bytesRead + (this.#blockFile?.bytesRead ?? 0),
      bytesWritten: this.#bytesWritten + (blockBytes ?? 0),
    };
  }

  #takeFileId(): number {
    const fileId = this.#fileIds.pop();
    assert(fileId !== undefined, 'a job has ids for its outputs');
    return fileId;
  }
}

/** Tables of level 0 one by one, those of another level in a row. */
function sortedRuns(inputs: readonly CompactionInput[]): CompactionInput[][] {
  const runs: CompactionInput[][] = [];
  const byLevel = new Map<number, CompactionInput[]>();
  for (const input of inputs) {
    const { level } = input;
    const run = level === 0 ? undefined : byLevel.get(level);
    if (run) run.push(input);
    else {
      const begun = [input];
      runs.push(begun);
      byLevel.set(level, begun);
    }
  }
  for (const run of runs) run.sort((a, b) => Buffer.compare(a.table.smallest, b.table.smallest));
  return runs;
}

/** What the smallest and the largest key have in common, every key in between has too. */
function sharedKeyBytes(inputs: readonly CompactionInput[]): number {
  const keys = inputs.flatMap(({ table }) => [table.smallest, table.largest]).toSorted((a, b) => Buffer.compare(a, b));
  const [smallest, largest] = [keys[0]!, keys.at(-1)!];
  const differs = smallest.findIndex((byte, i) => byte !== largest[i]);
  return differs < 0 ? smallest.length : differs;
}

/**
 * Address space (memory is taken as it is touched): two blocks for each input, one for what is packed; window, builder and filter of an output; its index and hashes,
 * which double when they grow, so that old and new stand side by side; and where values pass through, room for the largest.
 */
function memoryBytes(job: CompactionJob, runs: number, footers: readonly TableFooter[]): number {
  const entries = job.inputs.reduce((sum, input) => sum + input.table.entries * shareOf(input), 0);
  const indexBytes = footers.reduce((sum, footer, i) => sum + footer.indexEntryBytes * shareOf(job.inputs[i]!), 0);
  // Hashes: up to 32 bytes a key in the new area, 16 in the old one, 16 in those before.
  const areas = entries * 64 + indexBytes * 8;
  const values = job.relocate.length > 0 ? 300 * MIB : 0;
  const ranges = job.rangeTombstones.reduce((sum, { start, end }) => sum + 4 * (start.length + end.length) + 512, 0);
  const wanted = HEAP + 16 * MIB + runs * 512 * 1024 + areas + values + ranges + rulesBytes(job.rules);
  return Math.min(Math.ceil(wanted / 65536) * 65536, LINEAR_MEMORY_BYTES_MAX - 65536);
}

function readFooters(fileSystem: FileSystem, { directory, inputs }: CompactionJob): TableFooter[] {
  return inputs.map(({ table: { fileId } }) => {
    const path = `${directory}/${tableFileName(fileId)}`;
    const file = openTableFile(fileSystem, path);
    try {
      return readFooter(file, path, fileId);
    } finally {
      file.closeSync();
    }
  });
}
