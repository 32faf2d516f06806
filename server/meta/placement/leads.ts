/**
 * Who leads what. A lead moves without data, so leads are moved before replicas are, and many at a time:
 *
 *   misled     away from a node with a slow disk
 *   draining   away from a node that is to be left, while its replicas wait for room to move
 *   busy       away from a node beyond its marks of cores or disk: its busiest, to members that are not busy
 *   even       from nodes with more traffic, then with more leads, than their share
 *
 * Pure. Called by plan.ts.
 */
import { SYSTEM_TABLE } from '../../shard/descriptor.ts';
import type { Node } from '../node.ts';
import { failureOn, mayLead, type Shard } from '../shard.ts';
import { fairOf, inTurn, levelOf, type Pool, type Round, type Seat } from './round.ts';
import { enoughOf, isBeyond, readsOf, sparesTraffic, staysEven, staysIdle } from './shares.ts';
import { nodeText, partText, rateText } from './words.ts';

/** What a node gives away in one round: reports of how it goes then come before the next. */
const GIVEN_MAX = 8;
/** So many nodes with more than their share are looked at in a round. */
const SOURCES_MAX = 64;

export function moveLeads(round: Round): void {
  const { state } = round;
  for (const shard of state.ailing('misled')) {
    if (round.transfersLeft <= 0 || round.isSpent) return;
    const node = state.nodes.get(shard.leader);
    if (node !== undefined)
      giveAway(
        round,
        shard,
        `the disk of ${nodeText(node)} is slow: its log takes ${(node.load?.slowDisk ?? 0).toFixed(1)} times as long as usual`,
      );
  }
  for (const node of state.nodes.values()) {
    if (node.record.duty !== 'active' && node.leads > 0) leave(round, node);
  }
  for (const pool of round.pools()) {
    relieve(round, pool);
    evenTraffic(round, pool);
    evenLeads(round, pool);
  }
}

/** Shards that a node leads, and that nobody works on. */
function ledBy(round: Round, node: Node): Shard[] {
  round.looked += node.shards.size;
  return [...node.shards].filter((shard) => shard.leader === node.record.id && round.isFree(shard) && !shard.record.joint);
}

/** Those that are shared out. */
function sharedLeads(round: Round, node: Node): Shard[] {
  return ledBy(round, node).filter(({ record }) => record.table !== SYSTEM_TABLE);
}

function leave(round: Round, node: Node): void {
  for (const shard of ledBy(round, node)) {
    if (round.transfersLeft <= 0 || round.isSpent) return;
    giveAway(round, shard, `${nodeText(node)} is ${node.record.duty}`);
  }
}

function relieve(round: Round, pool: Pool): void {
  for (const seat of pool.seats) {
    const { cpu, io } = seat.node.over;
    if (!seat.welcoming || (!cpu && !io) || seat.node.load === undefined) continue;
    const { load } = seat.node;
    const busy = cpu ? `its cores are ${partText(load.cpu)} busy` : `its disk is ${partText(load.io)} busy`;
    const shards = sharedLeads(round, seat.node).sort((a, b) => readsOf(b) - readsOf(a));
    const enough = enoughOf(seat);
    for (const shard of shards) {
      if (round.transfersLeft <= 0 || seat.leadsMoved >= GIVEN_MAX || seat.traffic <= enough || readsOf(shard) === 0) break;
      giveAway(round, shard, `${nodeText(seat.node)} leads it, and ${busy}`, (other) => staysIdle(round, seat, other, readsOf(shard)));
    }
  }
}

function evenTraffic(round: Round, pool: Pool): void {
  const { tolerance } = round.state.policy;
  const high = pool.seats.filter((seat) => seat.welcoming && seat.leads > 0 && isBeyond(round, pool, seat, 'traffic', seat.traffic));
  for (const seat of inTurn(high, round.nowMs, SOURCES_MAX)) {
    if (round.transfersLeft <= 0 || round.isSpent) return;
    const fair = fairOf(pool, seat, 'traffic');
    const shards = sharedLeads(round, seat.node).sort((a, b) => readsOf(b) - readsOf(a));
    for (const shard of shards) {
      const reads = readsOf(shard);
      if (round.transfersLeft <= 0 || seat.leadsMoved >= GIVEN_MAX || seat.traffic <= fair * (1 + tolerance / 2)) break;
      if (reads === 0 || reads > seat.traffic - fair * (1 - tolerance)) continue;
      const why = `${nodeText(seat.node)} has ${rateText(seat.traffic)} reads and writes, and its share is ${rateText(fair)}`;
      giveAway(
        round,
        shard,
        why,
        // A node that it makes busy would be relieved of it at once.
        (other) => levelOf(pool, other, 'traffic', reads) < levelOf(pool, seat, 'traffic', -reads) && staysIdle(round, seat, other, reads),
      );
    }
  }
}

function evenLeads(round: Round, pool: Pool): void {
  const { tolerance, balanceReplicasMin } = round.state.policy;
  const low = pool.seats.some(
    (seat) => seat.welcoming && !seat.node.over.slow && fairOf(pool, seat, 'leads') * (1 - tolerance) - seat.leads >= balanceReplicasMin,
  );
  const isHigh = (seat: Seat): boolean => isBeyond(round, pool, seat, 'leads', seat.leads);
  // Somebody lacks leads while nobody has too many: then whoever has more than its share gives.
  const sources = pool.seats.filter((seat) => seat.welcoming && (isHigh(seat) || (low && seat.leads - fairOf(pool, seat, 'leads') >= 1)));
  for (const seat of inTurn(sources, round.nowMs, SOURCES_MAX)) {
    if (round.transfersLeft <= 0 || round.isSpent) return;
    const fair = fairOf(pool, seat, 'leads');
    const high = isHigh(seat);
    for (const shard of sharedLeads(round, seat.node)) {
      if (round.transfersLeft <= 0 || seat.leadsMoved >= GIVEN_MAX || seat.leads - fair < 1) break;
      const reads = readsOf(shard);
      const why = `${nodeText(seat.node)} leads ${seat.leads} shards, and its share is ${fair.toFixed(1)}`;
      giveAway(round, shard, why, (other) => {
        if (!high && fairOf(pool, other, 'leads') * (1 - tolerance) - other.leads < balanceReplicasMin) return false;
        if (levelOf(pool, other, 'leads', 1) > levelOf(pool, seat, 'leads', -1)) return false;
        // Traffic counts for more than how many they are, and so do busy cores: what it brought would be taken back.
        return (
          staysEven(round, pool, other, reads) &&
          staysIdle(round, seat, other, reads) &&
          sparesTraffic(round, [pool, pool.zoneOf(seat)], seat, reads)
        );
      });
    }
  }
}

/** To the member that leads least for its size, of those that may. */
function giveAway(round: Round, shard: Shard, why: string, accepts?: (seat: Seat) => boolean): void {
  const { state } = round;
  if (!round.isFree(shard) || shard.record.joint || shard.leader === 0) return;
  const pool = round.poolOf(state.tables.get(shard.record.table)!);
  let best: Seat | undefined;
  for (const replica of shard.record.replicas) {
    const seat = pool.byId.get(replica.node);
    round.looked++;
    if (seat === undefined || seat.id === shard.leader || !mayLead(replica) || !seat.welcoming || seat.node.over.slow) continue;
    if (failureOn(shard, seat.id) !== undefined) continue;
    if (seat.leadsMoved >= GIVEN_MAX || accepts?.(seat) === false) continue;
    if (best === undefined || levelOf(pool, seat, 'leads') < levelOf(pool, best, 'leads')) best = seat;
  }
  if (best === undefined) return;
  const reason = `${why}; ${nodeText(best.node)}, a member, leads ${best.leads}`;
  round.propose(shard, 'lead', reason, [{ shard: shard.id, type: 'transfer', from: shard.leader, to: best.id }]);
}
