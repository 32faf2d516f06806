/** How long to wait before a stream is opened again: doubling from `firstMs` to `mostMs`, each time half of it by chance, so that nodes do not come in step. */
import type { Random } from '../../base/env.ts';

export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  readonly #random: Random;
  #failures = 0;

  constructor(firstMs: number, mostMs: number, random: Random) {
    this.#firstMs = firstMs;
    this.#mostMs = mostMs;
    this.#random = random;
  }

  next(): number {
    const fullMs = Math.min(this.#mostMs, this.#firstMs * 2 ** Math.min(this.#failures++, 30));
    return (fullMs / 2) * (1 + this.#random.u32() / 2 ** 32);
  }

  /** A stream has lasted. */
  reset(): void {
    this.#failures = 0;
  }
}
