/** A clock on virtual time. Its wall may be set off against the others' and may jump; the monotonic one may drift but never goes back. */
import type { Clock } from '../../base/env.ts';
import type { SimScheduler } from './sim-scheduler.ts';

/** 2025-01-01: wall times in traces are the same in every run. */
const EPOCH_MS = 1_735_689_600_000;

export class SimClock implements Clock {
  readonly #scheduler: SimScheduler;
  readonly #rate: number;
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
    return this.#scheduler.nowMs * this.#rate;
  }

  /** The wall jumps, forwards or back. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }
}
