/**
 * What stands behind the service Kv: kv-calls.ts, which serves calls from this node's replicas, or a proxy, which passes all of them on. Methods and sessions
 * know only this.
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
  get(request: GetRequest, call: CallState): Answer<GetResponse>;
  multiGet(request: MultiGetRequest, call: CallState): Answer<MultiGetResponse>;
  put(request: PutRequest, call: CallState): Answer<PutResponse>;
  delete(request: DeleteRequest, call: CallState): Answer<PutResponse>;
  write(request: WriteRequest, call: CallState): Answer<WriteResponse>;
  deleteRange(request: DeleteRangeRequest, call: CallState): Answer<DeleteRangeResponse>;
}

/**
 * Serves calls that name a table and no shard: from whichever nodes have its shards. server/proxy has one, out of the SDK. Requests are checked by whoever serves
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
