/** Errors as grpc-js wants them. Those of verbs go through ClusterView.routed before, which says where the leader is. */
import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { CODE_TRAILER, DETAILS_TRAILER, failureOf, KIND_TRAILER } from '../../base/rpc-status.ts';

export function statusOf(error: unknown): StatusObject {
  const failure = failureOf(error);
  const metadata = new Metadata();
  metadata.set(KIND_TRAILER, failure.kind);
  metadata.set(CODE_TRAILER, failure.code);
  metadata.set(DETAILS_TRAILER, failure.details);
  return { code: failure.status, details: failure.message, metadata };
}
