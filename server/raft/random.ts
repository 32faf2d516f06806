/** Seeded randomness of the core (xorshift32): election timeouts that differ between members and repeat with the seed. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    // Neighbouring seeds must not give neighbouring first numbers: mix them (the finalizer of MurmurHash3).
    let mixed = (seed ^ (seed >>> 16)) >>> 0;
    mixed = Math.imul(mixed, 0x85ebca6b) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0;
    this.#state = (mixed ^ (mixed >>> 16)) >>> 0 || 1;
  }

  /** From 0 to `limit` - 1. */
  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % limit;
  }
}
