/** Why a group cannot be made on a node, or is not there. Used by node-replicas.ts. */
import { SparrowError } from '../../base/errors.ts';
import { MADE_SHARD_MIN } from '../shard/descriptor.ts';

export function waitsForOthers(shard: number, { message }: SparrowError): SparrowError {
  const text = `the replica of shard ${shard} waits for what other members have: ${message}`;
  return new SparrowError('unavailable', 'REPLICA_WAITS', text, { shard, applied: false });
}

export function destroyed(shard: number): SparrowError {
  const message = `a replica of shard ${shard} was destroyed on this node: another one is taken in by the shard's leader, and does not begin it`;
  return new SparrowError('conflict', 'SHARD_DESTROYED', message, { shard, applied: false });
}

export function beingMade(shard: number): SparrowError {
  const message = `shard ${shard} is being split off on this node`;
  return new SparrowError('unavailable', 'SHARD_BEING_MADE', message, { shard, applied: false });
}

export function gone(shard: number): SparrowError {
  return new SparrowError('rerouted', 'NO_REPLICA', `this node has no replica of shard ${shard} any more`, { shard });
}

export function notOpened(shard: number, cause: unknown): SparrowError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new SparrowError('unavailable', 'REPLICA_NOT_OPENED', `the replica of shard ${shard} cannot be opened: ${text}`, { shard }, cause);
}

export function notMade(shard: number): SparrowError {
  const message = `shards are made with ids from ${MADE_SHARD_MIN} on, not ${shard}`;
  return new SparrowError('invalid', 'SHARD', message, { field: 'shard', applied: false });
}
