/** What a repair could not save, told as exactly as it is known. Bounded; the rest is counted. */
import type { Loss } from '../files-api.ts';
import { FINDINGS_MAX } from './findings.ts';
import { userKeyOf } from './user-key.ts';

/** A loss with internal keys, to which more becomes known. */
export interface FoundLoss {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly what: Loss['what'];
  readonly smallest?: Uint8Array | undefined;
  readonly largest?: Uint8Array | undefined;
  readonly entries?: number | undefined;
  mayShowOlder?: boolean;
}

export class Losses {
  readonly found: FoundLoss[] = [];
  #count = 0;
  #entries = 0;

  get count(): number {
    return this.#count;
  }
  /** Versions of keys, as far as their number is known. */
  get entries(): number {
    return this.#entries;
  }

  add(loss: FoundLoss): void {
    this.#entries += loss.entries ?? 0;
    if (this.#count++ < FINDINGS_MAX) this.found.push(loss);
  }

  /** Entries that were in one of several places. */
  addEntries(count: number): void {
    this.#entries += count;
  }

  /** For the report. */
  list(): Loss[] {
    return this.found.map(({ smallest, largest, entries, mayShowOlder = false, ...loss }) => ({
      ...loss,
      from: smallest && userKeyOf(smallest),
      to: largest && userKeyOf(largest),
      entries,
      mayShowOlder,
    }));
  }
}
