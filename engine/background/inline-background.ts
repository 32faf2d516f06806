/**
 * Background work on the caller's thread, a piece at a time between its turns: for tests, the simulator and processes that must not start
 * threads. The same jobs as in the worker, over whatever file system it is given, within the same budget of I/O.
 */
import { WORK } from '../../assembly/memory-map.ts';
import type { FileSystem, Scheduler, Timer, Zstd } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import {
  type CompactionJob,
  type CompactionPart,
  type CompactionResult,
  runCompaction,
  runSplit,
  type SplitJob,
} from '../compaction/index.ts';
import { JobMemories } from '../memory/job-memories.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { type Background, type FlushJob, type FlushResult, keptBytesMax, type OnEnd } from './background.ts';
import { CountingFiles } from './counting-files.ts';
import { runFlush } from './flush-job.ts';
import type { IoBudget } from './io-budget.ts';

/** The rate may have been raised while a compaction waits. */
const LOOK_AFTER_MS = 100;

/** A compaction, or the division of one. */
type Compacting = {
  readonly begin: () => Generator<void, unknown, void>;
  readonly onEnd: OnEnd<unknown>;
  /** Undefined: not begun. */
  steps: Generator<void, unknown, void> | undefined;
};

export class InlineBackground implements Background {
  readonly #memory: LinearMemory;
  readonly #memories: JobMemories;
  readonly #fs: CountingFiles;
  readonly #scheduler: Scheduler;
  readonly #budget: IoBudget;
  readonly #zstd: Zstd | undefined;
  readonly #flushes: { prepare: () => FlushJob; onEnd: OnEnd<FlushResult> }[] = [];
  /** Those that have begun, and the next to go on first: they take turns. Then those that wait. */
  #compactions: Compacting[] = [];
  readonly #atOnce: number;
  #scheduled = false;
  /** Set while a compaction waits for the budget. */
  #waiting: Timer | undefined;
  #closed = false;

  /** `atOnce`: so many compactions take turns, where threads would run them beside one another. */
  constructor(memory: LinearMemory, fileSystem: FileSystem, scheduler: Scheduler, budget: IoBudget, atOnce: number, zstd?: Zstd) {
    this.#atOnce = atOnce;
    this.#memory = memory;
    this.#memories = new JobMemories(keptBytesMax(memory));
    this.#fs = new CountingFiles(fileSystem);
    this.#scheduler = scheduler;
    this.#budget = budget;
    this.#zstd = zstd;
  }

  flush(prepare: () => FlushJob, onEnd: OnEnd<FlushResult>): void {
    this.#flushes.push({ prepare, onEnd });
    this.#schedule();
  }

  compact(job: CompactionJob, onEnd: OnEnd<CompactionResult>): () => void {
    return this.#add({
      begin: () => runCompaction(this.#fs, job, this.#memories, this.#zstd),
      onEnd: onEnd as OnEnd<unknown>,
      steps: undefined,
    });
  }

  split(job: SplitJob, onEnd: OnEnd<readonly CompactionPart[]>): void {
    this.#add({ begin: () => runSplit(this.#fs, job, this.#memories), onEnd: onEnd as OnEnd<unknown>, steps: undefined });
  }

  get compactionsFree(): number {
    return Math.max(0, this.#atOnce - this.#compactions.length);
  }

  /** Who waits is waited for: nothing else on this thread would pay what is owed. Who only looks gets no more than the budget allows. */
  waitSync(ms: number): void {
    if (ms === 0 && this.#flushes.length === 0 && this.#budget.waitMs > 0) return;
    this.#step();
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#waiting?.cancel();
    for (const { onEnd } of this.#flushes.splice(0)) onEnd(cancelled('the engine is closing'), undefined);
    for (const compacting of [...this.#compactions]) this.#giveUp(compacting, 'the engine is closing');
    return Promise.resolve();
  }

  #add(compacting: Compacting): () => void {
    this.#compactions.push(compacting);
    if (this.#closed) this.#giveUp(compacting, 'the engine is closing');
    else this.#schedule();
    return () => this.#giveUp(compacting, 'the compaction was given up');
  }

  #giveUp(compacting: Compacting, why: string): void {
    if (!this.#remove(compacting)) return;
    compacting.steps?.return(undefined);
    compacting.onEnd(cancelled(why), undefined);
  }

  /** False: it has ended before. */
  #remove(compacting: Compacting): boolean {
    const at = this.#compactions.indexOf(compacting);
    if (at >= 0) this.#compactions.splice(at, 1);
    return at >= 0;
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#waiting?.cancel();
    this.#waiting = undefined;
    const step = (): void => {
      this.#scheduled = false;
      if (this.#closed) return;
      this.#step();
      if (this.#flushes.length > 0 || this.#compactions.length > 0) this.#schedule();
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
    const [compacting] = this.#compactions;
    if (!compacting) return;
    let step: IteratorResult<void, unknown>;
    try {
      step = (compacting.steps ??= compacting.begin()).next();
    } catch (error) {
      this.#remove(compacting);
      compacting.onEnd(error as Error, undefined);
      return;
    } finally {
      this.#budget.spend('compaction', this.#fs.takeBytes());
    }
    this.#remove(compacting);
    if (step.done) {
      compacting.onEnd(undefined, step.value);
      return;
    }
    // Behind the others that take turns.
    this.#compactions.splice(Math.min(this.#atOnce - 1, this.#compactions.length), 0, compacting);
  }
}

function cancelled(why: string): SparrowError {
  return new SparrowError('cancelled', 'ABORTED', why);
}
