/**
 * Keys, values and choices of the workloads: the same for every engine and every run, from fixed seeds.
 *
 * Keys are 16 bytes. Sequential: `user` and 12 decimal digits. Random: 128 bits, distinct (the first 32 are a bijection of the index).
 * Values are windows of one pool whose pieces of 100 bytes are 50 random bytes twice: they compress to about half, as db_bench's do.
 * Everything is made before the clock starts.
 */
export const KEY_BYTES = 16;
const PIECE_BYTES = 100;
const POOL_PIECES = 40_000;

export type KeyOrder = 'sequential' | 'random';

/** 32-bit finalizer of MurmurHash3: a bijection. */
export function mix(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** xorshift32; `below(n)` is uniform enough for choosing keys. */
export class Choice {
  #state: number;

  constructor(seed: number) {
    this.#state = mix(seed) || 1;
  }

  u32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  below(n: number): number {
    return this.u32() % n;
  }

  /** In [0, 1). */
  unit(): number {
    return this.u32() / 2 ** 32;
  }
}

export class Keys {
  readonly count: number;
  readonly #bytes: Buffer;

  /** Keys of the indexes `first` to `first + count - 1`; different indexes give different keys. */
  constructor(order: KeyOrder, count: number, first: number = 0) {
    this.count = count;
    this.#bytes = Buffer.allocUnsafeSlow(count * KEY_BYTES);
    for (let i = 0; i < count; i++) {
      const at = i * KEY_BYTES;
      if (order === 'sequential') this.#bytes.write(`user${String(first + i).padStart(12, '0')}`, at, 'latin1');
      else for (let word = 0; word < 4; word++) this.#bytes.writeUInt32BE(mix((first + i) ^ Math.imul(word, 0x9e3779b1)), at + word * 4);
    }
  }

  at(index: number): Buffer {
    const start = index * KEY_BYTES;
    return this.#bytes.subarray(start, start + KEY_BYTES);
  }

  range(start: number, end: number): Buffer[] {
    const keys: Buffer[] = [];
    for (let i = start; i < end; i++) keys.push(this.at(i));
    return keys;
  }
}

export class Values {
  readonly bytes: number;
  readonly #pool: Buffer;

  constructor(bytes: number) {
    this.bytes = bytes;
    const choice = new Choice(0x5eed);
    this.#pool = Buffer.allocUnsafeSlow(POOL_PIECES * PIECE_BYTES + bytes);
    const half = PIECE_BYTES / 2;
    for (let at = 0; at < this.#pool.length; at++) {
      this.#pool[at] = at % PIECE_BYTES < half ? choice.u32() >>> 24 : this.#pool[at - half]!;
    }
  }

  /** The value of key `index` after its `version`th overwrite. */
  of(index: number, version: number = 0): Buffer {
    const start = (mix(index + version * 7919) % POOL_PIECES) * PIECE_BYTES;
    return this.#pool.subarray(start, start + this.bytes);
  }

  range(start: number, end: number): Buffer[] {
    const values: Buffer[] = [];
    for (let i = start; i < end; i++) values.push(this.of(i));
    return values;
  }
}

/**
 * Zipfian ranks by Gray et al., "Quickly generating billion-record synthetic databases" (1994), with YCSB's constant 0.99.
 * `scrambled` spreads the popular ones over the key space as YCSB does; `rank` 0 is the most popular.
 */
export class Zipfian {
  readonly #choice: Choice;
  readonly #count: number;
  readonly #zeta: number;
  readonly #alpha: number;
  readonly #eta: number;

  constructor(count: number, seed: number) {
    const theta = 0.99;
    this.#choice = new Choice(seed);
    this.#count = count;
    let zeta = 0;
    for (let i = 1; i <= count; i++) zeta += 1 / i ** theta;
    this.#zeta = zeta;
    this.#alpha = 1 / (1 - theta);
    this.#eta = (1 - (2 / count) ** (1 - theta)) / (1 - (1 + 0.5 ** theta) / zeta);
  }

  rank(): number {
    const u = this.#choice.unit();
    const uz = u * this.#zeta;
    if (uz < 1) return 0;
    if (uz < 1 + 0.5 ** 0.99) return Math.min(1, this.#count - 1);
    return Math.min(this.#count - 1, Math.floor(this.#count * (this.#eta * u - this.#eta + 1) ** this.#alpha));
  }

  scrambled(): number {
    return mix(this.rank() + 0x9e37) % this.#count;
  }
}
