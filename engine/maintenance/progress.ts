/**
 * Whether background work can go on, and who waits for it: it goes on until it has failed (for good: what it would do next is not known to
 * be safe), until the engine closes, or while the disk has no room (for now: what found none is tried again in a while, or when somebody asks).
 */
import type { Scheduler, Timer } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { Events, Outcome } from '../events/index.ts';

/** What is tried again when the disk was full. */
export type Work = 'flush' | 'compaction' | 'manifest';

/** After a full disk stopped a job. */
const RETRY_DELAY_MS = 500;

export class Progress {
  readonly #scheduler: Scheduler;
  readonly #directory: string;
  readonly #events: Events;
  #failure: SparrowError | undefined;
  #closing = false;
  /** What the last attempt found no space for. */
  readonly #full = new Map<Work, SparrowError>();
  /** Since when work has found no space, for its events. */
  readonly #fullSince = new Map<Work, number>();
  /** Attempts that a timer will make again. */
  readonly #retrying = new Map<Work, { retry: () => void; timer: Timer }>();
  readonly #waiting: (() => void)[] = [];
  readonly #listeners: (() => void)[] = [];

  constructor(scheduler: Scheduler, directory: string, events: Events) {
    this.#scheduler = scheduler;
    this.#directory = directory;
    this.#events = events;
  }

  get failure(): SparrowError | undefined {
    return this.#failure;
  }
  get closing(): boolean {
    return this.#closing;
  }
  /** Whether anything new may begin. */
  get isOver(): boolean {
    return this.#closing || this.#failure !== undefined;
  }
  /** Whether any work waits for room on the disk. */
  get isShort(): boolean {
    return this.#full.size > 0;
  }

  /** Whether the last attempt at this work found the disk full. */
  isFull(work: Work): boolean {
    return this.#full.has(work);
  }

  // ---- what ends and who waits for it ----

  /** `listener` is called whenever something has ended, before those who wait go on. */
  onEnd(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Something ended: a job, an edit, or the hope for one. */
  ended(): void {
    for (const listener of this.#listeners) listener();
    for (const wake of this.#waiting.splice(0)) wake();
  }

  nextEnd(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#closing = true;
  }

  assertNotClosing(): void {
    if (this.#closing) throw new SparrowError('closed', 'ENGINE_CLOSED', `the engine at ${this.#directory} was closed meanwhile`);
  }

  // ---- failure ----

  fail(what: string, cause: Error): void {
    if (this.#failure) return;
    const failure = new SparrowError(
      'closed',
      'BACKGROUND_FAILED',
      `the engine's ${what} failed (${cause.message}); nothing is written until it is opened again`,
      { operation: what },
      cause,
    );
    this.#failure = failure;
    const code = String((cause as NodeJS.ErrnoException).code ?? '');
    this.#events.emit({ type: 'writing-failed', operation: what, code, message: failure.message });
  }

  /** What takes effect without a caller to tell: an error there stops the engine from writing. */
  guarded(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fail(what, error as Error);
    }
  }

  /** A full disk is waited out; anything else stops the engine from writing. */
  jobFailed(work: Work, error: Error, retry: () => void): void {
    if (isCancelled(error)) return;
    if (isFull(error)) this.retryLater(work, error, retry);
    else this.fail(work, error);
  }

  // ---- a full disk ----

  /** The work has had the space it needs. */
  foundSpace(work: Work): void {
    this.#full.delete(work);
    const since = this.#fullSince.get(work);
    if (since === undefined) return;
    this.#fullSince.delete(work);
    this.#events.emit({ type: 'disk-full-ended', work, durationMs: this.#events.nowMs() - since });
  }

  retryLater(work: Work, cause: Error, retry: () => void): void {
    const directory = this.#directory;
    this.#full.set(work, new SparrowError('exhausted', 'DISK_FULL', `no space left for the ${work} in ${directory}`, { directory }, cause));
    if (!this.#fullSince.has(work)) {
      this.#fullSince.set(work, this.#events.nowMs());
      this.#events.emit({ type: 'disk-full-begun', work });
    }
    const timer = this.#scheduler.after(RETRY_DELAY_MS, () => this.retry(work), true);
    this.#retrying.set(work, { retry, timer });
    this.ended();
  }

  /** Makes the attempt that a timer would make. */
  retry(work: Work): void {
    const waiting = this.#retrying.get(work);
    if (waiting === undefined) return;
    this.#retrying.delete(work);
    waiting.timer.cancel();
    waiting.retry();
  }

  /** There may be space by now: the next attempt tells. */
  tryAgain(): void {
    this.#full.clear();
    for (const work of [...this.#retrying.keys()]) this.retry(work);
  }

  /** Throws what stands in the way of any of these. */
  assertSpace(...work: (Work | undefined)[]): void {
    if (this.#failure) throw this.#failure;
    for (const each of work) if (each !== undefined && this.#full.has(each)) throw this.#full.get(each)!;
  }
}

/** How a job ended that failed so. */
export function outcomeOf(error: Error | undefined): Outcome {
  if (error === undefined) return 'done';
  if (isCancelled(error)) return 'cancelled';
  return isFull(error) ? 'disk-full' : 'failed';
}

function isCancelled(error: Error): boolean {
  return error instanceof SparrowError && error.kind === 'cancelled';
}

export function isFull(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'DISK_FULL';
}
