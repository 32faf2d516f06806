/**
 * A clock on virtual time. Its wall may be set off against the others' and may jump; the monotonic one may drift, and stand still for a
 * while, but never goes back.
 */
import type { Clock } from '../../base/env.ts';
import type { SimScheduler } from './sim-scheduler.ts';

/** 2025-01-01: wall times in traces are the same in every run. */
const EPOCH_MS = 1_735_689_600_000;

export class SimClock implements Clock {
  readonly #scheduler: SimScheduler;
  #rate: number;
  /** What it showed when its rate was last changed, and when that was. */
  #shownMs = 0;
  #sinceMs = 0;
  #wallOffsetMs = 0;

  /** `drift`: how much faster than the world it runs, as a fraction. */
  constructor(scheduler: SimScheduler, drift = 0) {
    this.#scheduler = scheduler;
    this.#rate = 1 + drift;
  }

  wallMs(): number {
    return EPOCH_MS + this.monotonicMs() + this.#wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#shownMs + (this.#scheduler.nowMs - this.#sinceMs) * this.#rate;
  }

  /** The wall jumps, forwards or back. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** From now on it runs so much faster than the world; -1: it stands still. */
  drift(drift: number): void {
    this.#shownMs = this.monotonicMs();
    this.#sinceMs = this.#scheduler.nowMs;
    this.#rate = 1 + drift;
  }
}
