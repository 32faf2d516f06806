/**
 * A map by segment, ascending, that never changes: what an edit changes makes the next one, at the cost of two arrays that are copied. (With thousands of segments
 * a Map takes twenty times as long to copy, and the caller's thread does it with every flush.) Pure.
 */
export class SegmentMap<V> implements ReadonlyMap<number, V> {
  readonly #segments: readonly number[];
  readonly #values: readonly V[];

  private constructor(segments: readonly number[], values: readonly V[]) {
    this.#segments = segments;
    this.#values = values;
  }

  static of<V>(entries: Iterable<readonly [segment: number, value: V]> = []): SegmentMap<V> {
    return new SegmentMap<V>([], []).with(new Map(entries));
  }

  /** With these in the place of what there was; undefined: without. */
  with(changes: ReadonlyMap<number, V | undefined>): SegmentMap<V> {
    if (changes.size === 0) return this;
    return changes.size > this.size / 8 ? this.#merged(changes) : this.#changed(changes);
  }

  /** Few changes: what moves of the copies moves as a whole. */
  #changed(changes: ReadonlyMap<number, V | undefined>): SegmentMap<V> {
    const segments = this.#segments.slice();
    const values = this.#values.slice();
    for (const [segment, value] of changes) {
      const at = placeOf(segments, segment);
      const isThere = segments[at] === segment;
      if (value === undefined) {
        if (!isThere) continue;
        segments.splice(at, 1);
        values.splice(at, 1);
      } else if (isThere) values[at] = value;
      else {
        segments.splice(at, 0, segment);
        values.splice(at, 0, value);
      }
    }
    return new SegmentMap(segments, values);
  }

  #merged(changes: ReadonlyMap<number, V | undefined>): SegmentMap<V> {
    const segments: number[] = [];
    const values: V[] = [];
    let at = 0;
    const keepBelow = (segment: number): void => {
      for (; at < this.#segments.length && this.#segments[at]! < segment; at++) {
        segments.push(this.#segments[at]!);
        values.push(this.#values[at]!);
      }
    };
    for (const segment of [...changes.keys()].sort((a, b) => a - b)) {
      keepBelow(segment);
      if (this.#segments[at] === segment) at++;
      const value = changes.get(segment);
      if (value === undefined) continue;
      segments.push(segment);
      values.push(value);
    }
    keepBelow(Infinity);
    return new SegmentMap(segments, values);
  }

  get size(): number {
    return this.#segments.length;
  }

  get(segment: number): V | undefined {
    const at = placeOf(this.#segments, segment);
    return this.#segments[at] === segment ? this.#values[at] : undefined;
  }

  has(segment: number): boolean {
    return this.#segments[placeOf(this.#segments, segment)] === segment;
  }

  keys(): MapIterator<number> {
    return this.#segments.values();
  }

  values(): MapIterator<V> {
    return this.#values.values();
  }

  *entries(): MapIterator<[number, V]> {
    for (let i = 0; i < this.#segments.length; i++) yield [this.#segments[i]!, this.#values[i]!];
  }

  [Symbol.iterator](): MapIterator<[number, V]> {
    return this.entries();
  }

  forEach(visit: (value: V, segment: number, map: ReadonlyMap<number, V>) => void): void {
    for (let i = 0; i < this.#segments.length; i++) visit(this.#values[i]!, this.#segments[i]!, this);
  }
}

/** Where the segment stands, or would. */
function placeOf(segments: readonly number[], segment: number): number {
  let low = 0;
  for (let high = segments.length; low < high;) {
    const middle = (low + high) >> 1;
    if (segments[middle]! < segment) low = middle + 1;
    else high = middle;
  }
  return low;
}
