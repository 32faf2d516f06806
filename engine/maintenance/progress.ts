/**
 * Whether background work can go on, and who waits for it: it goes on until it has failed (for good: what it would do next is not known to
 * be safe), until the engine closes, or while the disk has no room (for now: what found none is tried again in a while, or when somebody
 * asks). A flush that finds no memory waits in the same way, but nobody is told before it has waited for long: who holds the memory is at work.
 */
import type { Scheduler, Timer } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { Events, Outcome, StallReason } from '../events/index.ts';
import { isMemoryShort } from '../memory/linear-memory.ts';

/** What is tried again when the disk was full. */
export type Work = 'flush' | 'compaction' | 'manifest';

/** After a full disk stopped a job, or a full memory. */
const RETRY_DELAY_MS = 500;
const RETRY_MEMORY_DELAY_MS = 20;
/** So long a lack of memory is nobody's business. */
const MEMORY_WAIT_MS = 5000;

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
  /** Since when work has found no memory, and how the stall of that ends. */
  readonly #memoryShort = new Map<Work, { sinceMs: number; ended: () => void }>();
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
  /** Whether any work waits for room on the disk, or has waited for memory for long. */
  get isShort(): boolean {
    return this.#full.size > 0;
  }

  /** Whether the last attempt at this work found the disk full, or no memory for long. */
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
      `the engine's ${what} failed (${cause.message}); nothing is written until it is closed and opened again, and verify('${this.#directory}') tells whether files are damaged`,
      { operation: what, directory: this.#directory },
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

  /** A full disk and a full memory are waited out; anything else stops the engine from writing. */
  jobFailed(work: Work, error: Error, retry: () => void): void {
    if (isCancelled(error)) return;
    if (isMemoryShort(error)) this.#retryWithMemory(work, error, retry);
    else if (isFull(error)) this.retryLater(work, error, retry);
    else this.fail(work, error);
  }

  // ---- a full disk, or memory ----

  /** The work has had the space it needs. */
  foundSpace(work: Work): void {
    this.#full.delete(work);
    this.#memoryShort.get(work)?.ended();
    this.#memoryShort.delete(work);
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
    this.#retryAfter(RETRY_DELAY_MS, work, retry);
  }

  #retryWithMemory(work: Work, cause: Error, retry: () => void): void {
    const short = this.#memoryShort.get(work);
    const nowMs = this.#events.nowMs();
    if (!short) this.#memoryShort.set(work, { sinceMs: nowMs, ended: stall(this.#events, 'memory', false) });
    else if (nowMs - short.sinceMs >= MEMORY_WAIT_MS) {
      const [directory, details] = [this.#directory, (cause as SparrowError).details];
      const message = `no memory is given back for the ${work} in ${directory}: ${cause.message}`;
      this.#full.set(work, new SparrowError('exhausted', 'MEMORY_BUDGET', message, { ...details, directory }, cause));
    }
    this.#retryAfter(RETRY_MEMORY_DELAY_MS, work, retry);
  }

  #retryAfter(ms: number, work: Work, retry: () => void): void {
    const timer = this.#scheduler.after(ms, () => this.retry(work), true);
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

/** Tells that writers wait from now on, and, when what it returns is called, that they wait no longer. */
export function stall(events: Events, reason: StallReason, blocking: boolean): () => void {
  const begunMs = events.nowMs();
  events.emit({ type: 'stall-begun', reason, blocking });
  return () => events.emit({ type: 'stall-ended', reason, blocking, durationMs: events.nowMs() - begunMs });
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
