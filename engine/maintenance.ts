/**
 * Keeps the store in shape: owns the memtables, the version (which tables and block files make up the store), the manifest, and decides
 * when the background flushes and compacts.
 *
 * A flush or compaction takes effect in two steps. First, at once and in memory: the view that reads see is swapped, the memtable freed.
 * Then, in order and durably: the log is synced (pointers must not lead into what a power failure takes back), the edit is appended to the
 * manifest, and only then files that nothing refers to any more are removed. A crash between the two loses nothing: the log still has it.
 */
import type { FileSystem, Scheduler, Timer } from '../base/env.ts';
import { assert } from '../base/assert.ts';
import { SparrowError } from '../base/errors.ts';
import type { Background, FlushResult } from './background/index.ts';
import { type Compaction, type CompactionJob, type CompactionResult, fileIdsWanted, pickCompaction } from './compaction/index.ts';
import { type LogWriter, type SegmentOpened } from './log/index.ts';
import { applyEdit, type Manifest, tableName, type Version, type VersionEdit } from './manifest/index.ts';
import type { LinearMemory } from './memory/linear-memory.ts';
import { Memtable } from './memtable/index.ts';
import type { Reader } from './reader.ts';
import type { EngineSettings } from './settings.ts';
import type { Snapshots } from './snapshots.ts';
import { OpenTable, type TableMeta } from './table/index.ts';
import type { ValueFiles } from './value-files.ts';
import { SEALED_MAX, type View } from './view.ts';
import type { MemtableOwner } from './writer.ts';

/** Writers are asked to wait when this many memtables wait to be flushed, and made to wait at one less than the view has room for. */
const SEALED_THROTTLE = 2;
/** A writer that does not wait when asked to is made to wait at this many tables of level 0: a scan has a cursor for each, and some to spare. */
const LEVEL0_MAX = 48;
const WAIT_SYNC_MS = 1000;
/** So long after the last memtable was filled, space is given back that was not worth the cost under load. */
const REST_AFTER_MS = 2000;
/** After a full disk stopped a job. */
const RETRY_DELAY_MS = 500;
/**
 * What a flush needs beside the memtable: window and builder; for each record its hash (twice) and share of the filter; for each byte its
 * share of the index, which is a guess: when it was too small, the flush is done again with twice as much.
 */
const FLUSH_LENT_BYTES = 4 * 1024 * 1024;
const FLUSH_LENT_BYTES_PER_RECORD = 20;
const FLUSH_LENT_SHARE = 1 / 16;

/** What is tried again when the disk was full. */
type Work = 'flush' | 'compaction' | 'manifest';
type Sealed = { memtable: Memtable; lastSegment: number };

export class Maintenance implements MemtableOwner {
  readonly #memory: LinearMemory;
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #settings: Readonly<EngineSettings>;
  readonly #scheduler: Scheduler;
  readonly #manifest: Manifest;
  readonly #background: Background;
  readonly #view: View;
  readonly #reader: Reader;
  readonly #values: ValueFiles;
  readonly #snapshots: Snapshots;
  readonly #onSealed: () => void;
  #log: LogWriter | undefined;

  #version: Version;
  #nextFileId: number;
  #active: Memtable | undefined;
  /** Newest first, like the view. */
  readonly #sealed: Sealed[] = [];
  /** Flushed, but the log has not written all that lies in their arenas. */
  readonly #unwritten: Memtable[] = [];
  readonly #tables = new Map<number, OpenTable>();
  /** Length of each closed segment that is not a block file yet. */
  readonly #closedSegments = new Map<number, number>();
  #flushing = false;
  /** By how much the next flush is lent more than it should need. */
  #flushTimes = 1;
  #compacting = false;
  /** Set while writes are under way. */
  #restTimer: Timer | undefined;
  #closing = false;
  /** Edits on their way into the manifest, in order. */
  #commits: Promise<void> = Promise.resolve();
  #commitsBegun = 0;
  #commitsEnded = 0;
  #failure: SparrowError | undefined;
  /** What the last attempt found no space for. */
  readonly #full = new Map<Work, SparrowError>();
  /** Attempts that a timer will make again. */
  readonly #retrying = new Map<Work, { retry: () => void; timer: Timer }>();
  #room: { promise: Promise<void>; resolve: () => void } | undefined;
  readonly #idle: (() => void)[] = [];
  #flushes = 0;
  #compactions = 0;
  #bytesWritten = 0;

  constructor(parts: {
    memory: LinearMemory;
    fileSystem: FileSystem;
    directory: string;
    settings: Readonly<EngineSettings>;
    scheduler: Scheduler;
    manifest: Manifest;
    version: Version;
    nextFileId: number;
    background: Background;
    view: View;
    reader: Reader;
    values: ValueFiles;
    snapshots: Snapshots;
    /** The writer counts anew when a memtable is sealed. */
    onSealed: () => void;
  }) {
    this.#memory = parts.memory;
    this.#fs = parts.fileSystem;
    this.#directory = parts.directory;
    this.#settings = parts.settings;
    this.#scheduler = parts.scheduler;
    this.#manifest = parts.manifest;
    this.#version = parts.version;
    this.#nextFileId = parts.nextFileId;
    this.#background = parts.background;
    this.#view = parts.view;
    this.#reader = parts.reader;
    this.#values = parts.values;
    this.#snapshots = parts.snapshots;
    this.#onSealed = parts.onSealed;
    for (const table of parts.version.levels.flat()) this.#openTable(table);
    this.#showTables();
  }

  /** The log, once recovery has made it. */
  attachLog(log: LogWriter): void {
    this.#log = log;
  }

  get version(): Version {
    return this.#version;
  }
  get failure(): SparrowError | undefined {
    return this.#failure;
  }
  get sealedCount(): number {
    return this.#sealed.length;
  }
  get memtableBytes(): number {
    return (this.#active?.bytes ?? 0) + this.#sealed.reduce((sum, { memtable }) => sum + memtable.bytes, 0);
  }
  get activeBytes(): number {
    return this.#active?.bytes ?? 0;
  }
  get flushes(): number {
    return this.#flushes;
  }
  get compactions(): number {
    return this.#compactions;
  }
  get bytesWritten(): number {
    return this.#bytesWritten;
  }
  /** Segments of the log that have been closed and are not block files. */
  get closedSegments(): ReadonlyMap<number, number> {
    return this.#closedSegments;
  }

  /** An id that no file ever had. */
  takeFileId(): number {
    return this.#nextFileId++;
  }

  // ---- what the write path needs ----

  active(segment: number): Memtable {
    if (this.#failure) throw this.#failure;
    if (this.#full.size > 0) this.#assertRoom();
    if (this.#active === undefined) {
      this.#active = new Memtable(this.#memory, segment);
      this.#active.newestSnapshot = this.#snapshots.newest;
      this.#showMemtables();
    }
    return this.#active;
  }

  seal(): void {
    const memtable = this.#active;
    // What has ended since takes effect now: a caller that awaits nothing but writes never lets the event loop bring it.
    this.#background.waitSync(0);
    // Recovery makes one that stays empty when tables have all that the log's floor left to replay.
    if (memtable === undefined || memtable.records === 0) return;
    for (let work = this.#farBehind(); work && !this.#failure && !this.#full.has(work); work = this.#farBehind()) {
      this.#background.waitSync(WAIT_SYNC_MS);
    }
    if (this.#failure) throw this.#failure;
    // The disk is full: it stays as it is, over its size, and `active` takes no more.
    if (this.#farBehind()) return;
    this.#active = undefined;
    // After recovery the log has no segment of its own until the first write: the last one recovered counts.
    const lastSegment = Math.max(this.#log!.segment, memtable.firstSegment, ...this.#closedSegments.keys());
    this.#sealed.unshift({ memtable, lastSegment });
    this.#showMemtables();
    this.#onSealed();
    this.#busy();
    this.#startFlush();
    // The next one will take about as much, and its flush too: without room for both, writes would be refused before it is full.
    const wanted = memtable.arenaBytes + 2 * flushBytes(memtable);
    while (this.#flushing && this.#memory.freeBytes < wanted && !this.#failure && !this.#full.has('flush')) {
      this.#background.waitSync(WAIT_SYNC_MS);
    }
  }

  get throttle(): Promise<void> | undefined {
    // To wait for space is not the writers' part: they are refused when there is nothing left to write into.
    if (!this.#isBehind() || this.#full.size > 0) return undefined;
    return (this.#room ??= Promise.withResolvers<void>()).promise;
  }

  /** The newest snapshot in use changed. */
  newestSnapshot(sequence: number): void {
    if (this.#active) this.#active.newestSnapshot = sequence;
  }

  /** The log opened a segment. */
  segmentOpened(opened: SegmentOpened): void {
    this.#values.add(opened.segment, opened.file);
    if (opened.closed) this.#closedSegments.set(opened.closed.segment, opened.closed.bytes);
  }

  /**
   * Recovery found records: copies those with a sequence over `skipTo` into the memtable. Returns the largest sequence seen so far.
   */
  replay(address: number, bytes: number, segment: number, skipTo: number): number {
    const memtable = this.active(segment);
    const at = memtable.reserve(bytes);
    this.#memory.u8.copyWithin(at, address, address + bytes);
    const before = memtable.records;
    memtable.setTop(at + bytes);
    memtable.insert(at, bytes, -1, skipTo);
    // A frame that tables have takes no room.
    if (memtable.records === before) memtable.setTop(at);
    return memtable.lastSequence;
  }

  /** Recovery is over: goes on with what the last run left. */
  resume(): void {
    if (this.activeBytes >= this.#settings.memtableBytes) this.seal();
    this.#startCompaction();
  }

  /** A segment that recovery found and that nobody writes to any more. */
  segmentRecovered(segment: number, bytes: number): void {
    this.#closedSegments.set(segment, bytes);
  }

  // ---- what the engine asks for ----

  /** Settles when everything written before the call is in tables that the manifest names. `exhausted/DISK_FULL` when that cannot be now. */
  async flush(): Promise<void> {
    this.#tryAgain();
    this.seal();
    const last = this.#active?.records ? this.#active : this.#sealed[0]?.memtable;
    while (last && (this.#active === last || this.#sealed.some(({ memtable }) => memtable === last))) {
      this.#assertSpace('flush', this.#farBehind());
      this.#assertNotClosing();
      await this.#nextEnd();
      if (this.#active === last) this.seal();
    }
    for (const commits = this.#commitsBegun; this.#commitsEnded < commits;) {
      this.#assertSpace('manifest');
      await this.#nextEnd();
    }
    if (this.#failure) throw this.#failure;
  }

  /** Settles when there is nothing left to flush or to compact. `exhausted/DISK_FULL` when that cannot be now. */
  async settled(): Promise<void> {
    this.#tryAgain();
    this.#rest();
    for (;;) {
      if (this.#failure) throw this.#failure;
      this.#startCompaction();
      if (!this.#flushing && !this.#compacting && this.#sealed.length === 0 && this.#commitsEnded === this.#commitsBegun) return;
      this.#assertSpace('flush', 'compaction', 'manifest');
      if (this.#sealed.length > 0) this.#assertNotClosing();
      await this.#nextEnd();
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#rest();
    this.#tryAgain();
    await this.#background.close();
    await this.#commits;
    await this.#manifest.close();
    for (const table of this.#tables.values()) table.close();
    this.#active?.free();
    for (const { memtable } of this.#sealed) memtable.free();
    this.#freeWritten();
    this.#ended();
  }

  // ---- flush ----

  #startFlush(): void {
    if (this.#flushing || this.#closing || this.#failure || this.#sealed.length === 0) return;
    const { memtable, lastSegment } = this.#sealed.at(-1)!;
    const lentBytes = (flushBytes(memtable) + 64) * this.#flushTimes - 64;
    let from: number;
    try {
      from = this.#allocate(lentBytes);
    } catch (error) {
      // No write would ever make room.
      this.#fail('flush', error as Error);
      return;
    }
    this.#flushing = true;
    const job = {
      directory: this.#directory,
      fileId: this.takeFileId(),
      memtable: memtable.address,
      records: memtable.records,
      snapshots: this.#snapshots.sequences,
      segments: lastSegment - memtable.firstSegment + 1,
      lent: { from, to: from + lentBytes + 64 },
    };
    this.#background.flush(job, (error, result) => {
      this.#memory.free(from, lentBytes);
      this.#flushing = false;
      if (error && (error as NodeJS.ErrnoException).code === 'MEMORY_BUDGET') {
        this.#flushTimes *= 2;
        this.#startFlush();
      } else if (error) this.#jobFailed('flush', error, () => this.#startFlush());
      else {
        this.#flushTimes = 1;
        this.#full.delete('flush');
        this.#guarded('flush', () => this.#flushed(result!));
      }
      this.#ended();
    });
  }

  /** Indexes and filters of tables give way: reads bring them back. */
  #allocate(bytes: number): number {
    try {
      return this.#memory.allocate(bytes);
    } catch {
      for (const table of this.#tables.values()) table.unload();
      return this.#memory.allocate(bytes);
    }
  }

  #flushed(result: FlushResult): void {
    const { memtable } = this.#sealed.at(-1)!;
    this.#flushes++;
    this.#bytesWritten += result.bytesWritten;
    const lastSequence = memtable.lastSequence;
    this.#sealed.pop();
    this.#unwritten.push(memtable);
    const written = this.#writeLog();
    this.#openTable(result.table);
    if (this.#sealed.length === 0 && this.#active === undefined) this.#retireLog();
    this.#install({ lastSequence, logFloor: this.#logFloor(), tablesAdded: [{ level: 0, table: result.table }] });
    this.#showMemtables();
    if (written) this.#freeWritten();
    this.#startFlush();
    this.#startCompaction();
  }

  /** A memtable's arena is the log's image: it must not be used again before the log has written it. A full disk puts that off. */
  #writeLog(): boolean {
    try {
      this.#log!.write();
      return true;
    } catch {
      // Whoever waits for the log is told by it. One that has failed writes nothing any more.
      return this.#log!.failure !== undefined;
    }
  }

  #freeWritten(): void {
    for (const memtable of this.#unwritten.splice(0)) memtable.free();
  }

  /** Everything in the log is in tables: the next opening has nothing to replay, and what holds no large values can go. */
  #retireLog(): void {
    const closed = this.#log!.retire();
    if (closed) this.#closedSegments.set(closed.segment, closed.bytes);
  }

  /** The oldest segment that an unflushed record may be in. */
  #logFloor(): number {
    const oldest = this.#sealed.at(-1)?.memtable ?? this.#active;
    return oldest?.firstSegment ?? (this.#log!.segment || this.#nextFileId);
  }

  // ---- compaction ----

  /** A memtable was filled: writes are under way until none has been for a while. */
  #busy(): void {
    this.#restTimer?.cancel();
    this.#restTimer = this.#scheduler.after(
      REST_AFTER_MS,
      () => {
        this.#rest();
        this.#startCompaction();
      },
      true,
    );
  }

  #rest(): void {
    this.#restTimer?.cancel();
    this.#restTimer = undefined;
  }

  #startCompaction(): void {
    if (this.#compacting || this.#closing || this.#failure) return;
    const compaction = pickCompaction(
      this.#version,
      this.#settings,
      this.#snapshots.sequences[0] ?? Infinity,
      this.#restTimer === undefined ? 'resting' : 'loaded',
    );
    if (compaction === undefined) {
      this.#full.delete('compaction');
      return;
    }
    if (compaction.move) {
      this.#install({
        tablesRemoved: compaction.inputs.map(({ level, table }) => ({ level, fileId: table.fileId })),
        tablesAdded: compaction.inputs.map(({ table }) => ({ level: compaction.target, table })),
      });
      this.#ended();
      this.#startCompaction();
      return;
    }
    this.#compacting = true;
    this.#background.compact(this.#compactionJob(compaction), (error, result) => {
      this.#compacting = false;
      if (error) this.#jobFailed('compaction', error, () => this.#startCompaction());
      else {
        this.#full.delete('compaction');
        this.#guarded('compaction', () => {
          this.#compacted(compaction, result!);
          this.#startCompaction();
        });
      }
      this.#ended();
    });
  }

  #compactionJob({ inputs, dropDeletes, relocate }: Compaction): CompactionJob {
    const { tableBytes } = this.#settings;
    const fileIds = Array.from({ length: fileIdsWanted({ inputs, relocate }, tableBytes) }, () => this.takeFileId());
    return { directory: this.#directory, inputs, dropDeletes, relocate, snapshots: this.#snapshots.sequences, tableBytes, fileIds };
  }

  #compacted(compaction: Compaction, result: CompactionResult): void {
    this.#compactions++;
    this.#bytesWritten += result.bytesWritten;
    for (const table of result.outputs) this.#openTable(table);
    this.#install({
      tablesRemoved: compaction.inputs.map(({ level, table }) => ({ level, fileId: table.fileId })),
      tablesAdded: result.outputs.map((table) => ({ level: compaction.target, table })),
      ...(result.blockFile && { segmentsAdded: [result.blockFile] }),
    });
  }

  // ---- taking effect ----

  /** Makes an edit count: in memory now, on disk in turn. */
  #install(edit: VersionEdit): void {
    const withIds: VersionEdit = { ...edit, nextFileId: this.#nextFileId };
    const complete = this.#withSegments(withIds);
    const before = this.#version;
    this.#version = applyEdit(before, complete);
    this.#showTables();
    const gone = new Set((edit.tablesRemoved ?? []).map(({ fileId }) => fileId));
    for (const { table } of edit.tablesAdded ?? []) gone.delete(table.fileId);
    for (const fileId of gone) this.#closeTable(fileId);
    const passed = [...this.#closedSegments.keys()].filter((id) => id < this.#version.logFloor);
    for (const id of passed) this.#closedSegments.delete(id);
    const dead = [...passed.filter((id) => !this.#version.segments.has(id)), ...(complete.segmentsRemoved ?? [])];
    this.#commit(complete, [...gone], dead);
  }

  /** Adds to an edit what follows from it for the segments: which become block files, which block files end. */
  #withSegments(edit: VersionEdit): VersionEdit {
    const after = applyEdit(this.#version, { ...edit, logFloor: this.#version.logFloor });
    const floor = edit.logFloor ?? this.#version.logFloor;
    const segmentsAdded = [...(edit.segmentsAdded ?? [])];
    for (const [segment, bytes] of this.#closedSegments) {
      if (segment < floor && after.referencedBytes.has(segment)) segmentsAdded.push({ segment, bytes });
    }
    const segmentsRemoved = [...after.segments.keys()].filter((segment) => !after.referencedBytes.has(segment));
    return { ...edit, segmentsAdded, segmentsRemoved };
  }

  #commit(edit: VersionEdit, tables: readonly number[], segments: readonly number[]): void {
    this.#commitsBegun++;
    this.#commits = this.#commits.then(async () => {
      try {
        if (this.#failure) return;
        await this.#append(edit);
        for (const fileId of tables) this.#fs.unlinkSync(`${this.#directory}/${tableName(fileId)}`);
        for (const segment of segments) this.#values.remove(segment);
      } catch (error) {
        this.#fail('manifest', error as Error);
      } finally {
        this.#commitsEnded++;
        this.#ended();
      }
    });
  }

  /** A full disk refuses the edit without harm: it is tried again until there is room, or the engine closes. */
  async #append(edit: VersionEdit): Promise<void> {
    for (;;) {
      try {
        await this.#log?.sync();
        if (this.#writeLog()) this.#freeWritten();
        await this.#manifest.append(edit);
        this.#full.delete('manifest');
        return;
      } catch (error) {
        if (!isFull(error as Error) || this.#closing) throw error;
        await new Promise<void>((resolve) => this.#retryLater('manifest', error as Error, resolve));
      }
    }
  }

  #openTable(meta: TableMeta): void {
    assert(!this.#tables.has(meta.fileId), 'a table is opened once');
    const table = new OpenTable(this.#memory, this.#fs, this.#directory, meta);
    this.#tables.set(meta.fileId, table);
    this.#reader.addTable(table);
  }

  #closeTable(fileId: number): void {
    const table = this.#tables.get(fileId)!;
    this.#tables.delete(fileId);
    this.#reader.removeTable(table);
    table.close();
  }

  #showTables(): void {
    this.#view.setTables(this.#version.levels.map((tables) => tables.map((table) => this.#tables.get(table.fileId)!.header)));
  }

  #showMemtables(): void {
    this.#view.setMemtables(
      this.#active?.address,
      this.#sealed.map(({ memtable }) => memtable.address),
    );
  }

  // ---- progress and failure ----

  #isBehind(): boolean {
    return this.#sealed.length >= SEALED_THROTTLE || this.#version.levels[0]!.length >= this.#settings.level0Stop;
  }

  /** What must get on before another memtable can be sealed, if so. */
  #farBehind(): Work | undefined {
    if (this.#sealed.length >= SEALED_MAX - 1) return 'flush';
    if (this.#version.levels[0]!.length >= LEVEL0_MAX && (this.#compacting || this.#full.has('compaction'))) return 'compaction';
    return undefined;
  }

  /** Something ended: lets those go on who wait for it. */
  #ended(): void {
    if (this.#room && (this.#failure || this.#closing || this.#full.size > 0 || !this.#isBehind())) {
      this.#room.resolve();
      this.#room = undefined;
    }
    for (const wake of this.#idle.splice(0)) wake();
  }

  #nextEnd(): Promise<void> {
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** A full disk is waited out; anything else stops the engine from writing: what it would do next is not known to be safe. */
  #jobFailed(what: Work, error: Error, retry: () => void): void {
    if (error instanceof SparrowError && error.kind === 'cancelled') return;
    if (isFull(error)) this.#retryLater(what, error, retry);
    else this.#fail(what, error);
  }

  #retryLater(what: Work, cause: Error, retry: () => void): void {
    const directory = this.#directory;
    this.#full.set(what, new SparrowError('exhausted', 'DISK_FULL', `no space left for the ${what} in ${directory}`, { directory }, cause));
    const timer = this.#scheduler.after(RETRY_DELAY_MS, () => this.#retry(what), true);
    this.#retrying.set(what, { retry, timer });
    this.#ended();
  }

  #retry(what: Work): void {
    const waiting = this.#retrying.get(what);
    if (waiting === undefined) return;
    this.#retrying.delete(what);
    waiting.timer.cancel();
    waiting.retry();
  }

  /** There may be space by now: the next attempt tells. */
  #tryAgain(): void {
    this.#full.clear();
    for (const what of [...this.#retrying.keys()]) this.#retry(what);
  }

  /** A memtable over its size that cannot be sealed takes nothing more. */
  #assertRoom(): void {
    const work = this.#farBehind();
    if (work === undefined || this.#active === undefined || this.#active.bytes < this.#settings.memtableBytes) return;
    // A caller that awaits nothing but refusals never lets a timer bring the next attempt.
    this.#retry(work);
    this.#background.waitSync(0);
    if (this.#failure) throw this.#failure;
    this.#assertSpace(this.#farBehind());
  }

  /** Throws what stands in the way of any of these. */
  #assertSpace(...work: (Work | undefined)[]): void {
    if (this.#failure) throw this.#failure;
    for (const each of work) if (each !== undefined && this.#full.has(each)) throw this.#full.get(each)!;
  }

  #assertNotClosing(): void {
    if (this.#closing) throw new SparrowError('closed', 'ENGINE_CLOSED', `the engine at ${this.#directory} was closed meanwhile`);
  }

  /** What takes effect without a caller to tell: an error there stops the engine from writing. */
  #guarded(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(what, error as Error);
    }
  }

  #fail(what: string, cause: Error): void {
    this.#failure ??= new SparrowError(
      'closed',
      'BACKGROUND_FAILED',
      `the engine's ${what} failed (${cause.message}); nothing is written until it is opened again`,
      { operation: what },
      cause,
    );
  }
}

/** Scratch space for a flush. */
function flushBytes(memtable: Memtable): number {
  const bytes = FLUSH_LENT_BYTES + memtable.records * FLUSH_LENT_BYTES_PER_RECORD + memtable.bytes * FLUSH_LENT_SHARE;
  return Math.ceil(bytes / 65536) * 65536 - 64;
}

function isFull(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'DISK_FULL';
}
