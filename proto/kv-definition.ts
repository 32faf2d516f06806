/**
 * The Kv service as both sides register it: the generated definition, with the hot messages and the session's raw frames in place of
 * their generated serializers. A session's message is a Buffer that `SessionWriter.take` (or `wrapMessage`) encoded; what arrives is
 * the frames, ready for `readFrames`.
 */
import { makeGenericClientConstructor } from '@grpc/grpc-js';
import type {
  ChannelCredentials,
  Client,
  ClientDuplexStream,
  ClientOptions,
  handleBidiStreamingCall,
  MethodDefinition,
  Metadata,
  CallOptions,
} from '@grpc/grpc-js';
import { KvService as generated } from './gen/sparrowkv/v1/kv.ts';
import type {
  DeleteRequest,
  DeleteResponse,
  GetRequest,
  GetResponse,
  KvClient as GeneratedClient,
  KvServer as GeneratedServer,
  PutRequest,
  PutResponse,
} from './gen/sparrowkv/v1/kv.ts';
import {
  deleteRequestCodec,
  deleteResponseCodec,
  encodeHot,
  getRequestCodec,
  getResponseCodec,
  type HotCodec,
  putRequestCodec,
  putResponseCodec,
  scanResponseCodec,
} from './hot-codec.ts';
import { unwrapMessage } from './session-codec.ts';

/** The same as generated, but written and read by hand. */
function hot<Q, A>(path: string, request: HotCodec<Q>, response: HotCodec<A>): MethodDefinition<Q, A> {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message) => encodeHot(request, message as never),
    requestDeserialize: (bytes) => request.read(bytes),
    responseSerialize: (message) => encodeHot(response, message as never),
    responseDeserialize: (bytes) => response.read(bytes),
  };
}

const session: MethodDefinition<Buffer, Buffer> = {
  path: generated.session.path,
  requestStream: true,
  responseStream: true,
  requestSerialize: (message) => message,
  requestDeserialize: unwrapMessage,
  responseSerialize: (message) => message,
  responseDeserialize: unwrapMessage,
};

export type KvDefinition = Omit<typeof generated, 'get' | 'put' | 'delete' | 'session'> & {
  get: MethodDefinition<GetRequest, GetResponse>;
  put: MethodDefinition<PutRequest, PutResponse>;
  delete: MethodDefinition<DeleteRequest, DeleteResponse>;
  session: MethodDefinition<Buffer, Buffer>;
};

export const Kv: KvDefinition = {
  ...generated,
  get: hot(generated.get.path, getRequestCodec, getResponseCodec),
  put: hot(generated.put.path, putRequestCodec, putResponseCodec),
  delete: hot(generated.delete.path, deleteRequestCodec, deleteResponseCodec),
  scan: {
    ...generated.scan,
    responseSerialize: (message) => encodeHot(scanResponseCodec, message),
    responseDeserialize: (bytes) => scanResponseCodec.read(bytes),
  },
  session,
};

/** What a server gives for each method of Kv. */
export type KvHandlers = Pick<GeneratedServer, 'get' | 'put' | 'delete' | 'multiGet' | 'write' | 'scan' | 'deleteRange'> & {
  session: handleBidiStreamingCall<Buffer, Buffer>;
};

/** The client of Kv; `session` carries raw frames. */
export type KvClient = Client &
  Pick<GeneratedClient, 'get' | 'put' | 'delete' | 'multiGet' | 'write' | 'scan' | 'deleteRange'> & {
    session(metadata?: Metadata, options?: Partial<CallOptions>): ClientDuplexStream<Buffer, Buffer>;
  };

export const KvClient: new (address: string, credentials: ChannelCredentials, options?: Partial<ClientOptions>) => KvClient =
  makeGenericClientConstructor(Kv as never, 'sparrowkv.v1.Kv') as never;
