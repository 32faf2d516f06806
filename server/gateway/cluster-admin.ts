/**
 * The verbs of Admin that are about the cluster: what a node knows of it, and changes of who is a member. Requests are checked here; what they do is
 * membership.ts and recovery.ts of server/node.
 *
 * A new member, or one that moves, is called at its address for other nodes before anything is written: a wrong address or id is found then and there, and
 * no change is made that nobody could follow.
 *
 * Made by server.ts, served by admin-service.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import {
  type ChangeMembersRequest,
  type ClusterStatusResponse,
  MemberRole,
  type MemberState,
  type NodeAddresses,
  type NodeState,
  ProgressState,
  type RecoveryPlanResponse,
  Role,
} from '../../proto/index.ts';
import { FIRST_SHARD } from '../shard/descriptor.ts';
import {
  addLearner,
  changeMembers,
  checkNewMember,
  demote,
  freeId,
  type NodeAddress,
  promote,
  recover,
  recoveryPlan,
  remove,
  replace,
  type Replica,
  setAddress,
  successorOf,
} from '../node/index.ts';
import { parseReachable } from '../address.ts';
import type { ClusterView } from './cluster-view.ts';

/** The way to other nodes, as far as an operator's verbs ask it. */
export interface NodeLinks {
  reachable(node: number): boolean;
  /** Rejects with why `node` is not to be had at `peerAddress`. */
  probe(node: number, peerAddress: string): Promise<void>;
}

/** The node that answers. */
export interface OwnNode extends NodeAddress {
  /** Undefined: it listens to no other nodes. */
  readonly links: NodeLinks | undefined;
}

export const ALONE: OwnNode = Object.freeze({ address: '', peerAddress: '', links: undefined });

export const ROLES: Readonly<Record<ReturnType<Replica['stats']>['role'], Role>> = {
  follower: Role.FOLLOWER,
  'pre-candidate': Role.CANDIDATE,
  candidate: Role.CANDIDATE,
  leader: Role.LEADER,
};
const STATES = { probe: ProgressState.PROBE, replicate: ProgressState.REPLICATE, snapshot: ProgressState.SNAPSHOT } as const;
const NODE_ID_MAX = 0xffffffff;
const ADDRESS_BYTES_MAX = 255;

export class ClusterAdmin {
  readonly #replica: Replica;
  readonly #view: ClusterView;
  readonly #version: string;
  readonly #own: () => OwnNode;

  /** `own`: as it is when asked; the address may be known later than this is made. */
  constructor(replica: Replica, view: ClusterView, version: string, own: () => OwnNode) {
    this.#replica = replica;
    this.#view = view;
    this.#version = version;
    this.#own = own;
  }

  status(): Omit<ClusterStatusResponse, 'shards'> {
    const replica = this.#replica;
    const { leaderId, term } = this.#view.leadership(replica.group);
    return {
      clusterId: this.#view.clusterId,
      leaderId,
      term,
      node: this.#node(),
      members: this.#members(),
      removedIds: [...replica.book.removed].sort((a, b) => a - b),
      freeId: Math.max(freeId(replica), this.#view.largestId + 1),
      registeredIds: this.#view.registered.toSorted((a, b) => a - b),
    };
  }

  async changeMembers({ change }: ChangeMembersRequest): Promise<Record<string, never>> {
    if (change === undefined) throw invalid('CHANGE_EMPTY', 'change is empty: it names none of the changes', 'change');
    const replica = this.#replica;
    const reachable = (id: number): boolean => this.#reachable(id);
    switch (change.$case) {
      case 'addLearner': {
        const { id, where } = checkNode(change.value, 'add_learner');
        this.#checkFirst('a replica is made by the metaserver: sparrowkv cluster move, or sparrowkv table alter --replicas');
        this.#checkLeads();
        checkNewMember(replica, id);
        await this.#checkPlace(id, where);
        await addLearner(replica, id, where);
        break;
      }
      case 'setAddresses': {
        const { id, where } = checkNode(change.value, 'set_addresses');
        this.#checkFirst('where nodes are is known to shard 1');
        this.#checkLeads();
        if (!replica.members.includes(id)) throw notAMember(id);
        await this.#checkPlace(id, where);
        await setAddress(replica, id, where);
        break;
      }
      case 'promote':
        checkId(change.value, 'promote');
        this.#checkLeads();
        await promote(replica, change.value, reachable);
        break;
      case 'demote':
        checkId(change.value, 'demote');
        this.#checkLeads();
        await demote(replica, change.value, reachable);
        break;
      case 'remove': {
        checkId(change.value, 'remove');
        this.#checkLeads();
        const role = this.#members().find(({ id }) => id === change.value)?.role;
        if (role === undefined && !replica.book.nodes.has(change.value)) throw notAMember(change.value);
        if (role === MemberRole.VOTER || role === MemberRole.OUTGOING) {
          throw invalid('CONFIGURATION_CHANGE', `node ${change.value} votes: demote it first`, 'remove');
        }
        if (replica.group === FIRST_SHARD) await remove(replica, change.value, reachable);
        else await changeMembers(replica, { type: 'simple', members: [{ type: 'remove', id: change.value }] }, reachable);
        break;
      }
      case 'replace':
        checkId(change.value.voter, 'replace.voter');
        checkId(change.value.learner, 'replace.learner');
        this.#checkLeads();
        await replace(replica, change.value.voter, change.value.learner, reachable);
        break;
    }
    return {};
  }

  /** Settles when this node leads no more. */
  async transferLead({ to }: { to: number }): Promise<{ to: number }> {
    if (to !== 0) checkId(to, 'to');
    this.#checkLeads();
    const { id: own } = this.#replica.stats();
    const chosen = to === 0 ? successorOf(this.#replica, (id) => this.#reachable(id)) : to;
    if (chosen === undefined) {
      const message = `no other voter is reached that could lead in place of node ${own}`;
      throw new SparrowError('unavailable', 'NO_SUCCESSOR', message, { applied: false });
    }
    if (chosen !== own) {
      if (!this.#replica.members.includes(chosen)) throw notAMember(chosen);
      if (!this.#reachable(chosen)) {
        throw new SparrowError('unavailable', 'NODE_UNREACHABLE', `node ${chosen} cannot be reached: it cannot take the lead`, {
          node: chosen,
          applied: false,
        });
      }
      await this.#replica.lead.handOver(chosen);
    }
    return { to: chosen };
  }

  recoveryPlan({ voters }: { voters: number[] }): RecoveryPlanResponse {
    checkVoters(voters);
    const plan = recoveryPlan(this.#working(), voters);
    return {
      token: plan.token,
      nodeId: plan.member,
      voters: [...plan.voters],
      lost: [...plan.lost],
      committedIndex: plan.committed,
      lastIndex: plan.last,
      lastTerm: plan.lastTerm,
      lostFromIndex: plan.lostFrom,
    };
  }

  recover({ voters, token }: { voters: number[]; token: string }): Record<string, never> {
    checkVoters(voters);
    if (token === '') throw invalid('TOKEN_EMPTY', 'token is empty: RecoveryPlan tells the one of its plan', 'token');
    recover(this.#working(), voters, token);
    return {};
  }

  #node(): NodeState {
    const { address, peerAddress } = this.#own();
    const stats = this.#replica.stats();
    const { receiving } = stats;
    return {
      id: stats.id,
      role: ROLES[stats.role],
      address,
      peerAddress,
      version: this.#version,
      firstIndex: stats.firstIndex,
      lastIndex: stats.lastIndex,
      lastTerm: stats.lastTerm,
      committedIndex: stats.committedIndex,
      appliedIndex: stats.appliedIndex,
      diskFull: stats.diskFull,
      stoppedBecause: stats.stoppedBecause?.message ?? '',
      removed: stats.stoppedBecause?.code === 'NODE_REMOVED',
      receiving: receiving && { bytes: receiving.bytes, bytesTotal: receiving.bytesTotal },
    };
  }

  #members(): MemberState[] {
    const replica = this.#replica;
    const { id: own, lastIndex, configuration } = replica.stats();
    const { voters, outgoing } = configuration;
    return replica.members.map((id) => {
      const role = voters.includes(id) ? MemberRole.VOTER : outgoing.includes(id) ? MemberRole.OUTGOING : MemberRole.LEARNER;
      const { address, peerAddress } = replica.book.nodes.get(id) ?? this.#view.placeOf(id);
      const progress = replica.progressOf(id);
      const match = progress?.match ?? 0;
      return {
        id,
        role,
        address,
        peerAddress,
        reachable: id === own || this.#reachable(id),
        begun: replica.book.begun.has(id),
        progress: progress && { state: STATES[progress.state], matchIndex: match, lag: Math.max(0, lastIndex - match) },
      };
    });
  }

  #reachable(id: number): boolean {
    return this.#own().links?.reachable(id) ?? false;
  }

  #checkFirst(instead: string): void {
    const { group } = this.#replica;
    if (group === FIRST_SHARD) return;
    throw new SparrowError('invalid', 'CONFIGURATION_CHANGE', `shard ${group}: ${instead}`, {
      shard: group,
      field: 'shard',
      applied: false,
    });
  }

  /** The gateway says in the refusal who leads (ClusterView.routed). */
  #checkLeads(): void {
    if (this.#working().stats().role !== 'leader')
      throw new SparrowError('rerouted', 'NOT_LEADER', 'this node does not lead', { shard: this.#replica.group, applied: false });
  }

  #working(): Replica {
    if (this.#replica.stopped !== undefined) throw this.#replica.stopped;
    return this.#replica;
  }

  /** That it is `id` that answers there, and no address is somebody else's. */
  async #checkPlace(id: number, where: NodeAddress): Promise<void> {
    for (const [other, known] of this.#replica.book.nodes) {
      for (const field of ['address', 'peerAddress'] as const) {
        if (other === id || known[field] !== where[field]) continue;
        throw new SparrowError('invalid', 'ADDRESS_TAKEN', `${where[field]} is where node ${other} is, by the address book`, {
          field,
          node: other,
          applied: false,
        });
      }
    }
    const { id: own } = this.#replica.stats();
    if (id === own) return;
    const { links } = this.#own();
    if (links === undefined) {
      const message = `node ${own} listens to no other nodes: start it with --peer-listen HOST:PORT first`;
      throw new SparrowError('invalid', 'NO_PEER_LISTEN', message, { node: own, applied: false });
    }
    await links.probe(id, where.peerAddress);
  }
}

function checkNode({ id, address, peerAddress }: NodeAddresses, field: string): { id: number; where: NodeAddress } {
  checkId(id, `${field}.id`);
  checkAddress(address, `${field}.address`);
  checkAddress(peerAddress, `${field}.peer_address`);
  return { id, where: { address, peerAddress } };
}

function checkId(id: number, field: string): void {
  if (id < 1 || id > NODE_ID_MAX) throw invalid('NODE_ID', `${field} is a node id, from 1 to ${NODE_ID_MAX}, not ${id}`, field);
}

function checkAddress(address: string, field: string): void {
  if (Buffer.byteLength(address) > ADDRESS_BYTES_MAX) throw invalid('ADDRESS', `${field} has more than ${ADDRESS_BYTES_MAX} bytes`, field);
  parseReachable(address, field);
}

function checkVoters(voters: readonly number[]): void {
  if (voters.length === 0) throw invalid('NODE_ID', 'voters is empty: it names the nodes that are left', 'voters');
  for (const [i, id] of voters.entries()) {
    checkId(id, `voters[${i}]`);
    if (voters.indexOf(id) !== i) throw invalid('NODE_ID', `voters names node ${id} twice`, 'voters');
  }
}

function notAMember(id: number): SparrowError {
  return new SparrowError('invalid', 'NOT_A_MEMBER', `node ${id} is not a member of the shard`, { node: id, applied: false });
}

function invalid(code: string, message: string, field: string): SparrowError {
  return new SparrowError('invalid', code, message, { field, applied: false });
}
