/** The replicas of a node as whoever serves clients asks for them. Types, and the node that has one. Made by node-replicas.ts. */
import type { SparrowError } from '../../base/errors.ts';
import { FIRST_SHARD } from '../shard/descriptor.ts';
import type { Replica } from './replica.ts';

export interface NodeShards extends Iterable<Replica> {
  /** Shard 1's. Each node has one; where it is no member of the group, it waits to be taken in. Another object after it was destroyed. */
  readonly first: Replica;
  /** Undefined: the node has none, or not yet. */
  get(shard: number): Replica | undefined;
  /** Groups that are here and could not be opened, and those that wait for what other members have; and why. */
  readonly failures: ReadonlyMap<number, SparrowError>;
  readonly waiting: ReadonlyMap<number, SparrowError>;
}

const NONE: ReadonlyMap<number, SparrowError> = new Map();

/** A node that has shard 1 and no other. */
export function soleShard(replica: Replica): NodeShards {
  return {
    first: replica,
    get: (shard) => (shard === FIRST_SHARD ? replica : undefined),
    failures: NONE,
    waiting: NONE,
    [Symbol.iterator]: () => [replica][Symbol.iterator](),
  };
}
