/** Ranges of internal keys, both ends of one keyspace: what a range delete covers. Pure. */
import { KEY_BYTES_MAX } from '../assembly/memory-map.ts';
import { SparrowError } from '../base/errors.ts';
import type { KeyRange as GivenRange } from './api.ts';
import { internalRange, prefixEnd, scanRange } from './scan-range.ts';

/** `end` is the first key behind it. */
export interface KeyRange {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

/**
 * What the caller's bounds come to in a keyspace; undefined: no key at all. Throws as a scan with these bounds does, and `invalid/SCAN_BOUNDS` when
 * all that are given are undefined: `{}` asks for all keys, `{ prefix: undefined }` is a mistake that would delete them.
 */
export function keyRange(given: GivenRange, keyspace: number, maxKeyBytes: number): KeyRange | undefined {
  const bounds = Object.entries(given);
  if (bounds.length > 0 && bounds.every(([, bound]) => bound === undefined)) {
    const field = bounds[0]![0];
    throw new SparrowError('invalid', 'SCAN_BOUNDS', `${field} is undefined; a range without any bound, which is all keys, is {}`, {
      field,
    });
  }
  const { lower, lowerExclusive, upper, upperInclusive } = internalRange(scanRange(given, maxKeyBytes), keyspace);
  const start = lowerExclusive ? successor(lower!) : lower!;
  const end = upperInclusive ? successor(upper!) : upper!;
  return Buffer.compare(start, end) < 0 ? { start, end } : undefined;
}

/** The smallest key above: with a zero behind it, or, where that is longer than any key, the next of its length. */
export function successor(key: Uint8Array): Uint8Array {
  if (key.length === KEY_BYTES_MAX) return prefixEnd(key)!;
  const longer = new Uint8Array(key.length + 1);
  longer.set(key);
  return longer;
}

/** A union of ranges. */
export class KeyRanges {
  /** By key, apart from one another. */
  readonly #ranges: KeyRange[] = [];

  add({ start, end }: KeyRange): void {
    const from = this.#firstEndingAt(start);
    let to = from;
    let [first, last] = [start, end];
    for (; to < this.#ranges.length && Buffer.compare(this.#ranges[to]!.start, end) <= 0; to++) {
      const range = this.#ranges[to]!;
      if (Buffer.compare(range.start, first) < 0) first = range.start;
      if (Buffer.compare(range.end, last) > 0) last = range.end;
    }
    this.#ranges.splice(from, to - from, { start: first, end: last });
  }

  has(key: Uint8Array): boolean {
    return this.#over(key) !== undefined;
  }

  /** Whether every key of the range is in it. */
  covers({ start, end }: KeyRange): boolean {
    const range = this.#over(start);
    return range !== undefined && Buffer.compare(end, range.end) <= 0;
  }

  /** Whether every key from `first` to `last`, both included, is in it. */
  coversThrough(first: Uint8Array, last: Uint8Array): boolean {
    return covers(this.#over(first), last);
  }

  /** The range that the key is in. */
  #over(key: Uint8Array): KeyRange | undefined {
    // One that ends at the key may be followed by one that begins there.
    const at = this.#firstEndingAt(key);
    return [this.#ranges[at], this.#ranges[at + 1]].find((range) => covers(range, key));
  }

  /** The first range that ends at or above the key. */
  #firstEndingAt(key: Uint8Array): number {
    let low = 0;
    for (let high = this.#ranges.length; low < high;) {
      const middle = (low + high) >> 1;
      if (Buffer.compare(this.#ranges[middle]!.end, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export function covers(range: KeyRange | undefined, key: Uint8Array): boolean {
  return range !== undefined && Buffer.compare(range.start, key) <= 0 && Buffer.compare(key, range.end) < 0;
}
