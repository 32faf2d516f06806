/** Waits for room that an engine lacks, on the disk or in memory: for a moment, again and again, until there is some or nobody wants it. Used by engine-upkeep.ts. */
import type { Scheduler, Timer } from '../../base/env.ts';
import type { SparrowError } from '../../base/errors.ts';

const RETRY_MS = 200;

export class RoomWait {
  readonly #scheduler: Scheduler;
  readonly #onShort: () => void;
  readonly #waiting: Map<Timer, { lacking: SparrowError; giveUp: () => void }> = new Map();
  #over = false;

  /** `onShort`: somebody begins to wait. */
  constructor(scheduler: Scheduler, onShort: () => void) {
    this.#scheduler = scheduler;
    this.#onShort = onShort;
  }

  /** What somebody waits for; undefined: nobody does. */
  get lacking(): SparrowError | undefined {
    const [first] = this.#waiting.values();
    return first?.lacking;
  }

  /** Settles when it is worth another attempt; rejects with what is lacking once it is over. */
  wait(lacking: SparrowError): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#over) return reject(lacking);
      const timer = this.#scheduler.after(
        RETRY_MS,
        () => {
          this.#waiting.delete(timer);
          resolve();
        },
        true,
      );
      this.#waiting.set(timer, { lacking, giveUp: () => reject(lacking) });
      this.#onShort();
    });
  }

  /** Nobody waits any more, nor from now on. */
  end(): void {
    this.#over = true;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [timer, { giveUp }] of waiting) {
      timer.cancel();
      giveUp();
    }
  }
}
