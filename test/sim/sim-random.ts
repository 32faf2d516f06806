/** Seeded randomness of the simulation. The same seed gives the same words in every process. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { Random } from '../../base/env.ts';

export class SimRandom implements Random {
  readonly #generator: ReturnType<typeof xoroshiro128plus>;

  /** Seeds that follow one another give sources that have nothing in common; those of the constructor begin alike. */
  static mixed(seed: number): SimRandom {
    let mixed = Math.imul(seed ^ (seed >>> 16), 0x7feb352d);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
    return new SimRandom(mixed ^ (mixed >>> 16));
  }

  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed);
  }

  u32(): number {
    return this.#generator.next() >>> 0;
  }

  fill(target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.u32() >>> 11;
  }

  /** An integer from 0 to `count - 1`. The bias of a modulo is nothing at the counts that tests use. */
  below(count: number): number {
    return this.u32() % count;
  }

  /** From 0 to 1, 1 excluded. */
  fraction(): number {
    return this.u32() / 2 ** 32;
  }

  /** Another source, whose words do not depend on how many are drawn here later. */
  fork(): SimRandom {
    return new SimRandom(this.u32());
  }

  chance(probability: number): boolean {
    return this.u32() < probability * 2 ** 32;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}
