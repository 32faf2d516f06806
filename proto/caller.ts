/**
 * What a caller says of itself, as gRPC metadata of each call and of a session's stream:
 *
 *   sparrow-shards: followed     it keeps the map of a table's shards by itself; of calls that name none it wants to be told (WRONG_SHARD) that the table has several
 *
 *   sparrow-forwarded: 1         a proxy passes it on for somebody; another proxy, which would do the same, refuses it
 *
 * For whoever does not say that it follows shards, a node passes such calls on. Said by client, read by server/gateway.
 */
import { Metadata } from '@grpc/grpc-js';

const SHARDS = 'sparrow-shards';
const FOLLOWED = 'followed';
const FORWARDED = 'sparrow-forwarded';

/** Of an SDK's calls. */
export function callerMetadata(): Metadata {
  const metadata = new Metadata();
  metadata.set(SHARDS, FOLLOWED);
  return metadata;
}

/** Of a call that a proxy passes on. */
export function forwardedMetadata(): Metadata {
  const metadata = new Metadata();
  metadata.set(FORWARDED, '1');
  return metadata;
}

export function isForwarded(metadata: Metadata): boolean {
  return metadata.get(FORWARDED).length > 0;
}

export function followsShards(metadata: Metadata): boolean {
  return metadata.get(SHARDS)[0] === FOLLOWED;
}
