/**
 * What GET /api/cluster answers, as JSON: the metaserver's survey (proto/sparrowkv/v1/meta.proto) as a page wants it. Keys are text here, and what
 * is the same for all pages is worked out once. Made by view-of-survey.ts; drawn by page/.
 *
 * Times are milliseconds since 1970 by the clock of the node that leads the metaserver; `nowMs` is that clock's now.
 */
export interface ClusterView {
  readonly clusterId: string;
  /** The node that answered (0: a proxy), and the release that it runs. */
  readonly answeredBy: number;
  readonly release: string;
  /** The node that leads the metaserver, in which term, since when. */
  readonly leader: number;
  readonly term: number;
  readonly leadsSinceMs: number;
  readonly nowMs: number;
  /** Of the last decision about placement. */
  readonly decisionMs: number;
  /** Why nothing is decided; empty: all is well. */
  readonly pausedBecause: string;
  readonly nodes: readonly NodeView[];
  readonly tables: readonly TableView[];
  /** At most SHARDS_SHOWN_MAX, in the order of tables and keys; those that need a look come in any case. */
  readonly shards: readonly ShardView[];
  readonly shardsInAll: number;
  readonly operators: readonly OperatorView[];
  /** The last ones that have come to an end, latest first. */
  readonly ended: readonly OperatorView[];
  /** What would begin next. */
  readonly plan: readonly PlannedView[];
  /** Of what should be done and cannot be now, examples. */
  readonly blocked: readonly BlockedView[];
  /** Points later than `since` of the request; all that are kept without it. */
  readonly history: HistoryView;
}

/** As of the survey; what this release does not know is shown as it is. */
export type NodeState = 'up' | 'suspect' | 'down' | 'draining' | 'drained' | 'removed';

export interface NodeView {
  readonly id: number;
  readonly address: string;
  readonly zone: string;
  readonly pool: string;
  readonly role: string;
  readonly release: string;
  readonly state: NodeState;
  readonly sinceMs: number;
  readonly heardMs: number;
  readonly capacityBytes: number;
  readonly diskUsedBytes: number;
  readonly diskFreeBytes: number;
  /** Parts of one. */
  readonly cpu: number;
  readonly io: number;
  /** What its server reads from disks and writes to them; 0 where its system does not tell. */
  readonly ioBytesPerSecond: number;
  /** How many times as long as usual its log takes to be synced. */
  readonly slowDisk: number;
  readonly replicas: number;
  readonly leaders: number;
  /** Operators that copy data to it, or away from it. */
  readonly incoming: number;
  readonly outgoing: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly labels: Readonly<Record<string, string>>;
}

export interface TableView {
  readonly id: number;
  readonly name: string;
  readonly partitioning: string;
  readonly replicas: number;
  readonly learners: number;
  readonly witnesses: number;
  readonly pool: string;
  readonly ttlMs: number;
  readonly durability: string;
  /** 0: any number. */
  readonly quotas: { readonly bytes: number; readonly readsPerSecond: number; readonly writesPerSecond: number };
  readonly state: string;
  readonly undeleteUntilMs: number;
  readonly shards: number;
  /** Over its shards. */
  readonly dataBytes: number;
  readonly keys: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
}

export type ReplicaKindView = 'voter' | 'learner' | 'witness';

export interface ReplicaView {
  readonly node: number;
  readonly kind: ReplicaKindView;
  /** leader, follower, candidate, stopped; empty: not reported. */
  readonly role: string;
  /** Entries that it lacks. */
  readonly lag: number;
  readonly diskBytes: number;
}

export interface ShardView {
  readonly id: number;
  readonly table: number;
  readonly epoch: number;
  /** Such as `"a" to "m"`, or `hash 3 of 8`. */
  readonly keys: string;
  readonly state: string;
  /** A node; 0: not known. */
  readonly leader: number;
  readonly term: number;
  readonly replicas: readonly ReplicaView[];
  readonly dataBytes: number;
  readonly keysCount: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  /** The operator that works on it; empty: none. */
  readonly operator: string;
  readonly byHand: boolean;
}

export interface OperatorView {
  readonly id: string;
  readonly kind: string;
  readonly shard: number;
  readonly reason: string;
  /** running, done, failed or cancelled. */
  readonly state: string;
  readonly steps: readonly { readonly what: string; readonly state: string }[];
  readonly step: number;
  readonly beganMs: number;
  readonly endedMs: number;
  readonly note: string;
  /** `policy`, or who asked for it. */
  readonly by: string;
  /** Of a merge the shard that goes, of a split the one that comes; 0: none. */
  readonly other: number;
}

export interface PlannedView {
  readonly kind: string;
  readonly shard: number;
  readonly reason: string;
  readonly steps: readonly string[];
}

export interface BlockedView {
  readonly shard: number;
  readonly reason: string;
}

export interface HistoryView {
  /** How far its points lie apart. */
  readonly everyMs: number;
  readonly points: readonly HistoryPoint[];
}

/** Least, mean and most over the nodes that are up and hold data. */
export type Spread = readonly [least: number, mean: number, most: number];

export interface HistoryPoint {
  readonly atMs: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly dataBytes: number;
  readonly nodesUp: number;
  readonly operators: number;
  /** Per node: part of the disk that is used, part of all cores, bytes a second from and to disks, reads and writes a second, shards led, replicas held. */
  readonly disk: Spread;
  readonly cpu: Spread;
  readonly io: Spread;
  readonly traffic: Spread;
  readonly leaders: Spread;
  readonly replicas: Spread;
}

/** Why there is no view: the answer's body with status 503. */
export interface ProblemView {
  readonly error: {
    /** Of a SparrowError. */
    readonly code: string;
    readonly message: string;
    /** The node that says so; 0: a proxy. */
    readonly answeredBy: number;
  };
}
