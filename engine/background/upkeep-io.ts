/**
 * The I/O of upkeep beside engines: what a backup, a checkpoint or an ingest reads and writes is counted, spent of the budget that flushes and
 * compactions spend of too, and waited for. So it takes what they and the callers leave of the disk, and is over in its time.
 *
 * Its work goes through `fileSystem`, a piece of about a mebibyte at a time, with a `pause` between any two.
 */
import type { FileSystem, Scheduler } from '../../base/env.ts';
import { CountingFiles } from './counting-files.ts';
import type { IoKind } from '../io-kind.ts';
import type { IoBudget } from './io-budget.ts';

/** The rate may have been raised while it waits, or the work given up. */
const LOOK_AFTER_MS = 100;

export class UpkeepIo {
  /** What goes through it is counted. */
  readonly fileSystem: FileSystem;
  readonly #counting: CountingFiles;
  readonly #budget: IoBudget;
  readonly #kind: IoKind;
  readonly #scheduler: Scheduler;
  readonly #assertWanted: () => void;

  /** `assertWanted`: throws to give the work up. */
  constructor(fileSystem: FileSystem, budget: IoBudget, kind: IoKind, scheduler: Scheduler, assertWanted: () => void) {
    this.#counting = new CountingFiles(fileSystem);
    this.fileSystem = this.#counting;
    this.#budget = budget;
    this.#kind = kind;
    this.#scheduler = scheduler;
    this.#assertWanted = assertWanted;
  }

  /** A turn of the event loop, or as many as it takes until more may be done. */
  async pause(): Promise<void> {
    this.#budget.spend(this.#kind, this.#counting.takeBytes());
    for (let waitMs = this.#budget.waitMs; waitMs > 0; waitMs = this.#budget.waitMs) {
      await new Promise<void>((resolve) => this.#scheduler.after(Math.min(waitMs, LOOK_AFTER_MS), resolve));
      this.#assertWanted();
    }
    await new Promise<void>((resolve) => this.#scheduler.soon(resolve));
    this.#assertWanted();
  }

  /** What was done since the last pause is spent as well. */
  end(): void {
    this.#budget.spend(this.#kind, this.#counting.takeBytes());
  }
}
