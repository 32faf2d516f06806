/**
 * Background threads that any number of engines share. A thread is started when there is a job for which no other is free. Each has at most
 * one flush and one compaction, and does the flush in between the steps of the compaction; other jobs wait here in the order in which they
 * came.
 *
 * A thread that has nothing to do for a minute ends, and the memory that it kept goes with it. One that dies, whatever of, fails every job that it had; the next job gets another thread. A caller that waits without yielding
 * learns of it too.
 */
import { SparrowError } from '../../base/errors.ts';
import type { CompactionJob, CompactionPart, CompactionResult, SplitJob } from '../compaction/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { Background, FlushJob, FlushResult, OnEnd } from './background.ts';
import { type Answer, ANSWERS, controlBytes, fromWire, type Request, sentWord } from './worker-protocol.ts';
import { WorkerThread } from './worker-thread.ts';

/** How often a caller that waits without yielding looks whether the threads are still there. */
const LOOK_AFTER_MS = 100;
const START_MS_MAX = 30_000;
/** A thread without work for so long ends. */
const REST_AFTER_MS = 60_000;

type Job = {
  readonly id: number;
  readonly kind: 'flush' | 'compact';
  /** What the thread is sent; called when it is. */
  readonly request: () => Request;
  readonly owner: PoolBackground;
  readonly onEnd: OnEnd<unknown>;
  /** Undefined while it waits for one. */
  thread: WorkerThread | undefined;
};

export class WorkerPool {
  readonly #memory: LinearMemory;
  readonly #budget: SharedArrayBuffer;
  readonly #startMsMax: number;
  readonly #restAfterMs: number;
  readonly #control: Int32Array<SharedArrayBuffer>;
  /** By number; undefined: not started, or dead. */
  readonly #threads: (WorkerThread | undefined)[];
  /** Every job that has not ended, by id, in the order in which they came. */
  readonly #jobs = new Map<number, Job>();
  #nextId = 1;

  /** `budget`: shared memory of IO_BUDGET_BYTES. */
  constructor(
    memory: LinearMemory,
    threads: number,
    budget: SharedArrayBuffer,
    startMsMax: number = START_MS_MAX,
    restAfterMs: number = REST_AFTER_MS,
  ) {
    this.#restAfterMs = restAfterMs;
    this.#memory = memory;
    this.#budget = budget;
    this.#startMsMax = startMsMax;
    this.#control = new Int32Array(new SharedArrayBuffer(controlBytes(threads)));
    this.#threads = Array.from({ length: threads }, () => undefined);
  }

  /** An engine's share of the pool. */
  background(): Background {
    return new PoolBackground(this);
  }

  /** Ends the threads. Every engine has closed its share. Idempotent. */
  async close(): Promise<void> {
    for (const thread of this.#threads.splice(0)) await thread?.end();
  }

  // ---- for an engine's share ----

  flush(owner: PoolBackground, prepare: () => FlushJob, onEnd: OnEnd<unknown>): void {
    const id = this.#nextId++;
    this.#jobs.set(id, { id, kind: 'flush', request: () => ({ id, kind: 'flush', job: prepare() }), owner, onEnd, thread: undefined });
    this.#startWaiting('flush');
  }

  /** Returns the job's id. */
  compact(
    owner: PoolBackground,
    work: { kind: 'compact'; job: CompactionJob } | { kind: 'split'; job: SplitJob },
    onEnd: OnEnd<unknown>,
  ): number {
    const id = this.#nextId++;
    this.#jobs.set(id, { id, kind: 'compact', request: () => ({ id, ...work }), owner, onEnd, thread: undefined });
    this.#startWaiting('compact');
    return id;
  }

  /** Threads without a compaction, but for compactions that wait for one. */
  get compactionsFree(): number {
    let free = this.#threads.length;
    for (const { kind } of this.#jobs.values()) if (kind === 'compact') free--;
    return Math.max(0, free);
  }

  /** Gives up an owner's jobs: those that have not begun at once, a compaction when it answers. A flush that has begun goes on to its end. */
  cancel(owner: PoolBackground): void {
    for (const job of [...this.#jobs.values()]) if (job.owner === owner) this.cancelJob(job.id, 'the engine is closing');
  }

  /** Gives up one job, as `cancel` does, if it has not ended. */
  cancelJob(id: number, why: string): void {
    const job = this.#jobs.get(id);
    if (!job) return;
    if (!job.thread) this.#end(job, new SparrowError('cancelled', 'ABORTED', why), undefined);
    else if (job.kind === 'compact') job.thread.post({ id, kind: 'cancel' });
  }

  hasJobs(owner: PoolBackground): boolean {
    for (const job of this.#jobs.values()) if (job.owner === owner) return true;
    return false;
  }

  /** Waits until any job has ended, at most `ms`, and calls its `onEnd`; at once when there is none. */
  waitSync(ms: number): void {
    for (let left = ms; ; left -= LOOK_AFTER_MS) {
      const seen = Atomics.load(this.#control, ANSWERS);
      if (this.#receive() || this.#jobs.size === 0 || left <= 0) return;
      if (Atomics.wait(this.#control, ANSWERS, seen, Math.min(left, LOOK_AFTER_MS)) !== 'timed-out') continue;
      for (const thread of this.#threads) thread?.waited(LOOK_AFTER_MS);
    }
  }

  #receive(): boolean {
    const before = this.#jobs.size;
    let any = false;
    for (const thread of this.#threads) {
      if (thread?.receive()) any = true;
      const death = thread?.death;
      if (death) this.#died(thread!, death);
    }
    return any || this.#jobs.size !== before;
  }

  /** Gives jobs of a kind to threads that have none of it. */
  #startWaiting(kind: Job['kind']): void {
    for (const job of [...this.#jobs.values()]) {
      if (job.kind !== kind || job.thread || !this.#jobs.has(job.id)) continue;
      const number = this.#leastBusy(kind);
      if (number === undefined) return;
      let request: Request;
      try {
        request = job.request();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'MEMORY_BUDGET' && this.#isWorking()) return;
        this.#end(job, error as Error, undefined);
        continue;
      }
      const thread = this.#posted(number, request);
      job.thread = thread;
      thread.keepAlive(true);
    }
  }

  /** To the thread of that number, to a new one when it is not there or rests. */
  #posted(number: number, request: Request): WorkerThread {
    const thread = this.#threads[number];
    if (thread?.post(request)) return thread;
    if (thread) this.#died(thread, new Error('the background thread rests'));
    const fresh = (this.#threads[number] = this.#start(number));
    fresh.post(request);
    return fresh;
  }

  #isWorking(): boolean {
    for (const job of this.#jobs.values()) if (job.thread) return true;
    return false;
  }

  /** The thread with the fewest jobs, and none of this kind; one that runs rather than one to be started. */
  #leastBusy(kind: Job['kind']): number | undefined {
    let best: number | undefined;
    let fewest = Infinity;
    for (const [number, thread] of this.#threads.entries()) {
      const jobs = thread ? this.#jobsOf(thread) : [];
      if (jobs.some((job) => job.kind === kind)) continue;
      const busy = thread ? jobs.length : 0.5;
      if (busy < fewest) [best, fewest] = [number, busy];
    }
    return best;
  }

  #jobsOf(thread: WorkerThread): Job[] {
    const jobs: Job[] = [];
    for (const job of this.#jobs.values()) if (job.thread === thread) jobs.push(job);
    return jobs;
  }

  #start(number: number): WorkerThread {
    const thread: WorkerThread = new WorkerThread({
      memory: this.#memory,
      number,
      control: this.#control,
      sentWord: sentWord(this.#threads.length, number),
      budget: this.#budget,
      startMsMax: this.#startMsMax,
      restAfterMs: this.#restAfterMs,
      onAnswer: (answer) => this.#take(answer),
      onDeath: (error) => this.#died(thread, error),
    });
    return thread;
  }

  #take(answer: Answer): void {
    const job = this.#jobs.get(answer.id);
    if (!job) return;
    if ('error' in answer) this.#end(job, fromWire(answer.error), undefined);
    else this.#end(job, undefined, answer.result);
  }

  #end(job: Job, error: Error | undefined, result: unknown): void {
    this.#jobs.delete(job.id);
    const { thread } = job;
    if (thread && this.#jobsOf(thread).length === 0) thread.keepAlive(false);
    job.onEnd(error, result);
    job.owner.ended();
    this.#startWaiting('flush');
    this.#startWaiting('compact');
  }

  #died(thread: WorkerThread, error: Error): void {
    if (this.#threads[thread.number] !== thread) return;
    this.#threads[thread.number] = undefined;
    // It may be alive after all, when it was given up.
    void thread.end();
    for (const job of this.#jobsOf(thread)) this.#end(job, error, undefined);
  }
}

/** What one engine sees of the pool. */
class PoolBackground implements Background {
  readonly #pool: WorkerPool;
  #drained: (() => void) | undefined;
  #closed = false;

  constructor(pool: WorkerPool) {
    this.#pool = pool;
  }

  flush(prepare: () => FlushJob, onEnd: OnEnd<FlushResult>): void {
    this.#pool.flush(this, prepare, onEnd as OnEnd<unknown>);
  }

  compact(job: CompactionJob, onEnd: OnEnd<CompactionResult>): () => void {
    const id = this.#pool.compact(this, { kind: 'compact', job }, onEnd as OnEnd<unknown>);
    if (this.#closed) this.#pool.cancelJob(id, 'the engine is closing');
    return () => this.#pool.cancelJob(id, 'the compaction was given up');
  }

  split(job: SplitJob, onEnd: OnEnd<readonly CompactionPart[]>): void {
    this.#pool.compact(this, { kind: 'split', job }, onEnd as OnEnd<unknown>);
  }

  get compactionsFree(): number {
    return this.#pool.compactionsFree;
  }

  waitSync(ms: number): void {
    this.#pool.waitSync(ms);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pool.cancel(this);
    while (this.#pool.hasJobs(this)) await new Promise<void>((resolve) => (this.#drained = resolve));
  }

  /** One of its jobs has ended. */
  ended(): void {
    this.#drained?.();
  }
}
