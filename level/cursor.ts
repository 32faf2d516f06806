/**
 * A place in a range of keys, at one point in time: what Level's three kinds of iterators have in common.
 *
 * Entries come from an iterator of the engine, which reads ahead by windows and holds nothing between them, so that a read does not wait. But
 * a loop over a long range would not let anything else happen either: once in TURN_ITEMS the event loop gets its turn, which is also when
 * an abort signal can come in. Level sees to it that calls do not overlap.
 */
import type { AbstractSnapshot } from 'abstract-level';
import type { Engine, EngineIterator, Entry } from '../engine/index.ts';
import { abortError, levelError } from './level-error.ts';
import { includes, type Range, rangeOf, type RangeOptions } from './range.ts';
import { SparrowSnapshot } from './snapshot.ts';
import { type Encoded, storedKey } from './stored-key.ts';

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
  readonly #range: Range;
  readonly #item: Item<T>;
  readonly #signal: AbortSignal | undefined;
  /** Of an explicit snapshot it is made with the first read: it is refused when that was closed before. */
  readonly #begin: () => EngineIterator;
  #begun: EngineIterator | undefined;
  #untilTurn = TURN_ITEMS;
  /** It was sent out of its range: nothing comes until it is sent back. */
  #outside = false;

  constructor(engine: Engine, options: CursorOptions, keysOnly: boolean, item: Item<T>) {
    const { reverse, limit, snapshot } = options;
    this.#range = rangeOf(options);
    this.#item = item;
    this.#signal = options.signal ?? undefined;
    const scan = { ...this.#range, reverse, keysOnly, ...(limit >= 0 && { limit }) };
    const point = snapshot === undefined || snapshot === null ? undefined : SparrowSnapshot.pointOf(snapshot);
    this.#begin = () => engine.iterator({ ...scan, ...(point && { snapshot: point }) });
    if (point === undefined) this.#begun = this.#begin();
  }

  get #iterator(): EngineIterator {
    return (this.#begun ??= this.#begin());
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
      const wanted = Math.min(count - items.length, this.#untilTurn);
      const run = this.#run(wanted);
      for (const entry of run) items.push(this.#item(entry));
      if (run.length < wanted) break;
    }
    return items;
  }

  /** What comes next is the item at `target`, or else the nearest behind it in the cursor's direction; nothing when it is out of the range. */
  seek(target: Encoded): void {
    try {
      const key = storedKey(target);
      this.#outside = !includes(this.#range, key);
      if (!this.#outside) this.#iterator.seek(key);
    } catch (error) {
      throw levelError(error);
    }
  }

  close(): void {
    this.#begun?.close();
  }

  #read(): T | undefined {
    this.#untilTurn--;
    try {
      const entry = this.#outside ? undefined : this.#iterator.next();
      return entry === undefined ? undefined : this.#item(entry);
    } catch (error) {
      throw levelError(error);
    }
  }

  /** Up to `count` entries, fewer only at the end. */
  #run(count: number): Entry[] {
    this.#untilTurn -= count;
    try {
      return this.#outside ? [] : this.#iterator.nextMany(count);
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
}
