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
import { type ChannelCredentials, type ClientUnaryCall, Metadata, type ServiceError } from '@grpc/grpc-js';

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
import type { TlsOptions } from './api.ts';
import { resolveAddresses } from './connect-options.ts';
import { aborted, clientClosed, timedOutError } from './settled-errors.ts';
import { errorOfEndedStream } from './status-errors.ts';
import { credentialsOf, resolveTls } from './tls.ts';

/** What a node knows of its cluster (proto/sparrowkv/v1/admin.proto). */
export type ClusterStatus = ClusterStatusResponse;
/** What a recovery would do (proto/sparrowkv/v1/admin.proto). */
export type ClusterRecoveryPlan = RecoveryPlanResponse;

export type MembersChange =
  | { readonly type: 'add-learner' | 'set-addresses'; readonly node: Readonly<NodeAddresses> }
  | { readonly type: 'promote' | 'demote' | 'remove'; readonly id: number }
  | { readonly type: 'replace'; readonly voter: number; readonly learner: number };

export interface AdminOptions {
  /** How long a call may take, milliseconds. Default 10,000. */
  timeoutMs?: number | undefined;
  /** Ends what is under way. */
  signal?: AbortSignal | undefined;
  /** As of `connect`. */
  tls?: TlsOptions | undefined;
  /** Whose members, lead and recovery it is about. Default 1. */
  shard?: number | undefined;
}

/** A node that does not answer holds a search up no longer than this, or than a quarter of what the call may take. */
const NODE_MS = 2000;
const PAUSE_MS = 200;
/** A node says that it cannot do it, and another one may, or itself in a moment. (It says NODE_REMOVED of itself with kind `unavailable`, of others with `invalid`.) */
const ELSEWHERE: ReadonlySet<string> = new Set(['NOT_LEADER', 'NO_LEADER', 'TRANSFERRING', 'NODE_REMOVED', 'SHUTTING_DOWN']);

type Method<Q, A> = (
  client: AdminClient,
  request: Q,
  metadata: Metadata,
  options: { deadline: number },
  done: (error: ServiceError | null, answer: A) => void,
) => ClientUnaryCall;

/** Calls are made when they are asked for; nothing is connected before. Throws `invalid/ADDRESS`. */
export function connectAdmin(addresses: string | readonly string[], options: AdminOptions = {}): ClusterAdmin {
  return new ClusterAdmin(resolveAddresses(addresses), options);
}

export class ClusterAdmin implements Disposable {
  readonly #given: readonly string[];
  readonly #timeoutMs: number;
  readonly #nodeMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #credentials: ChannelCredentials;
  readonly #shard: number | undefined;
  readonly #clients: Map<string, AdminClient> = new Map();
  /** Of members, as nodes told. */
  #learned: readonly string[] = [];
  #closed = false;

  constructor(addresses: readonly string[], { timeoutMs = 10_000, signal, tls, shard }: AdminOptions) {
    this.#shard = shard;
    this.#given = addresses;
    this.#credentials = credentialsOf(tls && resolveTls(tls));
    this.#timeoutMs = timeoutMs;
    this.#nodeMs = Math.min(timeoutMs, Math.max(NODE_MS, timeoutMs / 4));
    this.#signal = signal;
  }

  /** Of the first node that answers, and which that was. Throws `unavailable/UNREACHABLE` when none does. */
  async status(): Promise<{ address: string; status: ClusterStatus }> {
    let failure: SparrowError | undefined;
    for (const address of this.#known()) {
      try {
        return { address, status: await this.statusOf(address) };
      } catch (error) {
        this.#checkUsable();
        failure ??= error as SparrowError;
      }
    }
    throw failure!;
  }

  /** Of the node at an address. */
  async statusOf(address: string): Promise<ClusterStatus> {
    const method: Method<object, ClusterStatus> = (client, ...call) => client.clusterStatus(...call);
    const status = await this.#call(address, 'status', method, { shard: this.#shard }, this.#nodeMs);
    const addresses = status.members.map((member) => member.address).filter((each) => each !== '');
    if (addresses.length > 0) this.#learned = addresses;
    return status;
  }

  /** Of the node that leads. Throws `unavailable/NO_LEADER` when none is found in the time that a call may take. */
  leaderStatus(): Promise<{ address: string; status: ClusterStatus }> {
    return this.#findLeader(performance.now() + this.#timeoutMs);
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
    return this.#call(address, 'recovery plan', method, { voters: [...voters], shard: this.#shard }, this.#timeoutMs);
  }

  /** Unsafe. Under way when it settles; `statusOf` tells when the node leads. */
  async recover(address: string, voters: readonly number[], token: string): Promise<void> {
    const method: Method<RecoverRequest, object> = (client, ...call) => client.recover(...call);
    await this.#call(address, 'recover', method, { voters: [...voters], token, shard: this.#shard }, this.#timeoutMs);
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Those given come first. */
  #known(): string[] {
    return [...new Set([...this.#given, ...this.#learned])];
  }

  async #onLeader<Q, A>(name: string, method: Method<Q, A>, request: Q): Promise<A> {
    const endMs = performance.now() + this.#timeoutMs;
    for (;;) {
      const { address } = await this.#findLeader(endMs);
      try {
        return await this.#call(address, name, method, request, endMs - performance.now());
      } catch (error) {
        const again = error instanceof SparrowError && error.kind !== 'invalid' && ELSEWHERE.has(error.code);
        if (!again || performance.now() + PAUSE_MS > endMs) throw error;
      }
      await this.#pause();
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
          this.#checkUsable();
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
      await this.#pause();
    }
  }

  #call<Q, A>(address: string, name: string, method: Method<Q, A>, request: Q, timeoutMs: number): Promise<A> {
    this.#checkUsable();
    const ms = Math.max(1, Math.ceil(timeoutMs));
    const signal = this.#signal;
    return new Promise((resolve, reject) => {
      const call = method(this.#clientOf(address), request, new Metadata(), { deadline: Date.now() + ms }, (failure, answer) => {
        signal?.removeEventListener('abort', onAbort);
        if (failure === null) return resolve(answer);
        if (signal?.aborted === true) return reject(aborted(name, signal, {}));
        const error = errorOfEndedStream(failure);
        if (error.code === 'TIMEOUT') return reject(timedOutError(`${name} at ${address}`, ms, { address }));
        if (error.code === 'RPC_UNIMPLEMENTED') {
          return reject(
            new SparrowError(
              'invalid',
              'TOO_OLD',
              `the server at ${address} does not know this command: that is its port for other nodes, or its release is older`,
              { address },
            ),
          );
        }
        if (error.code !== 'CONNECTION_LOST') return reject(error);
        const refused = /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|No connection/.test(failure.details);
        const code = refused ? 'UNREACHABLE' : 'CONNECTION_LOST';
        return reject(new SparrowError('unavailable', code, `cannot reach ${address}: ${error.message}`, { address }, error));
      });
      const onAbort = (): void => call.cancel();
      signal?.addEventListener('abort', onAbort);
    });
  }

  #clientOf(address: string): AdminClient {
    let client = this.#clients.get(address);
    if (client === undefined) {
      client = new AdminClient(address, this.#credentials, {
        'grpc.enable_retries': 0,
        'grpc.enable_channelz': 0,
        'grpc.use_local_subchannel_pool': 1,
        // A node that has just been started is found at once.
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 500,
      });
      this.#clients.set(address, client);
    }
    return client;
  }

  #checkUsable(): void {
    if (this.#closed) throw clientClosed();
    if (this.#signal?.aborted === true) throw aborted('the call', this.#signal, {});
  }

  async #pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    this.#checkUsable();
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
