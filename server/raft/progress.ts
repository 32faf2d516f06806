/**
 * What a leader knows of one follower's log.
 *
 *   probe      where the logs agree is not known: one append at a time, the next after its answer (or a heartbeat's)
 *   replicate  it is known: appends are sent ahead of their answers, up to a bound in messages and bytes
 *
 * Invariant: match < next. `match` is durable at the follower.
 */
import { assert } from '../../base/assert.ts';

export interface InflightLimits {
  messages: number;
  bytes: number;
}

export class Progress {
  match = 0;
  next: number;
  state: 'probe' | 'replicate' = 'probe';
  /** A probe is on its way. */
  probeSent = false;
  /** The commit index that the last append told. */
  sentCommit = 0;
  /** Last entry and size of each append that is not answered, oldest first. */
  readonly #inflight: { last: number; bytes: number }[] = [];
  #inflightBytes = 0;
  readonly #limits: InflightLimits;

  constructor(next: number, limits: InflightLimits) {
    this.next = next;
    this.#limits = limits;
  }

  /** Whether no more entries may be sent now. */
  get paused(): boolean {
    if (this.state === 'probe') return this.probeSent;
    return this.#inflight.length >= this.#limits.messages || this.#inflightBytes >= this.#limits.bytes;
  }

  get inflightMessages(): number {
    return this.#inflight.length;
  }

  get inflightBytes(): number {
    return this.#inflightBytes;
  }

  /** Entries up to `last` (none: undefined) were sent. */
  sent(last: number | undefined, bytes: number): void {
    if (this.state === 'probe') {
      this.probeSent = true;
    } else if (last !== undefined) {
      assert(last >= this.next, 'appends go forward');
      this.next = last + 1;
      this.#inflight.push({ last, bytes });
      this.#inflightBytes += bytes;
    }
  }

  /** The follower has everything up to `index`. Returns whether that is news. */
  accepted(index: number): boolean {
    const news = index > this.match;
    if (news) this.match = index;
    this.next = Math.max(this.next, index + 1);
    while (this.#inflight.length > 0 && this.#inflight[0]!.last <= index) this.#inflightBytes -= this.#inflight.shift()!.bytes;
    if (this.state === 'probe') this.#become('replicate');
    assert(this.match < this.next, 'match < next');
    return news;
  }

  /** The follower did not have `previousIndex`; the logs agree at `agreement` at best. Returns false for an answer that is out of date. */
  refused(previousIndex: number, agreement: number): boolean {
    if (this.state === 'replicate' ? previousIndex <= this.match : previousIndex !== this.next - 1) return false;
    this.next = this.state === 'replicate' ? this.match + 1 : Math.max(Math.min(previousIndex, agreement + 1), this.match + 1);
    this.#become('probe');
    return true;
  }

  /** A heartbeat was answered: the follower is there, so a probe that was lost is sent again, and a full window lets one through. */
  heard(): void {
    this.probeSent = false;
    if (this.state === 'replicate' && this.paused) {
      const oldest = this.#inflight.shift();
      if (oldest !== undefined) this.#inflightBytes -= oldest.bytes;
    }
  }

  #become(state: 'probe' | 'replicate'): void {
    this.state = state;
    this.probeSent = false;
    this.#inflight.length = 0;
    this.#inflightBytes = 0;
    if (state === 'replicate') this.next = Math.max(this.next, this.match + 1);
  }
}
