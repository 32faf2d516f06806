/**
 * A place in a range of keys, at one point in time: what Level's three kinds of iterators have in common.
 *
 * Entries come from the engine's scan, which reads ahead by windows and holds nothing between them, so that a read does not wait. But a
 * loop over a long range would not let anything else happen either: once in TURN_ITEMS the event loop gets its turn, which is also when
 * an abort signal can come in.
 *
 * A seek begins a new scan at the same point in time: that of the explicit snapshot, which is its owner's to close, or of one that the
 * cursor takes when it is made and releases when it is closed. Level sees to it that calls do not overlap.
 */
import type { AbstractSnapshot } from 'abstract-level';
import type { Engine, Entry, Snapshot } from '../engine/index.ts';
import { abortError, levelError } from './level-error.ts';
import { type Range, rangeFrom, rangeOf, type RangeOptions } from './range.ts';
import { SparrowSnapshot } from './snapshot.ts';
import type { Encoded } from './stored-key.ts';

export interface CursorOptions extends RangeOptions {
  readonly reverse: boolean;
  /** As many are wanted; -1: all. Level counts them, the cursor only reads no further ahead than that. */
  readonly limit: number;
  readonly snapshot?: AbstractSnapshot | null;
  readonly signal?: AbortSignal | null;
}

/** Some hundred microseconds. */
const TURN_ITEMS = 1000;

/** What an iterator yields, made of the engine's entry. */
export type Item<T> = (entry: Entry) => T;

export class Cursor<T extends object | string> {
  readonly #engine: Engine;
  readonly #range: Range;
  readonly #reverse: boolean;
  readonly #limit: number;
  readonly #keysOnly: boolean;
  readonly #item: Item<T>;
  readonly #point: Snapshot;
  readonly #ownsPoint: boolean;
  readonly #signal: AbortSignal | undefined;
  #untilTurn = TURN_ITEMS;
  /** Begun with the first read. */
  #scan: Iterator<Entry, undefined> | undefined;

  constructor(engine: Engine, options: CursorOptions, keysOnly: boolean, item: Item<T>) {
    this.#engine = engine;
    this.#range = rangeOf(options);
    this.#reverse = options.reverse;
    this.#limit = options.limit;
    this.#keysOnly = keysOnly;
    this.#item = item;
    this.#signal = options.signal ?? undefined;
    this.#ownsPoint = options.snapshot === undefined || options.snapshot === null;
    this.#point = this.#ownsPoint ? engine.snapshot() : SparrowSnapshot.pointOf(options.snapshot!);
  }

  /** The next item, or undefined behind the last. */
  async next(): Promise<T | undefined> {
    if (this.#signal !== undefined) await this.#unlessAborted(undefined);
    if (this.#untilTurn === 0) await this.#turn();
    return this.#read();
  }

  /** Up to `count` items, fewer only at the end. The array and what is in it are the caller's. */
  async take(count: number): Promise<T[]> {
    if (this.#signal !== undefined) await this.#unlessAborted(undefined);
    const items: T[] = [];
    while (items.length < count) {
      if (this.#untilTurn === 0) await this.#turn();
      const item = this.#read();
      if (item === undefined) break;
      items.push(item);
    }
    return items;
  }

  /** What comes next is the item at `target`, or else the nearest behind it in the cursor's direction; nothing when it is out of the range. */
  seek(target: Encoded): void {
    this.#scan?.return?.();
    const range = rangeFrom(this.#range, target, this.#reverse);
    this.#scan = range === undefined ? [].values() : this.#begin(range);
  }

  close(): void {
    this.#scan?.return?.();
    if (this.#ownsPoint) this.#point.release();
  }

  #read(): T | undefined {
    this.#untilTurn--;
    try {
      this.#scan ??= this.#begin(this.#range);
      const { value } = this.#scan.next();
      return value === undefined ? undefined : this.#item(value);
    } catch (error) {
      throw levelError(error);
    }
  }

  async #turn(): Promise<void> {
    this.#untilTurn = TURN_ITEMS;
    await this.#unlessAborted(new Promise((resolve) => setImmediate(resolve)));
  }

  /** Waits for `pause`, in which the signal may be aborted. */
  async #unlessAborted(pause: Promise<unknown> | undefined): Promise<void> {
    await pause;
    if (this.#signal?.aborted) throw abortError(this.#signal);
  }

  #begin(range: Range): Iterator<Entry, undefined> {
    return this.#engine.scanSync({
      ...range,
      reverse: this.#reverse,
      keysOnly: this.#keysOnly,
      snapshot: this.#point,
      ...(this.#limit >= 0 && { limit: this.#limit }),
    });
  }
}
