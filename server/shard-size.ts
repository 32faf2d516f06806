/**
 * How much a shard has, in bytes and keys: what is its own, wherever it lies, and can be seen. Estimates, for splits, merges and balance.
 *
 *   tables       each with the large values that it refers to, whether those lie in files of the engine's own or in segments of the node's log. After a split the tables are still those
 *                of both halves: as long as the other one is hidden by a range tombstone, one that lies across a border of the shard counts by half, one beyond it not at all
 *   memtables    with the large values in the node's log that they point to; a key that is in tables, too, counts again until it is flushed
 *   - deletes    and what they may hide; of a hash shard also what was swept
 *
 * Used by shard-reports.ts.
 */
import type { EngineMetrics, HostedEngine, TableSpan } from '../engine/index.ts';
import { engineRange } from './node/index.ts';
import type { ShardKeys } from './shard/descriptor.ts';

export interface ShardSize {
  readonly bytes: number;
  readonly keys: number;
}

export function sizeOf(engine: Pick<HostedEngine, 'tableSpans'>, metrics: EngineMetrics, keys: ShardKeys): ShardSize {
  const { tables, memtables, space } = metrics;
  let bytes = 0;
  let entries = 0;
  for (const span of engine.tableSpans()) {
    const part = metrics.rangeTombstones === 0 ? 1 : partOf(span, keys);
    bytes += part * span.bytes;
    entries += part * span.entries;
  }
  const share = tables.entries === 0 ? 0 : entries / tables.entries;
  return {
    bytes: Math.round(Math.max(0, bytes - share * space.deleted.bytes) + memtables.bytes + memtables.valueBytes),
    keys: Math.round(Math.max(0, entries - 2 * (share * tables.deletes + memtables.deletes) + memtables.keys)),
  };
}

/** Of a table, what is the shard's: 0, a half or 1. */
function partOf({ smallest, largest }: TableSpan, keys: ShardKeys): number {
  if (keys.kind === 'hash') return 1;
  const { start, end } = engineRange({ gte: keys.start, lt: keys.end });
  if (Buffer.compare(largest, start) < 0 || Buffer.compare(smallest, end) >= 0) return 0;
  return Buffer.compare(smallest, start) >= 0 && Buffer.compare(largest, end) < 0 ? 1 : 1 / 2;
}
