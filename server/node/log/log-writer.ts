/**
 * Appends to a node's log, for all groups. Group commit: one fdatasync is in flight at a time; everything that is appended meanwhile goes out
 * as the next batch, with one write. Promises settle in order.
 *
 *   waiting -> batch: BATCH, BEGIN of what was compacted, then for each append RESTORE, STATE, ENTRY ... -> write -> fdatasync -> settle
 *
 * Who asks to be told when something is written (`onWritten`) does not want to wait for a disk: then all that waits is written at once, though a sync is under
 * way. The next sync covers it.
 *
 * A segment that is full is followed by a new one, which begins with a summary of all groups; the old one is durable by then. Segments that
 * no group needs any more are removed when what makes them needless is durable. Where a file has to grow, it grows ahead of its content, so
 * that most syncs change no metadata; recycled files need not grow.
 *
 * A full disk (ENOSPC of a write) loses and reorders nothing: what waits keeps waiting, in order, is not acknowledged, and is tried again until
 * there is room; `full` tells meanwhile, and whoever proposes refuses. Nothing of such a write counts: the next one goes to the same place.
 * Any other failure, and every failed sync, is final: what the disk then holds is not known. The log refuses everything until it is opened anew.
 *
 * Called by group-log.ts and node-log.ts. Invariant: what has settled is found by every later opening.
 */
import { assert } from '../../../base/assert.ts';
import type { Clock, File, Scheduler, Timer } from '../../../base/env.ts';
import { SparrowError } from '../../../base/errors.ts';
import type { HardState, LogEntry } from '../../raft/index.ts';
import type { EntryCache } from './entry-cache.ts';
import {
  BATCH_FRAME_BYTES,
  entryFrameBytesMax,
  FRAME_BEGIN,
  FRAME_END_KNOWN,
  FRAME_REMOVE,
  FRAME_RESTORE,
  FRAME_RETIRE,
  groupFrameBytes,
  NO_DATA,
  STATE_FRAME_BYTES,
  writeBatch,
  writeEntry,
  writeGroup,
  writeMark,
  writeState,
} from './frame-kinds.ts';
import type { GroupState } from './group-state.ts';
import { frameBytes, nextOrdinal, type Seal, SEGMENT_BYTES_LIMIT, SEGMENT_HEADER_BYTES } from './log-format.ts';
import { NoRoom, noRoom } from './no-room.ts';
import type { SegmentFiles } from './segment-files.ts';
import { SyncTimes } from './sync-times.ts';

/** What one call brings. */
export type Change =
  | { kind: 'append'; hardState: HardState | undefined; entries: readonly LogEntry[]; mustSync: boolean }
  | { kind: 'fill'; entries: readonly LogEntry[] }
  | { kind: 'restore'; index: number; term: number; note: Uint8Array }
  | { kind: 'end-known' }
  | { kind: 'remove' }
  | { kind: 'retire' };

export interface WriterParts {
  segments: SegmentFiles;
  groups: Map<number, GroupState>;
  cache: EntryCache;
  clock: Pick<Clock, 'monotonicMs'>;
  scheduler: Scheduler;
  /** A segment takes no new batch once it is this large. */
  segmentBytes: number;
  /** The disk has become full, or there is room again. */
  onFull: (full: boolean) => void;
}

interface Waiting {
  /** Undefined: nothing but what is due anyway. */
  state: GroupState | undefined;
  change: Change | undefined;
  /** The system has it; the disk may not. Does not throw. */
  onWritten: (() => void) | undefined;
  resolve: () => void;
  reject: (error: SparrowError) => void;
}

/** Where a log was left. */
export interface WriterBegin {
  frames: number;
  /** The segment to go on in; undefined: the first batch begins one. */
  current: { file: File; bytes: number } | undefined;
  nextSegment: number;
}

/** Batches are cut at about this size: a larger write would hold up the event loop. */
const BATCH_BYTES: number = 4 * 1024 * 1024;
/** A file grows ahead by this much, where batches of up to so many bytes follow one another: it is written twice so, which for larger ones costs more than it spares. */
const AHEAD_BYTES: number = 256 * 1024;
const AHEAD_BATCH_BYTES_MAX = 4096;
const FULL_RETRY_MS = 200;
/** A summary takes at most one byte in so many of a segment. */
const SUMMARY_PART = 4;

export class LogWriter {
  readonly #parts: WriterParts;
  #file: File | undefined;
  /** End of what was written, of what is durable, and of the file. */
  #end = 0;
  #synced = 0;
  #fileBytes = 0;
  #summaryBytes = 0;
  /** The last batch that the file had to grow for was a small one. */
  #wasSmall = false;
  #nextSegment: number;
  #frames: number;
  #waiting: Waiting[] = [];
  /** Written, and not durable yet. */
  #written: Waiting[] = [];
  #busy = false;
  /** A sync is under way. */
  #syncing = false;
  /** Of the writer; settled when it has nothing to do. */
  #running: Promise<void> = Promise.resolve();
  #failure: SparrowError | undefined;
  #closing = false;
  #closed = false;
  /** Something was written that no later BATCH vouches for. */
  #unvouched = false;
  #retry: Timer | undefined;
  #toldFull = false;
  #buffer: Buffer = Buffer.allocUnsafe(64 * 1024);
  /** Groups whose log begins later than the log has it. */
  readonly #begins: Set<GroupState> = new Set();
  /** Segments before this one are needed no more: durably, and as what is written says. */
  #freeBefore = 0;
  #freeWritten = 0;
  /** Something was compacted, replaced or removed since that was found. */
  #freeChanged = true;
  /** The batch that is laid out: where its entries lie, and what to set back when it is not written. */
  #laidOut: Buffer = this.#buffer;
  #offsets: number[] = [];
  readonly #ordinals: Map<GroupState, number> = new Map();
  #counted: GroupState | undefined;
  #syncs = 0;
  readonly #syncTimes: SyncTimes = new SyncTimes();
  #bytesWritten = 0;

  constructor(parts: WriterParts, { frames, current, nextSegment }: WriterBegin) {
    this.#parts = parts;
    this.#frames = frames;
    this.#nextSegment = nextSegment;
    if (current === undefined) return;
    this.#file = current.file;
    this.#end = this.#synced = current.bytes;
    this.#fileBytes = current.file.sizeSync();
  }

  get failure(): SparrowError | undefined {
    return this.#failure;
  }

  get full(): boolean {
    return this.#retry !== undefined;
  }

  get syncs(): number {
    return this.#syncs;
  }

  /** The mean of the syncs of the last so many milliseconds, or what the one under way takes already; undefined: there were none. */
  syncMs(withinMs: number): number | undefined {
    return this.#syncTimes.within(withinMs, this.#parts.clock.monotonicMs());
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /**
   * Settles when this and everything before it is durable. Rejects with `closed/LOG_FAILED`, or `exhausted/DISK_FULL` when closed full. `onWritten` is called
   * before, when it and everything before it would be found after the end of this process; possibly before this returns.
   */
  write(state: GroupState, change: Change, onWritten?: () => void): Promise<void> {
    return this.#enter(state, change, onWritten);
  }

  /** The group's log begins later: kept with the next batch, or at once when a segment becomes free. */
  begins(state: GroupState): void {
    this.#begins.add(state);
    this.#freeChanged = true;
    if (this.#failure !== undefined || this.#closed || this.#oldestNeeded() <= this.#parts.segments.oldest) return;
    // A failure shows in whatever is appended next.
    void this.#enter(undefined, undefined).catch(() => undefined);
  }

  /** Waits for what was appended, and vouches for it. What does not fit on the disk is rejected with `exhausted/DISK_FULL`. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closing = true;
    while (this.#busy) await this.#running;
    if (this.full) this.#fail(closedFull());
    if (this.#failure === undefined && (this.#unvouched || this.#begins.size > 0 || this.#unwritten().length > 0)) {
      // What is not written here is found without it; the failure stays visible in `failure`.
      await this.#enter(undefined, undefined).catch(() => undefined);
      while (this.#busy) await this.#running;
    }
    // Whoever could not wait has stopped it meanwhile.
    if (this.#closed) return;
    this.#closed = true;
    this.#file?.closeSync();
  }

  /** Stops at once: what is being written may or may not be durable. */
  abort(): void {
    if (this.#closed) return;
    this.#fail(new SparrowError('closed', 'LOG_CLOSED', 'the log was closed'));
    this.#closed = true;
    void this.#running.then(() => this.#file?.closeSync());
  }

  #enter(state: GroupState | undefined, change: Change | undefined, onWritten?: () => void): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    assert(!this.#closed, 'nothing is appended to a closed log');
    assert(state?.removing !== true || change?.kind === 'remove', 'nothing is appended to a group that is being removed');
    return new Promise((resolve, reject) => {
      this.#waiting.push({ state, change, onWritten, resolve, reject });
      if (!this.#busy && !this.full) this.#running = this.#run();
      else if (onWritten !== undefined && this.#syncing) this.#writeMeanwhile();
    });
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length + this.#written.length > 0 && this.#failure === undefined) {
      const hasRoom = await this.#writeNext();
      if (this.#written.length > 0 && this.#failure === undefined) await this.#sync();
      if (hasRoom || this.#failure !== undefined) continue;
      this.#waitForRoom();
      break;
    }
    this.#busy = false;
  }

  /** What waits, as far as it fits a batch. Returns whether there was room for it. */
  async #writeNext(): Promise<boolean> {
    // A segment is durable before the next one begins.
    if (this.#waiting.length === 0 || (this.#isSegmentFull && this.#written.length > 0)) return true;
    const batch = this.#takeBatch();
    try {
      if (batch.some(mustSync)) {
        if (this.#isSegmentFull) await this.#roll();
        if (this.#failure !== undefined) throw this.#failure;
        // What is compacted while a segment is made goes out too.
        this.#write(batch);
      } else {
        this.#note(batch);
      }
      // Hard states alone may be lost, but settle in their order.
      if (this.#written.length > 0 || batch.some(mustSync)) this.#written.push(...batch);
      else for (const waiting of batch) waiting.resolve();
      return true;
    } catch (error) {
      return this.#notWritten(batch, error);
    }
  }

  /** All that waits, while a sync is under way that does not cover it. What finds no room, or needs another segment, goes on waiting. */
  #writeMeanwhile(): void {
    if (this.#isSegmentFull || this.#failure !== undefined) return;
    const batch = this.#takeBatch();
    try {
      if (batch.some(mustSync)) this.#write(batch);
      else this.#note(batch);
    } catch (error) {
      this.#notWritten(batch, error);
      return;
    }
    this.#written.push(...batch);
    tellWritten(batch);
  }

  /** Returns false: it waits again, first of all, when it is for lack of room. */
  #notWritten(batch: readonly Waiting[], error: unknown): boolean {
    if (error instanceof NoRoom && !this.#closing) this.#waiting.unshift(...batch);
    else this.#fail(error instanceof NoRoom ? closedFull() : failed('the log cannot be written', error), batch);
    return false;
  }

  /** Makes durable what is written by now. */
  async #sync(): Promise<void> {
    const covered = this.#written;
    this.#written = [];
    const end = this.#end;
    const free = this.#freeWritten;
    const { clock } = this.#parts;
    this.#syncTimes.begin(clock.monotonicMs());
    this.#syncing = true;
    try {
      const synced = this.#file!.datasync();
      // The disk is at work meanwhile.
      tellWritten(covered);
      await synced;
    } catch (error) {
      return this.#fail(failed('the log cannot be written', error), covered);
    } finally {
      this.#syncing = false;
    }
    this.#syncTimes.end(clock.monotonicMs());
    this.#synced = end;
    this.#syncs++;
    this.#freeBefore = free;
    if (this.#failure !== undefined) {
      for (const waiting of covered) waiting.reject(this.#failure);
      return;
    }
    for (const waiting of covered) waiting.resolve();
    await this.#remove();
  }

  get #isSegmentFull(): boolean {
    return this.#file === undefined || this.#end >= Math.max(this.#parts.segmentBytes, SUMMARY_PART * this.#summaryBytes);
  }

  #write(batch: readonly Waiting[]): void {
    const bytes = this.#bytesMax(batch);
    const { number } = this.#parts.segments.last!;
    assert(this.#end + bytes < SEGMENT_BYTES_LIMIT, 'a place in a segment fits its 32 bits');
    if (bytes > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(Math.min(Math.max(bytes, this.#buffer.length * 2), 2 * BATCH_BYTES));
    const target = bytes > this.#buffer.length ? Buffer.allocUnsafe(bytes) : this.#buffer;
    const frames = this.#frames;
    try {
      const end = this.#layOut(batch, target, this.#parts.segments.seal(number));
      this.#growAhead(end);
      noRoom(() => this.#file!.writeSync(target, 0, end, this.#end));
      this.#apply(batch, number);
      this.#end += end;
      this.#bytesWritten += end;
      this.#parts.segments.last!.bytes = this.#end;
    } catch (error) {
      this.#frames = frames;
      for (const [state, ordinal] of this.#ordinals) state.ordinal = ordinal;
      throw error;
    } finally {
      this.#ordinals.clear();
      this.#counted = undefined;
    }
    // What the batch made needless; what is compacted from here on is not written yet.
    if (this.#freeChanged) this.#freeWritten = this.#oldestNeeded();
    this.#freeChanged = false;
  }

  /** Hard states that may be lost: they go out with a later batch. */
  #note(batch: readonly Waiting[]): void {
    for (const { state, change } of batch)
      if (change?.kind === 'append' && change.hardState !== undefined) state!.hardState = change.hardState;
  }

  /** What waits, up to the size of a batch. */
  #takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length) {
      bytes += changeBytesMax(this.#waiting[count]!.change);
      if (count > 0 && bytes > BATCH_BYTES) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  #bytesMax(batch: readonly Waiting[]): number {
    let bytes = BATCH_FRAME_BYTES;
    for (const { change } of batch) bytes += changeBytesMax(change);
    for (const { note } of this.#begins) bytes += frameBytes(note.length);
    if (batch.some(({ change }) => change === undefined)) bytes += this.#unwritten().length * STATE_FRAME_BYTES;
    return bytes;
  }

  /** Groups whose hard state the log does not have. */
  #unwritten(): GroupState[] {
    return [...this.#parts.groups.values()].filter(({ hardState, writtenState }) => !same(hardState, writtenState));
  }

  #layOut(batch: readonly Waiting[], target: Buffer, seal: Seal): number {
    this.#laidOut = target;
    this.#offsets = [];
    let at = writeBatch(target, 0, this.#synced, this.#frames, 0, seal);
    for (const state of this.#begins) {
      const mark = { kind: FRAME_BEGIN, group: state.id, ordinal: this.#ordinal(state), index: state.beginIndex, term: state.beginTerm };
      at = writeMark(target, at, { ...mark, note: state.note }, seal);
    }
    const states = new Map<GroupState, HardState>();
    for (const { state, change } of batch) {
      if (change === undefined) {
        for (const unwritten of this.#unwritten())
          if (!states.has(unwritten)) at = this.#putState(unwritten, unwritten.hardState, states, target, at, seal);
      } else if (change.kind === 'append' || change.kind === 'fill') {
        const hardState = (change.kind === 'append' ? change.hardState : undefined) ?? states.get(state!) ?? state!.hardState;
        if (!same(hardState, states.get(state!) ?? state!.writtenState)) at = this.#putState(state!, hardState, states, target, at, seal);
        for (const entry of change.entries) {
          this.#offsets.push(at);
          at = writeEntry(target, at, state!.id, this.#ordinal(state!), entry, change.kind === 'fill', seal);
        }
      } else {
        // Term and vote outlive it: the log has them as they are now.
        const hardState = states.get(state!) ?? state!.hardState;
        if (change.kind === 'retire' && !same(hardState, states.get(state!) ?? state!.writtenState))
          at = this.#putState(state!, hardState, states, target, at, seal);
        const kind = MARKS[change.kind];
        const { index, term, note } = change.kind === 'restore' ? change : { index: 0, term: 0, note: NO_DATA };
        at = writeMark(target, at, { kind, group: state!.id, ordinal: this.#ordinal(state!), index, term, note }, seal);
      }
    }
    return at;
  }

  #putState(state: GroupState, hardState: HardState, states: Map<GroupState, HardState>, target: Buffer, at: number, seal: Seal): number {
    states.set(state, hardState);
    return writeState(target, at, state.id, this.#ordinal(state), hardState, seal);
  }

  /** Counts a frame of the group. */
  #ordinal(state: GroupState): number {
    if (state !== this.#counted && !this.#ordinals.has(state)) this.#ordinals.set(state, state.ordinal);
    this.#counted = state;
    this.#frames++;
    return (state.ordinal = nextOrdinal(state.ordinal));
  }

  /** The batch is written: what is in memory follows. */
  #apply(batch: readonly Waiting[], segment: number): void {
    const { cache, groups } = this.#parts;
    let next = 0;
    this.#begins.clear();
    this.#unvouched = batch.some(({ change }) => change !== undefined);
    for (const { state, change } of batch) {
      if (change === undefined) {
        for (const unwritten of this.#unwritten()) unwritten.writtenState = unwritten.hardState;
        continue;
      }
      assert(state !== undefined, 'a change is one of a group');
      if (change.kind === 'append' || change.kind === 'fill') {
        if (change.kind === 'append' && change.hardState !== undefined) state.hardState = change.hardState;
        state.writtenState = state.hardState;
        const first = change.entries[0]?.index ?? Infinity;
        if (change.kind === 'append' && first <= state.lastIndex) {
          cache.drop(state.id, first, state.lastIndex);
          this.#freeChanged = true;
        }
        for (const entry of change.entries) {
          const plain = entry.change === undefined && entry.withheldBytes === undefined;
          const offset = this.#end + this.#offsets[next++]!;
          const bytes = plain ? entry.data.length : this.#dataBytes(offset - this.#end);
          const place = { segment, offset, bytes, plain };
          if (change.kind === 'fill') state.fill(entry.index, entry.term, place);
          else state.put(entry.index, entry.term, place);
          cache.put(state.id, entry);
        }
      } else if (change.kind === 'restore') {
        this.#freeChanged = true;
        cache.drop(state.id, 0, Infinity);
        state.restore(change.index, change.term, change.note);
      } else if (change.kind === 'end-known') state.endLost = false;
      else if (change.kind === 'retire') {
        this.#freeChanged = true;
        cache.drop(state.id, 0, Infinity);
        state.retire();
        state.writtenState = state.hardState;
      } else {
        this.#freeChanged = true;
        cache.drop(state.id, 0, Infinity);
        groups.delete(state.id);
      }
    }
  }

  /** Bytes of data of a frame in the buffer that was laid out last. */
  #dataBytes(offset: number): number {
    return this.#laidOut.readUInt32LE(offset + 12);
  }

  #oldestNeeded(): number {
    let oldest = this.#parts.segments.last?.number ?? 0;
    for (const state of this.#parts.groups.values()) oldest = Math.min(oldest, state.oldestSegment());
    return oldest;
  }

  async #remove(): Promise<void> {
    const { segments } = this.#parts;
    if (this.#freeBefore <= segments.oldest) return;
    try {
      await segments.removeBefore(this.#freeBefore);
    } catch (error) {
      this.#fail(failed('a segment of the log cannot be removed', error));
    }
  }

  /** Small batches at the end of a file: grow it by more than they need. */
  #growAhead(bytes: number): void {
    if (this.#end + bytes <= this.#fileBytes) return;
    const ahead = Math.min(AHEAD_BYTES, Math.ceil(this.#parts.segmentBytes / 8));
    const isSmall = bytes <= AHEAD_BATCH_BYTES_MAX;
    const wasSmall = this.#wasSmall;
    this.#wasSmall = isSmall;
    if (isSmall && wasSmall && bytes < ahead) {
      noRoom(() => this.#file!.writeSync(ZEROS, 0, ahead, this.#fileBytes));
      this.#fileBytes += ahead;
    } else {
      // The write itself makes the file longer, or fails with less than a file that is longer than its content.
      this.#fileBytes = Math.max(this.#fileBytes, this.#end + bytes);
    }
  }

  /** Begins the next segment with what all groups have. */
  async #roll(): Promise<void> {
    assert(this.#synced === this.#end, 'a segment is durable before the next one begins');
    const number = this.#nextSegment;
    const listed = [...this.#parts.groups.values()].filter(({ ordinal, endLost }) => ordinal > 0 || endLost);
    const bytes = listed.reduce((sum, state) => sum + groupFrameBytes(state), BATCH_FRAME_BYTES);
    const create = this.#parts.segments.create(number, (seal) => {
      const target = Buffer.allocUnsafe(bytes);
      let at = writeBatch(target, 0, SEGMENT_HEADER_BYTES, this.#frames, listed.length, seal);
      for (const state of listed) {
        at = writeGroup(target, at, state.summary, seal);
      }
      return target;
    });
    // The summary has them; what is compacted from here on is not in it.
    const begins = [...this.#begins];
    this.#begins.clear();
    let created: Awaited<typeof create>;
    try {
      created = await create;
    } catch (error) {
      for (const state of begins) this.#begins.add(state);
      throw error;
    }
    for (const state of listed) state.writtenState = state.hardState;
    this.#freeChanged = true;
    this.#file?.closeSync();
    this.#file = created.file;
    this.#fileBytes = created.fileBytes;
    this.#summaryBytes = bytes;
    this.#end = this.#synced = SEGMENT_HEADER_BYTES + bytes;
    this.#nextSegment = number + 1;
  }

  #waitForRoom(): void {
    this.#retry = this.#parts.scheduler.after(
      FULL_RETRY_MS,
      () => {
        this.#retry = undefined;
        if (this.#failure !== undefined || this.#closed) return;
        this.#running = this.#run().then(() => {
          if (!this.full) this.#tellFull(false);
        });
      },
      true,
    );
    this.#tellFull(true);
  }

  /** Attempts in vain are no news. */
  #tellFull(full: boolean): void {
    if (this.#toldFull === full) return;
    this.#toldFull = full;
    this.#parts.onFull(full);
  }

  #fail(failure: SparrowError, batch: readonly Waiting[] = []): void {
    this.#failure ??= failure;
    this.#retry?.cancel();
    this.#retry = undefined;
    const waiting = [...batch, ...this.#written, ...this.#waiting];
    this.#written = [];
    this.#waiting = [];
    for (const { reject } of waiting) reject(this.#failure);
  }
}

const MARKS = { restore: FRAME_RESTORE, remove: FRAME_REMOVE, retire: FRAME_RETIRE, 'end-known': FRAME_END_KNOWN } as const;
const ZEROS: Buffer = Buffer.alloc(AHEAD_BYTES);

function tellWritten(written: readonly Waiting[]): void {
  for (const waiting of written) {
    waiting.onWritten?.();
    waiting.onWritten = undefined;
  }
}

function mustSync({ change }: Waiting): boolean {
  return change?.kind !== 'append' || change.mustSync || change.entries.length > 0;
}

function changeBytesMax(change: Change | undefined): number {
  if (change === undefined) return 0;
  if (change.kind === 'restore') return frameBytes(change.note.length);
  if (change.kind === 'end-known' || change.kind === 'remove') return frameBytes(0);
  if (change.kind === 'retire') return STATE_FRAME_BYTES + frameBytes(0);
  return change.entries.reduce((sum, entry) => sum + entryFrameBytesMax(entry), STATE_FRAME_BYTES);
}

function same(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}

function failed(what: string, error: unknown): SparrowError {
  const text = error instanceof Error ? error.message : String(error);
  return new SparrowError('closed', 'LOG_FAILED', `${what}: ${text}`, {}, error);
}

function closedFull(): SparrowError {
  return new SparrowError('exhausted', 'DISK_FULL', 'the disk is full: the log was closed without what waited');
}
