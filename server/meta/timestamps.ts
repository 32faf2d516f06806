/**
 * The timestamp service of one lead: the oracle's numbers, with its bound persisted ahead. Who asks for more than there is below the bound waits for it to be
 * raised, and many wait together. Called by lead.ts.
 */
import type { Clock } from '../../base/env.ts';
import { TimestampOracle } from './timestamp-oracle.ts';

export class Timestamps {
  readonly #oracle: TimestampOracle;
  readonly #clock: Clock;
  readonly #persist: (bound: number) => Promise<void>;
  #raising: Promise<void> | undefined;

  /** `persist` settles when all timestamps below a bound count as used up, whoever leads next. */
  constructor(bound: number, clock: Clock, persist: (bound: number) => Promise<void>) {
    this.#oracle = new TimestampOracle(bound);
    this.#clock = clock;
    this.#persist = persist;
  }

  /** The first of `count` that follow one another. At once as long as enough is left. Throws `invalid/TIMESTAMPS`. */
  take(count: number): number | Promise<number> {
    const first = this.#oracle.take(count, this.#clock.wallMs());
    // In time for those that come next.
    void this.#raise(count)?.catch(() => undefined);
    return first ?? this.#wait(count);
  }

  async #wait(count: number): Promise<number> {
    for (;;) {
      await this.#raise(count);
      const first = this.#oracle.take(count, this.#clock.wallMs());
      if (first !== undefined) return first;
    }
  }

  #raise(count: number): Promise<void> | undefined {
    if (this.#raising !== undefined) return this.#raising;
    const bound = this.#oracle.wanted(count, this.#clock.wallMs());
    if (bound === undefined) return undefined;
    const done = (): void => {
      this.#raising = undefined;
    };
    const raising = this.#persist(bound).then(() => this.#oracle.raised(bound));
    this.#raising = raising;
    raising.then(done, done);
    return raising;
  }
}
