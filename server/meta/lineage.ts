/**
 * Which shards there still are. Epochs grow along the lineage of keys (descriptor.ts): a split or merge gives whoever has the keys from then on a
 * larger one. So a shard that nobody knows, one of whose keys belongs to a shard of the same or a larger epoch, has been replaced.
 *
 * And which there are though no leader has said so: when the shard that a split has left is known, at the very epoch of the split, and ends where the unknown one begins, then that
 * is its child, and has its keys still. Each operator needs a shard that is known, so nothing has been done to the child; and whatever had been done with these keys before has given
 * the one that was left a larger epoch than any of theirs.
 *
 *   shard 1 [a, z) epoch 4 -> shard 1 [a, m) epoch 5, and no shard has m           a replica of shard 20, [m, z) epoch 5: the child
 *                                                                                  one of shard 17, [m, z) epoch 3: merged into shard 1 once, and left behind
 *
 * Pure. Called by changes/reports.ts (else it is taken in), changes/strays.ts and placement/tidy.ts (then its replicas are destroyed).
 */
import { type ShardDescriptor, type ShardKeys, unionOf } from '../shard/descriptor.ts';
import type { Shard } from './shard.ts';
import { compareStarts, follows, overlap } from './shard-order.ts';
import type { ClusterState } from './state.ts';

/** Whether the keys of a shard that is not known belong to others by now; never of what was made by another metaserver than this. */
export function isSuperseded(state: ClusterState, { shard, table, epoch, keys }: ShardDescriptor): boolean {
  if (shard >= state.counters.nextShard || table >= state.counters.nextTable) return false;
  if (!state.tables.has(table)) return true;
  for (const { record } of around(state.shardsOf(table), keys))
    if (overlap(record.descriptor.keys, keys) && record.descriptor.epoch >= epoch) return true;
  return false;
}

/** The shard that one that is not known was split off last, if that is certain: then it has its keys, and nobody else has. */
export function partedFrom(state: ClusterState, { shard, table, epoch, keys }: ShardDescriptor): Shard | undefined {
  // Of a dropped table shards go without anybody having their keys from then on.
  if (shard >= state.counters.nextShard || state.tables.get(table)?.droppedAtMs !== 0) return undefined;
  let parent: Shard | undefined;
  for (const known of around(state.shardsOf(table), keys)) {
    const of = known.record.descriptor;
    if (overlap(of.keys, keys)) return undefined;
    if (of.epoch === epoch && follows(of.keys, keys) && unionOf(of.keys, keys) !== undefined) parent = known;
  }
  return parent;
}

/** Those of which one may have a key in common with these, and the one before them. */
function* around(shards: readonly Shard[], keys: ShardKeys): Generator<Shard> {
  let low = 0;
  let high = shards.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareStarts(shards[middle]!.record.descriptor.keys, keys) <= 0) low = middle + 1;
    else high = middle;
  }
  // Those that begin before may reach into it: the last one does, and what a merge that is being reported leaves beside it.
  for (let i = Math.max(0, low - REACHING); i < shards.length; i++) {
    if (i >= low && !overlap(shards[i]!.record.descriptor.keys, keys)) return;
    yield shards[i]!;
  }
}

const REACHING = 4;
