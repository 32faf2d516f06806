/**
 * The timestamp oracle, its pure part: numbers that only grow, whoever leads, whatever clocks do.
 *
 *   | milliseconds since 2025-01-01 UTC, 40 bits | logical, 13 bits |     53 bits: a safe integer. Lasts until 2059
 *
 * A timestamp is the clock's millisecond with a count below it; 8,192 fit into one. When more are asked for, or the clock goes back, the count runs over into
 * the milliseconds: timestamps are ahead of the clock then, until it has caught up. Their order is what counts, not their time.
 *
 * A bound is persisted ahead of what is given: every timestamp below it may have been given, none from it on has been. So nothing is persisted for a
 * timestamp, and whoever leads next begins at the bound. `wanted` says which bound to persist, in time; `raised` that it is; `take` gives what is below.
 *
 *   given          last   bound                  take(5)  needs  last + 5 < bound
 *   |###############|......|
 *
 * Invariants: each timestamp is given once; of two takes the later one has the larger ones; last < bound <= what is persisted.
 *
 * Called by the shell, which persists, and which makes sure that it still leads after a take and before it answers: a leader that was replaced without knowing
 * could otherwise give, late, a timestamp below one that its successor gave before.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';

/** 2025-01-01 UTC. */
export const TIMESTAMP_EPOCH_MS = 1_735_689_600_000;
export const TIMESTAMPS_PER_MS = 8192;
/** In one call. */
export const TIMESTAMPS_MAX = 1_000_000;
/** The bound is persisted so far ahead: a leader writes one record in half of that, and the next one begins at most that far ahead of its clock. */
const AHEAD_MS = 3000;

export class TimestampOracle {
  /** The largest that was, or may have been, given. */
  #last: number;
  #bound: number;

  /** `bound` as it is persisted; 0 when none ever was. Nothing is given before it has been raised. */
  constructor(bound: number) {
    assert(Number.isSafeInteger(bound) && bound >= 0, 'a bound is a safe integer from 0 on');
    this.#bound = bound;
    this.#last = Math.max(0, bound - 1);
  }

  get bound(): number {
    return this.#bound;
  }

  get last(): number {
    return this.#last;
  }

  /**
   * The first of `count` that follow one another; undefined: the bound has to be raised first (`wanted` for so many). Throws `invalid/TIMESTAMPS` for a count
   * that is not 1 to a million.
   */
  take(count: number, nowMs: number): number | undefined {
    if (!Number.isInteger(count) || count < 1 || count > TIMESTAMPS_MAX) {
      throw new SparrowError('invalid', 'TIMESTAMPS', `count is a whole number from 1 to ${TIMESTAMPS_MAX}, not ${count}`, {
        field: 'count',
        max: TIMESTAMPS_MAX,
        applied: false,
      });
    }
    const first = Math.max(this.#last + 1, ofClock(nowMs));
    if (first + count > this.#bound) return undefined;
    this.#last = first + count - 1;
    return first;
  }

  /**
   * The bound that is to be persisted now, so that `count` can be taken and those of the next while, too; undefined: enough is left. Throws
   * `exhausted/TIMESTAMPS_USED_UP` when 53 bits are.
   */
  wanted(count: number, nowMs: number): number | undefined {
    const next = Math.max(this.#last + 1, ofClock(nowMs));
    if (next + count + (AHEAD_MS / 2) * TIMESTAMPS_PER_MS <= this.#bound) return undefined;
    const bound = next + count + AHEAD_MS * TIMESTAMPS_PER_MS;
    if (!Number.isSafeInteger(bound))
      throw new SparrowError('exhausted', 'TIMESTAMPS_USED_UP', 'there are no timestamps left within 53 bits');
    return bound;
  }

  /** It is persisted. An earlier bound than one that is known changes nothing. */
  raised(bound: number): void {
    assert(Number.isSafeInteger(bound), 'a bound is a safe integer');
    this.#bound = Math.max(this.#bound, bound);
  }

  /** How far timestamps are ahead of the clock, milliseconds. */
  aheadMs(nowMs: number): number {
    return Math.max(0, Math.floor((this.#last - ofClock(nowMs)) / TIMESTAMPS_PER_MS));
  }
}

/** Milliseconds since 1970 of a timestamp: the clock when it was given, or later. */
export function timeOfTimestamp(timestamp: number): number {
  return Math.floor(timestamp / TIMESTAMPS_PER_MS) + TIMESTAMP_EPOCH_MS;
}

/** The first of a clock's millisecond. A clock before 2025 is one that is wrong: everything is ahead of it. */
function ofClock(nowMs: number): number {
  return Math.max(1, Math.floor(nowMs - TIMESTAMP_EPOCH_MS) * TIMESTAMPS_PER_MS);
}
