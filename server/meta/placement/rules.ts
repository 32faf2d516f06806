/**
 * Where replicas may be: of the table's pool and role, and spread over zones.
 *
 * A zone has at most its share of a shard's replicas: ceil(replicas / zones). While there are as many zones as replicas that is one: never two of
 * a shard in a zone. With fewer zones the replicas are spread as evenly as they can be. A zone counts while one of its nodes is neither down nor
 * leaving; so a zone that is lost stops counting when its nodes are down, not before.
 *
 * Pure. Called by diagnosis.ts, targets.ts.
 */
import { isFor, type Node } from '../node.ts';
import type { ReplicaRecord } from '../shard.ts';
import type { ClusterState } from '../state.ts';
import type { TableRecord } from '../table.ts';

/** How many members a shard of the table is to have, of all kinds. */
export function wantedReplicas({ replicas: { voters, learners, witnesses } }: TableRecord): number {
  return voters + learners + witnesses;
}

/** How many of `replicas` replicas may be in one zone. */
export function zoneShare(replicas: number, zones: number): number {
  return Math.ceil(replicas / Math.max(1, zones));
}

/** How many of these replicas are in a zone. */
export function inZone(state: ClusterState, replicas: readonly ReplicaRecord[], zone: string): number {
  let count = 0;
  for (const { node } of replicas) if (state.nodes.get(node)?.record.zone === zone) count++;
  return count;
}

/** A member that the rules do not want where it is: of another pool or role, or beyond its zone's share. The one that is easiest missed. */
export function misplaced(state: ClusterState, table: TableRecord, replicas: readonly ReplicaRecord[]): ReplicaRecord | undefined {
  for (const replica of replicas) {
    const node = state.nodes.get(replica.node);
    if (node !== undefined && !isFor(node.record, table)) return replica;
  }
  const zones = state.zonesFor(table);
  const share = zoneShare(wantedReplicas(table), zones);
  if (replicas.length <= share) return undefined;
  let found: ReplicaRecord | undefined;
  for (const replica of replicas) {
    const node = state.nodes.get(replica.node);
    if (node === undefined || inZone(state, replicas, node.record.zone) <= share) continue;
    if (found === undefined || fuller(node, state.nodes.get(found.node)!)) found = replica;
  }
  return found;
}

function fuller(a: Node, b: Node): boolean {
  return a.bytes * b.record.capacity.diskBytes > b.bytes * a.record.capacity.diskBytes;
}
