/**
 * An iterator of the engine beside what it must give. It reads ahead: what expires between its reading and its giving may still be given,
 * so an entry may be missing once its time has come, and must be missing only when it came before the iterator was opened.
 */
import type { EngineIterator, Entry, ScanOptions } from '../../engine/index.ts';
import { Disagreement, entryText, expectSame, show } from './agreement.ts';
import { isThere, latin1, type ModelValue } from './model.ts';

export class OpenIterator {
  readonly #iterator: EngineIterator | IterableIterator<Entry>;
  readonly #options: ScanOptions;
  readonly #entries: readonly [string, ModelValue][];
  readonly #openedMs: number;
  #at = 0;
  #left: number;

  /** `entries`: all within its bounds when it was opened, in its order. */
  constructor(
    iterator: EngineIterator | IterableIterator<Entry>,
    options: ScanOptions,
    entries: readonly [string, ModelValue][],
    nowMs: number,
  ) {
    this.#iterator = iterator;
    this.#options = options;
    this.#entries = entries;
    this.#openedMs = nowMs;
    this.#left = options.limit ?? Infinity;
  }

  /** Takes up to `count` entries, one by one or at once. True at the end. */
  take(count: number, nowMs: number): boolean {
    if ('nextMany' in this.#iterator && count > 1) {
      const run = this.#iterator.nextMany(count);
      for (const entry of run) this.#given(entry, nowMs);
      if (run.length === count) return false;
      this.#ended(nowMs);
      return true;
    }
    for (let i = 0; i < count; i++) {
      const next = this.#iterator.next();
      const entry = next === undefined || Array.isArray(next) ? next : next.value;
      if (entry === undefined) {
        this.#ended(nowMs);
        return true;
      }
      this.#given(entry, nowMs);
    }
    return false;
  }

  /** False: it cannot. */
  seek(key: Uint8Array): boolean {
    if (!('seek' in this.#iterator)) return false;
    this.#iterator.seek(key);
    const target = latin1(key);
    const at = this.#entries.findIndex(([each]) => (this.#options.reverse ? each <= target : each >= target));
    this.#at = at < 0 ? this.#entries.length : at;
    return true;
  }

  close(): void {
    if ('close' in this.#iterator) this.#iterator.close();
    else this.#iterator.return?.();
  }

  #given(entry: Entry, nowMs: number): void {
    const found = entryText(entry);
    while (this.#at < this.#entries.length && this.#entries[this.#at]![0] !== found[0]) this.#passed(show(found), nowMs);
    const wanted = this.#entries[this.#at++];
    if (wanted === undefined || this.#left === 0) throw new Disagreement(`an iterator opened earlier: found ${show(found)}, expected end`);
    expectSame('an iterator opened earlier', show(found), show([wanted[0], this.#options.keysOnly ? '' : latin1(wanted[1].value)]));
    if (!isThere(wanted[1], this.#openedMs))
      throw new Disagreement(`an iterator gave ${show(found)}, which had expired when it was opened`);
    this.#left--;
  }

  #ended(nowMs: number): void {
    if (this.#left === 0) return;
    while (this.#at < this.#entries.length) this.#passed('end', nowMs);
  }

  /** The entry did not come: its time must have. */
  #passed(found: string, nowMs: number): void {
    const [key, value] = this.#entries[this.#at++]!;
    if (isThere(value, nowMs)) expectSame('an iterator opened earlier', found, show([key, latin1(value.value)]));
  }
}
