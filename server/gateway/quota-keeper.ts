/**
 * Keeps a node to its shares of tables' quotas, as the metaserver told them (server/meta/quota-shares.ts).
 *
 *   reads, writes a second   what a second's share allows is served at once, up to as much again is delayed, and what is beyond that is refused: `exhausted/QUOTA_RATE`,
 *                            which is worth another attempt
 *   bytes                    puts are refused while the table has its quota: `exhausted/QUOTA_BYTES`. Deletes, and what they free, are not
 *
 * A read is a key that is asked for, or a chunk of a scan; a write is an operation of a batch, or a range delete. A call for more than two seconds' worth passes when
 * nothing was asked for lately, and is earned before the next ones; where the rate changes meanwhile, by the new one. What a node was told holds until it is
 * told otherwise; one that has just been started is told after its first report.
 *
 * Rates are kept as the time at which all that was given out is earned (GCRA). Used by kv-calls.ts and scan-stream.ts; told by server/cluster-part.ts.
 */
import type { Clock, Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { TableDemand, TableShare } from '../meta/attending.ts';

/** So much of a rate may be taken at once, and as much again is delayed. */
const BURST_MS = 1000;
/** What calls that are delayed have in memory, of all tables; beyond it they are refused instead. */
const DELAYED_BYTES_MAX: number = 64 * 1024 * 1024;
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
  #delayedBytes = 0;
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
      bound.reads.changed(rateOf(bound.share, 'read'), rateOf(share, 'read'), nowMs);
      bound.writes.changed(rateOf(bound.share, 'write'), rateOf(share, 'write'), nowMs);
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
    return this.#take(bound.reads, count, bound.share, 'read', 0);
  }

  /**
   * `bytes`: what the call has in memory while it waits. `grows`: it puts something. Undefined: at once. Throws `exhausted/QUOTA_RATE`, `exhausted/QUOTA_BYTES`.
   */
  write(table: number, count: number, bytes: number, grows: boolean): Promise<void> | undefined {
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
    return this.#take(writes, count, share, 'write', bytes);
  }

  #take(rate: Rate, count: number, share: TableShare, of: 'read' | 'write', bytes: number): Promise<void> | undefined {
    const waitMsMax = this.#delayedBytes + bytes > DELAYED_BYTES_MAX ? 0 : BURST_MS;
    const waitMs = rate.take(count, rateOf(share, of), waitMsMax, this.#clock.monotonicMs());
    if (waitMs === undefined) {
      this.#refused++;
      const quota = `${of}sPerSecond` as const;
      const message = `table ${share.name} is asked for more than its quota of ${share[quota]} ${of}s a second`;
      throw new SparrowError('exhausted', 'QUOTA_RATE', message, { table: share.name, quota, limit: share[quota], applied: false });
    }
    if (waitMs === 0) return undefined;
    this.#delayed++;
    this.#delayedBytes += bytes;
    return new Promise((resolve) => {
      const go = (): void => {
        this.#delayedBytes -= bytes;
        resolve();
      };
      void this.#scheduler.after(waitMs, go, true);
    });
  }
}

/** What a node may serve a second; Infinity: there is no such quota. */
function rateOf(share: TableShare, of: 'read' | 'write'): number {
  return share[`${of}sPerSecond`] === 0 ? Infinity : share[`${of}Share`];
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

  /** How long to wait; undefined: longer than `waitMsMax`. `perSecond` may be Infinity. */
  take(count: number, perSecond: number, waitMsMax: number, nowMs: number): number | undefined {
    this.#asked += count;
    const costMs = perSecond === 0 ? Infinity : (count / perSecond) * 1000;
    const earnedAtMs = Math.max(nowMs, this.#earnedAtMs) + costMs;
    const waitMs = Math.max(0, earnedAtMs - nowMs - BURST_MS);
    const isIdle = this.#earnedAtMs <= nowMs;
    if (waitMs > waitMsMax && !(isIdle && Number.isFinite(costMs))) return undefined;
    this.#earnedAtMs = earnedAtMs;
    return isIdle ? 0 : waitMs;
  }

  /** From now on another rate holds: what was taken and is not earned yet is as many calls as before, and earned by the new one. */
  changed(before: number, perSecond: number, nowMs: number): void {
    const owedMs = this.#earnedAtMs - nowMs;
    if (owedMs <= 0 || before === perSecond) return;
    // Of a rate of nothing nothing was taken, and by one nothing would ever be earned.
    if (before > 0 && perSecond > 0) this.#earnedAtMs = nowMs + (perSecond === Infinity ? 0 : owedMs * (before / perSecond));
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
