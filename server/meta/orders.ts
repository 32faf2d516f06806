/**
 * What the metaserver tells nodes to do, and what they tell it.
 *
 * An order is idempotent: it is given again until its outcome is known, by this leader of the metaserver or the next, and whoever has carried it out
 * says so again. `id` is that of the step of the operator that it belongs to. A node carries out the orders of one shard one after another.
 *
 * Carried out by server/shard/node-agent.ts.
 */
import type { Configuration, ConfigurationChange, Role } from '../raft/index.ts';
import type { ShardDescriptor } from '../shard/descriptor.ts';

/** Where a shard is divided: before a key of a range, or in its middle as the leader's tables tell it; or by one more bit of the hash. */
export type SplitPlace = { readonly kind: 'key'; readonly key: Uint8Array } | { readonly kind: 'middle' } | { readonly kind: 'hash' };

/** A log that takes the keys of another shard is made longer than that one's by at most so many entries of nothing: about a second's work. */
export const LENGTHENED_MAX = 100_000;

export type Order =
  /**
   * There is a replica of the shard from now on. `voters`: who votes before the first entry, the same for all that begin the group. Empty: the group is there
   * already, and its leader is to take this member in. Refused with `SHARD_DESTROYED` when voters are given for a group that this node has had before.
   */
  | { readonly type: 'create-replica'; readonly descriptor: ShardDescriptor; readonly voters: readonly number[] }
  /** There is none any more: what it had is removed, but for the term and vote that it promised. */
  | { readonly type: 'destroy-replica'; readonly shard: number }
  /** To the leader. Done when the change is applied. A change that has been made already is done. */
  | { readonly type: 'change-members'; readonly shard: number; readonly change: ConfigurationChange }
  /** To the leader. Done when `to` leads. */
  | { readonly type: 'transfer'; readonly shard: number; readonly to: number }
  /** To the leader of a shard of `epoch`. Done when the child is there on this node. */
  | { readonly type: 'split'; readonly shard: number; readonly epoch: number; readonly child: number; readonly at: SplitPlace }
  /** To the leader: no writes any more; writes again. */
  | { readonly type: 'seal' | 'unseal'; readonly shard: number }
  /** To the leader, whose node has a replica of `into`: no reads either, if nothing was written since `into` has imported it. */
  | { readonly type: 'retire'; readonly shard: number; readonly into: number }
  /** To the leader of `shard`, which is to have the keys of `source`, a sealed neighbour whose leader this node has, too. `commit`: it has them from now on. */
  | { readonly type: 'absorb'; readonly shard: number; readonly source: ShardDescriptor; readonly commit: boolean }
  /** To the leader of `shard`: what it has copied of `source` is removed again. */
  | { readonly type: 'forget'; readonly shard: number; readonly source: ShardDescriptor }
  /** To the leader: the settings of its table are these from now on. Keys, epoch and state of the descriptor are not looked at. */
  | { readonly type: 'describe'; readonly descriptor: ShardDescriptor };

/** The shard that an order is about. */
export function shardOf(order: Order): number {
  return order.type === 'create-replica' || order.type === 'describe' ? order.descriptor.shard : order.shard;
}

export interface GivenOrder {
  readonly id: string;
  readonly order: Order;
}

/**
 * What became of an order. `again`: whatever stands in its way may pass (another node leads, a change is under way), so it is worth another attempt;
 * not so when it makes no sense as it is. `leader`: who leads instead, when that is why.
 */
export type OrderOutcome =
  | { readonly outcome: 'done' }
  | { readonly outcome: 'refused'; readonly code: string; readonly message: string; readonly again: boolean; readonly leader: number };

export interface OrderReport {
  readonly id: string;
  readonly result: OrderOutcome;
}

/** One replica, as its node sees it. */
export interface ReplicaReport {
  readonly shard: number;
  readonly descriptor: ShardDescriptor;
  readonly role: Role;
  /** 0: nobody is known to. */
  readonly leader: number;
  readonly term: number;
  readonly configuration: Configuration;
  /** Of the leader: up to where each member is known to have the log. */
  readonly matches: readonly { readonly node: number; readonly match: number }[];
  readonly lastIndex: number;
  readonly applied: number;
  /** Of its files, about; what is in memory only comes on top. */
  readonly bytes: number;
  /** Counts since the node was started. */
  readonly reads: number;
  readonly writes: number;
  readonly bytesWritten: number;
  /** Why it has stopped; empty: it has not. */
  readonly stoppedBecause: string;
}
