/**
 * The topology as the metaserver knows it: nodes, tables, shards, operators. Types, and what can be read off them at a glance.
 *
 *   record   persisted: a value of META_GROUP's key-value store, plain JSON-safe data but for the keys of a shard's descriptor, which are bytes.
 *            Never changed in place: a change is a new record (changes.ts makes them, cluster.ts takes them in).
 *   soft     what nodes report: load, who leads, how far a replica is. Never persisted; a new leader of META_GROUP hears it again within
 *            seconds (policy `settleMs`), and plans nothing before.
 *   index    what follows from the two and is kept so that nobody searches for it: replicas by node, shards of a table in order (cluster.ts).
 *
 * Times are milliseconds of the wall clock as the shell gives it: within one lead of META_GROUP they never go back; over leads they may jump,
 * so what is persisted is compared with tolerance (an hour's guard, half an hour's patience), never ordered by.
 *
 * `ClusterState` is what everybody reads; `Cluster` (cluster.ts) is the one implementation, and the only thing that changes it.
 */
import { MADE_SHARD_MIN, type ShardDescriptor, type ShardSettings, SYSTEM_TABLE } from '../shard/descriptor.ts';
import type { ShardReport } from './attending.ts';
import type { Policy } from './policy.ts';

/** The pool of nodes and tables that name none. */
export const DEFAULT_POOL = 'default';

// Nodes.

export type NodeRole = 'meta' | 'node' | 'all' | 'proxy';

/**
 *   up        heard within `suspectAfterMs`, by us or by a peer that forwards
 *   suspect   silent for so long, and no peer reaches it either; it keeps its replicas, gets no new ones
 *   down      suspect for `downAfterMs`: its replicas are made anew elsewhere
 */
export type NodeHealth = 'up' | 'suspect' | 'down';

/**
 *   active            has replicas and leaders
 *   draining          leads and replicas move away, nothing comes; it may become active again. Drained: it has none any more
 *   decommissioning   the same, and then it is
 *   decommissioned    no part of the cluster; its id is used up
 */
export type NodeDuty = 'active' | 'draining' | 'decommissioning' | 'decommissioned';

/** Unequal machines get unequal shares: of data by their disk, of leads and traffic by their cores. */
export interface NodeCapacity {
  readonly diskBytes: number;
  readonly cores: number;
}

/** Persisted. */
export interface NodeRecord {
  /** Of `node.json`: used once, never again. */
  readonly id: number;
  /** HOST:PORT for clients, and for other nodes. */
  readonly address: string;
  readonly peerAddress: string;
  /** Fault domain. */
  readonly zone: string;
  /** Tables of another pool have no replica here. */
  readonly pool: string;
  readonly role: NodeRole;
  readonly labels: Readonly<Record<string, string>>;
  readonly capacity: NodeCapacity;
  readonly duty: NodeDuty;
  readonly health: NodeHealth;
  /** Since when its health is what it is. Over a change of META_GROUP's leader a node that is suspect goes on being so. */
  readonly healthSinceMs: number;
  readonly registeredAtMs: number;
  /** Of the program that it runs. */
  readonly version: string;
}

/** Soft. Rates are means over some ten seconds, so that a single burst is none. */
export interface NodeLoad {
  readonly diskUsedBytes: number;
  /** What the file system says is free: below capacity minus used where others use the disk, too. */
  readonly diskFreeBytes: number;
  /** 0 to 1. */
  readonly cpu: number;
  /** 0 to 1: how busy its disk is. */
  readonly io: number;
  /** What it reads from disks and writes to them; 0 where its system does not tell. */
  readonly ioBytesPerSecond: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly bytesPerSecond: number;
  /** How long the sync of its log takes over what is usual; 1: as ever. */
  readonly slowDisk: number;
}

/** Of a node that we do not hear. */
export interface PeerProbe {
  readonly askedAtMs: number;
  /** Peers that were asked in this round and have not answered. */
  readonly open: readonly number[];
  /** When one last said that it reaches the node, 0 for never; and how many said in this round that they do not. */
  readonly reachedAtMs: number;
  readonly failed: number;
}

export interface Over {
  readonly disk: boolean;
  readonly cpu: boolean;
  readonly io: boolean;
  /** Its disk is slow: it should lead nothing. */
  readonly slow: boolean;
}

/**
 * A node: its record, what it reports, what follows. What is planned is counted as if it were done: a replica that an operator takes to a node is
 * there, one that it takes away is gone. So nothing is decided twice.
 */
export interface Node {
  readonly record: NodeRecord;
  /** Soft: as of the last report, none before the first. */
  readonly load: NodeLoad | undefined;
  /** Soft: when it was heard last (in this lead of META_GROUP; at its begin: as if it had just been heard). */
  readonly heardAtMs: number;
  /** Soft: what peers said that were asked to reach it since it was last heard. */
  readonly probe: PeerProbe | undefined;
  /** Soft: which high watermarks it is beyond, until it is below the low ones: hysteresis. */
  readonly over: Over;

  /** Index: shards of which it is a member, and those of which it reports a replica. */
  readonly shards: ReadonlySet<Shard>;
  readonly replicasHere: ReadonlySet<Shard>;
  /** Index: bytes of those of which it has the data. */
  readonly memberBytes: number;
  /** Index, planned: replicas, their bytes (of those with data), leads; writes each second of its replicas and reads of its leads. */
  readonly replicas: number;
  readonly bytes: number;
  readonly leads: number;
  readonly traffic: number;
  /** Index: running operators that copy data to it, and that take a replica away from it. */
  readonly arriving: number;
  readonly departing: number;
}

// Tables.

export type TablePartitioning =
  /** One shard for each range between split keys (ascending, not empty), at first. */
  | { readonly kind: 'range'; readonly splitKeys: readonly Uint8Array[] }
  /** A power of two of shards at first; each splits by doubling. */
  | { readonly kind: 'hash'; readonly shards: number };

/** How many of which kind a shard has. Voters have data and count; learners have data and do not; witnesses count and have none. */
export interface ReplicaCounts {
  readonly voters: number;
  readonly learners: number;
  readonly witnesses: number;
}

/**
 * What of a write is true when it is answered.
 *
 *   synced   it is on the disks of a majority
 *   os       it is in the system's caches of a majority: nothing is lost with processes; with the power of a majority at once, the last moment's writes may be
 */
export const DURABILITIES = ['synced', 'os'] as const;
export type Durability = (typeof DURABILITIES)[number];

/** Of the whole table. 0: no bound. */
export interface TableQuotas {
  readonly bytes: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
}

/** Persisted. */
export interface TableRecord {
  readonly id: number;
  readonly name: string;
  readonly partitioning: TablePartitioning;
  readonly replicas: ReplicaCounts;
  readonly pool: string;
  /** Of values that are put without one; 0: they stay. */
  readonly ttlMs: number;
  readonly durability: Durability;
  /** Values from so many bytes on are written once and pointed to; 0: what a node's settings say. */
  readonly inlineThreshold: number;
  readonly quotas: TableQuotas;
  readonly createdAtMs: number;
  /** Since when it is dropped: its name is free, its shards answer nobody. 0: it is not. */
  readonly droppedAtMs: number;
  /** Until when it can be had back; then its shards are destroyed. 0: it is not dropped. */
  readonly undeleteUntilMs: number;
  /** Grows with each change. */
  readonly revision: number;
}

// Shards.

/** A member of a shard's group: with a vote or without, with data or (a witness) without. */
export interface ReplicaRecord {
  readonly node: number;
  readonly votes: boolean;
  readonly data: boolean;
}

/** Persisted. The truth about members and keys is the group's; this is the newest copy that was reported. */
export interface ShardRecord {
  /** Also the Raft group's id. */
  readonly id: number;
  readonly table: number;
  readonly descriptor: ShardDescriptor;
  /** By ascending node. Members of both sets while the configuration is joint. */
  readonly replicas: readonly ReplicaRecord[];
  readonly joint: boolean;
  /**
   * Descriptor and members are functions of the group's log: they are as of this index, which the leader of this term had applied. What is told of an
   * earlier one is older. 0 while nobody has reported.
   */
  readonly asOfIndex: number;
  readonly asOfTerm: number;
  readonly createdAtMs: number;
  /** When it last split, or came of a split; 0 for never. */
  readonly splitAtMs: number;
  /** Its members were changed by hand: they are left as they are, until it is released. */
  readonly byHand: boolean;
}

/** Soft: what the leader says of a member. */
export interface ReplicaProgress {
  readonly node: number;
  /** Up to where the member is known to have the log. */
  readonly match: number;
}

/** Soft: what the leader reports of its shard. */
export interface ShardLoad {
  readonly bytes: number;
  /** An estimate. */
  readonly keys: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly bytesPerSecond: number;
}

/** Soft: a replica as its own node reports it, member or not: what shows that it was made, and that it is gone. */
export interface Hosted {
  readonly applied: number;
  /** It knows of no members: it is there to be taken in. */
  readonly waits: boolean;
}

export interface Shard {
  readonly id: number;
  readonly record: ShardRecord;
  /** Soft: the node that leads and since which term; 0 for nobody known. */
  readonly leader: number;
  readonly term: number;
  readonly lastIndex: number;
  readonly progress: readonly ReplicaProgress[];
  /** Soft: up to which index of its log we know who is a member, changed or not. */
  readonly membersAsOf: number;
  /** Soft: undefined before the first report of a leader. */
  readonly load: ShardLoad | undefined;
  /** Soft: nodes that have a replica, as they say, member or not. */
  readonly hosts: ReadonlyMap<number, Hosted>;
  /** Index: the operator at work on it, as its own shard or as the other one of a split or merge. */
  readonly operator: OperatorRecord | undefined;
  /** Index: members as they will be when that is done, and who will lead. */
  readonly planned: readonly ReplicaRecord[];
  readonly plannedLeader: number;
  /** Index: as `ailing` and `sized` have it. */
  readonly ailment: Ailment | undefined;
  readonly size: SizeClass | undefined;
}

// Operators.

/** Why there is one. In order of what goes first where there is room for a few only. */
export type OperatorKind =
  /** The first replicas of a new shard. */
  | 'create'
  /** Replicas of nodes that are down, or missing, made anew. */
  | 'repair'
  /** Replicas where, or as, the table's rules do not want them. */
  | 'rule'
  /** What leaves a node that drains or is decommissioned. */
  | 'drain'
  /** Leads to where they should be. */
  | 'lead'
  /** Surplus members and replicas of nobody are removed. */
  | 'tidy'
  | 'split'
  | 'merge'
  /** Replicas from nodes that have much to nodes that have little. */
  | 'balance'
  | 'describe'
  | 'drop'
  /** Asked for. */
  | 'move'
  | 'transfer';

/**
 * Each is idempotent, and done when the reported state says so (placement/progress.ts), so that a new leader of META_GROUP goes on where the
 * last one was. `node`, `voter`, `from` and `to` are nodes. What a node is told for it: an order (orders.ts).
 */
export type Step = { readonly shard: number } &
  /** A replica is made on `node`: of a new shard with its first `voters`, else with none: it waits to be taken in. */
  (
    | { readonly type: 'create-replica'; readonly node: number; readonly voters: readonly number[] }
    | { readonly type: 'add-learner'; readonly node: number; readonly witness: boolean }
    /** Nothing is ordered: the learner gets the log, or a snapshot. */
    | { readonly type: 'catch-up'; readonly node: number }
    | { readonly type: 'promote'; readonly node: number }
    /** `node`, a learner, gets the vote of `voter`, in one joint change: at no time does the group bear fewer failures than before. */
    | { readonly type: 'replace'; readonly voter: number; readonly node: number }
    /** The lead goes to `to`; where `from` is given it is done as soon as that one does not lead, whoever does. */
    | { readonly type: 'transfer'; readonly from: number; readonly to: number }
    | { readonly type: 'demote'; readonly node: number }
    | { readonly type: 'remove'; readonly node: number }
    | { readonly type: 'destroy-replica'; readonly node: number }
    /** At `key`; undefined: in the middle as the leader's samples say (range), or by the next bit (hash). */
    | { readonly type: 'split'; readonly child: number; readonly epoch: number; readonly key: Uint8Array | undefined }
    /** Merge: `shard` is the target, `source` goes. */
    | { readonly type: 'seal' | 'import' | 'retire' | 'discard' | 'unseal'; readonly source: number }
    | { readonly type: 'commit-merge'; readonly source: number; readonly epoch: number }
    /** The leader is told what its table says now. */
    | { readonly type: 'describe' }
    /** Its replicas are destroyed wherever they are, and its record goes. */
    | { readonly type: 'destroy-shard' }
  );

/** Persisted, from the moment that it is decided. Ended ones are kept for a while, for who asks what happened. */
export interface OperatorRecord {
  readonly id: number;
  readonly shard: number;
  /** Merge: the source. Split: the child. Nobody else works on that one either. */
  readonly other: number | undefined;
  readonly kind: OperatorKind;
  /** One sentence, with figures. */
  readonly reason: string;
  /** 'policy', or who asked for it. */
  readonly by: string;
  readonly steps: readonly Step[];
  /** Index of the step that is under way. */
  readonly at: number;
  readonly state: 'running' | 'done' | 'cancelled' | 'failed';
  /** Why it did not, or will not, end as it was meant to. */
  readonly ending: string | undefined;
  /** It is given up, and its steps are those that undo it; what it is called when they are done. */
  readonly undoing?: 'cancelled' | 'failed';
  readonly startedAtMs: number;
  /** When step `at` began, or the operator ended. */
  readonly stepAtMs: number;
}

// The whole.

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
  /** Soft: replicas that nodes report of shards that are not there, by shard and node. */
  readonly strays: ReadonlyMap<number, ReadonlyMap<number, ShardReport>>;
}

/**
 * What is wrong with a shard's members, the worst first; each shard is counted for its worst.
 *
 *   lost         a majority of its voters is down: nothing can be done by the group itself (`sparrowkv recover`)
 *   endangered   one more failure, and it is lost
 *   degraded     a replica is on a node that is down
 *   absent       a member has no replica, and its node is up
 *   short        fewer replicas than the table wants
 *   surplus      more replicas than the table wants, of some kind
 *   misplaced    a replica is in the wrong pool, or a zone has more than its share
 *   leaving      a replica is on a node that drains or is decommissioned
 *   sealed       it takes no writes, and no merge is under way
 *   stray        a node has a replica and is no member
 *   undescribed  its table's settings have changed since it was told them, or the table was dropped or is back
 *   unsplit      it is about to be split, and no split is under way; or it is a hash shard that is being swept
 *   misled       the leader should not lead: its node's disk is slow
 */
export const AILMENTS = [
  'lost',
  'endangered',
  'degraded',
  'absent',
  'short',
  'surplus',
  'misplaced',
  'leaving',
  'sealed',
  'stray',
  'undescribed',
  'unsplit',
  'misled',
] as const;
export type Ailment = (typeof AILMENTS)[number];

/** A shard beyond the split size, one with more traffic than one should have, one that could be merged away. */
export const SIZE_CLASSES = ['large', 'hot', 'small'] as const;
export type SizeClass = (typeof SIZE_CLASSES)[number];

/**
 * A record as it is persisted, or (`undefined`) that it goes: what a change writes. All of a change are written at once, or none.
 */
export type MetaWrite =
  | { readonly kind: 'node'; readonly id: number; readonly record: NodeRecord | undefined }
  | { readonly kind: 'table'; readonly id: number; readonly record: TableRecord | undefined }
  | { readonly kind: 'shard'; readonly id: number; readonly record: ShardRecord | undefined }
  | { readonly kind: 'operator'; readonly id: number; readonly record: OperatorRecord | undefined }
  | { readonly kind: 'policy'; readonly id: 0; readonly record: Partial<Policy> }
  | { readonly kind: 'counters'; readonly id: 0; readonly record: Counters };

/**
 * What changes.ts answers: nothing has happened yet. The shell persists `writes` and then has the state take them in (`Cluster.apply`);
 * between the two it asks for no other change. Empty writes: everything is as it should be already.
 */
export interface Change<Result = undefined> {
  readonly writes: readonly MetaWrite[];
  readonly result: Result;
}

// At a glance.

export type ReplicaKind = 'voter' | 'learner' | 'witness';

export function kindOf({ votes, data }: ReplicaRecord): ReplicaKind {
  if (!data) return 'witness';
  return votes ? 'voter' : 'learner';
}

export function replicaOn(shard: Shard, node: number): ReplicaRecord | undefined {
  return shard.record.replicas.find((replica) => replica.node === node);
}

/** Whether it has data and a vote: who may lead. */
export function mayLead({ votes, data }: ReplicaRecord): boolean {
  return votes && data;
}

/**
 * Nothing that it has can be had any more, or waited for; should it come back, its replicas are strays. A node that is to go for good is not waited for when it is
 * silent: that is how a dead one is told so.
 */
export function isGone({ health, duty }: NodeRecord): boolean {
  return health === 'down' || duty === 'decommissioned' || (health === 'suspect' && duty === 'decommissioning');
}

/** Whether replicas of `table` may be on it at all, whatever its health. */
export function isFor(node: NodeRecord, table: Pick<TableRecord, 'id' | 'pool'>): boolean {
  if (table.id === SYSTEM_TABLE) return node.role === 'meta' || node.role === 'all';
  return (node.role === 'node' || node.role === 'all') && node.pool === table.pool;
}

/** Whether new replicas and leaders may come to it. */
export function isWelcoming({ health, duty }: NodeRecord): boolean {
  return health === 'up' && duty === 'active';
}

/** Whether its replicas have to go elsewhere. */
export function isLeaving({ health, duty }: NodeRecord): boolean {
  return health === 'down' || duty !== 'active';
}

/** What its shards are to be told. */
export function shardSettings(table: Pick<TableRecord, 'ttlMs' | 'inlineThreshold' | 'durability' | 'droppedAtMs'>): ShardSettings {
  const { ttlMs, inlineThreshold, durability, droppedAtMs } = table;
  return { ttlMs, inlineThreshold, ...(durability === 'os' && { durability }), ...(droppedAtMs > 0 && { dropped: true }) };
}

/** It can be had back, or not even that any more. */
export function isDropped({ droppedAtMs }: TableRecord): boolean {
  return droppedAtMs > 0;
}

/** One word for people. */
export function stateOf({ record: { health, duty }, shards }: Node): string {
  if (duty === 'decommissioned') return 'removed';
  if (health !== 'up') return health;
  if (duty === 'active') return 'up';
  return shards.size === 0 ? 'drained' : 'draining';
}

/** Reads and writes each second. */
export function trafficOf({ load }: Shard): number {
  return load ? load.readsPerSecond + load.writesPerSecond : 0;
}

export function bytesOf({ load }: Shard): number {
  return load?.bytes ?? 0;
}
