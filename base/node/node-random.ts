import { randomFillSync } from 'node:crypto';
import type { Random } from '../env.ts';

const POOL_WORDS = 256;

/** The operating system's randomness; words come from a pool because each call to it costs more than the word. */
export class NodeRandom implements Random {
  /** Made with the first word: most openings want none. */
  #pool: Uint32Array | undefined;
  #next = POOL_WORDS;

  u32(): number {
    const pool = (this.#pool ??= new Uint32Array(POOL_WORDS));
    if (this.#next === POOL_WORDS) {
      randomFillSync(pool);
      this.#next = 0;
    }
    return pool[this.#next++]!;
  }

  fill(target: Uint8Array): void {
    randomFillSync(target);
  }
}
