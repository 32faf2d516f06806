/**
 * The gRPC service that nodes have for each other. Its messages are our own bytes (greeting.ts, message-codec.ts, snapshot-codec.ts), no protobuf:
 * nobody but nodes of a cluster speaks it, and what a packet holds is copied once less.
 *
 * In both methods whoever wants to *receive* is the client: in grpc-js only a client can raise the window that flow control gives a stream,
 * and pulling is half as fast again as pushing.
 *
 *   Messages   greeting ->    <- greeting, packet, packet ...                     for as long as both nodes live
 *   Snapshot   greeting, FETCH, FROM ... ->    <- greeting, HEAD, CHUNK ...       one snapshot; a connection of its own
 */
import {
  type ChannelCredentials,
  type Client,
  type ClientDuplexStream,
  type ClientOptions,
  makeGenericClientConstructor,
  Metadata,
} from '@grpc/grpc-js';
import type { MethodDefinition, ServerDuplexStream, StatusObject } from '@grpc/grpc-js';
import { SparrowError } from '../../../base/errors.ts';
import { CODE_TRAILER, DETAILS_TRAILER, errorOf, failureOf, KIND_TRAILER, RPC_STATUS } from '../../../base/rpc-status.ts';

export type ServerStream = ServerDuplexStream<Buffer, Buffer>;
export type ClientStream = ClientDuplexStream<Buffer, Buffer>;

const asItIs = (bytes: Buffer): Buffer => bytes;

function method(name: string): MethodDefinition<Buffer, Buffer> {
  return {
    path: `/sparrowkv.peer.v1.Peer/${name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  };
}

export const Peer: { readonly messages: MethodDefinition<Buffer, Buffer>; readonly snapshot: MethodDefinition<Buffer, Buffer> } = {
  messages: method('Messages'),
  snapshot: method('Snapshot'),
};

export interface PeerClient extends Client {
  messages(): ClientStream;
  snapshot(): ClientStream;
}

export const PeerClient: new (address: string, credentials: ChannelCredentials, options: Partial<ClientOptions>) => PeerClient =
  makeGenericClientConstructor(Peer as never, 'sparrowkv.peer.v1.Peer') as never;

/** Ends a stream with an error, as its server. */
export function refuse(stream: ServerStream, error: unknown): void {
  const failure = failureOf(error);
  const metadata = new Metadata();
  metadata.set(KIND_TRAILER, failure.kind);
  metadata.set(CODE_TRAILER, failure.code);
  metadata.set(DETAILS_TRAILER, failure.details);
  const status: StatusObject = { code: failure.status, details: failure.message, metadata };
  stream.emit('error', status);
}

/** Why a stream is over that should have gone on, as its client. */
export function errorOfStatus({ code, details, metadata }: StatusObject): SparrowError {
  if (Number(code) === RPC_STATUS.OK) return new SparrowError('unavailable', 'CONNECTION_LOST', 'the other node ended the stream');
  const trailer = (name: string): string => metadata.get(name)[0]?.toString() ?? '';
  return errorOf({
    status: code,
    kind: trailer(KIND_TRAILER),
    code: trailer(CODE_TRAILER),
    message: details,
    details: trailer(DETAILS_TRAILER),
  });
}
