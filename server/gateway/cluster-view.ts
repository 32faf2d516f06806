/**
 * What the gateway tells clients of the cluster: which node this is, where the others are, and who leads.
 *
 * Made by server.ts out of the settings; read for each greeting, ping, and refusal for not leading.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Leadership, Member } from '../../proto/index.ts';
import type { Replica } from '../node/index.ts';

/** The cluster as settings and the data directory name it. */
export interface ClusterIdentity {
  /** 16 hexadecimal digits; empty while there is none. */
  readonly clusterId: string;
  /**
   * HOST:PORT where clients reach each node, by node id, as of now: the map may change. Empty where nobody said so: clients then keep to the address
   * that they have.
   */
  readonly members: ReadonlyMap<number, string>;
}

export const NO_CLUSTER: ClusterIdentity = Object.freeze({ clusterId: '', members: new Map<number, string>() });

export class ClusterView {
  readonly clusterId: string;
  readonly #addresses: ReadonlyMap<number, string>;
  readonly #replica: Pick<Replica, 'stats'>;

  constructor(identity: ClusterIdentity, replica: Pick<Replica, 'stats'>) {
    this.clusterId = identity.clusterId;
    this.#addresses = identity.members;
    this.#replica = replica;
  }

  get members(): readonly Member[] {
    return [...this.#addresses].map(([id, address]) => ({ id, address }));
  }

  get nodeId(): number {
    return this.#replica.stats().id;
  }

  leadership(): Leadership {
    const { id, leader, term, stoppedBecause } = this.#replica.stats();
    // A replica that stopped may believe to lead until others elect a leader: it sends nobody anywhere, least of all to itself.
    return { leaderId: stoppedBecause !== undefined && leader === id ? 0 : leader, term };
  }

  /**
   * The error as a client gets it: NOT_LEADER with the leader's address and the term. Both are of this moment and not of that of the refusal:
   * a leader of one term told with another would mislead.
   */
  routed(error: unknown): unknown {
    if (!(error instanceof SparrowError) || error.code !== 'NOT_LEADER') return error;
    const { leaderId, term } = this.leadership();
    if (leaderId === 0 || leaderId === this.nodeId) {
      return new SparrowError('unavailable', 'NO_LEADER', 'the lead is changing', { ...error.details, leader: 0, term }, error);
    }
    const address = this.#addresses.get(leaderId);
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
