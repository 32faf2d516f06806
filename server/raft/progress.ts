/**
 * What a leader knows of one follower's log.
 *
 *   probe      where the logs agree is not known: one append at a time, the next after its answer (or a heartbeat's)
 *   replicate  it is known: appends are sent ahead of their answers, up to a bound in messages and bytes
 *   snapshot   it lacks entries that the leader has no more: nothing is sent until a snapshot has arrived
 *
 * Invariant: match < next. `match` is durable at the follower.
 */
import { assert } from '../../base/assert.ts';
import { Inflight, type InflightLimits } from './inflight.ts';

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export class Progress {
  match = 0;
  /** Up to here it has the log, durably or not (received.ts). */
  received = 0;
  next: number;
  state: ProgressState = 'probe';
  /** A probe is on its way. */
  probeSent = false;
  /** Entries are on their way while a heartbeat was answered: an empty append tells whether they were lost. */
  askAgain = false;
  /** The commit index that the last append told. */
  sentCommit = 0;
  /** Index of the snapshot that is on its way. */
  pendingSnapshot = 0;
  /** It has no configuration to begin with: even a log from its first entry on does not do, it needs a snapshot. */
  uninitialized = false;
  /** Entries for it are being read from storage. */
  fetching = false;
  /** When, in ticks of this leadership, it was last heard. */
  heardAt: number;
  /** When `match` last grew, or entries were sent with none outstanding. */
  advancedAt = 0;
  readonly inflight: Inflight;

  constructor(next: number, limits: InflightLimits, heardAt: number) {
    this.next = next;
    this.heardAt = heardAt;
    this.inflight = new Inflight(limits);
  }

  /** Whether no more entries may be sent until an answer comes. */
  get paused(): boolean {
    if (this.state === 'replicate') return this.inflight.full;
    return this.state === 'snapshot' || this.probeSent;
  }

  /** Entries up to `last` (none: undefined) were sent. */
  sent(last: number | undefined, bytes: number, now: number): void {
    assert(this.state !== 'snapshot', 'nothing is appended while a snapshot is on its way');
    if (this.match === this.next - 1) this.advancedAt = now;
    this.askAgain = false;
    if (this.state === 'probe') {
      this.probeSent = true;
    } else if (last !== undefined) {
      assert(last >= this.next, 'appends go forward');
      this.next = last + 1;
      this.inflight.add(last, bytes);
    }
  }

  /** A snapshot of that index leaves. */
  sentSnapshot(index: number): void {
    this.#become('snapshot');
    this.pendingSnapshot = index;
    this.next = Math.max(index, this.match) + 1;
    this.sentCommit = index;
  }

  /** The follower has everything up to `index`; the log begins at `firstIndex`. Returns whether that is news. */
  accepted(index: number, firstIndex: number, now: number): boolean {
    const news = index > this.match;
    if (news) {
      this.match = index;
      this.advancedAt = now;
      this.uninitialized = false;
    }
    this.next = Math.max(this.next, index + 1);
    if (this.state === 'replicate') {
      this.inflight.free(index);
    } else if (index === this.match && (this.state === 'probe' || (news && this.match + 1 >= firstIndex))) {
      // Whatever snapshot it was that brought it here: the log goes on from there.
      this.#become('replicate');
      this.next = this.match + 1;
    }
    assert(this.match < this.next, 'match < next');
    return news;
  }

  /** The follower did not have `previousIndex`; the logs agree at `agreement` at best. Returns false for an answer that is out of date. */
  refused(previousIndex: number, agreement: number): boolean {
    if (this.state === 'snapshot') return false;
    if (this.state === 'replicate') {
      if (previousIndex <= this.match) return false;
      this.probe();
      return true;
    }
    if (previousIndex !== this.next - 1) return false;
    // Every log has what is before its first entry, unless it has not even a configuration.
    if (previousIndex === 0) this.uninitialized = true;
    this.next = Math.max(Math.min(previousIndex, agreement + 1), this.match + 1);
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    this.probeSent = false;
    return true;
  }

  /** A heartbeat was answered: the follower is there. A probe may have been lost and is sent again; and entries may have been lost. */
  heard(now: number): void {
    this.heardAt = now;
    this.probeSent = false;
    this.askAgain = this.state === 'replicate' && this.match < this.next - 1;
  }

  /** The host says what became of a snapshot. The next append waits for an answer: to the snapshot, or to a heartbeat. */
  snapshotReported(arrived: boolean): void {
    if (this.state !== 'snapshot') return;
    const next = arrived ? this.next : this.match + 1;
    this.probe();
    this.next = next;
    this.probeSent = true;
  }

  /** Appends may have been lost: begins anew after what is known. */
  probe(): void {
    this.#become('probe');
    this.next = this.match + 1;
    this.sentCommit = Math.min(this.sentCommit, this.match);
  }

  #become(state: ProgressState): void {
    this.state = state;
    this.probeSent = false;
    this.askAgain = false;
    this.pendingSnapshot = 0;
    this.fetching = false;
    this.inflight.clear();
  }
}
