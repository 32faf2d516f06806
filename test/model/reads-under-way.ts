/**
 * Asynchronous reads beside what they must answer: what there was when they were called, whatever has been done since. A value whose time
 * has come meanwhile may be there or not.
 */
import type { Entry, KeyValues, ReadOptions, ScanOptions } from '../../engine/index.ts';
import { PowerLoss } from '../sim/sim-file-system.ts';
import { Disagreement, expectSame, expectValue, nameOf } from './agreement.ts';
import { isThere, type ModelState, type ModelValue } from './model.ts';
import { OpenIterator } from './open-iterator.ts';

export class ReadsUnderWay {
  readonly #nowMs: () => number;
  /** Whether a read may fail so. */
  readonly #mayFail: (error: unknown) => boolean;
  readonly #reads = new Set<Promise<void>>();
  #abandoned = false;
  #failure: unknown;

  constructor(nowMs: () => number, mayFail: (error: unknown) => boolean) {
    this.#nowMs = nowMs;
    this.#mayFail = mayFail;
  }

  get count(): number {
    return this.#reads.size;
  }

  /** Every verb that reads points, for each of the keys. */
  points(store: KeyValues, keyspace: number, keys: readonly Uint8Array[], expected: ModelState, options: ReadOptions): void {
    const nowMs = this.#nowMs();
    const wanted = keys.map((key) => expected.get(keyspace, key, nowMs));
    this.#begin(store.getMany(keys, options), (found) =>
      keys.forEach((key, i) => this.#isThere(found[i] !== undefined, wanted[i]) && expectValue(key, found[i], wanted[i]?.value)),
    );
    for (const [i, key] of keys.entries()) {
      const value = wanted[i];
      this.#begin(store.get(key, options), (found) => {
        if (this.#isThere(found !== undefined, value)) expectValue(key, found, value?.value);
      });
      this.#begin(store.getEntry(key, options), (found) => {
        if (!this.#isThere(found !== undefined, value)) return;
        expectValue(key, found?.value, value?.value);
        expectSame(`key ${nameOf(key)}, version`, found?.version, value?.version);
        expectSame(`key ${nameOf(key)}, expiry`, found?.expiresAtMs, value?.expiresAtMs);
      });
      this.#begin(store.has(key, options), (found) => {
        if (this.#isThere(found, value)) expectSame(`whether key ${nameOf(key)} is there`, found, value !== undefined);
      });
    }
  }

  scan(store: KeyValues, keyspace: number, expected: ModelState, options: ScanOptions): void {
    const nowMs = this.#nowMs();
    const wanted = expected.entries(keyspace, options);
    this.#begin(collect(store.scan(options)), (found) => {
      new OpenIterator(found.values(), options, wanted, nowMs).take(found.length + 1, this.#nowMs());
    });
  }

  /** Throws what did not agree. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#reads);
    this.check();
  }

  /** The machine, or the process, is gone, and nobody hears what they answer. */
  abandon(): void {
    this.#abandoned = true;
  }

  /** Whether it must be as expected: it need not when it has expired since and is not there. */
  #isThere(found: boolean, wanted: ModelValue | undefined): boolean {
    return found || wanted === undefined || isThere(wanted, this.#nowMs());
  }

  #begin<T>(read: Promise<T>, compare: (found: T) => void): void {
    const compared = read.then(compare).catch((error: unknown) => {
      if (this.#abandoned || error instanceof PowerLoss) return;
      if (error instanceof Disagreement || !this.#mayFail(error)) this.#failure ??= error;
    });
    this.#reads.add(compared);
    void compared.finally(() => this.#reads.delete(compared));
  }
}

async function collect(scan: AsyncIterable<Entry>): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of scan) entries.push(entry);
  return entries;
}
