/**
 * Bytes a second for all who take from it, in the order in which they ask. What was not taken for a while may be taken at once, up to what
 * `burstMs` bring. Kept as one number, the time at which all that was given out is earned (GCRA, the virtual scheduling of ATM cells).
 */
import { assert } from '../../base/assert.ts';
import type { Clock, Scheduler } from '../../base/env.ts';

export class TokenBucket {
  readonly #bytesPerMs: number;
  readonly #burstMs: number;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  #earnedAtMs = -Infinity;

  /** `bytesPerSecond` may be Infinity: no limit. */
  constructor(bytesPerSecond: number, burstMs: number, clock: Clock, scheduler: Scheduler) {
    assert(bytesPerSecond > 0 && burstMs >= 0, 'a rate is above 0');
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#burstMs = burstMs;
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  /** Settles when so many bytes may go. They are taken at once, whoever asks next waits behind. */
  take(bytes: number): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const from = Math.max(nowMs, this.#earnedAtMs);
    this.#earnedAtMs = from + bytes / this.#bytesPerMs;
    const waitMs = from - nowMs - this.#burstMs;
    if (waitMs <= 0) return Promise.resolve();
    return new Promise((resolve) => this.#scheduler.after(waitMs, resolve));
  }
}
