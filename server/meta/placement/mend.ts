/**
 * Members that are missing, too many, or in the wrong place: the most endangered shards first, as far as there is room for copies.
 *
 *   endangered, degraded   the replica of a node that is down is made anew elsewhere, and takes its place in one joint change
 *   failed                 so is one that its node, though it is up, has not run for as long as a silent node is waited for: a node that is started again, or a disk
 *                          with room again, mends it sooner, and it may fail anew where it was. Without another place it goes first, and is made where it was
 *   short                  one more, of the kind that is missing
 *   surplus                one goes: one that does not run, of a node that is leaving or down, of a crowded zone, or of the fullest node; not the leader while there is another
 *   misplaced, leaving     one moves
 *
 * Where there is no place for one, a replica that a former member has left behind may be in the way: it is destroyed first. And a member that has no replica, which
 * is a lesser ailment (tidy.ts), gets it meanwhile.
 *
 * One member at a time; the next plan sees what is left. Pure. Called by plan.ts.
 */
import { majority } from '../../raft/index.ts';
import { isLeaving } from '../node.ts';
import type { OperatorKind } from '../operator.ts';
import { type Ailment, bytesOf, failureOn, kindOf, type ReplicaRecord, runsOn, type Shard } from '../shard.ts';
import type { ClusterState } from '../state.ts';
import type { TableRecord } from '../table.ts';
import { failedMember, missing, surplus } from './diagnosis.ts';
import { successorOf } from './progress.ts';
import { levelOf, type Round, type Seat } from './round.ts';
import { inZone, misplaced, wantedReplicas, zoneShare } from './rules.ts';
import { stepsToAdd, stepsToMove, stepsToRemove } from './steps.ts';
import { fullness, targetFor } from './targets.ts';
import { proposeToDestroy, proposeToMake } from './tidy.ts';
import { bytesText, durationText, nodeText } from './words.ts';

const MENDED: readonly Ailment[] = ['endangered', 'degraded', 'failed', 'short', 'surplus', 'misplaced', 'leaving'];

/** Of each ailment so many shards are looked at beyond what there is room for: some cannot be helped now. */
const BEYOND = 256;

export function mend(round: Round): void {
  for (const ailment of MENDED) {
    let left = BEYOND;
    for (const shard of round.state.ailing(ailment)) {
      if (round.copiesLeft <= 0 || left <= 0 || round.isSpent) break;
      if (!round.isFree(shard) || shard.leader === 0 || shard.record.joint || shard.load === undefined) continue;
      round.looked++;
      if (!mended(round, shard)) left--;
    }
  }
}

/** Whether something was found to do. */
function mended(round: Round, shard: Shard): boolean {
  const { state } = round;
  const table = state.tables.get(shard.record.table)!;
  const { replicas } = shard.record;
  const dead = replicas
    .filter(({ node }) => (state.nodes.get(node)?.record.health ?? 'down') === 'down')
    .sort((a, b) => Number(b.votes) - Number(a.votes))[0];
  const wanted = wantedReplicas(table);
  if (dead !== undefined)
    return replicas.length > wanted
      ? drop(round, shard, dead, 'repair', deadReason(round, shard, dead))
      : rebuilt(round, table, shard, dead);
  const failed = failedMember(state, shard);
  if (failed !== undefined && round.nowMs - failureOn(shard, failed.node)!.sinceMs >= state.policy.downAfterMs)
    return replaced(round, table, shard, failed);
  const lacks = missing(table, replicas);
  if (lacks !== undefined) return added(round, table, shard, lacks);
  const extra = surplus(table, replicas);
  if (extra !== undefined) {
    const goes = leastWanted(round, table, shard, extra);
    return drop(
      round,
      shard,
      goes,
      'tidy',
      `it has ${replicas.length} members and its table wants ${wanted}; node ${goes.node} is the one that is least missed`,
    );
  }
  const wrong = misplaced(state, table, replicas);
  if (wrong !== undefined) return moved(round, table, shard, wrong, 'rule', misplacedReason(state, table, replicas, wrong));
  const leaving = replicas.find(({ node }) => isLeaving(state.nodes.get(node)!.record));
  return (
    leaving !== undefined &&
    moved(
      round,
      table,
      shard,
      leaving,
      'drain',
      `${nodeText(state.nodes.get(leaving.node)!)} is ${state.nodes.get(leaving.node)!.record.duty}`,
    )
  );
}

function rebuilt(round: Round, table: TableRecord, shard: Shard, dead: ReplicaRecord): boolean {
  const staying = shard.record.replicas.filter((replica) => replica !== dead);
  const target = targetFor(round, { table, shard, staying, kind: 'repair', data: dead.data });
  const why = deadReason(round, shard, dead);
  if (typeof target === 'string') return blocked(round, shard, `${why}; ${target}`);
  round.propose(shard, 'repair', `${why}; ${where(round, table, shard, target)}`, stepsToMove(shard, dead, target.id, 0));
  return true;
}

/**
 * Only while a majority of the voters is sound: without it no change of members would end, and what the failed ones have on their disks may be all there is. It is
 * destroyed when the new one has its vote. Where it has to go before, two others have the data.
 */
function replaced(round: Round, table: TableRecord, shard: Shard, failed: ReplicaRecord): boolean {
  const { replicas } = shard.record;
  const why = failedReason(round, shard, failed);
  const sound = replicas.filter(({ node }) => round.state.nodes.get(node)?.record.health === 'up' && runsOn(shard, node));
  const voters = replicas.filter(({ votes }) => votes).length;
  const soundVoters = sound.filter(({ votes }) => votes).length;
  if (soundVoters < majority(voters))
    return blocked(round, shard, `${why}; ${soundVoters} of ${voters} voters are sound, and that is no majority`);
  if (replicas.length > wantedReplicas(table)) return drop(round, shard, failed, 'repair', why);
  const wish = { table, shard, staying: replicas.filter((replica) => replica !== failed), kind: 'repair' as const, data: failed.data };
  const target = targetFor(round, wish);
  if (typeof target !== 'string') {
    round.propose(shard, 'repair', `${why}; ${where(round, table, shard, target)}`, stepsToMove(shard, failed, target.id, 0));
    return true;
  }
  if (typeof targetFor(round, { ...wish, patient: true }) !== 'string') return blocked(round, shard, `${why}; ${target}`);
  const copies = sound.filter(({ data }) => data).length;
  if (failed.data && copies < 2) return blocked(round, shard, `${why}; ${target}, and there is one other copy of the data`);
  return drop(round, shard, failed, 'repair', `${why}; ${target}: it is removed, to be made anew where it was`);
}

function failedReason(round: Round, shard: Shard, { node }: ReplicaRecord): string {
  const { how, why, sinceMs } = failureOn(shard, node)!;
  const what = how === 'stopped' ? 'has been stopped' : 'could not be opened';
  return `its replica on ${nodeText(round.state.nodes.get(node)!)} ${what} for ${durationText(round.nowMs - sinceMs)} (${why})`;
}

function added(round: Round, table: TableRecord, shard: Shard, lacks: 'voter' | 'learner' | 'witness'): boolean {
  const { replicas } = shard.record;
  const have = replicas.filter((replica) => kindOf(replica) === lacks).length;
  const why = `it has ${have} of ${table.replicas[`${lacks}${lacks === 'witness' ? 'es' : 's'}` as 'voters' | 'learners' | 'witnesses']} ${lacks === 'witness' ? 'witnesses' : `${lacks}s`}`;
  // A learner that an operator left behind is as good as half of what is missing.
  const learner = replicas.find((replica) => kindOf(replica) === 'learner' && round.state.nodes.get(replica.node)?.record.health === 'up');
  if (
    lacks === 'voter' &&
    learner !== undefined &&
    replicas.filter((replica) => kindOf(replica) === 'learner').length > table.replicas.learners
  ) {
    // That operator may have been given up, and its replica destroyed, before the order to take the node in was carried out.
    const makes = !shard.hosts.has(learner.node);
    round.propose(
      shard,
      'repair',
      `${why}; node ${learner.node} is a learner that the table does not want${makes ? ', without a replica' : ''}`,
      [
        ...(makes ? [{ shard: shard.id, type: 'create-replica', node: learner.node, voters: [] } as const] : []),
        { shard: shard.id, type: 'catch-up', node: learner.node },
        { shard: shard.id, type: 'promote', node: learner.node },
      ],
    );
    return true;
  }
  const target = targetFor(round, { table, shard, staying: replicas, kind: 'repair', data: lacks !== 'witness' });
  if (typeof target === 'string') return blocked(round, shard, `${why}; ${target}`);
  round.propose(shard, 'repair', `${why}; ${where(round, table, shard, target)}`, stepsToAdd(shard, target.id, lacks));
  return true;
}

function moved(round: Round, table: TableRecord, shard: Shard, from: ReplicaRecord, kind: OperatorKind, why: string): boolean {
  const staying = shard.record.replicas.filter((replica) => replica !== from);
  const target = targetFor(round, { table, shard, staying, kind, data: from.data });
  if (typeof target === 'string') return blocked(round, shard, `${why}; ${target}`);
  const successor = successorOf(round.state, shard, from.node, 0);
  round.propose(shard, kind, `${why}; ${where(round, table, shard, target)}`, stepsToMove(shard, from, target.id, successor));
  return true;
}

function drop(round: Round, shard: Shard, goes: ReplicaRecord, kind: OperatorKind, why: string): boolean {
  round.propose(shard, kind, why, stepsToRemove(shard, goes, successorOf(round.state, shard, goes.node, 0)));
  return true;
}

/** Who of a kind goes: those that do not run, those who leave anyway, then of zones with too many, then of the fullest node; the leader last. */
function leastWanted(round: Round, table: TableRecord, shard: Shard, kind: 'voter' | 'learner' | 'witness'): ReplicaRecord {
  const { state } = round;
  const pool = round.poolOf(table);
  const { replicas } = shard.record;
  const share = zoneShare(wantedReplicas(table), state.zonesFor(table));
  const cost = (replica: ReplicaRecord): number => {
    const node = state.nodes.get(replica.node);
    const seat = pool.byId.get(replica.node);
    if (node === undefined || seat === undefined) return -100;
    const crowd = inZone(state, replicas, node.record.zone);
    return (
      (failureOn(shard, replica.node) === undefined ? 0 : -100) +
      (isLeaving(node.record) ? -50 : 0) +
      (crowd > share ? -20 : 0) -
      crowd -
      fullness(pool, seat) / 100 +
      (shard.leader === replica.node ? 10 : 0)
    );
  };
  return replicas.filter((replica) => kindOf(replica) === kind).sort((a, b) => cost(a) - cost(b) || a.node - b.node)[0]!;
}

function deadReason({ state, nowMs }: Round, { record: { replicas } }: Shard, dead: ReplicaRecord): string {
  const node = state.nodes.get(dead.node);
  const voters = replicas.filter(({ votes }) => votes);
  const alive = voters.filter((voter) => (state.nodes.get(voter.node)?.record.health ?? 'down') !== 'down').length;
  const bears = alive - majority(voters.length);
  const since = node
    ? `${nodeText(node)} has been down for ${durationText(nowMs - node.record.healthSinceMs)}`
    : `node ${dead.node} is gone`;
  return `${since}: ${alive} of ${voters.length} voters are left, ${bears === 0 ? 'and none may fail' : `of which ${bears} may fail`}`;
}

function misplacedReason(state: ClusterState, table: TableRecord, replicas: readonly ReplicaRecord[], wrong: ReplicaRecord): string {
  const node = state.nodes.get(wrong.node)!;
  const zones = state.zonesFor(table);
  const crowd = inZone(state, replicas, node.record.zone);
  if (crowd > zoneShare(wantedReplicas(table), zones))
    return `zone ${node.record.zone} has ${crowd} of its ${replicas.length} replicas, and there are ${zones} zones`;
  return `${nodeText(node)} is of pool ${node.record.pool} and role ${node.record.role}, and its table is of pool ${table.pool}`;
}

function where(round: Round, table: TableRecord, shard: Shard, seat: Seat): string {
  const pool = round.poolOf(table);
  const part = Math.round(levelOf(pool, seat, 'replicas') * 100);
  return `its ${bytesText(bytesOf(shard))} go to ${nodeText(seat.node)}, which has ${part} % of its fair share of replicas`;
}

/** Nothing, but that what a former member has left behind goes: its node may be the one that could take a new replica. And that a member gets the replica that it lacks. */
function blocked(round: Round, shard: Shard, reason: string): boolean {
  if (proposeToDestroy(round, shard) || proposeToMake(round, shard)) return true;
  round.block(shard, reason);
  return false;
}
