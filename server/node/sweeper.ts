/**
 * Has foreign keys deleted that a hash shard has after a split (shard-changes.ts): while this member leads, one SWEEP after another goes through the log, each when the one before
 * is applied, so that writes pass between them.
 *
 * Used by replica.ts.
 */
import { NO_LIMIT, type CallState } from './call-state.ts';
import { encodeShardCommand } from './shard-commands.ts';

export interface SweeperParts {
  /** There is something to sweep, and this member leads. */
  readonly due: () => boolean;
  readonly epoch: () => number;
  readonly propose: (command: Uint8Array, call: CallState) => Promise<unknown>;
}

/** Keys that a SWEEP goes through: a few milliseconds. */
const KEYS = 1000;

export class Sweeper {
  readonly #parts: SweeperParts;
  #under = false;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
  }

  /** Begins, when there is something to do. A SWEEP that comes to nothing is asked for again at a later call. */
  look(): void {
    if (!this.#under && this.#parts.due()) void this.#sweep();
  }

  async #sweep(): Promise<void> {
    this.#under = true;
    try {
      while (this.#parts.due())
        await this.#parts.propose(encodeShardCommand({ kind: 'sweep', epoch: this.#parts.epoch(), limit: KEYS }), NO_LIMIT);
    } catch {
      // The lead was lost, or there is no room: whoever leads looks again.
    } finally {
      this.#under = false;
    }
  }
}
