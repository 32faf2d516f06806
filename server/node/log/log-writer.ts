/**
 * Appends to a node's log, for all groups. Group commit: one fdatasync is in flight at a time; everything that is appended meanwhile goes out
 * as the next batch, with one write. Promises settle in order.
 *
 *   waiting -> batch: frames -> write -> fdatasync -> settle
 *
 * Who asks to be told when something is written (`onWritten`) does not want to wait for a disk: then all that waits is written at once, though a sync is under
 * way. The next sync covers it.
 *
 * A segment that is full is followed by a new one, which begins with a summary of all groups. Segments that no group needs any more are removed when what
 * makes them needless is durable.
 *
 * A full disk (ENOSPC of a write) loses and reorders nothing: what waits keeps waiting, in order, is not acknowledged, and is tried again until
 * there is room; `full` tells meanwhile, and whoever proposes refuses. Nothing of such a write counts: the next one goes to the same place.
 * Any other failure, and every failed sync, is final: what the disk then holds is not known. The log refuses everything until it is opened anew.
 *
 * Called by group-log.ts and node-log.ts. Calls batch-frames.ts (what is written) and open-segment.ts (where). Invariant: what has settled is found by every later opening.
 */
import { assert } from '../../../base/assert.ts';
import type { Clock, File, Scheduler, Timer } from '../../../base/env.ts';
import { SparrowError } from '../../../base/errors.ts';
import { BATCH_BYTES, BatchFrames, type Change, changeBytesMax, type GroupChange, mustSync } from './batch-frames.ts';
import type { EntryCache } from './entry-cache.ts';
import type { GroupState } from './group-state.ts';
import { NoRoom } from './no-room.ts';
import { OpenSegment } from './open-segment.ts';
import type { SegmentFiles } from './segment-files.ts';
import { SyncTimes } from './sync-times.ts';

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

interface Waiting extends GroupChange {
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

const FULL_RETRY_MS = 200;

export class LogWriter {
  readonly #parts: WriterParts;
  readonly #frames: BatchFrames;
  readonly #segment: OpenSegment;
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
  #retry: Timer | undefined;
  #toldFull = false;
  /** Segments before this one are needed no more: durably, and as what is written says. */
  #freeBefore = 0;
  #freeWritten = 0;
  /** Something was compacted, replaced or removed since that was found. */
  #freeChanged = true;
  #syncs = 0;
  readonly #syncTimes: SyncTimes = new SyncTimes();
  #bytesWritten = 0;

  constructor(parts: WriterParts, { frames, current, nextSegment }: WriterBegin) {
    this.#parts = parts;
    this.#frames = new BatchFrames(parts.groups, parts.cache, frames);
    this.#segment = new OpenSegment(parts.segments, parts.segmentBytes, current, nextSegment);
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
    this.#frames.begins(state);
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
    if (this.#failure === undefined && this.#frames.due) {
      // What is not written here is found without it; the failure stays visible in `failure`.
      await this.#enter(undefined, undefined).catch(() => undefined);
      while (this.#busy) await this.#running;
    }
    // Whoever could not wait has stopped it meanwhile.
    if (this.#closed) return;
    this.#closed = true;
    this.#segment.closeSync();
  }

  /** Stops at once: what is being written may or may not be durable. */
  abort(): void {
    if (this.#closed) return;
    this.#fail(new SparrowError('closed', 'LOG_CLOSED', 'the log was closed'));
    this.#closed = true;
    void this.#running.then(() => this.#segment.closeSync());
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
    if (this.#waiting.length === 0 || (this.#segment.isFull && this.#written.length > 0)) return true;
    const batch = this.#takeBatch();
    try {
      if (batch.some(mustSync)) {
        if (this.#segment.isFull) await this.#roll();
        if (this.#failure !== undefined) throw this.#failure;
        // What is compacted while a segment is made goes out too.
        this.#write(batch);
      } else {
        this.#frames.note(batch);
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
    if (this.#segment.isFull || this.#failure !== undefined) return;
    const batch = this.#takeBatch();
    try {
      if (batch.some(mustSync)) this.#write(batch);
      else this.#frames.note(batch);
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
    const free = this.#freeWritten;
    const { clock } = this.#parts;
    this.#syncTimes.begin(clock.monotonicMs());
    this.#syncing = true;
    try {
      const synced = this.#segment.datasync();
      // The disk is at work meanwhile.
      tellWritten(covered);
      await synced;
    } catch (error) {
      return this.#fail(failed('the log cannot be written', error), covered);
    } finally {
      this.#syncing = false;
    }
    this.#syncTimes.end(clock.monotonicMs());
    this.#syncs++;
    this.#freeBefore = free;
    if (this.#failure !== undefined) {
      for (const waiting of covered) waiting.reject(this.#failure);
      return;
    }
    for (const waiting of covered) waiting.resolve();
    await this.#remove();
  }

  #write(batch: readonly Waiting[]): void {
    const { place } = this.#segment;
    try {
      const bytes = this.#frames.layOut(batch, place);
      this.#segment.write(bytes);
      this.#bytesWritten += bytes.length;
    } catch (error) {
      this.#frames.notWritten();
      throw error;
    }
    if (this.#frames.written(batch, place)) this.#freeChanged = true;
    // What the batch made needless; what is compacted from here on is not written yet.
    if (this.#freeChanged) this.#freeWritten = this.#oldestNeeded();
    this.#freeChanged = false;
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

  /** Begins the next segment with what all groups have. */
  async #roll(): Promise<void> {
    try {
      await this.#segment.roll((seal) => this.#frames.summary(seal));
    } catch (error) {
      this.#frames.summaryLost();
      throw error;
    }
    this.#frames.summaryWritten();
    this.#freeChanged = true;
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

function tellWritten(written: readonly Waiting[]): void {
  for (const waiting of written) {
    waiting.onWritten?.();
    waiting.onWritten = undefined;
  }
}

function failed(what: string, error: unknown): SparrowError {
  const text = error instanceof Error ? error.message : String(error);
  return new SparrowError('closed', 'LOG_FAILED', `${what}: ${text}`, {}, error);
}

function closedFull(): SparrowError {
  return new SparrowError('exhausted', 'DISK_FULL', 'the disk is full: the log was closed without what waited');
}
