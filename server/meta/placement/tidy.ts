/**
 * What nobody wants any more, or what was left half done:
 *
 *   stray         a node has a replica of a shard and is no member of it, or the shard itself is gone (lineage.ts): destroyed
 *   absent        a member has no replica, and its node is up: the node makes one, which the leader fills; of a group that nobody has ever led, the members
 *                 begin it as they were to. A node that has promised something in the group keeps to that, whatever it is told
 *   sealed        and no merge is under way: an operator was given up while its order was; unsealed
 *   unsplit       it is about to be split and no split is under way: as a sealed one, so that it may be split, or merged, again
 *   undescribed   the table's settings have changed: the shard is told
 *   dropped       the time to have a table back is over: its shards are destroyed
 *
 * Pure. Called by plan.ts.
 */
import { isSuperseded } from '../lineage.ts';
import type { Shard } from '../shard.ts';
import { isOver } from '../table.ts';
import type { Round } from './round.ts';
import { absentMember, foundersOf, strayHost } from './diagnosis.ts';

/** Each costs one order; a node that comes back after long may have hundreds. */
const TIDIED_MAX = 64;
/** A member of a shard that has just been split off may be about to make its replica. */
const MAKING_MS = 10_000;
/** A node reports each second. */
const HEARD_MS = 3000;

export function tidy(round: Round): void {
  const { state, nowMs } = round;
  let left =
    TIDIED_MAX - [...state.running.values()].filter(({ kind }) => kind === 'tidy' || kind === 'describe' || kind === 'drop').length;
  for (const shard of state.ailing('sealed')) {
    if (!round.isFree(shard) || shard.leader === 0) continue;
    round.propose(shard, 'tidy', 'it is sealed, and no merge is under way', [{ shard: shard.id, type: 'unseal', source: shard.id }]);
    left--;
  }
  for (const shard of state.ailing('unsplit')) {
    const { keys } = shard.record.descriptor;
    // A hash shard is in that state until it is swept, too.
    const sweeps = keys.kind === 'hash' && nowMs - shard.record.splitAtMs < state.policy.stepMs;
    if (left <= 0 || sweeps || !round.isFree(shard) || shard.leader === 0) continue;
    round.propose(shard, 'tidy', 'it was about to be split, and no split is under way', [
      { shard: shard.id, type: 'unseal', source: shard.id },
    ]);
    left--;
  }
  for (const shard of state.ailing('absent')) {
    if (left <= 0) return;
    if (round.isFree(shard) && proposeToMake(round, shard)) left--;
  }
  for (const shard of state.ailing('stray')) {
    if (left <= 0) return;
    if (round.isFree(shard) && proposeToDestroy(round, shard)) left--;
  }
  for (const [id, at] of state.strays) {
    if (left <= 0) return;
    for (const [node, { report }] of at) {
      if (report === undefined || !isSuperseded(state, report.descriptor)) continue;
      round.proposeGone(id, `node ${node} has a replica of shard ${id}, which is gone`, [{ shard: id, type: 'destroy-replica', node }]);
      left--;
      break;
    }
  }
  for (const shard of state.ailing('undescribed')) {
    if (left <= 0) return;
    if (!round.isFree(shard) || shard.leader === 0) continue;
    round.propose(shard, 'describe', `the settings of its table are at revision ${state.tables.get(shard.record.table)!.revision}`, [
      { shard: shard.id, type: 'describe' },
    ]);
    left--;
  }
  for (const table of state.tables.values()) {
    if (!isOver(table, nowMs)) continue;
    for (const shard of state.shardsOf(table.id)) {
      if (left <= 0) return;
      if (!round.isFree(shard)) continue;
      round.propose(shard, 'drop', `table ${table.name} was dropped, and the time to have it back is over`, [
        { shard: shard.id, type: 'destroy-shard' },
      ]);
      left--;
    }
  }
}

/** The replica that a member lacks. Whether there is such a member, and its node is not about to make it. */
export function proposeToMake(round: Round, shard: Shard): boolean {
  const { state, nowMs } = round;
  const node = absentMember(state, shard);
  if (node === undefined || nowMs - Math.max(shard.record.splitAtMs, state.ledSinceMs) < MAKING_MS) return false;
  const reason = `node ${node} is a member and has no replica${shard.leader === 0 ? ', and nobody leads' : ''}`;
  round.propose(shard, 'repair', reason, [{ shard: shard.id, type: 'create-replica', node, voters: foundersOf(shard.record) }]);
  return true;
}

/**
 * What a node has of a shard that it is no member of. Not while the leader is silent: it may have taken the node in since it was heard, by an order of an operator that was
 * given up. Whether there is such a node.
 */
export function proposeToDestroy(round: Round, shard: Shard): boolean {
  const { state, nowMs } = round;
  const node = strayHost(state, shard);
  if (node === undefined || nowMs - (state.nodes.get(shard.leader)?.heardAtMs ?? 0) > HEARD_MS) return false;
  const members = shard.record.replicas.map((replica) => replica.node).join(', ');
  round.propose(shard, 'tidy', `node ${node} has a replica and is none of its members, ${members}`, [
    { shard: shard.id, type: 'destroy-replica', node },
  ]);
  return true;
}
