/**
 * Slows writers: each write is let go when those before it have used up the time that their bytes cost. What a byte costs doubles with each
 * twelfth of debt, from 1 ms a mebibyte on: at a debt of a half writers get 16 MiB a second, at 1 a quarter of a mebibyte. So the debt comes
 * to rest where writers bring as much as the background takes away, whatever that is; nothing is measured and nothing oscillates.
 *
 * A write does not wait for less than a timer can tell, a millisecond: it is let go at once and what it cost stays with the next. Nor for longer
 * than WAIT_MS_MAX, while there is place: many writers together get more than the debt allows then. The last of the place makes them wait twice as long with each
 * seventh of it that is taken. So this, too, comes to rest where writers bring as much as is taken away, at the wait that N writers who get r writes a second
 * done have in any case, N / r.
 */
import type { Clock, Scheduler, Timer } from '../../base/env.ts';
import type { Debt } from './debt.ts';

const MS_PER_MIB = 1;
const STEPS = 12;
const DEBT_MAX = 1.25;
const WAIT_MS_MIN = 1;
export const WAIT_MS_MAX = 40;
const FULL_STEPS = 7;
const MIB = 1024 * 1024;

type Group = { atMs: number; readonly promise: Promise<void>; readonly resolve: () => void };

export class Pace {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  /** When those who were let in have used up their time. */
  #freeAtMs = 0;
  /** Writers that wait, those who go first at the front. */
  #waiting: Group[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock, scheduler: Scheduler) {
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  /** A promise that settles when a write of `bytes` may count as done, or undefined: at once. */
  admit(bytes: number, { amount, full }: Pick<Debt, 'amount' | 'full'>): Promise<void> | undefined {
    const nowMs = this.#clock.monotonicMs();
    const cost = (bytes / MIB) * MS_PER_MIB * 2 ** (Math.min(amount, DEBT_MAX) * STEPS);
    this.#freeAtMs = Math.min(Math.max(this.#freeAtMs, nowMs) + cost, nowMs + longestMs(full));
    if (this.#freeAtMs - nowMs < WAIT_MS_MIN) return undefined;
    return this.#group(Math.ceil(this.#freeAtMs)).promise;
  }

  /** There may be more place than before: nobody waits for longer than who comes now. */
  shorten(full: number): void {
    const latestMs = this.#clock.monotonicMs() + longestMs(full);
    const waiting = this.#waiting;
    let later = waiting.length;
    // Who never awaits has tens of thousands waiting: only those that are new since the last time are looked at.
    while (later > 0 && waiting[later - 1]!.atMs > latestMs) waiting[--later]!.atMs = latestMs;
    if (later === waiting.length) return;
    this.#freeAtMs = latestMs;
    this.#timer?.cancel();
    this.#setTimer();
  }

  /** Lets all go, now. */
  letGo(): void {
    this.#freeAtMs = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  /** Who goes in the same millisecond shares a promise. */
  #group(atMs: number): Group {
    const last = this.#waiting.at(-1);
    if (last && last.atMs >= atMs) return last;
    const group = { atMs, ...Promise.withResolvers<void>() };
    this.#waiting.push(group);
    if (this.#waiting.length === 1) this.#setTimer();
    return group;
  }

  #setTimer(): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    const delayMs = Math.max(0, first.atMs - this.#clock.monotonicMs());
    this.#timer = this.#scheduler.after(delayMs, () => {
      this.#timer = undefined;
      const nowMs = this.#clock.monotonicMs();
      // A timer may be early by less than it can tell.
      const due = this.#waiting.findIndex(({ atMs }) => atMs >= nowMs + WAIT_MS_MIN);
      for (const { resolve } of this.#waiting.splice(0, due < 0 ? Infinity : due)) resolve();
      this.#setTimer();
    });
  }
}

function longestMs(full: number): number {
  return WAIT_MS_MAX * 2 ** (Math.min(full, 1) * FULL_STEPS);
}
