/** Waiting with a deadline, the user's signal and the client's end: for what is not a call of call-runner.ts. */
import type { SparrowError } from '../base/errors.ts';
import { aborted, clientClosed, timedOutError } from './settled-errors.ts';

export class Wait {
  readonly #name: string;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #closed: AbortSignal;
  #deadlineMs = 0;

  /** `name`: of the call, for errors. */
  constructor(name: string, timeoutMs: number, signal: AbortSignal | undefined, closed: AbortSignal) {
    this.#name = name;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.#closed = closed;
  }

  /** From now on, `timeoutMs` run. */
  begin(): void {
    this.#deadlineMs = performance.now() + this.#timeoutMs;
  }

  /** The promise's outcome, or an error when the deadline, an abort or the close is first. */
  async for<T>(promise: Promise<T>): Promise<T> {
    // When something else is first, a later failure of the promise is nobody's concern.
    promise.catch(() => undefined);
    this.#throwIfOver();
    let stop: (() => void) | undefined;
    const over = new Promise<never>((_, reject) => {
      const timer = setTimeout(() => reject(timedOutError(this.#name, this.#timeoutMs, {})), this.#deadlineMs - performance.now());
      const onOver = (): void => {
        try {
          this.#throwIfOver();
        } catch (error) {
          reject(error as SparrowError);
        }
      };
      this.#signal?.addEventListener('abort', onOver);
      this.#closed.addEventListener('abort', onOver);
      stop = () => {
        clearTimeout(timer);
        this.#signal?.removeEventListener('abort', onOver);
        this.#closed.removeEventListener('abort', onOver);
      };
    });
    try {
      return await Promise.race([promise, over]);
    } finally {
      stop?.();
    }
  }

  /** Throws `cause` instead of pausing beyond the deadline. */
  async pause(milliseconds: number, cause: unknown): Promise<void> {
    if (performance.now() + milliseconds > this.#deadlineMs) throw cause;
    let timer: NodeJS.Timeout | undefined;
    try {
      await this.for(
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, milliseconds);
        }),
      );
    } finally {
      clearTimeout(timer);
    }
  }

  #throwIfOver(): void {
    if (this.#closed.aborted) throw clientClosed();
    if (this.#signal?.aborted === true) throw aborted(this.#name, this.#signal, {});
  }
}
