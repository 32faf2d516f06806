/**
 * The writing end of the log. Frames are appended as ranges of linear memory (the memtable's arena, which is the log's image, and staged
 * payloads); `write` hands all that is pending to the operating system in one call; `sync` is a group commit: one fdatasync at a time
 * covers everybody who asked before it began, and the next one everybody who asked meanwhile.
 *
 * Failure model: a failed fsync, or a write that fails for any reason but a full disk, is final: everything after it answers
 * `closed/WRITER_FAILED`. A full disk (ENOSPC) keeps what is pending, refuses new writes with `exhausted/DISK_FULL`, and goes on by
 * itself once there is room.
 */
import { assert } from '../../base/assert.ts';
import type { Clock, File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { Events } from '../events/index.ts';
import { LEFT_BYTES, type LinearMemory } from '../memory/linear-memory.ts';
import { type Staging, STAGING_BYTES } from '../memory/staging.ts';
import {
  encodeHeader,
  encodeSeal,
  FRAMES_OFFSET,
  logFileName,
  SEAL_BYTES,
  SEAL_OFFSET,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from './log-format.ts';
import { segmentChecksum } from './segment-checksum.ts';

/** Pending bytes that make a write happen at once. */
const WRITE_AT_BYTES = 256 * 1024;
/** How far ahead of synced small writes the file is filled with zeros: fdatasync of a preallocated range is twice as fast. */
const ZERO_AHEAD_BYTES = 1024 * 1024;
/** A page at a time: one large write makes large folios in the page cache, and each sync would then write a whole one. */
const ZERO_PIECE_BYTES = 4096;

/** After a sync on the caller's thread that took too long, so many go through a thread before it is tried again. */
const CALLER_SYNC_PAUSE = 1000;

const RESOLVED: Promise<void> = Promise.resolve();

type Group = { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void; calls: number };

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

  /** Pending ranges: finished ones, and the open one that the next frame most likely extends. */
  #ranges: { address: number; bytes: number }[] = [];
  #from = 0;
  #to = 0;
  readonly #staging: Staging;
  /** Where payloads wait until the next write; 0: none does. */
  #staged = 0;
  #stagedBytes = 0;
  #oversize: { address: number; bytes: number }[] = [];

  #syncing = false;
  #waiting: Group | undefined;
  /** Syncs that go through a thread before one on the caller's is tried again. */
  #callerSyncPause = 0;
  #failure: SparrowError | undefined;
  #full = false;
  #fullSince: number | undefined;
  #closed = false;
  #bytesWritten = 0;
  #syncs = 0;
  #syncCalls = 0;
  #syncCallsMax = 0;

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
    this.#staging = parts.staging;
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
    let at = this.#written;
    for (const { address, bytes } of this.#ranges) {
      if (offset < at + bytes) return address + offset - at;
      at += bytes;
    }
    return this.#from + offset - at;
  }
  get bytesWritten(): number {
    return this.#bytesWritten;
  }
  /** Syncs that users' calls waited for, how many calls together, and at most. */
  get syncs(): { syncs: number; syncCalls: number; syncCallsMax: number } {
    return { syncs: this.#syncs, syncCalls: this.#syncCalls, syncCallsMax: this.#syncCallsMax };
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
    if (address === this.#to) this.#to += bytes;
    else {
      if (this.#to !== this.#from) this.#ranges.push({ address: this.#from, bytes: this.#to - this.#from });
      this.#from = address;
      this.#to = address + bytes;
    }
    this.#next += bytes;
  }

  /** Room for a payload of `bytes` (a multiple of 8) until the next write; the caller fills it, then appends it. */
  stage(bytes: number): number {
    if (this.#stagedBytes + bytes > STAGING_BYTES) {
      if (this.#stagedBytes > 0) this.write();
      if (bytes > STAGING_BYTES) {
        const address = this.#memory.allocate(bytes, LEFT_BYTES);
        this.#oversize.push({ address, bytes });
        return address;
      }
    }
    if (this.#staged === 0) this.#staged = this.#staging.take();
    const address = this.#staged + this.#stagedBytes;
    this.#stagedBytes += bytes;
    return address;
  }

  /** Whether enough is pending that it should be written before the tick ends. */
  get isDue(): boolean {
    return this.#next - this.#written >= WRITE_AT_BYTES || this.#oversize.length > 0;
  }

  /** Hands everything pending to the operating system. Throws when it cannot, see the failure model. */
  write(): void {
    if (this.#failure) throw this.#failure;
    if (this.#next === this.#written) {
      // Staged by a write that found no memory for the rest.
      this.#freeStaged();
      return;
    }
    const u8 = this.#memory.u8;
    try {
      if (this.#ranges.length === 0) this.#file!.writeSync(u8, this.#from, this.#to - this.#from, this.#written);
      else {
        const spans = this.#ranges.map((range) => u8.subarray(range.address, range.address + range.bytes));
        spans.push(u8.subarray(this.#from, this.#to));
        this.#file!.writevSync(spans, this.#written);
      }
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
    this.#ranges = [];
    this.#from = this.#to = 0;
    this.#freeStaged();
  }

  /**
   * Settles when everything appended before the call is on disk. All callers of one group share the promise. `calls`: how many calls of
   * users wait for it. When it is a single one, a sync on the caller's thread, without the way to another and back, holds up nobody else.
   */
  sync(calls = 0): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#syncing) {
      this.#waiting ??= newGroup();
      this.#waiting.calls += calls;
      return this.#waiting.promise;
    }
    if (calls === 1 && this.#callerSyncMs > 0 && this.#older.length === 0 && !this.#nameUnsynced && --this.#callerSyncPause < 0)
      return this.#syncOnCaller();
    const group = newGroup();
    group.calls = calls;
    void this.#runSync(group);
    return group.promise;
  }

  /** Writes what is pending; throws when that cannot be. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#syncing) await (this.#waiting ??= newGroup()).promise.catch(() => undefined);
    try {
      // Buffered writes have no other moment to learn that they are lost.
      if (this.pendingBytes > 0) this.write();
    } finally {
      this.#freeStaged();
    }
  }

  #freeStaged(): void {
    if (this.#staged !== 0) this.#staging.give(this.#staged);
    this.#staged = this.#stagedBytes = 0;
    for (const piece of this.#oversize) this.#memory.free(piece.address, piece.bytes);
    this.#oversize = [];
  }

  async #runSync(first: Group): Promise<void> {
    this.#syncing = true;
    let group: Group | undefined = first;
    while (group) {
      try {
        await this.#syncOnce(group.calls > 0);
        this.#served(group.calls);
        group.resolve();
      } catch (error) {
        group.reject(error as Error);
      }
      group = this.#waiting;
      this.#waiting = undefined;
    }
    this.#syncing = false;
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
      this.#served(1);
      return RESOLVED;
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** A sync ended that so many calls waited for. */
  #served(calls: number): void {
    if (calls === 0) return;
    this.#syncs++;
    this.#syncCalls += calls;
    this.#syncCallsMax = Math.max(this.#syncCallsMax, calls);
  }

  /** Nobody writes for a while: brings everything to the disk and lets go of the file, unless a write comes in between. */
  rest(): void {
    if (this.#failure || this.#closed || this.#isResting) return;
    const [segment, next] = [this.#segment, this.#next];
    const settle = (): void => {
      if (this.#failure || this.#closed || this.#syncing || this.#file === undefined) return;
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
      this.#writeHeader(file, header);
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
    const zeros = new Uint8Array(ZERO_PIECE_BYTES);
    try {
      for (let at = from; at < to;) {
        // Pieces end at page boundaries of the file.
        const bytes = Math.min(to, at + ZERO_PIECE_BYTES - (at % ZERO_PIECE_BYTES)) - at;
        this.#file.writeSync(zeros, 0, bytes, at);
        at += bytes;
      }
      this.#bytesWritten += to - from;
    } catch {
      // A full or failing disk shows itself in the next write, which has a caller to tell.
    }
    this.#zeroedTo = to;
  }

  #writeHeader(file: File, header: SegmentHeader): void {
    const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
    encodeHeader(new DataView(bytes.buffer), 0, header);
    bytes.set(segmentChecksum(this.#memory, bytes.subarray(0, SEGMENT_HEADER_BYTES - 8), header.segment), SEGMENT_HEADER_BYTES - 8);
    file.writeSync(bytes, 0, bytes.length, 0);
  }

  /** States, in a sector of its own, that the segment before this one is whole on disk. */
  #seal(): void {
    assert(this.#older.length === 0, 'a seal is written once everything before it is synced');
    const bytes = new Uint8Array(SEAL_BYTES);
    encodeSeal(new DataView(bytes.buffer), 0, this.#previous?.segment ?? 0, this.#previous?.bytes ?? 0);
    bytes.set(segmentChecksum(this.#memory, bytes.subarray(0, SEAL_BYTES - 8), this.#segment), SEAL_BYTES - 8);
    try {
      this.#file!.writeSync(bytes, 0, bytes.length, SEAL_OFFSET);
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

function newGroup(): Group {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Groups without a waiter must not take the process down; waiters see the rejection through their own chains.
  promise.catch(() => undefined);
  return { promise, resolve, reject, calls: 0 };
}
