/**
 * Bounds the writes that are passed on, by bytes, as a node bounds its own (server/node/write-budget.ts): who finds no room waits in order, and while anybody does the
 * gateway receives no further ones (`room`). Used by sdk-tables.ts.
 */
import { performance } from 'node:perf_hooks';
import type { Room } from '../gateway/index.ts';
import type { SparrowError } from '../../base/errors.ts';
import { type CallState, WriteBudget, type WriteShare } from '../node/index.ts';

export class PassedOnWrites {
  readonly #share: WriteShare;
  #closed: SparrowError | undefined;

  constructor({ bytesMax, waitingMax }: { readonly bytesMax: number; readonly waitingMax: number }) {
    this.#share = new WriteBudget({ bytesMax, waitingMax, now: () => performance.now() }).share();
  }

  get room(): Room {
    return this.#share.budget;
  }

  /** Passes a write of so many bytes on when there is room. Rejects as `passOn` does, with `exhausted/OVERLOADED`, when nobody waits for it any more, and as `close` says. */
  async enter<A>(bytes: number, call: CallState, passOn: () => Promise<A>): Promise<A> {
    if (this.#closed !== undefined) throw this.#closed;
    await new Promise<void>((resolve, reject) => this.#share.acquire(bytes, call, resolve, reject));
    try {
      return await passOn();
    } finally {
      this.#share.leave(bytes);
    }
  }

  /** Those that wait, and all that come, are refused with `error`: nothing of them was passed on. Idempotent. */
  close(error: SparrowError): void {
    this.#closed ??= error;
    this.#share.close(error);
  }
}
