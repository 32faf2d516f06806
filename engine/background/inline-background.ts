/**
 * Background work on the caller's thread, a piece at a time between its turns: for tests, the simulator and processes that must not start
 * threads. The same jobs as in the worker, over whatever file system it is given.
 */
import { WORK } from '../../assembly/memory-map.ts';
import type { FileSystem, Scheduler, Zstd } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { type CompactionJob, type CompactionResult, runCompaction } from '../compaction/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { Background, FlushJob, FlushResult, OnEnd } from './background.ts';
import { runFlush } from './flush-job.ts';

type Compacting = { steps: Generator<void, CompactionResult, void>; onEnd: OnEnd<CompactionResult> };

export class InlineBackground implements Background {
  readonly #memory: LinearMemory;
  readonly #fs: FileSystem;
  readonly #scheduler: Scheduler;
  readonly #zstd: Zstd | undefined;
  readonly #flushes: { prepare: () => FlushJob; onEnd: OnEnd<FlushResult> }[] = [];
  readonly #compactions: { job: CompactionJob; onEnd: OnEnd<CompactionResult> }[] = [];
  #compacting: Compacting | undefined;
  #scheduled = false;
  #closed = false;

  constructor(memory: LinearMemory, fileSystem: FileSystem, scheduler: Scheduler, zstd?: Zstd) {
    this.#memory = memory;
    this.#fs = fileSystem;
    this.#scheduler = scheduler;
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

  waitSync(): void {
    this.#step();
  }

  close(): Promise<void> {
    this.#closed = true;
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
    this.#scheduled = true;
    this.#scheduler.soon(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      this.#step();
      if (this.#flushes.length > 0 || this.#compactions.length > 0 || this.#compacting) this.#schedule();
    });
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
    }
    if (!done.done) return;
    this.#compacting = undefined;
    compacting.onEnd(undefined, done.value);
  }
}
