/**
 * What is known of a node: its record, which is persisted; what it reports and what peers say of it, which is not; and what follows from shards (state.ts says
 * how these differ).
 */
import { SYSTEM_TABLE } from '../shard/descriptor.ts';
import type { Shard } from './shard.ts';
import type { TableRecord } from './table.ts';

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
  /** Of its data directory, as it was told first: another one does not hold what this node has promised. Left out: none was told. */
  readonly directoryId?: string;
}

/** What a node reports of cores, disk and rates are means over so long, so that a single burst is none. */
export const LOAD_WINDOW_MS = 10_000;

/** Soft. */
export interface NodeLoad {
  readonly diskUsedBytes: number;
  /** What the file system says is free: below capacity minus used where others use the disk, too. */
  readonly diskFreeBytes: number;
  /** 0 to 1, of all cores. */
  readonly cpu: number;
  /** 0 to 1: the part of the time that its disk is busy. */
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
  /** Index: bytes of those of which it has the data; writes each second of those and reads of those that it leads. */
  readonly memberBytes: number;
  readonly memberTraffic: number;
  /** Soft: `memberTraffic` as a mean over LOAD_WINDOW_MS: what its cores and disk are busy with when they are as it reports. */
  readonly carried: number;
  /** Index, planned: replicas, their bytes (of those with data), leads; writes each second of its replicas and reads of its leads. */
  readonly replicas: number;
  readonly bytes: number;
  readonly leads: number;
  readonly traffic: number;
  /** Index: running operators that copy data to it, and that take a replica away from it. */
  readonly arriving: number;
  readonly departing: number;
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

/** One word for people. */
export function stateOf({ record: { health, duty }, shards }: Node): string {
  if (duty === 'decommissioned') return 'removed';
  if (health !== 'up') return health;
  if (duty === 'active') return 'up';
  return shards.size === 0 ? 'drained' : 'draining';
}
