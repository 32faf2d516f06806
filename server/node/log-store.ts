/**
 * The durable Raft log of a replica: segments of checksummed frames (log-format.ts), appended in batches.
 *
 * Group commit: one fdatasync is in flight at a time; everything that is appended meanwhile goes out as the next batch. A batch is
 * written with one call and begins with the hard state. Promises settle in order.
 *
 * A segment that is full is followed by a new one; the old one is durable by then. Segments whose entries are all below the truncation
 * point are removed from the front, oldest first; a few are kept as spares and written over, which costs the file system less than
 * growing a file. Where a file has to grow, it grows ahead of its content, so that most syncs change no metadata.
 *
 * A write or sync that fails is final: what the disk then holds is not known. The store refuses everything until it is opened anew.
 *
 * Called by replica.ts. Invariant: what `append` has settled is found by every later `open`.
 */
import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import type { File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { HardState, LogEntry } from '../raft/index.ts';
import {
  encodeSegmentHeader,
  entryFrameBytes,
  type Hash64,
  SEGMENT_HEADER_BYTES,
  segmentName,
  STATE_FRAME_BYTES,
  writeEntryFrame,
  writeStateFrame,
} from './log-format.ts';
import { logBegin, recoverLog, type RecoveredLog, type RecoveredSegment } from './log-recovery.ts';
import { parseSegment, readSegmentFile } from './log-segment.ts';

export interface LogStoreOptions {
  fileSystem: FileSystem;
  directory: string;
  hash: Hash64;
  /** A segment takes no new batch once it is this large. */
  segmentBytes: number;
}

export interface LogStoreStats {
  segments: number;
  bytes: number;
  /** Batches made durable, and bytes written in them. */
  syncs: number;
  bytesWritten: number;
}

/** What one call of `append` brings. */
interface Waiting {
  hardState: HardState | undefined;
  entries: readonly LogEntry[];
  mustSync: boolean;
  resolve: () => void;
  reject: (error: SparrowError) => void;
}

/** Batches are cut at about this size: a larger write would hold up the event loop. */
const BATCH_BYTES: number = 4 * 1024 * 1024;
/** A file grows ahead by this much. */
const AHEAD_BYTES: number = 256 * 1024;
const SPARES_MAX = 2;
const SPARE_NAME = /^spare-\d{6,}\.raft$/;

export class LogStore {
  readonly #options: LogStoreOptions;
  /** What `open` found. */
  readonly recovered: RecoveredLog;
  /** Oldest first; the last one is written to. */
  readonly #segments: RecoveredSegment[];
  #file: File;
  /** End of what was written, of what is durable, and of the file. */
  #end: number;
  #synced: number;
  #fileBytes: number;
  #spares: string[];
  #state: HardState;
  #writtenState: HardState;
  #lastIndex: number;
  /** Where each run of entries of one term begins. */
  readonly #terms: { index: number; term: number }[];
  #waiting: Waiting[] = [];
  #busy = false;
  /** Of the writer; settled when it has nothing to do. */
  #running: Promise<void> = Promise.resolve();
  #failure: SparrowError | undefined;
  #closed = false;
  #buffer: Buffer = Buffer.allocUnsafe(64 * 1024);
  #syncs = 0;
  #bytesWritten = 0;

  /** Reads the log, cuts a torn end off, and makes the directory ready for appending. */
  static open(options: LogStoreOptions): LogStore {
    options.fileSystem.makeDirectorySync(options.directory);
    return new LogStore(options, recoverLog(options.fileSystem, options.directory, options.hash));
  }

  private constructor(options: LogStoreOptions, recovered: RecoveredLog) {
    this.#options = options;
    this.recovered = recovered;
    this.#segments = [...recovered.segments];
    this.#state = this.#writtenState = recovered.hardState;
    this.#lastIndex = recovered.lastIndex;
    this.#terms = recovered.terms.map((run) => ({ ...run }));
    this.#spares = options.fileSystem.listSync(options.directory).filter((name) => SPARE_NAME.test(name));
    const last = this.#segments.at(-1);
    if (last === undefined) {
      const created = this.#createSegment(1, 0);
      this.#segments.push(created.segment);
      this.#file = created.file;
      this.#fileBytes = created.fileBytes;
      this.#end = this.#synced = SEGMENT_HEADER_BYTES;
    } else {
      this.#file = options.fileSystem.openSync(this.#path(last.segment), 'write');
      // Frames after a torn one may have reached the disk: left there, they could come back to life behind a new one.
      if (this.#file.sizeSync() > last.bytes) this.#file.truncateSync(last.bytes);
      this.#makeDurable(last);
      this.#end = this.#synced = this.#fileBytes = last.bytes;
    }
  }

  get failure(): SparrowError | undefined {
    return this.#failure;
  }

  /**
   * Settles when this and everything before it is durable. Entries replace what the log has from the first one's index on. A hard state
   * without `mustSync` is written with the next batch. Rejects with `closed/LOG_FAILED`.
   */
  append(hardState: HardState | undefined, entries: readonly LogEntry[], mustSync: boolean): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    assert(!this.#closed, 'nothing is appended to a closed log');
    for (const { change } of entries) assert(change === undefined, 'members do not change: the log has no format for that');
    return new Promise((resolve, reject) => {
      this.#waiting.push({ hardState, entries, mustSync, resolve, reject });
      if (!this.#busy) this.#running = this.#run();
    });
  }

  /**
   * Removes segments that hold nothing above `index`. Returns the last entry that is removed now, and its term: the log begins after it.
   */
  truncate(index: number): { index: number; term: number } {
    while (this.#segments.length > 1 && this.#segments[1]!.previousIndex <= index) {
      const { segment } = this.#segments.shift()!;
      if (this.#spares.length < SPARES_MAX) {
        const spare = `spare-${segmentName(segment)}`;
        this.#options.fileSystem.renameSync(this.#path(segment), join(this.#options.directory, spare));
        this.#spares.push(spare);
      } else {
        this.#options.fileSystem.unlinkSync(this.#path(segment));
      }
      // One by one: a crash must not leave a gap behind an older segment that is still there.
      this.#options.fileSystem.syncDirectorySync(this.#options.directory);
    }
    return logBegin(this.#segments);
  }

  /** The log's entries from `from` on, in order, read from the disk. Only before the first append. */
  *read(from: number): Generator<LogEntry, void, undefined> {
    const { terms, lastIndex } = this.recovered;
    let run = 0;
    let next = from;
    for (const [i, segment] of this.recovered.segments.entries()) {
      const following = this.recovered.segments[i + 1];
      if (following !== undefined && following.previousIndex < from) continue;
      const path = this.#path(segment.segment);
      const bytes = readSegmentFile(this.#options.fileSystem, path);
      const content = parseSegment(bytes, path, segment.segment, following === undefined, this.#options.hash);
      for (const frame of content?.frames ?? []) {
        if (frame.kind !== 'entry' || frame.entry.index !== next || next > lastIndex) continue;
        while (run + 1 < terms.length && terms[run + 1]!.index <= next) run++;
        // An entry that a later one replaced has another term than the log has at its index.
        if (terms[run]!.term !== frame.entry.term) continue;
        next++;
        yield frame.entry;
      }
    }
    assert(next === lastIndex + 1, 'the log is read to its end');
  }

  stats(): LogStoreStats {
    const bytes = this.#segments.slice(0, -1).reduce((sum, segment) => sum + segment.bytes, 0) + this.#end;
    return { segments: this.#segments.length, bytes, syncs: this.#syncs, bytesWritten: this.#bytesWritten };
  }

  /** Waits for what was appended; the last commit index is written too. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    while (this.#busy) await this.#running;
    if (this.#failure === undefined && this.#state !== this.#writtenState) {
      await this.append(this.#state, [], true).catch(() => {
        // The commit index is found again without it; the failure stays visible in `failure`.
      });
      await this.#running;
    }
    this.#closed = true;
    this.#file.closeSync();
  }

  /** Stops at once: what is being written may or may not be durable. */
  abort(): void {
    if (this.#closed) return;
    this.#fail(new SparrowError('closed', 'LOG_CLOSED', 'the log was closed'));
    this.#closed = true;
    void this.#running.then(() => this.#file.closeSync());
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0 && this.#failure === undefined) {
      const batch = this.#takeBatch();
      try {
        if (this.#write(batch)) {
          const end = this.#end;
          await this.#file.datasync();
          this.#synced = end;
          this.#syncs++;
        }
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        this.#fail(new SparrowError('closed', 'LOG_FAILED', `the Raft log cannot be written: ${text}`, {}, error), batch);
        break;
      }
      if (this.#failure !== undefined) {
        for (const waiting of batch) waiting.reject(this.#failure);
        break;
      }
      for (const waiting of batch) waiting.resolve();
    }
    this.#busy = false;
  }

  #fail(failure: SparrowError, batch: readonly Waiting[] = []): void {
    this.#failure ??= failure;
    const waiting = [...batch, ...this.#waiting];
    this.#waiting = [];
    for (const { reject } of waiting) reject(this.#failure);
  }

  /** What waits, up to the size of a batch. Entries that replace others begin a batch. */
  #takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    let last = this.#lastIndex;
    while (count < this.#waiting.length) {
      const { entries } = this.#waiting[count]!;
      for (const entry of entries) bytes += entryFrameBytes(entry.data.length);
      if (count > 0 && (bytes > BATCH_BYTES || (entries.length > 0 && entries[0]!.index <= last))) break;
      last = entries.at(-1)?.index ?? last;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** Writes a batch. False when there is nothing in it that has to be durable. */
  #write(batch: readonly Waiting[]): boolean {
    let bytes = STATE_FRAME_BYTES;
    let mustSync = false;
    for (const { hardState, entries, mustSync: must } of batch) {
      if (hardState !== undefined) this.#state = hardState;
      mustSync ||= must;
      for (const entry of entries) bytes += entryFrameBytes(entry.data.length);
    }
    if (!mustSync) return false;
    const first = batch.find(({ entries }) => entries.length > 0)?.entries[0];
    if (first !== undefined) this.#cut(first.index - 1);
    // Entries that replace some of an earlier segment go into a new one: what a segment holds begins after its `previous`.
    if (this.#end >= this.#options.segmentBytes || this.#lastIndex < this.#segments.at(-1)!.previousIndex) this.#roll();

    const segment = this.#segments.at(-1)!.segment;
    const { hash } = this.#options;
    const seed = BigInt(segment);
    if (bytes > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(Math.min(Math.max(bytes, this.#buffer.length * 2), 2 * BATCH_BYTES));
    const target = bytes > this.#buffer.length ? Buffer.allocUnsafe(bytes) : this.#buffer;
    let at = writeStateFrame(target, 0, this.#state, this.#synced, seed, hash);
    for (const { entries } of batch) {
      for (const entry of entries) {
        assert(entry.index === this.#lastIndex + 1, 'log has no gaps');
        at = writeEntryFrame(target, at, entry, seed, hash);
        if (this.#termOf(this.#lastIndex) !== entry.term || this.#terms.length === 0)
          this.#terms.push({ index: entry.index, term: entry.term });
        this.#lastIndex = entry.index;
      }
    }
    assert(at === bytes, 'a batch is as long as was counted');
    this.#growAhead(bytes);
    this.#file.writeSync(target, 0, bytes, this.#end);
    this.#writtenState = this.#state;
    this.#end += bytes;
    this.#bytesWritten += bytes;
    return true;
  }

  /** The entries after `last` are about to be replaced. */
  #cut(last: number): void {
    assert(last <= this.#lastIndex, 'log has no gaps');
    while (this.#terms.length > 0 && this.#terms.at(-1)!.index > last) this.#terms.pop();
    this.#lastIndex = last;
  }

  #termOf(index: number): number {
    return this.#terms.findLast((run) => run.index <= index)?.term ?? this.recovered.compactedTerm;
  }

  /** Small batches at the end of a file: grow it by more than they need. */
  #growAhead(bytes: number): void {
    if (this.#end + bytes <= this.#fileBytes) return;
    const ahead = Math.min(AHEAD_BYTES, this.#options.segmentBytes);
    if (bytes < ahead / 4) {
      this.#file.writeSync(ZEROS, 0, ahead, this.#fileBytes);
      this.#fileBytes += ahead;
    }
    this.#fileBytes = Math.max(this.#fileBytes, this.#end + bytes);
  }

  #roll(): void {
    const full = this.#segments.at(-1)!;
    assert(this.#synced === this.#end, 'a segment is durable before the next one begins');
    full.bytes = this.#end;
    const created = this.#createSegment(full.segment + 1, this.#lastIndex);
    this.#file.closeSync();
    this.#segments.push(created.segment);
    this.#file = created.file;
    this.#fileBytes = created.fileBytes;
    this.#end = this.#synced = SEGMENT_HEADER_BYTES;
  }

  /** A segment with a durable header, out of a spare file or a new one. */
  #createSegment(segment: number, previousIndex: number): { segment: RecoveredSegment; file: File; fileBytes: number } {
    const { fileSystem, directory, hash } = this.#options;
    const path = this.#path(segment);
    const spare = this.#spares.shift();
    // A spare gets its header before its name: under that name it must never be seen with the header of its earlier life.
    const file = fileSystem.openSync(spare === undefined ? path : join(directory, spare), spare === undefined ? 'create' : 'write');
    const previousTerm = this.#termOf(previousIndex);
    const header = encodeSegmentHeader({ segment, previousIndex, previousTerm, hardState: this.#state }, hash);
    file.writeSync(header, 0, header.length, 0);
    file.datasyncSync();
    if (spare !== undefined) fileSystem.renameSync(join(directory, spare), path);
    fileSystem.syncDirectorySync(directory);
    const begun = { segment, previousIndex, previousTerm, bytes: SEGMENT_HEADER_BYTES, synced: SEGMENT_HEADER_BYTES };
    return { segment: begun, file, fileBytes: file.sizeSync() };
  }

  /**
   * What was found may be in the system's cache only: the process before this one died before its sync, or the sync failed, after which the
   * system calls the pages clean and no later sync writes them. It is written again before anything is built upon it.
   */
  #makeDurable({ synced, bytes }: RecoveredSegment): void {
    const from = synced === SEGMENT_HEADER_BYTES ? 0 : synced;
    const found = Buffer.allocUnsafe(bytes - from);
    const read = this.#file.readSync(found, 0, found.length, from);
    assert(read === found.length, 'what was recovered is there');
    this.#file.writeSync(found, 0, found.length, from);
    this.#file.datasyncSync();
    this.#options.fileSystem.syncDirectorySync(this.#options.directory);
  }

  #path(segment: number): string {
    return join(this.#options.directory, segmentName(segment));
  }
}

const ZEROS: Buffer = Buffer.alloc(AHEAD_BYTES);
