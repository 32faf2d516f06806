/**
 * What passes over the stream between a node and the leader of the metaserver. Types only; proto/sparrowkv/v1/meta.proto has them as bytes.
 *
 *   node     registers; a report each second, of the shards that changed; the outcome of each order at once
 *   leader   welcomes; orders; where all nodes are; now and then whether a third node can be reached from here
 *
 * A stream has one leader and one term. What comes over a stream of a smaller term than the newest that a node was welcomed with is not heeded: so the
 * orders of a leader that was replaced do nothing.
 *
 * Used by attendance.ts (the node's side) and desk.ts (the leader's).
 */
import type { Configuration, Role } from '../raft/index.ts';
import type { ShardDescriptor } from '../shard/descriptor.ts';
import type { NodeLoad, NodeRole } from './node.ts';
import type { GivenOrder, OrderReport } from './orders.ts';

/** Where a node is, and what for. */
export interface NodePlace {
  readonly node: number;
  /** HOST:PORT for clients, and for other nodes; empty: it listens to none. */
  readonly address: string;
  readonly peerAddress: string;
  readonly zone: string;
  readonly pool: string;
  readonly role: NodeRole;
}

export interface Registration extends NodePlace {
  /** 16 hexadecimal digits. */
  readonly clusterId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly version: string;
  /** Another one at each start of the process. */
  readonly incarnation: string;
  /** Of its data directory (server/node/node-identity.ts); empty: it has none. */
  readonly directoryId: string;
  /** Of the disk that holds the data. */
  readonly diskBytes: number;
  readonly cores: number;
}

export interface NodeLoadReport extends NodeLoad {
  /** Those that it sends or takes in. */
  readonly snapshots: number;
}

/** One replica. Rates are means over some ten seconds. */
export interface ShardReport {
  readonly descriptor: ShardDescriptor;
  readonly role: Role | 'stopped';
  readonly term: number;
  /** 0: nobody is known to. */
  readonly leader: number;
  readonly configuration: Configuration;
  /** An entry of the log by which the members were these; of two configurations the one of the larger index is newer. */
  readonly configurationIndex: number;
  /** Of a leader: up to where each member is known to have the log. */
  readonly matches: readonly { readonly node: number; readonly match: number }[];
  readonly applied: number;
  readonly lastIndex: number;
  readonly diskBytes: number;
  readonly keysCount: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Empty: it has not. */
  readonly stoppedBecause: string;
}

/** A replica that is in its node's directory and cannot be opened. */
export interface FailedReplica {
  readonly shard: number;
  readonly why: string;
}

/** What a node was asked for of a table with quotas, served or not, a second. */
export interface TableDemand {
  readonly table: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
}

/** A table's quotas (0: none), and what of them a node has to keep to. */
export interface TableShare {
  readonly table: number;
  readonly name: string;
  readonly bytes: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  /** The table has as many bytes as it may have. */
  readonly isFull: boolean;
  /** Where there is such a quota: what of it this node may serve a second. */
  readonly readShare: number;
  readonly writeShare: number;
}

export interface NodeReport {
  /** Counted from 1 in each stream. */
  readonly sequence: number;
  readonly load: NodeLoadReport;
  /** Those that are others than in the report before; with `full` all that there are. */
  readonly shards: readonly ShardReport[];
  /** As `shards`. Left out: none. */
  readonly failed?: readonly FailedReplica[];
  readonly full: boolean;
  /** Of `shards` and `failed` those that are not here any more. */
  readonly gone: readonly number[];
  /** Left out: of none. */
  readonly demands?: readonly TableDemand[];
}

export type FromNode =
  | { readonly type: 'register'; readonly registration: Registration }
  | { readonly type: 'report'; readonly report: NodeReport }
  | { readonly type: 'done'; readonly done: OrderReport }
  | { readonly type: 'probed'; readonly node: number; readonly reached: boolean };

export type ToNode =
  | { readonly type: 'welcome'; readonly term: number; readonly leader: number; readonly reportMs: number }
  | { readonly type: 'order'; readonly term: number; readonly given: GivenOrder }
  /** All there are, in place of what was said before. `removed`: ids that are used up. */
  | { readonly type: 'nodes'; readonly version: number; readonly nodes: readonly NodePlace[]; readonly removed: readonly number[] }
  | { readonly type: 'probe'; readonly node: number }
  /** All that this node has to keep to, in place of what was said before. */
  | { readonly type: 'quotas'; readonly shares: readonly TableShare[] };

/** The leader's end of the stream of one node. */
export interface NodeStream {
  send(message: ToNode): void;
  /** Ends it; the node looks for the leader again. `why`: it is refused. */
  end(why?: unknown): void;
}

/** What the leader does with a stream. */
export interface NodeStreamListener {
  receive(message: FromNode): void;
  /** The stream is over, whoever ended it. */
  ended(): void;
}

/** The node's end. */
export interface LeaderStream {
  send(message: FromNode): void;
  end(): void;
}

export interface LeaderStreamListener {
  receive(message: ToNode): void;
  /** `leader`: where the one that leads is, when whoever was asked said so. */
  ended(why: Error | undefined, leader: string | undefined): void;
}
