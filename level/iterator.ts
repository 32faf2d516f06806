/**
 * Level's iterators over entries, keys and values: one cursor each. Level sees to limits, to reads that overlap, and to
 * decoding, for which every item is fresh: it is decoded in place.
 */
import { AbstractIterator, AbstractKeyIterator, AbstractValueIterator } from 'abstract-level';
import type { Engine } from '../engine/index.ts';
import { Cursor, type CursorOptions } from './cursor.ts';
import { decoderOf, type Format } from './format.ts';
import { type Encoded, givenKey } from './stored-key.ts';

/** Iterator options as Level hands them down. */
export interface IterationOptions extends CursorOptions {
  readonly keys: boolean;
  readonly values: boolean;
  readonly keyEncoding: Format;
  readonly valueEncoding: Format;
}

type EncodedEntry = [key: Encoded | undefined, value: Encoded | undefined];

export class SparrowIterator<TDatabase, K, V> extends AbstractIterator<TDatabase, K, V> {
  readonly #cursor: Cursor<EncodedEntry>;

  constructor(db: TDatabase, engine: Engine, options: IterationOptions) {
    const { keys, values } = options;
    const decodeKey = decoderOf(options.keyEncoding);
    const decodeValue = decoderOf(options.valueEncoding);
    const cursor = new Cursor<EncodedEntry>(engine, options, !values, ([key, value]) => [
      keys ? decodeKey(givenKey(key)) : undefined,
      values ? decodeValue(value) : undefined,
    ]);
    super(db, options as object);
    this.#cursor = cursor;
  }

  _next(): Promise<EncodedEntry | undefined> {
    return this.#cursor.next();
  }
  _nextv(size: number): Promise<EncodedEntry[]> {
    return this.#cursor.take(size);
  }
  _all(): Promise<EncodedEntry[]> {
    return this.#cursor.take(this.limit - this.count);
  }
  _seek(target: Encoded): void {
    this.#cursor.seek(target);
  }
  async _close(): Promise<void> {
    this.#cursor.close();
  }
}

export class SparrowKeyIterator<TDatabase, K> extends AbstractKeyIterator<TDatabase, K> {
  readonly #cursor: Cursor<Encoded>;

  constructor(db: TDatabase, engine: Engine, options: IterationOptions) {
    const decode = decoderOf(options.keyEncoding);
    const cursor = new Cursor(engine, options, true, ([key]) => decode(givenKey(key)));
    super(db, options as object);
    this.#cursor = cursor;
  }

  _next(): Promise<Encoded | undefined> {
    return this.#cursor.next();
  }
  _nextv(size: number): Promise<Encoded[]> {
    return this.#cursor.take(size);
  }
  _all(): Promise<Encoded[]> {
    return this.#cursor.take(this.limit - this.count);
  }
  _seek(target: Encoded): void {
    this.#cursor.seek(target);
  }
  async _close(): Promise<void> {
    this.#cursor.close();
  }
}

export class SparrowValueIterator<TDatabase, K, V> extends AbstractValueIterator<TDatabase, K, V> {
  readonly #cursor: Cursor<Encoded>;

  constructor(db: TDatabase, engine: Engine, options: IterationOptions) {
    const decode = decoderOf(options.valueEncoding);
    const cursor = new Cursor(engine, options, false, ([, value]) => decode(value));
    super(db, options as object);
    this.#cursor = cursor;
  }

  _next(): Promise<Encoded | undefined> {
    return this.#cursor.next();
  }
  _nextv(size: number): Promise<Encoded[]> {
    return this.#cursor.take(size);
  }
  _all(): Promise<Encoded[]> {
    return this.#cursor.take(this.limit - this.count);
  }
  _seek(target: Encoded): void {
    this.#cursor.seek(target);
  }
  async _close(): Promise<void> {
    this.#cursor.close();
  }
}
