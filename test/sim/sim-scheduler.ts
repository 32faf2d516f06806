/**
 * Virtual time. Events are ordered by (time, the order in which they were asked for); an event runs only when the test says so, and
 * after each one the promises that it woke are run dry (setImmediate comes after all microtasks; process.nextTick would starve them).
 */
import { assert } from '../../base/assert.ts';
import type { Scheduler, Timer } from '../../base/env.ts';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly task: () => void;
  readonly background: boolean;
  cancelled: boolean;
}

export class SimScheduler implements Scheduler {
  #nowMs = 0;
  #order = 0;
  /** Sorted by time, then order; short in every test, so that a heap would only be longer to read. */
  readonly #events: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that keep a run going: not cancelled, not background. */
  get pending(): number {
    return this.#events.filter((event) => !event.background && !event.cancelled).length;
  }

  after(delayMs: number, task: () => void, background = false): Timer {
    assert(delayMs >= 0, 'a delay is not negative');
    const event: Event = { atMs: this.#nowMs + delayMs, order: this.#order++, task, background, cancelled: false };
    let at = this.#events.length;
    while (at > 0 && this.#events[at - 1]!.atMs > event.atMs) at--;
    this.#events.splice(at, 0, event);
    return {
      cancel(): void {
        event.cancelled = true;
      },
    };
  }

  soon(task: () => void): void {
    this.after(0, task);
  }

  /** Runs the next event, moving the clock to it. False when there is none. */
  async step(): Promise<boolean> {
    for (;;) {
      const event = this.#events.shift();
      if (!event) return false;
      if (event.cancelled) continue;
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      event.task();
      await drain();
      return true;
    }
  }

  /** Runs all events of the next `ms` milliseconds and moves the clock by exactly that. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await drain();
    for (;;) {
      // Cancelled ones first: a step passes over them to whatever comes next, which may be far in the future.
      while (this.#events[0]?.cancelled) this.#events.shift();
      if (this.#events.length === 0 || this.#events[0]!.atMs > untilMs) break;
      await this.step();
    }
    this.#nowMs = untilMs;
  }

  /** Runs events until `promise` has settled; throws when nothing is left to run, or when it takes more than `limitMs` of virtual time. */
  async until<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let settled = false;
    const note = (): void => {
      settled = true;
    };
    promise.then(note, note);
    const untilMs = this.#nowMs + limitMs;
    for (;;) {
      await drain();
      if (settled) return promise;
      if (this.#nowMs > untilMs) throw new Error(`a promise has not settled within ${limitMs} ms of virtual time`);
      if (!(await this.step())) throw new Error('a promise is never going to settle: nothing is left to run');
    }
  }

  /** Runs until nothing but background events is left; throws after `stepsMax` events, which is a hang. */
  async runDry(stepsMax = 1_000_000): Promise<void> {
    await drain();
    for (let steps = 0; this.pending > 0; steps++) {
      if (steps === stepsMax) throw new Error(`still busy after ${stepsMax} events`);
      await this.step();
    }
  }
}

/** Lets every promise that can settle now settle. */
export function drain(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
