/**
 * Which shards there still are. Epochs grow along the lineage of keys (descriptor.ts): a split or merge gives whoever has the keys from then on a
 * larger one. So a shard that nobody knows, one of whose keys belongs to a shard of the same or a larger epoch, has been replaced. Pure.
 *
 * Called by changes/reports.ts (else it is taken in) and placement/tidy.ts (then its replicas are destroyed).
 */
import type { ShardDescriptor } from '../shard/descriptor.ts';
import { compareStarts, overlap } from './shard-order.ts';
import type { ClusterState } from './state.ts';

/** Whether the keys of a shard that is not known belong to others by now; never of what was made by another metaserver than this. */
export function isSuperseded(state: ClusterState, { shard, table, epoch, keys }: ShardDescriptor): boolean {
  if (shard >= state.counters.nextShard || table >= state.counters.nextTable) return false;
  if (!state.tables.has(table)) return true;
  const shards = state.shardsOf(table);
  let low = 0;
  let high = shards.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareStarts(shards[middle]!.record.descriptor.keys, keys) <= 0) low = middle + 1;
    else high = middle;
  }
  // Those that begin before may reach into it: the last one does, and what a merge that is being reported leaves beside it.
  for (let i = Math.max(0, low - REACHING); i < shards.length; i++) {
    const { descriptor } = shards[i]!.record;
    if (overlap(descriptor.keys, keys)) {
      if (descriptor.epoch >= epoch) return true;
    } else if (i >= low) return false;
  }
  return false;
}

const REACHING = 4;
