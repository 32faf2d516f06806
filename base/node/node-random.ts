import { randomFillSync } from 'node:crypto';
import type { Random } from '../env.ts';

const POOL_WORDS = 256;

/** The operating system's randomness; words come from a pool because each call to it costs more than the word. */
export class NodeRandom implements Random {
  readonly #pool = new Uint32Array(POOL_WORDS);
  #next = POOL_WORDS;

  u32(): number {
    if (this.#next === POOL_WORDS) {
      randomFillSync(this.#pool);
      this.#next = 0;
    }
    return this.#pool[this.#next++]!;
  }

  fill(target: Uint8Array): void {
    randomFillSync(target);
  }
}
