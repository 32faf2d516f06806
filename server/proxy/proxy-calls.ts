/** Kv of a server that has no replicas: everything is passed on. It says nothing of nodes and leaders, so that clients keep to it. */
import { SparrowError } from '../../base/errors.ts';
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  DeleteRequest,
  GetRequest,
  GetResponse,
  Leadership,
  MultiGetRequest,
  MultiGetResponse,
  PutRequest,
  PutResponse,
  ScanRequest,
  ScanResponse,
  WriteRequest,
  WriteResponse,
} from '../../proto/index.ts';
import type { KvVerbs, TableProxy } from '../gateway/index.ts';
import type { CallState } from '../node/index.ts';
import type { ServerSettings } from '../settings.ts';

interface Address {
  readonly shard?: number | undefined;
}

export class ProxyCalls implements KvVerbs {
  readonly settings: ServerSettings;
  readonly seen = 0;
  readonly cluster: KvVerbs['cluster'] = {
    nodeId: 0,
    clusterId: '',
    members: [],
    leadership: (): Leadership => ({ leaderId: 0, term: 0 }),
    routed: (error: unknown): unknown => error,
  };
  readonly #tables: TableProxy;

  constructor(settings: ServerSettings, tables: TableProxy) {
    this.settings = settings;
    this.#tables = tables;
  }

  get(request: GetRequest, call: CallState): Promise<GetResponse> {
    return this.#for(request).get(request, call);
  }

  multiGet(request: MultiGetRequest, call: CallState): Promise<MultiGetResponse> {
    return this.#for(request).multiGet(request, call);
  }

  put(request: PutRequest, call: CallState): Promise<PutResponse> {
    return this.#for(request).put(request, call);
  }

  delete(request: DeleteRequest, call: CallState): Promise<PutResponse> {
    return this.#for(request).delete(request, call);
  }

  write(request: WriteRequest, call: CallState): Promise<WriteResponse> {
    return this.#for(request).write(request, call);
  }

  deleteRange(request: DeleteRangeRequest, call: CallState): Promise<DeleteRangeResponse> {
    return this.#for(request).deleteRange(request, call);
  }

  scan(request: ScanRequest, call: CallState): AsyncIterable<ScanResponse> {
    return this.#for(request).scan(request, call);
  }

  /** Who names a shard wants this node's replica of it. */
  #for({ shard }: Address): TableProxy {
    if (shard === undefined) return this.#tables;
    throw new SparrowError('rerouted', 'NO_REPLICA', 'this server is a proxy and has no replicas', { shard, applied: false });
  }
}
