/**
 * What a caller says of itself, as gRPC metadata of each call and of a session's stream:
 *
 *   sparrow-shards: followed     it keeps the map of a table's shards by itself; of calls that name none it wants to be told (WRONG_SHARD) that the table has several
 *
 * For whoever does not say so, a node passes such calls on. Said by client, read by server/gateway.
 */
import { Metadata } from '@grpc/grpc-js';

const SHARDS = 'sparrow-shards';
const FOLLOWED = 'followed';

/** Of an SDK's calls. */
export function callerMetadata(): Metadata {
  const metadata = new Metadata();
  metadata.set(SHARDS, FOLLOWED);
  return metadata;
}

export function followsShards(metadata: Metadata): boolean {
  return metadata.get(SHARDS)[0] === FOLLOWED;
}
