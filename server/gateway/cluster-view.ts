/**
 * What the gateway tells clients of the cluster: which node this is, where the others are, and who leads: shard 1, unless a refusal is of another one.
 *
 * Made by server.ts out of the settings; read for each greeting, ping, and refusal for not leading.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Leadership, Member } from '../../proto/index.ts';
import type { NodeAddress, NodeShards } from '../node/index.ts';
import { FIRST_SHARD } from '../shard/descriptor.ts';

/** The cluster as settings and the data directory name it. */
export interface ClusterIdentity {
  /** 16 hexadecimal digits; empty while there is none. */
  readonly clusterId: string;
  /**
   * HOST:PORT where clients reach each node, by node id, as of now: the map may change. Empty where nobody said so: clients then keep to the address
   * that they have.
   */
  readonly members: ReadonlyMap<number, string>;
  /** The same of any node that is known, also one that is no member of shard 1's group, and where other nodes reach it. Left out: of the members only. */
  readonly placeOf?: (node: number) => NodeAddress | undefined;
  /** Of all ids that are known to be used, or used up, also of nodes that are no members of it. Left out: of the members only. */
  readonly largestId?: () => number;
  /** Nodes that are registered with the metaserver, as far as it has told. Left out: it tells nothing. */
  readonly registered?: () => readonly number[];
}

export const NO_CLUSTER: ClusterIdentity = Object.freeze({ clusterId: '', members: new Map<number, string>() });

export class ClusterView {
  readonly clusterId: string;
  readonly #identity: ClusterIdentity;
  readonly #shards: Pick<NodeShards, 'first' | 'get'>;

  constructor(identity: ClusterIdentity, shards: Pick<NodeShards, 'first' | 'get'>) {
    this.clusterId = identity.clusterId;
    this.#identity = identity;
    this.#shards = shards;
  }

  get members(): readonly Member[] {
    return [...this.#identity.members].map(([id, address]) => ({ id, address }));
  }

  /** 0: nothing is known but of members. */
  get largestId(): number {
    return this.#identity.largestId?.() ?? 0;
  }

  get registered(): readonly number[] {
    return this.#identity.registered?.() ?? [];
  }

  get nodeId(): number {
    return this.#shards.first.stats().id;
  }

  /** Where clients reach a node, member or not. */
  addressOf(node: number): string | undefined {
    return this.placeOf(node).address || undefined;
  }

  /** The same, and where other nodes reach it; empty where nobody said so. */
  placeOf(node: number): NodeAddress {
    const { members, placeOf } = this.#identity;
    const { address = '', peerAddress = '' } = placeOf?.(node) ?? {};
    return { address: members.get(node) ?? address, peerAddress };
  }

  /** Nobody is known to lead a shard that this node has no replica of. */
  leadership(shard: number = FIRST_SHARD): Leadership {
    const replica = shard === FIRST_SHARD ? this.#shards.first : this.#shards.get(shard);
    if (replica === undefined) return { leaderId: 0, term: 0 };
    const { id, leader, term, stoppedBecause } = replica.stats();
    // A replica that stopped may believe to lead until others elect a leader: it sends nobody anywhere, least of all to itself.
    return { leaderId: stoppedBecause !== undefined && leader === id ? 0 : leader, term };
  }

  /**
   * The error as a client gets it: NOT_LEADER with the leader's address and the term. Both are of this moment and not of that of the refusal:
   * a leader of one term told with another would mislead.
   */
  routed(error: unknown): unknown {
    if (!(error instanceof SparrowError) || error.code !== 'NOT_LEADER') return error;
    const { shard } = error.details;
    const { leaderId, term } = this.leadership(typeof shard === 'number' ? shard : FIRST_SHARD);
    if (leaderId === 0 || leaderId === this.nodeId) {
      return new SparrowError('unavailable', 'NO_LEADER', 'the lead is changing', { ...error.details, leader: 0, term }, error);
    }
    const address = this.addressOf(leaderId);
    const where = address === undefined ? {} : { leaderAddress: address };
    return new SparrowError(
      'rerouted',
      'NOT_LEADER',
      `node ${leaderId} leads`,
      { ...error.details, leader: leaderId, term, ...where },
      error,
    );
  }
}
