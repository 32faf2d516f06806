/**
 * Bounds the writes that are on their way through the log, by bytes, of all replicas of a node together. Who finds no room waits in order; so many may wait,
 * and further ones are refused. A write that is larger than the whole budget passes when it is alone.
 *
 * `congested` tells the edge to take nothing more in from the network meanwhile: what waits here is in memory already.
 *
 * Each replica has a share: what it has inside and waiting is counted there, and leaves with it.
 */
import { SparrowError } from '../../base/errors.ts';
import { type CallState, checkCall } from './call-state.ts';

interface Waiter {
  share: WriteShare;
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
  readonly #relievedListeners: Set<() => void> = new Set();
  #bytes = 0;
  #waiting: Waiter[] = [];

  constructor(options: WriteBudgetOptions) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get congested(): boolean {
    return this.#waiting.length > 0;
  }

  /** Calls `listener` each time that the last one that waited has entered. Returns what takes it off again. */
  onRelieved(listener: () => void): () => void {
    this.#relievedListeners.add(listener);
    return () => this.#relievedListeners.delete(listener);
  }

  /** For one replica. */
  share(): WriteShare {
    return new WriteShare(this);
  }

  /** As WriteShare. */
  acquire(share: WriteShare, bytes: number, call: CallState, enter: () => void, refuse: (error: unknown) => void): void {
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#take(share, bytes);
      enter();
    } else if (this.#waiting.length >= this.#options.waitingMax) {
      const message = `too many writes wait: ${this.#waiting.length} of at most ${this.#options.waitingMax}`;
      refuse(new SparrowError('exhausted', 'OVERLOADED', message, { limit: this.#options.waitingMax }));
    } else {
      this.#waiting.push({ share, bytes, call, enter, refuse });
      share.waiting++;
    }
  }

  leave(share: WriteShare, bytes: number): void {
    share.bytes -= bytes;
    share.entered--;
    this.#bytes -= bytes;
    if (this.#waiting.length > 0) this.#admit();
  }

  /** Refuses all of the share that wait. What it has inside does not leave any more. */
  close(share: WriteShare, error: SparrowError): void {
    this.#bytes -= share.bytes;
    share.bytes = share.entered = 0;
    if (this.#waiting.length === 0) return;
    const refused = this.#waiting.filter((waiter) => waiter.share === share);
    this.#waiting = this.#waiting.filter((waiter) => waiter.share !== share);
    share.waiting = 0;
    for (const { refuse } of refused) refuse(error);
    if (this.#waiting.length > 0) this.#admit();
    else this.#relieved();
  }

  #admit(): void {
    const now = this.#options.now();
    let admitted = 0;
    for (const waiter of this.#waiting) {
      // A call that nobody waits for any more makes room without being proposed.
      const over = checkCall(waiter.call, now);
      if (over === undefined) {
        if (!this.#fits(waiter.bytes)) break;
        this.#take(waiter.share, waiter.bytes);
        waiter.enter();
      } else {
        waiter.refuse(over);
      }
      waiter.share.waiting--;
      admitted++;
    }
    this.#waiting.splice(0, admitted);
    if (this.#waiting.length === 0) this.#relieved();
  }

  #relieved(): void {
    for (const relieved of [...this.#relievedListeners]) relieved();
  }

  #fits(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#options.bytesMax;
  }

  #take(share: WriteShare, bytes: number): void {
    share.bytes += bytes;
    share.entered++;
    this.#bytes += bytes;
  }
}

/** What of a budget one replica has. Its counts are kept by the budget. */
export class WriteShare {
  readonly budget: WriteBudget;
  /** Of writes inside. */
  bytes = 0;
  entered = 0;
  waiting = 0;
  #closed = false;

  constructor(budget: WriteBudget) {
    this.budget = budget;
  }

  /** Writes inside and waiting. */
  get count(): number {
    return this.entered + this.waiting;
  }

  /** Calls `enter` when there is room, at once if there is now; or `refuse`. Whoever entered calls `leave` with the same size. */
  acquire(bytes: number, call: CallState, enter: () => void, refuse: (error: unknown) => void): void {
    this.budget.acquire(this, bytes, call, enter, refuse);
  }

  leave(bytes: number): void {
    if (!this.#closed) this.budget.leave(this, bytes);
  }

  /** Nothing of it is inside or waits any more; refuses what waited. */
  close(error: SparrowError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.budget.close(this, error);
  }
}
