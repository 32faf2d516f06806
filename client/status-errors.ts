/** What gRPC tells of a failed call, as a SparrowError. */
import type { Metadata } from '@grpc/grpc-js';

import { SparrowError } from '../base/errors.ts';
import { CODE_TRAILER, DETAILS_TRAILER, errorOf, KIND_TRAILER, plainMessage, RPC_STATUS } from '../base/rpc-status.ts';

export interface RpcStatus {
  code: number;
  details: string;
  metadata: Metadata;
}

/** Why a stream that should have gone on is over. */
export function errorOfEndedStream(status: RpcStatus): SparrowError {
  if (status.code === RPC_STATUS.OK) return new SparrowError('unavailable', 'SESSION_ENDED', 'the server ended the stream');
  if (isBrokenConnection(status)) return new SparrowError('unavailable', 'CONNECTION_LOST', plainMessage(status.details));
  return errorOfStatus(status);
}

/** The server's own error when the trailers tell it, else what the status number means. */
export function errorOfStatus(status: RpcStatus): SparrowError {
  return errorOf({
    status: status.code,
    kind: trailer(status.metadata, KIND_TRAILER),
    code: trailer(status.metadata, CODE_TRAILER),
    message: plainMessage(status.details),
    details: trailer(status.metadata, DETAILS_TRAILER),
  });
}

/** The status did not come from the server but from the way to it: the connection is of no more use. */
export function isBrokenConnection(status: RpcStatus): boolean {
  const ofTheWay = status.code === RPC_STATUS.UNAVAILABLE || status.code === RPC_STATUS.CANCELLED || status.code === RPC_STATUS.INTERNAL;
  return ofTheWay && trailer(status.metadata, CODE_TRAILER) === '';
}

function trailer(metadata: Metadata, name: string): string {
  const [value] = metadata.get(name);
  return value === undefined ? '' : value.toString();
}
