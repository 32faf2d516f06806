/**
 * What is known of a shard: its record, which is persisted; what its replicas report, which is not; and what follows: what is planned for it, what is wrong with
 * it, how large it is (state.ts says how these differ).
 */
import type { ShardDescriptor } from '../shard/descriptor.ts';
import type { OperatorRecord } from './operator.ts';

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
   * earlier one is older. 0 while nobody has reported; the term alone: no leader has (changes/strays.ts).
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
  /** Undefined: it runs. */
  readonly failure: Failure | undefined;
}

/** Soft: why a node that is up does not run a replica that it has. */
export interface Failure {
  /** It has stopped, until its node is started again; or it cannot be opened, which its node tries now and then: what it has applied is not known then. */
  readonly how: 'stopped' | 'failed';
  readonly why: string;
  /** Since when that is known in this lead of META_GROUP, without a break. */
  readonly sinceMs: number;
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

/**
 * What is wrong with a shard's members, the worst first; each shard is counted for its worst.
 *
 *   lost         a majority of its voters is down: nothing can be done by the group itself (`sparrowkv recover`)
 *   endangered   one more failure, and it is lost
 *   degraded     a replica is on a node that is down
 *   failed       the node of a member is up, and does not run its replica
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
  'failed',
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

export type ReplicaKind = 'voter' | 'learner' | 'witness';

export function kindOf({ votes, data }: ReplicaRecord): ReplicaKind {
  if (!data) return 'witness';
  return votes ? 'voter' : 'learner';
}

export function replicaOn(shard: Shard, node: number): ReplicaRecord | undefined {
  return shard.record.replicas.find((replica) => replica.node === node);
}

/** Why the node does not run its replica; undefined: it does, or has none. */
export function failureOn({ hosts }: Shard, node: number): Failure | undefined {
  return hosts.get(node)?.failure;
}

/** Whether the node says that it has a replica, and that it runs. */
export function runsOn({ hosts }: Shard, node: number): boolean {
  const hosted = hosts.get(node);
  return hosted !== undefined && hosted.failure === undefined;
}

/** Whether it has data and a vote: who may lead. */
export function mayLead({ votes, data }: ReplicaRecord): boolean {
  return votes && data;
}

/** Reads and writes each second. */
export function trafficOf({ load }: Shard): number {
  return load ? load.readsPerSecond + load.writesPerSecond : 0;
}

export function bytesOf({ load }: Shard): number {
  return load?.bytes ?? 0;
}
