/**
 * What stands behind the service Kv: kv-front.ts of a node, which serves calls from its replicas (kv-calls.ts) or passes them on, or a proxy, which passes all of
 * them on. Methods and sessions know only this.
 */
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  DeleteRequest,
  GetRequest,
  GetResponse,
  Leadership,
  Member,
  MultiGetRequest,
  MultiGetResponse,
  PutRequest,
  PutResponse,
  ScanRequest,
  ScanResponse,
  WriteRequest,
  WriteResponse,
} from '../../proto/index.ts';
import type { CallState } from '../node/index.ts';
import type { ServerSettings } from '../settings.ts';

type Answer<A> = A | Promise<A>;

/** A call as it came in. */
export interface Caller extends CallState {
  /** Whoever calls finds shards by itself (proto/caller.ts). */
  readonly followsShards: boolean;
}

export interface KvVerbs {
  readonly settings: ServerSettings;
  /** What clients are told of the cluster (cluster-view.ts). */
  readonly cluster: {
    readonly nodeId: number;
    readonly clusterId: string;
    readonly members: readonly Member[];
    leadership(shard?: number): Leadership;
    routed(error: unknown): unknown;
  };
  /** The version up to which clients that connect now have seen everything. 0: there is none. */
  readonly seen: number;
  get(request: GetRequest, call: Caller): Answer<GetResponse>;
  multiGet(request: MultiGetRequest, call: Caller): Answer<MultiGetResponse>;
  put(request: PutRequest, call: Caller): Answer<PutResponse>;
  delete(request: DeleteRequest, call: Caller): Answer<PutResponse>;
  write(request: WriteRequest, call: Caller): Answer<WriteResponse>;
  deleteRange(request: DeleteRangeRequest, call: Caller): Answer<DeleteRangeResponse>;
}

/**
 * Serves calls that name no shard, of table `default` where they name none either: from whichever nodes have its shards. server/proxy has one, out of the SDK. Requests are checked by whoever serves
 * them in the end.
 */
export interface TableProxy {
  get(request: GetRequest, call: CallState): Promise<GetResponse>;
  multiGet(request: MultiGetRequest, call: CallState): Promise<MultiGetResponse>;
  put(request: PutRequest, call: CallState): Promise<PutResponse>;
  delete(request: DeleteRequest, call: CallState): Promise<PutResponse>;
  write(request: WriteRequest, call: CallState): Promise<WriteResponse>;
  deleteRange(request: DeleteRangeRequest, call: CallState): Promise<DeleteRangeResponse>;
  scan(request: ScanRequest, call: CallState): AsyncIterable<ScanResponse>;
}
