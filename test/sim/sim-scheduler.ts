/**
 * Virtual time. Events are ordered by (time, the order in which they were asked for); an event runs only when the test says so, and
 * after each one the promises that it woke are run dry (setImmediate comes after all microtasks; process.nextTick would starve them).
 */
import { assert } from '../../base/assert.ts';
import type { Scheduler, Timer } from '../../base/env.ts';

/** After so many the event loop has its turn: timers of test runners, collected garbage. */
const BURST_EVENTS = 1000;

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly task: () => void;
  readonly background: boolean;
  /** Cancelled, or has run. */
  over: boolean;
}

export class SimScheduler implements Scheduler {
  #nowMs = 0;
  #order = 0;
  #pending = 0;
  #ran = 0;
  /** A binary heap: an event comes before the two at twice its place, plus one and plus two. */
  readonly #events: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that keep a run going: not cancelled, not background. */
  get pending(): number {
    return this.#pending;
  }

  /** Events that have run. */
  get ran(): number {
    return this.#ran;
  }

  after(delayMs: number, task: () => void, background = false): Timer {
    assert(delayMs >= 0, 'a delay is not negative');
    return this.at(this.#nowMs + delayMs, task, background);
  }

  /** Runs `task` at a time, or now if that has passed. */
  at(atMs: number, task: () => void, background = false): Timer {
    const event: Event = { atMs: Math.max(atMs, this.#nowMs), order: this.#order++, task, background, over: false };
    push(this.#events, event);
    if (!background) this.#pending++;
    return { cancel: () => this.#end(event) };
  }

  soon(task: () => void): void {
    this.after(0, task);
  }

  /** The thread is held for so long: what is due meanwhile runs late. */
  hold(ms: number): void {
    this.#nowMs += ms;
  }

  /** Runs the next event, moving the clock to it. False when there is none. */
  async step(): Promise<boolean> {
    if (this.#next() === undefined) return false;
    const event = pop(this.#events);
    this.#end(event);
    this.#nowMs = Math.max(this.#nowMs, event.atMs);
    this.#ran++;
    event.task();
    await drain();
    return true;
  }

  /**
   * Runs events until `stop`, which is asked before each. False when nothing is left to run. As `step` time and again, but goes through the event loop only now
   * and then: promises run dry in place, at a tenth of the cost.
   */
  async runUntil(stop: () => boolean): Promise<boolean> {
    for (;;) {
      const outcome = await new Promise<'stopped' | 'empty' | 'more'>((resolve, reject) => {
        // Promises run dry only from outside of any: here.
        setImmediate(() => {
          try {
            resolve(this.#burst(stop));
          } catch (error) {
            reject(error as Error);
          }
        });
      });
      if (outcome !== 'more') return outcome === 'stopped';
    }
  }

  #burst(stop: () => boolean): 'stopped' | 'empty' | 'more' {
    for (let count = 0; count < BURST_EVENTS; count++) {
      if (stop()) return 'stopped';
      if (this.#next() === undefined) return 'empty';
      const event = pop(this.#events);
      this.#end(event);
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      this.#ran++;
      event.task();
      runPromisesDry();
    }
    return 'more';
  }

  /** Runs all events of the next `ms` milliseconds and moves the clock by exactly that. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await drain();
    for (let next = this.#next(); next !== undefined && next.atMs <= untilMs; next = this.#next()) await this.step();
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

  /** The next event that is not cancelled. */
  #next(): Event | undefined {
    while (this.#events[0]?.over) pop(this.#events);
    return this.#events[0];
  }

  #end(event: Event): void {
    if (!event.over && !event.background) this.#pending--;
    event.over = true;
  }
}

/** What Node does between two callbacks of its event loop. Has no effect when a promise is running. */
function runPromisesDry(): void {
  (process as unknown as { _tickCallback(): void })._tickCallback();
}

/** Lets every promise that can settle now settle. */
export function drain(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

/** Takes the first event out; there is one. */
function pop(heap: Event[]): Event {
  const first = heap[0]!;
  const last = heap.pop()!;
  if (heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
