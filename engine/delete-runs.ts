/**
 * Runs of deletes that are better written as one range delete, because nothing that is there lies between them. Scans need not walk over
 * those (30 ns each), the memtable gives them up, and compaction drops whole tables for them. Two places where they show:
 *
 * - A batch of deletes in key order: a queue that loses its oldest entries, a range that somebody deletes by listing it.
 * - A delete of the key that a scan has just found first, behind many dead ones: a queue's consumer, who looks for the head and deletes it.
 *   The range then reaches back to where the scan began.
 *
 * Both are looked at anew when they are written, in the same turn: nothing is taken from memory on trust. A range that begins where an
 * earlier tombstone ends takes it in, so that a queue has one tombstone and not one for each batch.
 */
import { type KeyRange, successor } from './key-range.ts';
import { internalKey, prefixBytesOf } from './keyspace-key.ts';
import { RangeCursor, type ScanSource } from './scan.ts';

/** A run of fewer deletes is left as it is. */
export const RUN_MIN = 32;
/** A scan that walked over fewer deletes is no reason to do anything. */
const WALK_MIN = 64;

export interface Run {
  readonly range: KeyRange;
  /** How many of the deletes, from the first on, it stands for. */
  readonly deletes: number;
}

export class DeleteRuns {
  readonly #source: ScanSource;
  readonly #window: number;
  readonly #sequence: () => number;
  readonly #tombstoneBefore: (key: Uint8Array) => KeyRange | undefined;
  /** Where a scan began that walked over many deletes, and the key that it found behind them. */
  #polled: { start: Uint8Array; head: Uint8Array } | undefined;

  /** `tombstoneBefore`: the last stretch under range tombstones that begins at or below a key. */
  constructor(source: ScanSource, window: number, sequence: () => number, tombstoneBefore: (key: Uint8Array) => KeyRange | undefined) {
    this.#source = source;
    this.#window = window;
    this.#sequence = sequence;
    this.#tombstoneBefore = tombstoneBefore;
  }

  /** `keys`: of one keyspace, ascending, at least RUN_MIN of them. Undefined: too few of them have nothing in between. */
  coverBatch(keyspace: number, keys: readonly Uint8Array[]): Run | undefined {
    const first = internalKey(keyspace, keys[0]!);
    const before = this.#tombstoneBefore(first);
    const joins = before !== undefined && before.start.length >= prefixBytesOf(keyspace) && sameKeyspace(before.start, first, keyspace);
    let start = joins ? before.start : first;
    let deletes = this.#covered(keyspace, keys, start);
    if (deletes === undefined) {
      start = first;
      deletes = this.#covered(keyspace, keys, start)!;
    }
    if (deletes < RUN_MIN) return undefined;
    return { range: { start, end: successor(internalKey(keyspace, keys[deletes - 1]!)) }, deletes };
  }

  /** A forward scan of the present began at the internal key `start`, walked over `deletes` keys that are not there, and found `head`. */
  scanned(start: Uint8Array, head: Uint8Array, deletes: number): void {
    if (deletes >= WALK_MIN) this.#polled = { start, head };
  }

  /** For a delete of one key: what it may delete along with it, when it is the one that a scan has just found. */
  coverHead(keyspace: number, key: Uint8Array): KeyRange | undefined {
    const polled = this.#polled;
    if (polled === undefined) return undefined;
    const internal = internalKey(keyspace, key);
    if (Buffer.compare(polled.head, internal) !== 0) return undefined;
    const deletes = this.#covered(keyspace, [key], polled.start);
    this.#polled = undefined;
    return deletes === 1 ? { start: polled.start, end: successor(internal) } : undefined;
  }

  /** How many of the keys, from the first on, have nothing beside them from `start` on. Undefined: something comes before the first. */
  #covered(keyspace: number, keys: readonly Uint8Array[], start: Uint8Array): number | undefined {
    const cursor = new RangeCursor(
      this.#source,
      {
        prefixBytes: prefixBytesOf(keyspace),
        lower: start,
        lowerExclusive: false,
        upper: internalKey(keyspace, keys.at(-1)!),
        upperInclusive: true,
        reverse: false,
        keysOnly: true,
        limit: Infinity,
      },
      this.#sequence(),
      this.#window,
    );
    cursor.expect(keys.length);
    for (let at = 0; at < keys.length; at++) {
      const order = cursor.compareNext(keys[at]!);
      if (order === undefined) break;
      // What was deleted before is not there any more. Something that is there and comes first is none of the deletes.
      if (order < 0) return at === 0 ? undefined : at;
    }
    return keys.length;
  }
}

function sameKeyspace(a: Uint8Array, b: Uint8Array, keyspace: number): boolean {
  for (let i = 0; i < prefixBytesOf(keyspace); i++) if (a[i] !== b[i]) return false;
  return true;
}
