/**
 * Numbers the writes of one client, so that a repeated write is applied once.
 *
 * The server remembers the last 1,024 numbers of a client. So no number is given out that is a whole window ahead of the oldest write
 * still under way: that one could come again, and must not have been forgotten. `hasRoom` says when to wait.
 */
import { assert } from '../base/assert.ts';

const WINDOW = 1_000;

export interface RequestId {
  client: Uint8Array;
  sequence: number;
  seen: number;
}

export class RequestIds {
  readonly #client: Uint8Array;
  /** By sequence modulo WINDOW: 1 while that write is under way. */
  readonly #open: Uint8Array = new Uint8Array(WINDOW);
  #next = 1;
  #oldest = 1;
  #seen = 0;

  /** `client`: 16 random bytes. */
  constructor(client: Uint8Array) {
    this.#client = client;
  }

  get hasRoom(): boolean {
    return this.#next - this.#oldest < WINDOW;
  }

  /** Any version that the server told. */
  observe(version: number): void {
    if (version > this.#seen) this.#seen = version;
  }

  begin(): RequestId {
    assert(this.hasRoom, 'a write waits until there is room for its number');
    const sequence = this.#next++;
    this.#open[sequence % WINDOW] = 1;
    return { client: this.#client, sequence, seen: this.#seen };
  }

  /** The write is answered or given up: it will not be sent again. */
  end(sequence: number): void {
    assert(sequence >= this.#oldest && this.#open[sequence % WINDOW] === 1, 'a write ends once');
    this.#open[sequence % WINDOW] = 0;
    while (this.#oldest < this.#next && this.#open[this.#oldest % WINDOW] === 0) this.#oldest++;
  }
}
