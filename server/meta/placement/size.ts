/** Whether a shard should be split, or could be merged away, by its size and traffic. Called whenever its load is reported. Pure. */
import { SYSTEM_TABLE } from '../../shard/descriptor.ts';
import type { Policy } from '../policy.ts';
import { type Shard, type SizeClass, trafficOf } from '../shard.ts';

export function sizeClassOf(shard: Shard, policy: Policy): SizeClass | undefined {
  const { load } = shard;
  // The metaserver's own shard is one, whatever it holds.
  if (load === undefined || shard.record.table === SYSTEM_TABLE) return undefined;
  if (load.bytes > policy.splitBytes) return 'large';
  if (trafficOf(shard) > policy.splitTraffic && load.bytes >= policy.hotSplitBytesMin) return 'hot';
  return load.bytes < policy.mergeBytes && load.keys < policy.mergeKeys ? 'small' : undefined;
}
