/**
 * Reads of shards whose leader is new. Reports are means (LOAD_WINDOW_MS), so a node that has just begun to lead reports mostly of a time in which another one served the reads, and traffic would
 * seem to vanish with each lead that moves. Until it reports of its own time what had been reported before counts, where that is more.
 *
 * Pure; a part of cluster.ts, which counts what this says.
 */
import { LOAD_WINDOW_MS } from './node.ts';
import type { ShardLoad } from './shard.ts';

/** What a leader reports of reads is of its own time by then. */
const READS_BEFORE_MS = 3 * LOAD_WINDOW_MS;

export interface Led {
  readonly load: ShardLoad | undefined;
  /** Who reported it; 0: nobody has. */
  loadOf: number;
}

interface Before {
  readonly perSecond: number;
  readonly untilMs: number;
  /** By the new leader, last. */
  reported: number;
}

export class ReadsBefore<S extends Led> {
  /** By the time until which they count. */
  readonly #byShard: Map<S, Before> = new Map();

  /** Reads each second that count when `node` reports, at `nowMs`, that it leads the shard and serves so many. */
  counting(shard: S, node: number, reported: number, nowMs: number): number {
    if (shard.loadOf !== node && shard.load !== undefined) {
      this.#byShard.delete(shard);
      this.#byShard.set(shard, { perSecond: shard.load.readsPerSecond, untilMs: nowMs + READS_BEFORE_MS, reported });
    }
    shard.loadOf = node;
    const before = this.#byShard.get(shard);
    if (before === undefined) return reported;
    before.reported = reported;
    return Math.max(before.perSecond, reported);
  }

  forget(shard: S): void {
    this.#byShard.delete(shard);
  }

  /** Shards whose leaders lead for long enough by now, with what those report: they may have nothing new to say. Each once. */
  *over(nowMs: number): Generator<readonly [shard: S, perSecond: number], void, undefined> {
    for (const [shard, { untilMs, reported }] of this.#byShard) {
      if (untilMs > nowMs) return;
      this.#byShard.delete(shard);
      yield [shard, reported];
    }
  }
}
