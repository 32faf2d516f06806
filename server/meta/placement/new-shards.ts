/**
 * Where the first replicas of new shards go: spread over zones as the rules say, on the nodes with the least for their size, each of them counted for the
 * next; on a disk beyond the high mark where the others are no better, as they have nothing yet, and on none beyond full. The voters begin the group together; learners and witnesses are taken in when it has a leader. Pure. Called by changes/tables.ts.
 */
import { SparrowError } from '../../../base/errors.ts';
import type { Step } from '../operator.ts';
import type { ReplicaKind } from '../shard.ts';
import type { TableRecord } from '../table.ts';
import { diskAfter, type Pool, type Round, type Seat } from './round.ts';
import { wantedReplicas, zoneShare } from './rules.ts';
import { stepsToAdd } from './steps.ts';
import { fullness, zoneCounts } from './targets.ts';
import { partText } from './words.ts';

export interface NewPlace {
  /** The voters with data. */
  readonly begin: readonly { readonly node: number }[];
  /** What is to be done when they have begun. */
  readonly more: (shard: number) => readonly Step[];
}

/** More than any node's part of its fair share. */
const OVER_LEVEL = 1e9;

/** Throws `exhausted/NO_ROOM` when the disks or zones have none. */
export function placeNew(round: Round, table: TableRecord, count: number): NewPlace[] {
  const pool = round.poolOf(table);
  const { voters, learners, witnesses } = table.replicas;
  const kinds: ReplicaKind[] = [
    ...Array<'voter'>(voters).fill('voter'),
    ...Array<'witness'>(witnesses).fill('witness'),
    ...Array<'learner'>(learners).fill('learner'),
  ];
  return Array.from({ length: count }, () => {
    const seats: Seat[] = [];
    for (let i = 0; i < kinds.length; i++) {
      const seat = nextSeat(round, table, pool, seats);
      seats.push(seat);
      seat.replicas++;
    }
    return {
      begin: seats.slice(0, voters).map(({ id }) => ({ node: id })),
      more: (shard) => seats.slice(voters).flatMap(({ id }, i) => stepsToAdd({ id: shard }, id, kinds[voters + i]!)),
    };
  });
}

function nextSeat(round: Round, table: TableRecord, pool: Pool, taken: readonly Seat[]): Seat {
  const share = zoneShare(wantedReplicas(table), round.state.zonesFor(table));
  const zones = zoneCounts(taken);
  const { diskFull } = round.state.policy;
  let best: Seat | undefined;
  let bestZone = 0;
  let bestLevel = 0;
  let full = 0;
  for (const seat of pool.seats) {
    if (!seat.welcoming || taken.includes(seat)) continue;
    if (diskAfter(seat) > diskFull) {
      full++;
      continue;
    }
    const zone = zones.get(seat.node.record.zone) ?? 0;
    if (zone >= share) continue;
    // While there is nothing yet there are no shares either: then those with the fewest. Any share is better than a disk that others leave.
    const level = fullness(pool, seat) + seat.replicas / 1e6 + (seat.node.over.disk ? OVER_LEVEL : 0);
    if (best !== undefined && (zone > bestZone || (zone === bestZone && level >= bestLevel))) continue;
    best = seat;
    bestZone = zone;
    bestLevel = level;
  }
  if (best !== undefined) return best;
  const beyond = full === 0 ? '' : `; of ${full} the disk is more than ${partText(diskFull)} full`;
  const message = `pool ${table.pool} has no node left for a replica beside ${taken.length} others${beyond}`;
  throw new SparrowError('exhausted', 'NO_ROOM', message, { pool: table.pool, applied: false });
}
