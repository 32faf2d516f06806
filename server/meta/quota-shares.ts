/**
 * What of its tables' quotas a node may serve: bounds are the whole table's, and the nodes that have replicas of it divide them.
 *
 *   share of a node = a tenth of the quota, divided evenly + nine tenths, as the nodes' demand was lately
 *
 * Shares add up to the quota, so it is kept to whatever nodes are asked; a node that is asked for more than its share has a larger one a second later, if others are asked
 * for less. A node that the metaserver does not hear keeps its share, and its part goes to the others: until it is heard again, the table may have more by as much.
 * Bytes are the sum over the table's shards, one copy of each, as their leaders report it: what has been written since the last reports comes on top.
 *
 * Pure. Called by desk.ts.
 */
import type { TableDemand, TableShare } from './attending.ts';
import { bytesOf } from './shard.ts';
import type { ClusterState } from './state.ts';
import type { TableRecord } from './table.ts';

/** Of a quota, divided evenly: who is asked for nothing now may be the next to be asked. */
const EVEN = 0.1;

/** By node, of all that attend; those that have nothing to keep to are left out. `demands`: by node, as it reported them last. */
export function quotaShares(state: ClusterState, demands: ReadonlyMap<number, readonly TableDemand[]>): Map<number, TableShare[]> {
  const shares = new Map<number, TableShare[]>();
  for (const table of state.tables.values()) {
    const { bytes, readsPerSecond, writesPerSecond } = table.quotas;
    if (table.droppedAtMs > 0 || bytes + readsPerSecond + writesPerSecond === 0) continue;
    const { nodes, used } = placesOf(state, table);
    const here = [...demands.keys()].filter((node) => nodes.has(node));
    const reads = divided(readsPerSecond, here, (node) => demandOf(demands.get(node), table)?.readsPerSecond);
    const writes = divided(writesPerSecond, here, (node) => demandOf(demands.get(node), table)?.writesPerSecond);
    for (const [i, node] of here.entries()) {
      const share = { table: table.id, name: table.name, bytes, readsPerSecond, writesPerSecond };
      const all = shares.get(node) ?? [];
      all.push({ ...share, isFull: bytes > 0 && used >= bytes, readShare: reads[i]!, writeShare: writes[i]! });
      shares.set(node, all);
    }
  }
  return shares;
}

function placesOf(state: ClusterState, { id }: TableRecord): { nodes: Set<number>; used: number } {
  const nodes = new Set<number>();
  let used = 0;
  for (const shard of state.shardsOf(id)) {
    used += bytesOf(shard);
    for (const { node, data } of shard.record.replicas) if (data) nodes.add(node);
  }
  return { nodes, used };
}

function demandOf(demands: readonly TableDemand[] | undefined, { id }: TableRecord): TableDemand | undefined {
  return demands?.find(({ table }) => table === id);
}

function divided(quota: number, nodes: readonly number[], demandOf: (node: number) => number | undefined): number[] {
  const demands = nodes.map((node) => demandOf(node) ?? 0);
  const all = demands.reduce((sum, each) => sum + each, 0);
  return demands.map((demand) => {
    const even = 1 / nodes.length;
    return floored(quota * (all === 0 ? even : EVEN * even + (1 - EVEN) * (demand / all)));
  });
}

/** To tenths, so that what hardly changes is not told anew; below one finer, so that of a small quota among many nodes something is left. */
function floored(share: number): number {
  const parts = share < 1 ? 1000 : 10;
  return Math.floor(parts * share) / parts;
}
