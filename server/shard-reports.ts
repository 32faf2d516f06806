/**
 * What a node reports of its replicas: their place in the group at each report, and their load out of the engines' figures, as rates over about ten seconds.
 * An engine's figures are taken once a second at most, and of a group that sleeps not at all: what was reported of it stays so. A thousand idle shards cost nothing.
 *
 * Made by cluster-part.ts; read by server/meta/attendance.ts.
 */
import type { Clock } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import type { FailedReplica, ShardReport } from './meta/attending.ts';
import type { Order } from './meta/orders.ts';
import type { NodeShards, Replica } from './node/index.ts';
import { FIRST_SHARD } from './shard/descriptor.ts';
import { sizeOf } from './shard-size.ts';

/** Rates are of what happened in about so long. */
const WINDOW_MS = 10_000;
const LOOK_MS = 1000;
/** Of why a replica cannot be opened. */
const WHY_CHARACTERS_MAX = 500;

interface Load {
  atMs: number;
  gets: number;
  writes: number;
  bytes: number;
  readsPerSecond: number;
  writesPerSecond: number;
  bytesPerSecond: number;
  diskBytes: number;
  keysCount: number;
}

interface Reported {
  readonly replica: Replica;
  readonly report: ShardReport;
  /** It slept already when this was taken, and its rates were nothing. */
  readonly idle: boolean;
}

interface Sum {
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly bytesPerSecond: number;
}

export class ShardReports {
  readonly #shards: NodeShards;
  readonly #clock: Clock;
  readonly #loads: Map<number, Load> = new Map();
  readonly #reported: Map<number, Reported> = new Map();
  /** The metaserver has asked for a replica of shard 1 here. */
  #firstIsWanted = false;

  constructor(shards: NodeShards, clock: Clock) {
    this.#shards = shards;
    this.#clock = clock;
  }

  /** A node has orders carried out. */
  ordered(order: Order): void {
    if (order.type === 'create-replica' && order.descriptor.shard === FIRST_SHARD) this.#firstIsWanted = true;
    if (order.type === 'destroy-replica' && order.shard === FIRST_SHARD) this.#firstIsWanted = false;
  }

  /** Of all replicas. Every node keeps a place for shard 1: where it has no members it is one only if the metaserver asked for it. */
  take(): ShardReport[] {
    const reports: ShardReport[] = [];
    const here = new Set<number>();
    for (const replica of this.#shards) {
      if (replica.group === FIRST_SHARD && replica.members.length === 0 && !this.#firstIsWanted) continue;
      here.add(replica.group);
      const before = this.#reported.get(replica.group);
      if (before?.replica === replica && before.idle && sleptOn(replica, before.report)) {
        reports.push(before.report);
        continue;
      }
      const report = this.#report(replica);
      const { readsPerSecond, writesPerSecond, bytesPerSecond } = report;
      const idle = replica.asleep && readsPerSecond === 0 && writesPerSecond === 0 && bytesPerSecond === 0;
      this.#reported.set(replica.group, { replica, report, idle });
      reports.push(report);
    }
    for (const shard of this.#reported.keys()) {
      if (here.has(shard)) continue;
      this.#reported.delete(shard);
      this.#loads.delete(shard);
    }
    return reports;
  }

  /** Those that are here and cannot be opened. */
  failed(): FailedReplica[] {
    return [...this.#shards.failures].map(([shard, { message }]) => ({ shard, why: message.slice(0, WHY_CHARACTERS_MAX) }));
  }

  /** Of the whole node, as of the last report. */
  get sum(): Sum {
    const sum = { readsPerSecond: 0, writesPerSecond: 0, bytesPerSecond: 0 };
    for (const load of this.#loads.values()) {
      sum.readsPerSecond += load.readsPerSecond;
      sum.writesPerSecond += load.writesPerSecond;
      sum.bytesPerSecond += load.bytesPerSecond;
    }
    return sum;
  }

  #report(replica: Replica): ShardReport {
    const { role, term, leader, lastIndex, appliedIndex, stoppedBecause } = replica.stats();
    const leads = role === 'leader' && stoppedBecause === undefined;
    const { diskBytes, keysCount, readsPerSecond, writesPerSecond, bytesPerSecond } = this.#load(replica);
    return {
      descriptor: replica.shard.descriptor,
      role: stoppedBecause === undefined ? role : 'stopped',
      term,
      leader,
      configuration: replica.configuration,
      configurationIndex: appliedIndex,
      matches: leads ? replica.members.map((node) => ({ node, match: replica.progressOf(node)?.match ?? 0 })) : [],
      applied: appliedIndex,
      lastIndex,
      diskBytes,
      keysCount,
      readsPerSecond: rounded(readsPerSecond),
      writesPerSecond: rounded(writesPerSecond),
      bytesPerSecond: rounded(bytesPerSecond),
      stoppedBecause: stoppedBecause?.message ?? '',
    };
  }

  #load(replica: Replica): Load {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#loads.get(replica.group);
    if (before !== undefined && nowMs - before.atMs < LOOK_MS) return before;
    let figures: Pick<Load, 'gets' | 'writes' | 'bytes' | 'diskBytes' | 'keysCount'>;
    try {
      const { engine, shard } = replica;
      const metrics = engine.metrics();
      const { reads, writes } = metrics;
      const { bytes, keys } = sizeOf(engine, metrics, shard.descriptor.keys);
      figures = { gets: reads.gets, writes: writes.operations, bytes: writes.userBytes, diskBytes: bytes, keysCount: keys };
    } catch (error) {
      // A snapshot takes the engine's place.
      if (before !== undefined) return before;
      if (!(error instanceof SparrowError)) throw error;
      figures = { gets: 0, writes: 0, bytes: 0, diskBytes: 0, keysCount: 0 };
    }
    const load: Load = { ...figures, atMs: nowMs, readsPerSecond: 0, writesPerSecond: 0, bytesPerSecond: 0 };
    // Another engine begins to count anew.
    if (before !== undefined && figures.gets >= before.gets && figures.writes >= before.writes) {
      const seconds = (nowMs - before.atMs) / 1000;
      const part = Math.min(1, (seconds * 1000) / WINDOW_MS);
      const rate = (old: number, count: number): number => old + part * (count / seconds - old);
      load.readsPerSecond = rate(before.readsPerSecond, figures.gets - before.gets);
      load.writesPerSecond = rate(before.writesPerSecond, figures.writes - before.writes);
      load.bytesPerSecond = rate(before.bytesPerSecond, figures.bytes - before.bytes);
    }
    this.#loads.set(replica.group, load);
    return load;
  }
}

/** Whether it has slept since. While nobody asked it may have woken, become or lost a leader, and fallen asleep again: each of these is an entry. */
function sleptOn(replica: Replica, { applied, leader }: ShardReport): boolean {
  return replica.asleep && replica.stopped === undefined && replica.applied === applied && replica.lead.leader === leader;
}

/** What fades away is nothing in the end, and no news. */
function rounded(rate: number): number {
  return rate < 0.05 ? 0 : Math.round(rate * 10) / 10;
}
