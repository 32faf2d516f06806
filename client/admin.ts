/**
 * What an operator asks a cluster, from a program: who is a member and how they do, and changes of that. Plain gRPC calls, few and rare; no session.
 *
 *   status      of the first node that answers, or of one address
 *   changes     go to the node that leads, which is looked for as long as the call may take
 *   recovery    goes to one address: there is no leader then
 *
 * A change whose answer is lost (`unavailable/` CONNECTION_LOST, TIMEOUT, LEADERSHIP_LOST) may have been made: `status` tells. One that was refused with
 * `applied: false` among the details was not.
 */
import { SparrowError } from '../base/errors.ts';
import {
  AdminClient,
  type ChangeMembersRequest,
  type ClusterStatusResponse,
  type NodeAddresses,
  type RecoverRequest,
  type RecoveryPlanRequest,
  type RecoveryPlanResponse,
  Role,
} from '../proto/index.ts';
import { resolveAddresses } from './connect-options.ts';
import { NodeCalls, type NodeCallsOptions, type NodeMethod, PAUSE_MS } from './node-calls.ts';

/** What a node knows of its cluster (proto/sparrowkv/v1/admin.proto). */
export type ClusterStatus = ClusterStatusResponse;
/** What a recovery would do (proto/sparrowkv/v1/admin.proto). */
export type ClusterRecoveryPlan = RecoveryPlanResponse;

export type MembersChange =
  | { readonly type: 'add-learner' | 'set-addresses'; readonly node: Readonly<NodeAddresses> }
  | { readonly type: 'promote' | 'demote' | 'remove'; readonly id: number }
  | { readonly type: 'replace'; readonly voter: number; readonly learner: number };

export interface AdminOptions extends NodeCallsOptions {
  /** Whose members, lead and recovery it is about. Default 1. */
  shard?: number | undefined;
  /** Of `connectMeta`: when none of the nodes is reached, they are asked again as long as a call may take. Default true. */
  waitForServer?: boolean | undefined;
}

/** A node says that it cannot do it, and another one may, or itself in a moment. (It says NODE_REMOVED of itself with kind `unavailable`, of others with `invalid`.) */
const ELSEWHERE: ReadonlySet<string> = new Set(['NOT_LEADER', 'NO_LEADER', 'TRANSFERRING', 'NODE_REMOVED', 'SHUTTING_DOWN']);

type Method<Q, A> = NodeMethod<AdminClient, Q, A>;

/** Calls are made when they are asked for; nothing is connected before. Throws `invalid/ADDRESS`. */
export function connectAdmin(addresses: string | readonly string[], options: AdminOptions = {}): ClusterAdmin {
  return new ClusterAdmin(resolveAddresses(addresses), options);
}

export class ClusterAdmin implements Disposable {
  readonly #given: readonly string[];
  readonly #calls: NodeCalls<AdminClient>;
  readonly #shard: number | undefined;
  /** Of members, as nodes told. */
  #learned: readonly string[] = [];

  constructor(addresses: readonly string[], options: AdminOptions) {
    this.#shard = options.shard;
    this.#given = addresses;
    this.#calls = new NodeCalls(AdminClient, 'does not know this command', options);
  }

  /** Of the first node that answers, and which that was. Throws `unavailable/UNREACHABLE` when none does. */
  async status(): Promise<{ address: string; status: ClusterStatus }> {
    let failure: SparrowError | undefined;
    for (const address of this.#known()) {
      try {
        return { address, status: await this.statusOf(address) };
      } catch (error) {
        this.#calls.checkUsable();
        failure ??= error as SparrowError;
      }
    }
    throw failure!;
  }

  /** Of the node at an address. */
  async statusOf(address: string): Promise<ClusterStatus> {
    const method: Method<object, ClusterStatus> = (client, ...call) => client.clusterStatus(...call);
    const status = await this.#calls.call(address, 'status', method, { shard: this.#shard }, this.#calls.nodeMs);
    const addresses = status.members.map((member) => member.address).filter((each) => each !== '');
    if (addresses.length > 0) this.#learned = addresses;
    return status;
  }

  /** Of the node that leads. Throws `unavailable/NO_LEADER` when none is found in the time that a call may take. */
  leaderStatus(): Promise<{ address: string; status: ClusterStatus }> {
    return this.#findLeader(performance.now() + this.#calls.timeoutMs);
  }

  async changeMembers(change: MembersChange): Promise<void> {
    const request = { change: requestOf(change), shard: this.#shard };
    await this.#onLeader<ChangeMembersRequest, object>(change.type, (client, ...call) => client.changeMembers(...call), request);
  }

  /** Begins to hand the lead over to node `to`, 0: to the one that is the best for it; settles with that one. */
  async transferLead(to: number): Promise<number> {
    const answer = await this.#onLeader<{ to: number; shard: number | undefined }, { to: number }>(
      'transfer',
      (client, ...call) => client.transferLead(...call),
      {
        to,
        shard: this.#shard,
      },
    );
    return answer.to;
  }

  recoveryPlan(address: string, voters: readonly number[]): Promise<ClusterRecoveryPlan> {
    const method: Method<RecoveryPlanRequest, ClusterRecoveryPlan> = (client, ...call) => client.recoveryPlan(...call);
    return this.#calls.call(address, 'recovery plan', method, { voters: [...voters], shard: this.#shard }, this.#calls.timeoutMs);
  }

  /** Unsafe. Under way when it settles; `statusOf` tells when the node leads. */
  async recover(address: string, voters: readonly number[], token: string): Promise<void> {
    const method: Method<RecoverRequest, object> = (client, ...call) => client.recover(...call);
    await this.#calls.call(address, 'recover', method, { voters: [...voters], token, shard: this.#shard }, this.#calls.timeoutMs);
  }

  close(): void {
    this.#calls.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Those given come first. */
  #known(): string[] {
    return [...new Set([...this.#given, ...this.#learned])];
  }

  async #onLeader<Q, A>(name: string, method: Method<Q, A>, request: Q): Promise<A> {
    const endMs = performance.now() + this.#calls.timeoutMs;
    for (;;) {
      const { address } = await this.#findLeader(endMs);
      try {
        return await this.#calls.call(address, name, method, request, endMs - performance.now());
      } catch (error) {
        const again = error instanceof SparrowError && error.kind !== 'invalid' && ELSEWHERE.has(error.code);
        if (!again || performance.now() + PAUSE_MS > endMs) throw error;
      }
      await this.#calls.pause();
    }
  }

  /** Asks nodes until one of them says of itself that it leads; the one that others name is asked next. */
  async #findLeader(endMs: number): Promise<{ address: string; status: ClusterStatus }> {
    for (;;) {
      const asked = new Set<string>();
      const refusals: string[] = [];
      const queue = this.#known();
      let failure: SparrowError | undefined;
      for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
        if (asked.has(address)) continue;
        asked.add(address);
        try {
          const status = await this.statusOf(address);
          const { leaderId, members, node } = status;
          if (node?.role === Role.LEADER && node.stoppedBecause === '') return { address, status };
          const leader = members.find(({ id }) => id === leaderId)?.address ?? '';
          if (leader !== '') queue.unshift(leader);
          queue.push(...this.#learned);
          refusals.push(`${address} ${leaderId === 0 ? 'knows of no leader' : `names node ${leaderId}`}`);
        } catch (error) {
          this.#calls.checkUsable();
          failure = error as SparrowError;
          refusals.push(failure.message);
        }
      }
      if (performance.now() + PAUSE_MS > endMs) {
        if (failure !== undefined && refusals.length === 1) throw failure;
        throw new SparrowError(
          'unavailable',
          'NO_LEADER',
          `no node was found that leads: ${refusals.join('; ')}`,
          { applied: false },
          failure,
        );
      }
      await this.#calls.pause();
    }
  }
}

function requestOf(change: MembersChange): ChangeMembersRequest['change'] {
  switch (change.type) {
    case 'add-learner':
      return { $case: 'addLearner', value: change.node };
    case 'set-addresses':
      return { $case: 'setAddresses', value: change.node };
    case 'replace':
      return { $case: 'replace', value: { voter: change.voter, learner: change.learner } };
    case 'promote':
    case 'demote':
    case 'remove':
      return { $case: change.type, value: change.id };
  }
}
