/** Why a shard does not take a call, as errors. None of what is refused was done: `applied: false`. */
import { SparrowError } from '../../base/errors.ts';
import { encodeShardNotes } from '../../proto/index.ts';
import type { ShardDescriptor } from '../shard/descriptor.ts';

/** The sender knows the shard as it was before, or its keys are not the shard's. `instead`: what the node knows, the most useful first. */
export function wrongShard(shard: number, instead: Iterable<ShardDescriptor>): SparrowError {
  const details = { shard, shards: encodeShardNotes(instead), applied: false };
  return new SparrowError('rerouted', 'WRONG_SHARD', `shard ${shard} has other keys than the call is for`, details);
}

export function noReplica(shard: number): SparrowError {
  return new SparrowError('rerouted', 'NO_REPLICA', `this node has no replica of shard ${shard}`, { shard, applied: false });
}

/** This replica has not come to where the sender knows the shard to be. */
export function shardBehind(shard: number, epoch: number): SparrowError {
  const message = `this node's replica of shard ${shard} has not come to epoch ${epoch} yet`;
  return new SparrowError('unavailable', 'SHARD_BEHIND', message, { shard, applied: false });
}

export function shardSealed(shard: number): SparrowError {
  const message = `shard ${shard} is being merged into another one and takes no writes meanwhile`;
  return new SparrowError('unavailable', 'SHARD_SEALED', message, { shard, applied: false });
}

/** It can be had back for a while; until then its shards answer nobody. */
export function tableDropped({ shard, table }: ShardDescriptor): SparrowError {
  const message = `the table of shard ${shard} (id ${table}) was dropped; "sparrowkv table list --dropped" tells until when it can be undeleted`;
  return new SparrowError('invalid', 'TABLE_DROPPED', message, { shard, applied: false });
}

/** Not one that clients may name. */
export function notForClients(shard: number): SparrowError {
  const message = `shard is one of a table's, not ${shard}: that is 1, or 16 and above`;
  return new SparrowError('invalid', 'SHARD', message, { field: 'shard', applied: false });
}
