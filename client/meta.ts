/**
 * What a program asks the metaserver: tables, the map of shards, how the cluster is, what is to be done with it. Plain gRPC calls, few and rare; no session.
 *
 * Any node may be named. The one that leads the metaserver is looked for as long as the call may take, and kept in mind. A change whose answer is lost
 * (`unavailable/` CONNECTION_LOST, TIMEOUT, META_LEAD_LOST) may have been made: `tables` and `survey` tell. One that was refused with `applied: false`
 * among the details was not.
 */
import { SparrowError } from '../base/errors.ts';
import {
  type AlterTableRequest,
  type CreateTableRequest,
  type CreateTableResponse,
  type DropTableRequest,
  MetaClient,
  type OperateRequest,
  type OperatorEntry,
  type PolicyBound,
  type PolicyRequest,
  type PolicyResponse,
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
import { NodeCalls, type NodeMethod, PAUSE_MS } from './node-calls.ts';

/** What the metaserver says (proto/sparrowkv/v1/meta.proto). */
export type ClusterSurvey = SurveyResponse;
export type SurveyedShard = SurveyResponse['shards'][number];
export type SurveyedOperator = OperatorEntry;
export type TableFacts = TableEntry;
export type ClusterPolicyBound = PolicyBound;
export type ClusterOperation = NonNullable<OperateRequest['operation']>;

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

type Method<Q, A> = NodeMethod<MetaClient, Q, A>;

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
  readonly #calls: NodeCalls<MetaClient>;
  readonly #waits: boolean;
  /** Who led last, and where nodes are, as far as they were told. */
  #leader: string | undefined;
  #learned: readonly string[] = [];

  constructor(addresses: readonly string[], options: AdminOptions) {
    this.#given = addresses;
    this.#calls = new NodeCalls(MetaClient, 'knows no metaserver', options);
    this.#waits = options.waitForServer ?? true;
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
    const endMs = performance.now() + this.#calls.timeoutMs;
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
        await this.#calls.pause();
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

  /** The bounds by which the metaserver decides, as they are then. Throws `invalid/POLICY` with what a bound may be. */
  async policy(request: Partial<PolicyRequest> = {}): Promise<readonly PolicyBound[]> {
    const method: Method<PolicyRequest, PolicyResponse> = (client, ...call) => client.policy(...call);
    return (await this.#onLeader('policy', method, { set: [], reset: [], dryRun: false, ...request })).bounds;
  }

  timestamps(count: number): Promise<TimestampsResponse> {
    const method: Method<{ count: number }, TimestampsResponse> = (client, ...call) => client.timestamps(...call);
    return this.#onLeader('timestamps', method, { count });
  }

  /** What somebody else asks, as he asks it. `isRead`: it may be asked again when its answer was lost. */
  passOn<Q, A>(name: string, method: NodeMethod<MetaClient, Q, A>, request: Q, isRead: boolean, timeoutMs: number): Promise<A> {
    return this.#onLeader(name, method, request, isRead, timeoutMs);
  }

  close(): void {
    this.#calls.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Asks the node that led last, then those that are known, and goes where they point. */
  async #onLeader<Q, A>(
    name: string,
    method: Method<Q, A>,
    request: Q,
    isRead: boolean = false,
    timeoutMs: number = this.#calls.timeoutMs,
  ): Promise<A> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const refusals: Refusal[] = [];
      const asked = new Set<string>();
      const queue = [...new Set([...(this.#leader === undefined ? [] : [this.#leader]), ...this.#given, ...this.#learned])];
      for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
        if (asked.has(address)) continue;
        asked.add(address);
        try {
          const calls = this.#calls;
          // A node that is not there is told apart from one whose answer was lost: nothing was asked of it.
          if (this.#leader !== address) await calls.reach(address, endMs - performance.now());
          const answer = await calls.call(address, name, method, request, endMs - performance.now());
          this.#leader = address;
          return answer;
        } catch (error) {
          this.#calls.checkUsable();
          if (!(error instanceof SparrowError) || !isElsewhere(error, isRead)) throw error;
          if (this.#leader === address) this.#leader = undefined;
          refusals.push({ address, error });
          const { leaderAddress } = error.details;
          if (typeof leaderAddress === 'string') queue.unshift(leaderAddress);
        }
      }
      const nobody = !this.#waits && refusals.every(({ error }) => error.code === 'UNREACHABLE');
      if (nobody || performance.now() + PAUSE_MS > endMs) throw nobodyLeads(refusals);
      await this.#calls.pause();
    }
  }
}

function isElsewhere({ kind, code, details }: SparrowError, isRead: boolean): boolean {
  if (isRead && code === 'CONNECTION_LOST') return true;
  if (code === 'META_LEAD_LOST') return details['applied'] === false;
  return kind !== 'invalid' && ELSEWHERE.has(code);
}

function nobodyLeads(refusals: readonly Refusal[]): SparrowError {
  const [first] = refusals;
  const { error } = first!;
  if (refusals.length === 1 && error.code === 'UNREACHABLE') return error;
  const what = refusals
    .map((each) => (each.error.code === 'UNREACHABLE' ? each.error.message : `${each.address}: ${each.error.message}`))
    .join('; ');
  if (refusals.every((each) => each.error.code === 'UNREACHABLE'))
    return new SparrowError('unavailable', 'UNREACHABLE', what, { address: first!.address, applied: false }, error);
  return new SparrowError('unavailable', 'NO_LEADER', `nobody was found that leads the metaserver: ${what}`, { applied: false }, error);
}
