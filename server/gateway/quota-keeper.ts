/**
 * Keeps a node to its shares of tables' quotas, as the metaserver told them (server/meta/quota-shares.ts).
 *
 *   reads, writes a second   what a second's share allows is served at once, up to as much again is delayed, and what is beyond that is refused: `exhausted/QUOTA_RATE`,
 *                            which is worth another attempt
 *   bytes                    puts are refused while the table has its quota: `exhausted/QUOTA_BYTES`. Deletes, and what they free, are not
 *
 * A read is a key that is asked for, or a chunk of a scan; a write is an operation of a batch, or a range delete. A call for more than two seconds' worth passes when
 * nothing was asked for lately. What a node was told holds until it is told otherwise; one that has just been started is told with its first report.
 *
 * Rates are kept as the time at which all that was given out is earned (GCRA). Used by kv-calls.ts and scan-stream.ts; told by server/cluster-part.ts.
 */
import type { Clock, Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { TableDemand, TableShare } from '../meta/attending.ts';

/** So much of a rate may be taken at once, and as much again is delayed. */
const BURST_MS = 1000;
/** Demand is what was asked for in about so long. */
const WINDOW_MS = 3000;

interface Bound {
  share: TableShare;
  readonly reads: Rate;
  readonly writes: Rate;
}

export class QuotaKeeper {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #scheduler: Scheduler;
  #bounds: Map<number, Bound> = new Map();
  #delayed = 0;
  #refused = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>, scheduler: Scheduler) {
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  /** Calls that waited, and that were refused. */
  get figures(): { readonly delayed: number; readonly refused: number } {
    return { delayed: this.#delayed, refused: this.#refused };
  }

  /** All that this node has to keep to from now on. */
  told(shares: readonly TableShare[]): void {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#bounds;
    this.#bounds = new Map();
    for (const share of shares) {
      const bound = before.get(share.table) ?? { share, reads: new Rate(nowMs), writes: new Rate(nowMs) };
      bound.share = share;
      this.#bounds.set(share.table, bound);
    }
  }

  /** What was asked of this node lately, of tables with quotas. */
  demands(): TableDemand[] {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#bounds].map(([table, { reads, writes }]) => ({
      table,
      readsPerSecond: reads.demand(nowMs),
      writesPerSecond: writes.demand(nowMs),
    }));
  }

  /** Undefined: at once. Throws `exhausted/QUOTA_RATE`. */
  read(table: number, count: number): Promise<void> | undefined {
    const bound = this.#bounds.get(table);
    if (bound === undefined) return undefined;
    const { share, reads } = bound;
    return this.#take(reads, count, share, 'readsPerSecond', share.readShare);
  }

  /** `grows`: it puts something. Undefined: at once. Throws `exhausted/QUOTA_RATE`, `exhausted/QUOTA_BYTES`. */
  write(table: number, count: number, grows: boolean): Promise<void> | undefined {
    const bound = this.#bounds.get(table);
    if (bound === undefined) return undefined;
    const { share, writes } = bound;
    if (grows && share.isFull) {
      this.#refused++;
      const message = `table ${share.name} has reached its quota of ${share.bytes} bytes; delete something, or alter the table's quota`;
      throw new SparrowError('exhausted', 'QUOTA_BYTES', message, {
        table: share.name,
        quota: 'bytes',
        limit: share.bytes,
        applied: false,
      });
    }
    return this.#take(writes, count, share, 'writesPerSecond', share.writeShare);
  }

  #take(
    rate: Rate,
    count: number,
    share: TableShare,
    quota: 'readsPerSecond' | 'writesPerSecond',
    part: number,
  ): Promise<void> | undefined {
    const waitMs = rate.take(count, share[quota] === 0 ? Infinity : part, this.#clock.monotonicMs());
    if (waitMs === undefined) {
      this.#refused++;
      const what = quota === 'readsPerSecond' ? 'reads' : 'writes';
      const message = `table ${share.name} is asked for more than its quota of ${share[quota]} ${what} a second`;
      throw new SparrowError('exhausted', 'QUOTA_RATE', message, { table: share.name, quota, limit: share[quota], applied: false });
    }
    if (waitMs === 0) return undefined;
    this.#delayed++;
    return new Promise((resolve) => void this.#scheduler.after(waitMs, resolve, true));
  }
}

/** Of one table: what may be taken, and what was asked for. */
class Rate {
  #earnedAtMs = -Infinity;
  /** Asked for since `#sinceMs`, and a second as of then. */
  #asked = 0;
  #sinceMs: number;
  #perSecond = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** How long to wait; undefined: too long. `perSecond` may be Infinity. */
  take(count: number, perSecond: number, nowMs: number): number | undefined {
    this.#asked += count;
    const costMs = perSecond === 0 ? Infinity : (count / perSecond) * 1000;
    const earnedAtMs = Math.max(nowMs, this.#earnedAtMs) + costMs;
    const waitMs = Math.max(0, earnedAtMs - nowMs - BURST_MS);
    const isIdle = this.#earnedAtMs <= nowMs;
    if (waitMs > BURST_MS && !(isIdle && Number.isFinite(costMs))) return undefined;
    this.#earnedAtMs = earnedAtMs;
    return isIdle ? 0 : waitMs;
  }

  demand(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs > 0) {
      const part = Math.min(1, elapsedMs / WINDOW_MS);
      this.#perSecond += part * ((this.#asked * 1000) / elapsedMs - this.#perSecond);
      this.#asked = 0;
      this.#sinceMs = nowMs;
    }
    return this.#perSecond < 0.05 ? 0 : this.#perSecond;
  }
}
