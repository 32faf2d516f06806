/** What `iterator()` returns: a cursor that can be sent anywhere in its range, and the pin that keeps what it sees. */
import { SparrowError } from '../base/errors.ts';
import type { Bytes, EngineIterator, Entry } from './api.ts';
import { internalKey } from './keyspace-key.ts';
import { toBytes } from './keys.ts';
import type { RangeCursor } from './scan.ts';

export class StoredIterator implements EngineIterator {
  readonly #cursor: RangeCursor;
  readonly #place: { readonly keyspace: number; readonly maxKeyBytes: number };
  readonly #assertEngineOpen: () => void;
  readonly #reverse: boolean;
  readonly #release: () => void;
  #closed = false;

  constructor(
    cursor: RangeCursor,
    place: { readonly keyspace: number; readonly maxKeyBytes: number },
    assertEngineOpen: () => void,
    reverse: boolean,
    release: () => void,
  ) {
    this.#cursor = cursor;
    this.#place = place;
    this.#assertEngineOpen = assertEngineOpen;
    this.#reverse = reverse;
    this.#release = release;
  }

  seek(key: Bytes): void {
    this.#assertOpen();
    const bytes = toBytes(key, 'key');
    // No key lies between one that is too long and what it begins with; the latter comes before it.
    const { keyspace, maxKeyBytes } = this.#place;
    const tooLong = bytes.length > maxKeyBytes;
    const target = internalKey(keyspace, tooLong ? bytes.subarray(0, maxKeyBytes) : bytes);
    this.#cursor.seek(target, tooLong && !this.#reverse);
  }

  next(): Entry | undefined {
    this.#assertOpen();
    return this.#cursor.next();
  }

  nextMany(count: number): Entry[] {
    this.#assertOpen();
    if (!Number.isSafeInteger(count) || count < 1) {
      throw new SparrowError('invalid', 'OPTION_RANGE', `count is a whole number from 1, not ${String(count)}`, { field: 'count', min: 1 });
    }
    this.#cursor.expect(count);
    const entries: Entry[] = [];
    while (entries.length < count) {
      const entry = this.#cursor.next();
      if (entry === undefined) break;
      entries.push(entry);
    }
    return entries;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cursor.end();
    this.#release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw new SparrowError('closed', 'ITERATOR_CLOSED', 'the iterator has been closed');
    // Its window may hold entries still: what is left of a closed engine is nothing all the same.
    this.#assertEngineOpen();
  }
}
