/**
 * Where a replica of a shard may go, and which of those places is best.
 *
 *   never   to a node that is not up and active, is a member already, has an old replica still, has a slow disk, takes in as many as it may, or would
 *           have its disk beyond the mark; to a zone that has its share
 *   best    in the zone with the fewest of the shard's replicas; there on the node with the least data and replicas for its size
 *
 * How far a disk may be filled: balance stays below the low mark, what has to move goes up to the high one, and only repair goes beyond, to full.
 * Pure.
 */
import type { OperatorKind } from '../operator.ts';
import { bytesOf, type ReplicaRecord, type Shard } from '../shard.ts';
import type { TableRecord } from '../table.ts';
import { diskAfter, levelOf, type Pool, type Round, type Seat } from './round.ts';
import { wantedReplicas, zoneShare } from './rules.ts';

export interface Wish {
  readonly table: TableRecord;
  readonly shard: Shard;
  /** Members that stay. */
  readonly staying: readonly ReplicaRecord[];
  readonly kind: OperatorKind;
  /** Of a witness: no data go there. */
  readonly data: boolean;
  /** Of these only; else of all of the pool. */
  readonly seats?: readonly Seat[];
  /** In how many zones replicas may be; else as many as the table has now. */
  readonly zones?: number;
  /** Copies that a node is busy with are waited for. */
  readonly patient?: boolean;
  /** Further conditions. */
  readonly accepts?: (seat: Seat) => boolean;
}

/** The best place, or why there is none. */
export function targetFor(round: Round, wish: Wish): Seat | string {
  const { table, shard, staying } = wish;
  const pool = round.poolOf(table);
  const share = zoneShare(wantedReplicas(table), wish.zones ?? round.state.zonesFor(table));
  const inZones = new Map<string, number>();
  for (const { node } of staying) {
    const zone = round.state.nodes.get(node)?.record.zone;
    if (zone !== undefined) inZones.set(zone, (inZones.get(zone) ?? 0) + 1);
  }
  const bytes = wish.data ? bytesOf(shard) : 0;
  let best: Seat | undefined;
  let bestZone = 0;
  let bestLevel = 0;
  const refused = { busy: 0, full: 0, zone: 0 };
  const seats = wish.seats ?? pool.seats;
  const mark = diskMark(round, wish.kind);
  const arrivingMax = round.state.policy.copiesIntoNodeMax;
  round.looked += seats.length;
  for (const seat of seats) {
    if (!seat.welcoming || seat.node.over.slow || isThere(shard, seat.id)) continue;
    const zone = inZones.get(seat.node.record.zone) ?? 0;
    if (zone >= share) refused.zone++;
    else if (diskAfter(seat, bytes) > mark) refused.full++;
    else if (seat.arriving >= arrivingMax && wish.patient !== true) refused.busy++;
    else if (wish.accepts?.(seat) === false) refused.busy++;
    else {
      const level = fullness(pool, seat);
      if (best !== undefined && (zone > bestZone || (zone === bestZone && level >= bestLevel))) continue;
      best = seat;
      bestZone = zone;
      bestLevel = level;
    }
  }
  return best ?? why(table, refused);
}

function why(table: TableRecord, { busy, full, zone }: { busy: number; full: number; zone: number }): string {
  if (busy > 0)
    return `${busy === 1 ? 'the node that could take it is' : `the ${busy} nodes that could take it are`} busy with other copies`;
  if (full > 0)
    return `${full === 1 ? 'the disk of the node that could take it is' : `the disks of the ${full} nodes that could take it are`} too full`;
  if (zone > 0)
    return zone === 1
      ? `the other node of pool ${table.pool} is in a zone that has its share of its replicas`
      : `the other ${zone} nodes of pool ${table.pool} are in zones that have their share of its replicas`;
  return `pool ${table.pool} has no other node that is up and active`;
}

/** Data and replicas of a node for its size; 2 is its fair share. */
export function fullness(pool: Pool, seat: Seat): number {
  return levelOf(pool, seat, 'bytes') + levelOf(pool, seat, 'replicas');
}

/** How many of these are in each zone. */
export function zoneCounts(seats: readonly Seat[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { node } of seats) counts.set(node.record.zone, (counts.get(node.record.zone) ?? 0) + 1);
  return counts;
}

function diskMark({ state: { policy } }: Round, kind: OperatorKind): number {
  if (kind === 'balance') return policy.diskLow;
  return kind === 'repair' || kind === 'create' ? policy.diskFull : policy.diskHigh;
}

function isThere(shard: Shard, node: number): boolean {
  return (
    // One that waits to be taken in is as good as none: it is what would be made.
    shard.hosts.get(node)?.waits === false ||
    shard.planned.some((replica) => replica.node === node) ||
    shard.record.replicas.some((replica) => replica.node === node)
  );
}
