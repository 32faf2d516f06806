/**
 * The writing end of the log. Frames are appended as ranges of linear memory (the memtable's arena, which is the log's image, and staged
 * payloads: pending.ts); `write` hands all that is pending to the operating system in one call; `sync` is a group commit (group-commit.ts).
 *
 * Failure model: a failed fsync, or a write that fails for any reason but a full disk, is final: everything after it answers
 * `closed/WRITER_FAILED`. A full disk (ENOSPC) keeps what is pending, refuses new writes with `exhausted/DISK_FULL`, and goes on by
 * itself once there is room.
 */
import { assert } from '../../base/assert.ts';
import type { Clock, File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { writeZeros } from '../../base/zeros-ahead.ts';
import type { Events } from '../events/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { Staging } from '../memory/staging.ts';
import { GroupCommit } from './group-commit.ts';
import { FRAMES_OFFSET, logFileName, type SegmentHeader } from './log-format.ts';
import { Pending } from './pending.ts';
import { writeHeader, writeSeal } from './segment-file.ts';

/** Pending bytes that make a write happen at once. */
const WRITE_AT_BYTES = 256 * 1024;
/** How far ahead of synced small writes the file is filled with zeros (base/zeros-ahead.ts). */
const ZERO_AHEAD_BYTES = 1024 * 1024;
/** After a sync on the caller's thread that took too long, so many go through a thread before it is tried again. */
const CALLER_SYNC_PAUSE = 1000;

const RESOLVED: Promise<void> = Promise.resolve();

/** A closed segment whose end the disk may not have yet. */
export type UnsyncedSegment = { segment: number; bytes: number; file: File };

/** A new segment, and the one that is complete with it (none: the first since opening). */
export type SegmentOpened = { segment: number; file: File; closed: { segment: number; bytes: number } | undefined };

export class LogWriter {
  readonly #memory: LinearMemory;
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #segmentBytes: number;
  readonly #callerSyncMs: number;
  readonly #nextSegment: () => number;
  readonly #onSegment: (opened: SegmentOpened) => void;
  readonly #onSync: (ms: number) => void;
  readonly #onDone: (segment: number) => void;
  readonly #reopen: (segment: number) => File;

  #file: File | undefined;
  #segment = 0;
  /** File offset where the next frame goes, pending ones included; and up to which the file has been written. */
  #next = 0;
  #written = 0;
  /** Everything of this segment below it is on disk. */
  #syncedTo = 0;
  #previous: UnsyncedSegment | undefined;
  readonly #older: UnsyncedSegment[] = [];
  #sealed = true;
  /** The segment is on disk as far as it goes, and its file not open here. */
  #isResting = false;
  /** The directory may not have the names of all segments on disk: the next sync brings them there. */
  #nameUnsynced = false;
  #zeroedTo = 0;

  readonly #pending: Pending;
  readonly #commits: GroupCommit = new GroupCommit((isAwaited) => this.#syncOnce(isAwaited));
  /** Syncs that go through a thread before one on the caller's is tried again. */
  #callerSyncPause = 0;
  #failure: SparrowError | undefined;
  #full = false;
  #fullSince: number | undefined;
  #closed = false;
  #bytesWritten = 0;

  /**
   * `nextSegment` gives a number never used before. `onSegment` learns of each segment's file when it is opened. `unsynced` are the
   * segments found at opening, oldest first, the last of them being the new segment's predecessor. `callerSyncMs`: see the setting.
   */
  constructor(parts: {
    memory: LinearMemory;
    staging: Staging;
    fileSystem: FileSystem;
    clock: Clock;
    events: Events;
    directory: string;
    segmentBytes: number;
    callerSyncMs: number;
    nextSegment: () => number;
    onSegment: (opened: SegmentOpened) => void;
    /** A segment is closed and on disk: its file is not needed here any more. */
    onDone: (segment: number) => void;
    /** A segment that was done with is written again: its file, from now on held until the next `onDone`. */
    reopen: (segment: number) => File;
    /** A sync took so long, milliseconds. */
    onSync: (ms: number) => void;
    unsynced: readonly UnsyncedSegment[];
  }) {
    this.#memory = parts.memory;
    this.#fs = parts.fileSystem;
    this.#directory = parts.directory;
    this.#clock = parts.clock;
    this.#events = parts.events;
    this.#segmentBytes = parts.segmentBytes;
    this.#callerSyncMs = parts.callerSyncMs;
    this.#nextSegment = parts.nextSegment;
    this.#onSegment = parts.onSegment;
    this.#onSync = parts.onSync;
    this.#onDone = parts.onDone;
    this.#reopen = parts.reopen;
    this.#pending = new Pending(parts.memory, parts.staging);
    this.#older.push(...parts.unsynced);
    this.#previous = parts.unsynced.at(-1);
    // Whoever began them may have ended before their names were on disk.
    this.#nameUnsynced = parts.unsynced.length > 0;
  }

  /** The segment of the next frame; opens one when there is none or `bytes` do not fit the current. Call before laying out a frame. */
  prepare(bytes: number): number {
    if (this.#isResting) this.#wake();
    if (this.#file === undefined || (this.#next + bytes > this.#segmentBytes && this.#next > FRAMES_OFFSET)) this.#roll();
    return this.#segment;
  }

  /** Offset in the current segment where the next frame will lie. */
  get nextOffset(): number {
    return this.#next;
  }
  get segment(): number {
    return this.#segment;
  }
  get syncedTo(): number {
    return this.#syncedTo;
  }
  get pendingBytes(): number {
    return this.#next - this.#written;
  }
  /** Where bytes of a segment lie in linear memory that the log has yet to write; 0: they are in the file. */
  pendingAt(segment: number, offset: number): number {
    if (segment !== this.#segment || offset < this.#written || offset >= this.#next) return 0;
    return this.#pending.at(offset - this.#written);
  }
  get bytesWritten(): number {
    return this.#bytesWritten;
  }
  /** Syncs that users' calls waited for, how many calls together, and at most. */
  get syncs(): { syncs: number; syncCalls: number; syncCallsMax: number } {
    return this.#commits.figures;
  }
  /** Why nothing can be written any more, if so. */
  get failure(): SparrowError | undefined {
    return this.#failure;
  }

  /** Throws what a writer must know before it changes anything: failed, closed, or the disk is still full. */
  assertWritable(): void {
    if (this.#failure) throw this.#failure;
    if (this.#full) this.write();
  }

  /** Adds a range that has been laid out in linear memory. It must stay as it is until the next `write`. */
  append(address: number, bytes: number): void {
    this.#pending.append(address, bytes);
    this.#next += bytes;
  }

  /** Room for a payload of `bytes` (a multiple of 8) until the next write; the caller fills it, then appends it. */
  stage(bytes: number): number {
    const address = this.#pending.stage(bytes);
    if (address !== undefined) return address;
    this.write();
    return this.#pending.stage(bytes)!;
  }

  /** Whether enough is pending that it should be written before the tick ends. */
  get isDue(): boolean {
    return this.#next - this.#written >= WRITE_AT_BYTES || this.#pending.isOversize;
  }

  /** Hands everything pending to the operating system. Throws when it cannot, see the failure model. */
  write(): void {
    if (this.#failure) throw this.#failure;
    if (this.#next === this.#written) {
      // Staged by a write that found no memory for the rest.
      this.#pending.freeStaged();
      return;
    }
    try {
      this.#pending.writeTo(this.#file!, this.#written);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOSPC') {
        this.#full = true;
        throw this.#diskFull(cause);
      }
      throw this.#fail('write', cause);
    }
    this.#bytesWritten += this.#next - this.#written;
    this.#written = this.#next;
    this.#full = false;
    if (this.#fullSince !== undefined) this.#foundSpace(this.#fullSince);
    this.#pending.written();
  }

  /**
   * Settles when everything appended before the call is on disk. All callers of one group share the promise. `calls`: how many calls of
   * users wait for it. When it is a single one, a sync on the caller's thread, without the way to another and back, holds up nobody else.
   */
  sync(calls = 0): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    // A sync for one caller that nobody else has to wait behind.
    const isAlone = calls === 1 && !this.#commits.running && this.#older.length === 0 && !this.#nameUnsynced;
    if (isAlone && this.#callerSyncMs > 0 && --this.#callerSyncPause < 0) return this.#syncOnCaller();
    return this.#commits.join(calls);
  }

  /** Writes what is pending; throws when that cannot be. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#commits.idle();
    try {
      // Buffered writes have no other moment to learn that they are lost.
      if (this.pendingBytes > 0) this.write();
    } finally {
      this.#pending.freeStaged();
    }
  }

  /** `isAwaited`: by callers, and not only by work behind. */
  async #syncOnce(isAwaited: boolean): Promise<void> {
    if (this.#failure) throw this.#failure;
    this.write();
    const file = this.#file;
    const segment = this.#segment;
    const written = this.#written;
    if (this.#nameUnsynced) await this.#syncNames();
    // Oldest first: what is on disk must be a prefix of the log.
    while (this.#older.length > 0) {
      const older = this.#older[0]!;
      await this.#datasync(older.file);
      if (this.#older[0] !== older) continue;
      this.#older.shift();
      this.#onDone(older.segment);
    }
    // One that was closed meanwhile was among the older ones.
    if (file === undefined || this.#segment !== segment) return;
    if (!this.#sealed) this.#seal();
    const begun = this.#clock.monotonicMs();
    await this.#datasync(file);
    if (isAwaited) this.#onSync(this.#clock.monotonicMs() - begun);
    if (this.#segment === segment) this.#syncedTo = written;
  }

  /** No segment before this one is left to sync. */
  #syncOnCaller(): Promise<void> {
    this.#callerSyncPause = 0;
    try {
      this.write();
      if (this.#file === undefined) return RESOLVED;
      if (!this.#sealed) this.#seal();
      const begun = this.#clock.monotonicMs();
      try {
        this.#file.datasyncSync();
      } catch (cause) {
        throw this.#fail('fsync', cause);
      }
      if (this.#clock.monotonicMs() - begun > this.#callerSyncMs) this.#callerSyncPause = CALLER_SYNC_PAUSE;
      this.#syncedTo = this.#written;
      this.#commits.served(1);
      return RESOLVED;
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** Nobody writes for a while: brings everything to the disk and lets go of the file, unless a write comes in between. */
  rest(): void {
    if (this.#failure || this.#closed || this.#isResting) return;
    const [segment, next] = [this.#segment, this.#next];
    const settle = (): void => {
      if (this.#failure || this.#closed || this.#commits.running || this.#file === undefined) return;
      if (this.#segment !== segment || this.#next !== next || this.#syncedTo !== next) return;
      this.#file = undefined;
      this.#isResting = true;
      this.#onDone(segment);
    };
    if (this.#syncedTo === next && this.#older.length === 0 && !this.#nameUnsynced) settle();
    else void this.sync().then(settle, () => undefined);
  }

  #wake(): void {
    this.#isResting = false;
    try {
      this.#file = this.#reopen(this.#segment);
    } catch (cause) {
      throw this.#fail('open', cause);
    }
  }

  async #syncNames(): Promise<void> {
    this.#nameUnsynced = false;
    try {
      await this.#fs.syncDirectory(this.#directory);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw this.#fail('fsync', cause);
      this.#nameUnsynced = true;
      throw this.#diskFull(cause);
    }
  }

  async #datasync(file: File): Promise<void> {
    try {
      await file.datasync();
    } catch (cause) {
      throw this.#fail('fsync', cause);
    }
  }

  /**
   * Closes the current segment: the next frame goes to a new one, which is opened when it comes. Returns what was closed, or undefined when
   * there is nothing to close or something is still pending. For the owner, when all that is in the log is in tables as well.
   */
  retire(): { segment: number; bytes: number } | undefined {
    if (this.#failure || this.#next !== this.#written) return undefined;
    if (this.#isResting) this.#wake();
    if (this.#file === undefined) return undefined;
    const closed = { segment: this.#segment, bytes: this.#next, file: this.#file };
    this.#previous = closed;
    this.#older.push(closed);
    this.#file = undefined;
    this.#segment = this.#next = this.#written = this.#syncedTo = this.#zeroedTo = 0;
    return { segment: closed.segment, bytes: closed.bytes };
  }

  /** Closes the current segment to new frames and opens the next one. */
  #roll(): void {
    this.write();
    const closed = this.#file === undefined ? undefined : { segment: this.#segment, bytes: this.#next, file: this.#file };
    const previous = closed ?? this.#previous;
    const segment = this.#nextSegment();
    // Nothing has changed until the new segment stands: a full disk must find the writer as it was.
    this.#file = this.#create({ segment, previousSegment: previous?.segment ?? 0, previousBytes: previous?.bytes ?? 0 });
    this.#previous = previous;
    if (closed) this.#older.push(closed);
    this.#segment = segment;
    this.#next = this.#written = this.#syncedTo = FRAMES_OFFSET;
    this.#zeroedTo = FRAMES_OFFSET;
    // Without a seal, damage to the segment before would pass for a torn end and take this one with it: also when that was synced long ago.
    this.#sealed = previous === undefined;
    this.#onSegment({ segment, file: this.#file, closed: closed && { segment: closed.segment, bytes: closed.bytes } });
    // Without somebody who waits, the closed segment still gets to the disk soon, so that a later sync is short.
    if (this.#older.length > 0) void this.sync().catch(() => undefined);
  }

  /** A segment with its header, its name on disk. */
  #create(header: SegmentHeader): File {
    const path = `${this.#directory}/${logFileName(header.segment)}`;
    let file: File | undefined;
    try {
      file = this.#fs.openSync(path, 'create');
      writeHeader(this.#memory, file, header);
      this.#nameUnsynced = true;
      return file;
    } catch (cause) {
      file?.closeSync();
      if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw this.#fail('open', cause);
      try {
        if (file) this.#fs.unlinkSync(path);
      } catch (second) {
        throw this.#fail('open', second);
      }
      throw this.#diskFull(cause);
    }
  }

  /** Fills the file with zeros ahead of small synced frames. Called by the engine between ticks, never on a caller's path. */
  zeroAhead(): void {
    if (this.#failure || this.#file === undefined || this.#next + ZERO_AHEAD_BYTES / 4 < this.#zeroedTo) return;
    // What is pending will be written where the zeros would go: then it is not the time.
    if (this.#next !== this.#written) return;
    const from = this.#next;
    const to = Math.min(from + ZERO_AHEAD_BYTES, this.#segmentBytes);
    if (to <= from) return;
    try {
      writeZeros(this.#file, from, to);
      this.#bytesWritten += to - from;
    } catch {
      // A full or failing disk shows itself in the next write, which has a caller to tell.
    }
    this.#zeroedTo = to;
  }

  /** States, in a sector of its own, that the segment before this one is whole on disk. */
  #seal(): void {
    assert(this.#older.length === 0, 'a seal is written once everything before it is synced');
    const { segment: previousSegment, bytes: previousBytes } = this.#previous ?? { segment: 0, bytes: 0 };
    try {
      writeSeal(this.#memory, this.#file!, { segment: this.#segment, previousSegment, previousBytes });
    } catch (cause) {
      // The next sync writes it anew.
      if ((cause as NodeJS.ErrnoException).code === 'ENOSPC') throw this.#diskFull(cause);
      throw this.#fail('write', cause);
    }
    this.#sealed = true;
  }

  /** Ends all writing because of something outside of the log. Returns what writers are told. */
  abandon(cause: unknown): SparrowError {
    return this.#fail('memtable', cause);
  }

  #diskFull(cause: unknown): SparrowError {
    const directory = this.#directory;
    if (this.#fullSince === undefined) {
      this.#fullSince = this.#events.nowMs();
      this.#events.emit({ type: 'disk-full-begun', work: 'log' });
    }
    return new SparrowError('exhausted', 'DISK_FULL', `no space left to write the log in ${directory}`, { directory }, cause);
  }

  #foundSpace(since: number): void {
    this.#fullSince = undefined;
    this.#events.emit({ type: 'disk-full-ended', work: 'log', durationMs: this.#events.nowMs() - since });
  }

  #fail(operation: string, cause: unknown): SparrowError {
    if (this.#failure) return this.#failure;
    const code = String((cause as NodeJS.ErrnoException).code ?? '');
    const failure = new SparrowError(
      'closed',
      'WRITER_FAILED',
      `the log's ${operation} failed (${String((cause as Error).message ?? cause)}); nothing is written until the engine is opened again`,
      { operation, directory: this.#directory, code },
      cause,
    );
    this.#failure = failure;
    this.#events.emit({ type: 'writing-failed', operation, code, message: failure.message });
    return failure;
  }
}
