/**
 * The topology as the metaserver knows it: nodes (node.ts), tables (table.ts), shards (shard.ts), operators (operator.ts), and the whole of them.
 *
 *   record   persisted: a value of META_GROUP's key-value store, plain JSON-safe data but for the keys of a shard's descriptor, which are bytes.
 *            Never changed in place: a change is a new record (changes/ makes them, cluster.ts takes them in).
 *   soft     what nodes report: load, who leads, how far a replica is. Never persisted; a new leader of META_GROUP hears it again within
 *            seconds (policy `settleMs`), and plans nothing before.
 *   index    what follows from the two and is kept so that nobody searches for it: replicas by node, shards of a table in order (cluster.ts).
 *
 * Times are milliseconds of the wall clock as the shell gives it: within one lead of META_GROUP they never go back; over leads they may jump,
 * so what is persisted is compared with tolerance (an hour's guard, half an hour's patience), never ordered by; what is to come yet counts as now (clocks.ts).
 *
 * `ClusterState` is what everybody reads; `Cluster` (cluster.ts) is the one implementation, and the only thing that changes it.
 */
import { MADE_SHARD_MIN } from '../shard/descriptor.ts';
import type { FailedReplica, ShardReport } from './attending.ts';
import type { Node, NodeRecord } from './node.ts';
import type { OperatorRecord } from './operator.ts';
import type { Policy } from './policy.ts';
import type { Ailment, Shard, ShardRecord, SizeClass } from './shard.ts';
import type { TableRecord } from './table.ts';

/** Persisted, written with every change: ids are used once, and `version` tells copies of the topology apart. */
export interface Counters {
  readonly version: number;
  readonly nextTable: number;
  readonly nextShard: number;
  readonly nextOperator: number;
}

export const FIRST_COUNTERS: Counters = Object.freeze({
  version: 0,
  nextTable: MADE_SHARD_MIN,
  nextShard: MADE_SHARD_MIN,
  nextOperator: 1,
});

export interface ClusterState {
  /** Since when this node leads META_GROUP. */
  readonly ledSinceMs: number;
  readonly counters: Counters;
  readonly policy: Policy;
  readonly nodes: ReadonlyMap<number, Node>;
  readonly tables: ReadonlyMap<number, TableRecord>;
  readonly shards: ReadonlyMap<number, Shard>;
  /** Running and lately ended ones. */
  readonly operators: ReadonlyMap<number, OperatorRecord>;
  /** Index: the running ones. */
  readonly running: ReadonlyMap<number, OperatorRecord>;
  /** Index: of a table that was not dropped. */
  tableNamed(name: string): TableRecord | undefined;
  /** Index: in the order of keys; of a hash table in that of the hash's bits, lowest first, so that siblings are neighbours. */
  shardsOf(table: number): readonly Shard[];
  /** Index: nodes that the rules let have replicas of the table, up or not, by id; but for decommissioned ones. */
  nodesFor(table: TableRecord): readonly Node[];
  /** Index: how many zones those have that are not leaving. */
  zonesFor(table: TableRecord): number;
  /** Index: shards by what is wrong with them, or may be done with them (placement/diagnosis.ts). */
  ailing(ailment: Ailment): ReadonlySet<Shard>;
  sized(size: SizeClass): ReadonlySet<Shard>;
  /** Soft: replicas that nodes report of shards that are not there, or not known yet, by shard and node. */
  readonly strays: ReadonlyMap<number, ReadonlyMap<number, Stray>>;
}

export interface Stray {
  /** What was said of it when it was open last; undefined: it never was, and nobody knows whose keys it has. */
  readonly report: ShardReport | undefined;
  /** It cannot be opened now. */
  readonly failed: FailedReplica | undefined;
}

/** A record as it is persisted, or (`undefined`) that it goes: what a change writes. All of a change are written at once, or none. */
export type MetaWrite =
  | { readonly kind: 'node'; readonly id: number; readonly record: NodeRecord | undefined }
  | { readonly kind: 'table'; readonly id: number; readonly record: TableRecord | undefined }
  | { readonly kind: 'shard'; readonly id: number; readonly record: ShardRecord | undefined }
  | { readonly kind: 'operator'; readonly id: number; readonly record: OperatorRecord | undefined }
  | { readonly kind: 'policy'; readonly id: 0; readonly record: Partial<Policy> }
  | { readonly kind: 'counters'; readonly id: 0; readonly record: Counters };

/**
 * What changes/ answer: nothing has happened yet. The shell persists `writes` and then has the state take them in (`Cluster.apply`);
 * between the two it asks for no other change. Empty writes: everything is as it should be already.
 */
export interface Change<Result = undefined> {
  readonly writes: readonly MetaWrite[];
  readonly result: Result;
}
