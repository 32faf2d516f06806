/**
 * The sequence numbers that somebody still reads at: snapshots and open iterators. What any of them can see is kept by the memtable,
 * the flush and the compaction.
 */
import { assert } from '../base/assert.ts';
import { SparrowError } from '../base/errors.ts';
import type { Snapshot } from './api.ts';

export class Snapshots {
  /** Pinned sequences, ascending, and how many hold each. */
  readonly #pinned: { sequence: number; holders: number }[] = [];
  readonly #onNewest: (sequence: number) => void;
  #iterators = 0;

  /** `onNewest` learns of the newest pinned sequence whenever it changes; -1: none. */
  constructor(onNewest: (sequence: number) => void) {
    this.#onNewest = onNewest;
  }

  get count(): number {
    let holders = 0;
    for (const pin of this.#pinned) holders += pin.holders;
    return holders;
  }

  /** Scans and iterators among the holders. */
  get iterators(): number {
    return this.#iterators;
  }

  /** Ascending, without repetition. */
  get sequences(): number[] {
    return this.#pinned.map((pin) => pin.sequence);
  }

  /** undefined: none. */
  get oldest(): number | undefined {
    return this.#pinned[0]?.sequence;
  }

  get newest(): number {
    return this.#pinned.at(-1)?.sequence ?? -1;
  }

  /** Keeps what is visible at `sequence`, the newest there is or one that is pinned already, until `unpin`. */
  pin(sequence: number): void {
    const pin = this.#pinned.findLast((each) => each.sequence === sequence);
    if (pin) pin.holders++;
    else {
      assert(sequence > this.newest, 'what is pinned anew is the newest there is');
      this.#pinned.push({ sequence, holders: 1 });
      this.#onNewest(sequence);
    }
  }

  /** As `pin`, for a scan or an iterator. Returns what ends it, to be called once. */
  pinIterator(sequence: number): () => void {
    this.pin(sequence);
    this.#iterators++;
    return () => {
      this.#iterators--;
      this.unpin(sequence);
    };
  }

  unpin(sequence: number): void {
    const at = this.#pinned.findIndex((pin) => pin.sequence === sequence);
    const pin = this.#pinned[at]!;
    if (--pin.holders > 0) return;
    this.#pinned.splice(at, 1);
    if (at === this.#pinned.length) this.#onNewest(this.newest);
  }
}

/** What `engine.snapshot()` returns. */
export class PinnedSnapshot implements Snapshot {
  readonly sequence: number;
  readonly #snapshots: Snapshots;
  readonly #pinnedBytesAt: (sequence: number) => number;
  #released = false;

  constructor(snapshots: Snapshots, sequence: number, pinnedBytesAt: (sequence: number) => number) {
    this.#snapshots = snapshots;
    this.#pinnedBytesAt = pinnedBytesAt;
    this.sequence = sequence;
    snapshots.pin(sequence);
  }

  /** The sequence to read at. `closed/SNAPSHOT_RELEASED` after release; `invalid/SNAPSHOT_FOREIGN` for another engine's. */
  static sequenceFor(snapshot: Snapshot, snapshots: Snapshots): number {
    if (!(snapshot instanceof PinnedSnapshot) || snapshot.#snapshots !== snapshots) {
      throw new SparrowError('invalid', 'SNAPSHOT_FOREIGN', 'snapshot belongs to another engine', { field: 'snapshot' });
    }
    if (snapshot.#released)
      throw new SparrowError('closed', 'SNAPSHOT_RELEASED', 'the snapshot has been released', { sequence: snapshot.sequence });
    return snapshot.sequence;
  }

  get pinnedBytes(): number {
    return this.#released ? 0 : this.#pinnedBytesAt(this.sequence);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#snapshots.unpin(this.sequence);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
