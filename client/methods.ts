/**
 * The methods of the server, in the two ways in which they are called: as a frame of a session, and as a gRPC call of its own.
 * What `read` returns may alias the message that arrived.
 */
import type { CallOptions, ClientUnaryCall, Metadata, ServiceError } from '@grpc/grpc-js';
import {
  DeleteRangeRequest,
  DeleteRangeResponse,
  deleteRequestCodec,
  deleteResponseCodec,
  FRAME_DELETE,
  FRAME_DELETE_RANGE,
  FRAME_GET,
  FRAME_MULTI_GET,
  FRAME_PUT,
  FRAME_WRITE,
  getRequestCodec,
  getResponseCodec,
  MultiGetRequest,
  MultiGetResponse,
  putRequestCodec,
  putResponseCodec,
  WriteRequest,
  WriteResponse,
  type AdminClient,
  type DeleteRequest,
  type DeleteResponse,
  type Encodable,
  type GetRequest,
  type GetResponse,
  type HotCodec,
  type KvClient,
  type MetaClient,
  type PutRequest,
  type PutResponse,
  type SessionWriter,
  type StatusRequest,
  type StatusResponse,
  type AlterTableRequest,
  type AlterTableResponse,
  type CreateTableRequest,
  type CreateTableResponse,
  type DropTableRequest,
  type DropTableResponse,
  type ListTablesRequest,
  type ListTablesResponse,
  type TopologyRequest,
  type TopologyResponse,
  type UndeleteTableRequest,
  type UndeleteTableResponse,
} from '../proto/index.ts';
import type { RequestId } from './request-ids.ts';

export interface Stubs {
  readonly kv: KvClient;
  readonly admin: AdminClient;
  readonly meta: MetaClient;
}

/** A request as we build it: any Uint8Array where the generated type says Buffer. */
export type Request<Q> = Encodable<Q>;

export interface FrameForm<Q, A> {
  readonly kind: number;
  /** Adds the request's frame. `argument` as session-codec.ts says. */
  append(writer: SessionWriter, call: number, argument: number, request: Request<Q>): void;
  read(payload: Buffer): A;
}

export interface Method<Q, A> {
  readonly name: string;
  /** Carries a request id. */
  readonly writes: boolean;
  /** Not to be sent again when it may have been done: it has no request id. */
  readonly once?: boolean;
  /** Does with a node that does not lead, when none is known that does. */
  readonly anyNode?: boolean;
  /** The key, or all keys, that say for which shard it is; absent: nothing in the request does. */
  keys?(request: Request<Q>): Uint8Array | readonly Uint8Array[];
  /** How it goes through a session; absent: only ever as a gRPC call. */
  readonly frame?: FrameForm<Q, A>;
  /** The largest version that the answer tells. */
  version(answer: A): number;
  unary(stubs: Stubs, request: Request<Q>, metadata: Metadata, options: Partial<CallOptions>, done: UnaryDone<A>): ClientUnaryCall;
}

export type UnaryDone<A> = (error: ServiceError | null, answer?: A) => void;

/** What all requests of writes have: the id is set when the write is first sent. */
export interface Identified {
  requestId: RequestId | undefined;
}

/** The part of a generated message that is used here. */
interface Generated<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(source: Buffer): T;
}

function hotFrame<Q, A>(kind: number, requests: HotCodec<Q>, responses: HotCodec<A>): FrameForm<Q, A> {
  return {
    kind,
    append(writer, call, argument, request) {
      const { target, offset } = writer.begin(kind, call, argument, requests.bytes(request));
      requests.write(request, target, offset);
    },
    read: (payload) => responses.read(payload),
  };
}

function generatedFrame<Q, A>(kind: number, requests: Generated<Q>, responses: Generated<A>): FrameForm<Q, A> {
  return {
    kind,
    append(writer, call, argument, request) {
      writer.append(kind, call, argument, requests.encode(request as Q).finish());
    },
    read: (payload) => responses.decode(payload),
  };
}

function writeKeys({ conditions, operations }: Request<WriteRequest>): Uint8Array[] {
  const keys = conditions.map(({ key }) => key);
  for (const { operation } of operations) if (operation !== undefined) keys.push(operation.value.key);
  return keys;
}

export const GET: Method<GetRequest, GetResponse> = {
  name: 'get',
  writes: false,
  keys: (request) => request.key,
  frame: hotFrame(FRAME_GET, getRequestCodec, getResponseCodec),
  version: (answer) => answer.version,
  unary: ({ kv }, request, metadata, options, done) => kv.get(request as GetRequest, metadata, options, done),
};

export const PUT: Method<PutRequest, PutResponse> = {
  name: 'put',
  writes: true,
  keys: (request) => request.key,
  frame: hotFrame(FRAME_PUT, putRequestCodec, putResponseCodec),
  version: (answer) => answer.version,
  unary: ({ kv }, request, metadata, options, done) => kv.put(request as PutRequest, metadata, options, done),
};

export const DELETE: Method<DeleteRequest, DeleteResponse> = {
  name: 'delete',
  writes: true,
  keys: (request) => request.key,
  frame: hotFrame(FRAME_DELETE, deleteRequestCodec, deleteResponseCodec),
  version: (answer) => answer.version,
  unary: ({ kv }, request, metadata, options, done) => kv.delete(request as DeleteRequest, metadata, options, done),
};

export const MULTI_GET: Method<MultiGetRequest, MultiGetResponse> = {
  name: 'multiGet',
  writes: false,
  keys: (request) => request.keys,
  frame: generatedFrame(FRAME_MULTI_GET, MultiGetRequest, MultiGetResponse),
  version: () => 0,
  unary: ({ kv }, request, metadata, options, done) => kv.multiGet(request as MultiGetRequest, metadata, options, done),
};

export const WRITE: Method<WriteRequest, WriteResponse> = {
  name: 'write',
  writes: true,
  keys: writeKeys,
  frame: generatedFrame(FRAME_WRITE, WriteRequest, WriteResponse),
  version: (answer) => answer.version,
  unary: ({ kv }, request, metadata, options, done) => kv.write(request as WriteRequest, metadata, options, done),
};

export const DELETE_RANGE: Method<DeleteRangeRequest, DeleteRangeResponse> = {
  name: 'deleteRange',
  writes: true,
  frame: generatedFrame(FRAME_DELETE_RANGE, DeleteRangeRequest, DeleteRangeResponse),
  version: (answer) => answer.version,
  unary: ({ kv }, request, metadata, options, done) => kv.deleteRange(request as DeleteRangeRequest, metadata, options, done),
};

/** A call to the metaserver: rare, so a gRPC call of its own. */
function meta<Q, A>(
  name: string,
  once: boolean,
  send: (client: MetaClient, request: Q, metadata: Metadata, options: Partial<CallOptions>, done: UnaryDone<A>) => ClientUnaryCall,
): Method<Q, A> {
  return { name, writes: false, once, version: () => 0, unary: (stubs, request, ...rest) => send(stubs.meta, request as Q, ...rest) };
}

export const TOPOLOGY: Method<TopologyRequest, TopologyResponse> = meta('topology', false, (client, ...call) => client.topology(...call));
export const CREATE_TABLE: Method<CreateTableRequest, CreateTableResponse> = meta('createTable', true, (client, ...call) =>
  client.createTable(...call),
);
export const ALTER_TABLE: Method<AlterTableRequest, AlterTableResponse> = meta('alterTable', true, (client, ...call) =>
  client.alterTable(...call),
);
export const DROP_TABLE: Method<DropTableRequest, DropTableResponse> = meta('dropTable', true, (client, ...call) =>
  client.dropTable(...call),
);
export const UNDELETE_TABLE: Method<UndeleteTableRequest, UndeleteTableResponse> = meta('undeleteTable', true, (client, ...call) =>
  client.undeleteTable(...call),
);
export const LIST_TABLES: Method<ListTablesRequest, ListTablesResponse> = meta('listTables', false, (client, ...call) =>
  client.listTables(...call),
);

export const STATUS: Method<StatusRequest, StatusResponse> = {
  name: 'status',
  writes: false,
  anyNode: true,
  version: () => 0,
  unary: ({ admin }, request, metadata, options, done) => admin.status(request, metadata, options, done),
};
