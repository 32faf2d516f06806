/** What a replica is made of: its settings, and the parts that it is given. Types only. */
import type { Clock, Random, Scheduler } from '../../base/env.ts';
import type { SparrowError } from '../../base/errors.ts';
import type { HostedEngine } from '../../engine/index.ts';
import type { LeaseOptions } from '../raft/index.ts';
import type { ShardDescriptor } from '../shard/descriptor.ts';
import type { NodeAddress } from './address-book.ts';
import type { Handover } from './lead-keeper.ts';
import type { GroupLog, NodeLog } from './log/index.ts';
import type { ReplicaHost } from './replica-host.ts';
import type { ReplicaStore } from './replica-store.ts';
import type { ShardBirths } from './shard-changes.ts';
import type { WriteBudget } from './write-budget.ts';

export interface ReplicaSettings {
  group: number;
  /** This member: the node's id. */
  id: number;
  /** Who votes before the first entry; the same for all that begin the group. Empty: a leader is to take this member in, by a snapshot. */
  voters: readonly number[];
  /** Where the nodes are then. The same for all that begin the group, too. */
  nodes?: ReadonlyMap<number, NodeAddress> | undefined;
  /** What the shard is then. The same for all, again. Left out: the first one of table `default`, with all keys. */
  descriptor?: ShardDescriptor | undefined;
  tickMs: number;
  electionTicks: number;
  heartbeatTicks: number;
  /** Reads of the leader without a round of heartbeats; the same at all members. */
  lease?: LeaseOptions | undefined;
  /** A group in which nothing happens for so long goes to sleep. Infinity: never. */
  sleepTicks: number;
  /** Applied entries stay in memory for members that lag, up to so many bytes; older ones are read from the log's files. */
  keptBytesMax: number;
  /** Commands on their way through the log, in bytes together; beyond it they wait. */
  writeBytesInFlightMax: number;
  /** So many may wait; further ones are refused. */
  writesWaitingMax: number;
  /** The engine has commands in memory of at most about so many bytes, twice as many where their values are large, that the log has to keep for it. */
  checkpointBytes: number;
  /** So many bytes of commands stay in the log for members that lag; who lags by more gets a snapshot. */
  logKeptBytesMax: number;
}

export interface ReplicaParts {
  /** Its host is this node: `nodeLog` has its segments. Not looked at where `store` is given. */
  engine?: HostedEngine | undefined;
  /** Where the engine is from; without it there are no snapshots, which a group of one never needs. */
  store?: ReplicaStore | undefined;
  /** The node's log, and this group's part of it. Closed by whoever opened it, after the replica. */
  nodeLog: NodeLog;
  log: GroupLog;
  host: ReplicaHost;
  clock: Clock;
  scheduler: Scheduler;
  random: Random;
  /** Makes replicas of shards that are split off this one. Left out: it is never split. */
  births?: ShardBirths | undefined;
  /** Of all replicas of the node. Left out: this one has its own, of its settings. */
  writeBudget?: WriteBudget | undefined;
  /** The replica cannot go on. */
  onStopped: (error: SparrowError) => void;
  /** It gives the lead up for its disk's sake. */
  onHandover?: (handover: Handover) => void;
  /** Its data is damaged, and is being got back from other members. Told as well when opening it waits for them. */
  onDamaged?: (error: SparrowError) => void;
  /** Rejects when opening it waits for other members no longer. */
  givenUp?: Promise<never> | undefined;
}
