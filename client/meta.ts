/**
 * What a program asks the metaserver: tables, the map of shards, how the cluster is, what is to be done with it. Plain gRPC calls, few and rare; no session.
 *
 * Any node may be named. The one that leads the metaserver is looked for as long as the call may take, and kept in mind. A change whose answer is lost
 * (`unavailable/` CONNECTION_LOST, TIMEOUT, META_LEAD_LOST) may have been made: `tables` and `survey` tell. One that was refused with `applied: false`
 * among the details was not.
 */
import { type ChannelCredentials, type ClientUnaryCall, Metadata, type ServiceError } from '@grpc/grpc-js';

import { SparrowError } from '../base/errors.ts';
import {
  type AlterTableRequest,
  type CreateTableRequest,
  type CreateTableResponse,
  type DropTableRequest,
  MetaClient,
  type OperateRequest,
  type OperatorEntry,
  type SurveyRequest,
  type SurveyResponse,
  type TableEntry,
  type TimestampsResponse,
  type TopologyRequest,
  type TopologyResponse,
  type UndeleteTableRequest,
} from '../proto/index.ts';
import type { AdminOptions } from './admin.ts';
import { resolveAddresses } from './connect-options.ts';
import { aborted, clientClosed, timedOutError } from './settled-errors.ts';
import { errorOfEndedStream } from './status-errors.ts';
import { credentialsOf, resolveTls } from './tls.ts';

/** What the metaserver says (proto/sparrowkv/v1/meta.proto). */
export type ClusterSurvey = SurveyResponse;
export type SurveyedShard = SurveyResponse['shards'][number];
export type SurveyedOperator = OperatorEntry;
export type TableFacts = TableEntry;
export type ClusterOperation = NonNullable<OperateRequest['operation']>;

/** A node that does not answer holds a search up no longer than this, or than a quarter of what the call may take. */
const NODE_MS = 2000;
const PAUSE_MS = 200;
/** Nothing was done, and another node may do it, or the same one in a moment. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  'NOT_LEADER',
  'NO_LEADER',
  'META_STARTING',
  'TRANSFERRING',
  'NODE_REMOVED',
  'SHUTTING_DOWN',
  'UNREACHABLE',
]);

/** As gRPC tells of a connection that did not come about. */
const REFUSED = /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|No connection/;

type Method<Q, A> = (
  client: MetaClient,
  request: Q,
  metadata: Metadata,
  options: { deadline: number },
  done: (error: ServiceError | null, answer: A) => void,
) => ClientUnaryCall;

interface Refusal {
  readonly address: string;
  readonly error: SparrowError;
}

/** Calls are made when they are asked for; nothing is connected before. Throws `invalid/ADDRESS`. */
export function connectMeta(addresses: string | readonly string[], options: AdminOptions = {}): MetaAdmin {
  return new MetaAdmin(resolveAddresses(addresses), options);
}

export class MetaAdmin implements Disposable {
  readonly #given: readonly string[];
  readonly #timeoutMs: number;
  readonly #nodeMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #credentials: ChannelCredentials;
  readonly #clients: Map<string, MetaClient> = new Map();
  /** Who led last, and where nodes are, as far as they were told. */
  #leader: string | undefined;
  #learned: readonly string[] = [];
  #closed = false;

  constructor(addresses: readonly string[], { timeoutMs = 10_000, signal, tls }: AdminOptions) {
    this.#given = addresses;
    this.#credentials = credentialsOf(tls && resolveTls(tls));
    this.#timeoutMs = timeoutMs;
    this.#nodeMs = Math.min(timeoutMs, Math.max(NODE_MS, timeoutMs / 4));
    this.#signal = signal;
  }

  /** Throws `invalid/TABLE_UNKNOWN`. */
  async topology(request: Partial<TopologyRequest> = {}): Promise<TopologyResponse> {
    const method: Method<TopologyRequest, TopologyResponse> = (client, ...call) => client.topology(...call);
    const answer = await this.#onLeader('topology', method, { table: '', knownVersion: 0, ...request }, true);
    if (!answer.unchanged) this.#learned = answer.nodes.map(({ address }) => address).filter((address) => address !== '');
    return answer;
  }

  /** Settles when all shards of the table have leaders. Throws `invalid/TABLE_EXISTS`, `unavailable/TABLE_NOT_READY` and others. */
  async createTable(request: CreateTableRequest): Promise<CreateTableResponse> {
    const endMs = performance.now() + this.#timeoutMs;
    const method: Method<CreateTableRequest, CreateTableResponse> = (client, ...call) => client.createTable(...call);
    try {
      return await this.#onLeader('create table', method, request);
    } catch (error) {
      // The metaserver's lead went to another node meanwhile, which goes on with the table.
      if (!(error instanceof SparrowError) || error.code !== 'META_LEAD_LOST' || error.details['applied'] !== true) throw error;
      for (;;) {
        const { tables, shards, version } = await this.topology({ table: request.name });
        if (shards.every(({ leader }) => leader !== 0)) return { table: tables[0], shards, version };
        if (performance.now() + PAUSE_MS > endMs) throw error;
        await this.#pause();
      }
    }
  }

  /** What is undefined stays as it is. */
  async alterTable(request: AlterTableRequest): Promise<TableEntry> {
    const method: Method<AlterTableRequest, { table: TableEntry | undefined }> = (client, ...call) => client.alterTable(...call);
    return (await this.#onLeader('alter table', method, request)).table!;
  }

  async dropTable(request: DropTableRequest): Promise<TableEntry> {
    const method: Method<DropTableRequest, { table: TableEntry | undefined }> = (client, ...call) => client.dropTable(...call);
    return (await this.#onLeader('drop table', method, request)).table!;
  }

  async undeleteTable(request: UndeleteTableRequest): Promise<TableEntry> {
    const method: Method<UndeleteTableRequest, { table: TableEntry | undefined }> = (client, ...call) => client.undeleteTable(...call);
    return (await this.#onLeader('undelete table', method, request)).table!;
  }

  async tables(withDropped: boolean = false): Promise<readonly TableEntry[]> {
    const method: Method<{ withDropped: boolean }, { tables: TableEntry[] }> = (client, ...call) => client.listTables(...call);
    return (await this.#onLeader('list tables', method, { withDropped }, true)).tables;
  }

  survey(request: Partial<SurveyRequest> = {}): Promise<SurveyResponse> {
    const method: Method<SurveyRequest, SurveyResponse> = (client, ...call) => client.survey(...call);
    return this.#onLeader('survey', method, { withoutShards: false, endedOperators: 0, ...request }, true);
  }

  /** What has begun, or with `dryRun` would. */
  async operate(request: OperateRequest): Promise<readonly OperatorEntry[]> {
    const method: Method<OperateRequest, { operators: OperatorEntry[] }> = (client, ...call) => client.operate(...call);
    return (await this.#onLeader('operate', method, request)).operators;
  }

  timestamps(count: number): Promise<TimestampsResponse> {
    const method: Method<{ count: number }, TimestampsResponse> = (client, ...call) => client.timestamps(...call);
    return this.#onLeader('timestamps', method, { count });
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Asks the node that led last, then those that are known, and goes where they point. */
  async #onLeader<Q, A>(name: string, method: Method<Q, A>, request: Q, isRead: boolean = false): Promise<A> {
    const endMs = performance.now() + this.#timeoutMs;
    for (;;) {
      const refusals: Refusal[] = [];
      const asked = new Set<string>();
      const queue = [...new Set([...(this.#leader === undefined ? [] : [this.#leader]), ...this.#given, ...this.#learned])];
      for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
        if (asked.has(address)) continue;
        asked.add(address);
        try {
          const answer = await this.#call(address, name, method, request, endMs - performance.now(), this.#leader === address);
          this.#leader = address;
          return answer;
        } catch (error) {
          this.#checkUsable();
          if (!(error instanceof SparrowError) || !isElsewhere(error, isRead)) throw error;
          if (this.#leader === address) this.#leader = undefined;
          refusals.push({ address, error });
          const { leaderAddress } = error.details;
          if (typeof leaderAddress === 'string') queue.unshift(leaderAddress);
        }
      }
      if (performance.now() + PAUSE_MS > endMs) throw nobodyLeads(refusals);
      await this.#pause();
    }
  }

  async #pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    this.#checkUsable();
  }

  #call<Q, A>(address: string, name: string, method: Method<Q, A>, request: Q, timeoutMs: number, led: boolean): Promise<A> {
    this.#checkUsable();
    const ms = Math.max(1, Math.ceil(timeoutMs));
    const signal = this.#signal;
    return new Promise((resolve, reject) => {
      const client = this.#clientOf(address);
      const start = (): void => {
        const call = method(client, request, new Metadata(), { deadline: Date.now() + ms }, (failure, answer) => {
          signal?.removeEventListener('abort', onAbort);
          if (failure === null) return resolve(answer);
          if (signal?.aborted === true) return reject(aborted(name, signal, {}));
          const error = errorOfEndedStream(failure);
          if (error.code === 'TIMEOUT' && error.details['applied'] === undefined)
            return reject(timedOutError(`${name} at ${address}`, ms, { address }));
          if (error.code === 'RPC_UNIMPLEMENTED') {
            const message = `the server at ${address} knows no metaserver: that is its port for other nodes, or its release is older`;
            return reject(new SparrowError('invalid', 'TOO_OLD', message, { address }));
          }
          if (error.code !== 'CONNECTION_LOST') return reject(error);
          if (REFUSED.test(failure.details)) return reject(unreachable(address, error));
          return reject(new SparrowError('unavailable', 'CONNECTION_LOST', `${name} at ${address}: ${error.message}`, { address }, error));
        });
        const onAbort = (): void => call.cancel();
        signal?.addEventListener('abort', onAbort);
      };
      if (led) return start();
      // A node that is not there is told apart from one whose answer was lost: nothing was asked of it.
      client.waitForReady(Date.now() + Math.min(ms, this.#nodeMs), (error) => {
        if (error === undefined) return start();
        reject(unreachable(address, error));
      });
    });
  }

  #clientOf(address: string): MetaClient {
    let client = this.#clients.get(address);
    if (client === undefined) {
      client = new MetaClient(address, this.#credentials, {
        'grpc.enable_retries': 0,
        'grpc.enable_channelz': 0,
        'grpc.use_local_subchannel_pool': 1,
        'grpc.max_receive_message_length': -1,
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
}

function unreachable(address: string, cause: unknown): SparrowError {
  return new SparrowError('unavailable', 'UNREACHABLE', `cannot reach ${address}`, { address, applied: false }, cause);
}

function isElsewhere({ kind, code, details }: SparrowError, isRead: boolean): boolean {
  if (isRead && code === 'CONNECTION_LOST') return true;
  if (code === 'META_LEAD_LOST') return details['applied'] === false;
  return kind !== 'invalid' && ELSEWHERE.has(code);
}

function nobodyLeads(refusals: readonly Refusal[]): SparrowError {
  const { error } = refusals[0]!;
  if (refusals.every((each) => each.error.code === 'UNREACHABLE')) {
    const where = refusals.map(({ address }) => address).join(', ');
    return new SparrowError(
      'unavailable',
      'UNREACHABLE',
      `cannot reach ${where}`,
      { address: refusals[0]!.address, applied: false },
      error,
    );
  }
  const what = refusals.map((each) => `${each.address}: ${each.error.message}`).join('; ');
  return new SparrowError('unavailable', 'NO_LEADER', `nobody was found that leads the metaserver: ${what}`, { applied: false }, error);
}
