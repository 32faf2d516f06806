/**
 * Background work on the caller's thread, a piece at a time between its turns: for tests, the simulator and processes that must not start
 * threads. The same jobs as in the worker, over whatever file system it is given, within the same budget of I/O.
 */
import { WORK } from '../../assembly/memory-map.ts';
import type { FileSystem, Scheduler, Timer, Zstd } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { type CompactionJob, type CompactionResult, runCompaction } from '../compaction/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { Background, FlushJob, FlushResult, OnEnd } from './background.ts';
import { CountingFiles } from './counting-files.ts';
import { runFlush } from './flush-job.ts';
import type { IoBudget } from './io-budget.ts';

/** The rate may have been raised while a compaction waits. */
const LOOK_AFTER_MS = 100;

type Compacting = { steps: Generator<void, CompactionResult, void>; onEnd: OnEnd<CompactionResult> };

export class InlineBackground implements Background {
  readonly #memory: LinearMemory;
  readonly #fs: CountingFiles;
  readonly #scheduler: Scheduler;
  readonly #budget: IoBudget;
  readonly #zstd: Zstd | undefined;
  readonly #flushes: { prepare: () => FlushJob; onEnd: OnEnd<FlushResult> }[] = [];
  readonly #compactions: { job: CompactionJob; onEnd: OnEnd<CompactionResult> }[] = [];
  #compacting: Compacting | undefined;
  #scheduled = false;
  /** Set while a compaction waits for the budget. */
  #waiting: Timer | undefined;
  #closed = false;

  constructor(memory: LinearMemory, fileSystem: FileSystem, scheduler: Scheduler, budget: IoBudget, zstd?: Zstd) {
    this.#memory = memory;
    this.#fs = new CountingFiles(fileSystem);
    this.#scheduler = scheduler;
    this.#budget = budget;
    this.#zstd = zstd;
  }

  flush(prepare: () => FlushJob, onEnd: OnEnd<FlushResult>): void {
    this.#flushes.push({ prepare, onEnd });
    this.#schedule();
  }

  compact(job: CompactionJob, onEnd: OnEnd<CompactionResult>): void {
    this.#compactions.push({ job, onEnd });
    this.#schedule();
  }

  /** On this thread nothing else would pay what is owed: the step is made all the same. */
  waitSync(): void {
    this.#step();
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#waiting?.cancel();
    const cancelled = new SparrowError('cancelled', 'ABORTED', 'the engine is closing');
    const running = this.#compacting;
    this.#compacting = undefined;
    running?.steps.return(undefined as never);
    running?.onEnd(cancelled, undefined);
    for (const { onEnd } of this.#flushes.splice(0)) onEnd(cancelled, undefined);
    for (const { onEnd } of this.#compactions.splice(0)) onEnd(cancelled, undefined);
    return Promise.resolve();
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#waiting?.cancel();
    this.#waiting = undefined;
    const step = (): void => {
      this.#scheduled = false;
      if (this.#closed) return;
      this.#step();
      if (this.#flushes.length > 0 || this.#compactions.length > 0 || this.#compacting) this.#schedule();
    };
    // A flush does not wait for what a compaction owes.
    const waitMs = this.#flushes.length > 0 ? 0 : this.#budget.waitMs;
    if (waitMs > 0) {
      this.#waiting = this.#scheduler.after(Math.min(waitMs, LOOK_AFTER_MS), () => this.#schedule());
      return;
    }
    this.#scheduled = true;
    this.#scheduler.soon(step);
  }

  /** A whole flush, or one step of a compaction: flushes go first. */
  #step(): void {
    const flush = this.#flushes.shift();
    if (flush) {
      let result: FlushResult;
      try {
        result = runFlush({ memory: this.#memory.memory, bytes: this.#memory.bytes }, this.#fs, flush.prepare(), WORK, this.#zstd);
      } catch (error) {
        flush.onEnd(error as Error, undefined);
        return;
      } finally {
        this.#budget.spend('flush', this.#fs.takeBytes());
      }
      flush.onEnd(undefined, result);
      return;
    }
    const next = this.#compacting ? undefined : this.#compactions.shift();
    if (next) this.#compacting = { steps: runCompaction(this.#fs, next.job, this.#zstd), onEnd: next.onEnd };
    const compacting = this.#compacting;
    if (!compacting) return;
    let done: IteratorResult<void, CompactionResult>;
    try {
      done = compacting.steps.next();
    } catch (error) {
      this.#compacting = undefined;
      compacting.onEnd(error as Error, undefined);
      return;
    } finally {
      this.#budget.spend('compaction', this.#fs.takeBytes());
    }
    if (!done.done) return;
    this.#compacting = undefined;
    compacting.onEnd(undefined, done.value);
  }
}
