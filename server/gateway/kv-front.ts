/**
 * Kv of a node, as clients call it: what can only be for this node is served from its replicas (kv-calls.ts), and what the caller leaves to the cluster is passed on
 * where this node does not have it.
 *
 *   names a shard               served here, or refused
 *   names a table               passed on
 *   names nothing               table `default`. Of a caller that finds shards by itself: served here, or refused with what the shards are. Of others: served here
 *                               while shard 1 is the whole table, and passed on otherwise, also where that shows only while it is served
 *
 * What is passed on names its shard, so nobody passes it on again.
 *
 * Called by kv-service.ts and session.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  DeleteRequest,
  GetRequest,
  GetResponse,
  MultiGetRequest,
  MultiGetResponse,
  PutRequest,
  PutResponse,
  WriteRequest,
  WriteResponse,
} from '../../proto/index.ts';
import type { ServerSettings } from '../settings.ts';
import type { ClusterView } from './cluster-view.ts';
import type { KvCalls } from './kv-calls.ts';
import type { Caller, KvVerbs, TableProxy } from './kv-verbs.ts';
import { type ScanCall, streamChunks, streamEntries } from './scan-stream.ts';
import type { ShardAddress } from './shard-router.ts';

export class KvFront implements KvVerbs {
  readonly settings: ServerSettings;
  readonly cluster: ClusterView;
  readonly #own: KvCalls;
  readonly #proxy: TableProxy;

  constructor(own: KvCalls, proxy: TableProxy) {
    this.settings = own.settings;
    this.cluster = own.cluster;
    this.#own = own;
    this.#proxy = proxy;
  }

  get seen(): number {
    return this.#own.seen;
  }

  get(request: GetRequest, call: Caller): GetResponse | Promise<GetResponse> {
    if (isForNode(request, call)) return this.#own.get(request);
    return this.#serve(
      request,
      () => this.#own.get(request),
      () => this.#proxy.get(request, call),
    );
  }

  multiGet(request: MultiGetRequest, call: Caller): MultiGetResponse | Promise<MultiGetResponse> {
    if (isForNode(request, call)) return this.#own.multiGet(request);
    return this.#serve(
      request,
      () => this.#own.multiGet(request),
      () => this.#proxy.multiGet(request, call),
    );
  }

  put(request: PutRequest, call: Caller): PutResponse | Promise<PutResponse> {
    if (isForNode(request, call)) return this.#own.put(request, call);
    return this.#serve(
      request,
      () => this.#own.put(request, call),
      () => this.#proxy.put(request, call),
    );
  }

  delete(request: DeleteRequest, call: Caller): PutResponse | Promise<PutResponse> {
    if (isForNode(request, call)) return this.#own.delete(request, call);
    return this.#serve(
      request,
      () => this.#own.delete(request, call),
      () => this.#proxy.delete(request, call),
    );
  }

  write(request: WriteRequest, call: Caller): WriteResponse | Promise<WriteResponse> {
    if (isForNode(request, call)) return this.#own.write(request, call);
    return this.#serve(
      request,
      () => this.#own.write(request, call),
      () => this.#proxy.write(request, call),
    );
  }

  deleteRange(request: DeleteRangeRequest, call: Caller): DeleteRangeResponse | Promise<DeleteRangeResponse> {
    if (isForNode(request, call)) return this.#own.deleteRange(request, call);
    return this.#serve(
      request,
      () => this.#own.deleteRange(request, call),
      () => this.#proxy.deleteRange(request, call),
    );
  }

  async scan(call: ScanCall, state: Caller): Promise<void> {
    const { request } = call;
    const own = (): Promise<void> => streamEntries(this.#own, call, state);
    if (isForNode(request, state)) return own();
    return this.#serve(request, own, () => streamChunks(this.#proxy.scan(request, state), call, this.settings));
  }

  /** Of a caller that leaves the shard to the cluster. What was refused for its shard was not done. What is served at once is answered at once, as a session counts on. */
  #serve<A>({ table }: ShardAddress, own: () => A | Promise<A>, passOn: () => Promise<A>): A | Promise<A> {
    if (!isUnnamed(table) || this.#own.router.whole === undefined) return passOn();
    try {
      const answer = own();
      return answer instanceof Promise ? answer.catch((error: unknown) => refused(error, passOn)) : answer;
    } catch (error) {
      return refused(error, passOn);
    }
  }
}

/** The table was split meanwhile, or it was refused for something else. */
function refused<A>(error: unknown, passOn: () => Promise<A>): Promise<A> {
  if (error instanceof SparrowError && error.code === 'WRONG_SHARD') return passOn();
  throw error;
}

function isForNode({ table, shard }: ShardAddress, call: Caller): boolean {
  return shard !== undefined || (isUnnamed(table) && call.followsShards);
}

function isUnnamed(table: string | undefined): boolean {
  return table === undefined || table === '';
}
