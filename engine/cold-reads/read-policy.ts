/**
 * Whether a read that an asynchronous verb needs is done at once, on the caller's thread, or away from it, in the pool. What the system has
 * cached takes 2 us at once; the way to a thread of the pool and back takes the caller's thread 12 to 25 us, whatever the disk does. So reads are
 * done at once as long as they take less than that on the average, and away when they take more.
 *
 * While they are done away nobody knows what they would take at once: so now and then one is, to see. When it is slow there is a rest before
 * the next, long enough that they hold the caller's thread a thirtieth of the time at most; when it is quick the next one follows, and after a few
 * all are. A single slow one among quick ones, as when the system gave the processor to somebody else, has no rest behind it.
 */
import type { Clock } from '../../base/env.ts';

/** `timed`: here, and `took` is to be told how long it was. */
export type ReadChoice = 'here' | 'timed' | 'away';

export interface ReadPolicy {
  /** For a read of so many bytes. */
  choose(bytes: number): ReadChoice;
  /** A read that was `timed` has taken so long. */
  took(bytes: number, ms: number): void;
}

/** The caller's thread pays about so much for a read that is done away. */
const AWAY_MS = 0.025;
/** Of what was measured lately, how much the newest counts. */
const WEIGHT = 1 / 32;
/** Copying out of the system's cache: 2 GiB a second, no more than any machine does. */
const COPY_MS_PER_BYTE = 1000 / (2 * 1024 ** 3);
/** A read of so much takes milliseconds even when it is only copied. */
const LARGE_BYTES = 4 * 1024 * 1024;
/** While reads are quick, looking at the clock for each would be a part of their cost. */
const TIMED_EVERY = 4;
/** A rest is so many times as long as the slow read before it. */
const REST = 32;

export class RecentReads implements ReadPolicy {
  readonly #clock: Clock;
  /** What reads took lately at once, copying apart. */
  #meanMs = 0;
  #count = 0;
  /** The last one that was timed was slow. */
  #slow = false;
  #restUntilMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  choose(bytes: number): ReadChoice {
    if (bytes >= LARGE_BYTES) return 'away';
    if (this.#meanMs <= AWAY_MS) return this.#slow || this.#count++ % TIMED_EVERY === 0 ? 'timed' : 'here';
    return this.#clock.monotonicMs() < this.#restUntilMs ? 'away' : 'timed';
  }

  took(bytes: number, ms: number): void {
    const waitedMs = Math.max(0, ms - bytes * COPY_MS_PER_BYTE);
    this.#slow = waitedMs > AWAY_MS;
    if (this.#slow && this.#meanMs > AWAY_MS) this.#restUntilMs = this.#clock.monotonicMs() + waitedMs * REST;
    this.#meanMs += (waitedMs - this.#meanMs) * WEIGHT;
  }
}
