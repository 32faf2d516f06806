/**
 * Bounds the writes that are on their way through the log, by bytes. Who finds no room waits in order; so many may wait, and further
 * ones are refused. A write that is larger than the whole budget passes when it is alone.
 *
 * `congested` tells the edge to take nothing more in from the network meanwhile: what waits here is in memory already.
 */
import { SparrowError } from '../../base/errors.ts';
import { type CallState, checkCall } from './call-state.ts';

interface Waiter {
  bytes: number;
  call: CallState;
  enter: () => void;
  refuse: (error: unknown) => void;
}

export interface WriteBudgetOptions {
  bytesMax: number;
  waitingMax: number;
  /** Monotonic milliseconds. */
  now: () => number;
}

export class WriteBudget {
  readonly #options: WriteBudgetOptions;
  readonly #relieved: () => void;
  #bytes = 0;
  #count = 0;
  #waiting: Waiter[] = [];

  /** `relieved` is called when the last one that waited has entered. */
  constructor(options: WriteBudgetOptions, relieved: () => void) {
    this.#options = options;
    this.#relieved = relieved;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Writes inside and waiting. */
  get count(): number {
    return this.#count + this.#waiting.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get congested(): boolean {
    return this.#waiting.length > 0;
  }

  /** Calls `enter` when there is room, at once if there is now; or `refuse`. Whoever entered calls `leave` with the same size. */
  acquire(bytes: number, call: CallState, enter: () => void, refuse: (error: unknown) => void): void {
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#take(bytes);
      enter();
    } else if (this.#waiting.length >= this.#options.waitingMax) {
      const message = `too many writes wait: ${this.#waiting.length} of at most ${this.#options.waitingMax}`;
      refuse(new SparrowError('exhausted', 'OVERLOADED', message, { limit: this.#options.waitingMax }));
    } else {
      this.#waiting.push({ bytes, call, enter, refuse });
    }
  }

  leave(bytes: number): void {
    this.#bytes -= bytes;
    this.#count--;
    if (this.#waiting.length === 0) return;
    const now = this.#options.now();
    let admitted = 0;
    for (const waiter of this.#waiting) {
      // A call that nobody waits for any more makes room without being proposed.
      const over = checkCall(waiter.call, now);
      if (over === undefined) {
        if (!this.#fits(waiter.bytes)) break;
        this.#take(waiter.bytes);
        waiter.enter();
      } else {
        waiter.refuse(over);
      }
      admitted++;
    }
    this.#waiting.splice(0, admitted);
    if (this.#waiting.length === 0) this.#relieved();
  }

  /** Refuses all that wait. */
  close(error: SparrowError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { refuse } of waiting) refuse(error);
    if (waiting.length > 0) this.#relieved();
  }

  #fits(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#options.bytesMax;
  }

  #take(bytes: number): void {
    this.#bytes += bytes;
    this.#count++;
  }
}
