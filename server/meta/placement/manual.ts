/**
 * What somebody asks for by hand: a move, split, merge or transfer, checked against the rules that plans keep to. What breaks one is refused with the rule
 * and the figures: `invalid/SHARD_UNKNOWN`, `invalid/NODE_UNKNOWN`, `invalid/OPERATION`, `unavailable/SHARD_BUSY`. Pure. Called by the shell.
 */
import { SparrowError } from '../../../base/errors.ts';
import { coversKey } from '../../shard/descriptor.ts';
import { isFor, isWelcoming } from '../node.ts';
import { bytesOf, mayLead, replicaOn, type Shard } from '../shard.ts';
import type { ClusterState } from '../state.ts';
import { directed, keptApart, mayMeet, neighboursOf, proposeMerge } from './merge.ts';
import { successorOf } from './progress.ts';
import { type Proposal, Round } from './round.ts';
import { canSplit, splitSteps, undivided } from './split.ts';
import { stepsToMove } from './steps.ts';
import { inZone, wantedReplicas, zoneShare } from './rules.ts';
import { targetFor } from './targets.ts';
import { listText } from './words.ts';

/** `to` 0: the best place by the rules. */
export function askMove(state: ClusterState, id: number, from: number, to: number, nowMs: number): Proposal {
  const round = new Round(state, nowMs);
  const shard = freeShard(round, id);
  const table = state.tables.get(shard.record.table)!;
  const replica = replicaOn(shard, from);
  if (replica === undefined) throw invalid(`node ${from} has no replica of shard ${id}; ${members(shard)} have`, { shard: id, node: from });
  const staying = shard.record.replicas.filter((other) => other !== replica);
  let target = to;
  if (to === 0) {
    const found = targetFor(round, { table, shard, staying, kind: 'move', data: replica.data });
    if (typeof found === 'string') throw unavailable('NO_ROOM', `shard ${id} has nowhere to go: ${found}`, { shard: id });
    target = found.id;
  } else {
    const node = state.nodes.get(to)?.record;
    if (node === undefined) throw new SparrowError('invalid', 'NODE_UNKNOWN', `there is no node ${to}`, { node: to, applied: false });
    if (replicaOn(shard, to) !== undefined || shard.hosts.has(to))
      throw invalid(`node ${to} has a replica of shard ${id} already`, { shard: id, node: to });
    if (!isFor(node, table))
      throw invalid(`node ${to} is of pool ${node.pool} and role ${node.role}, and table ${table.name} is of pool ${table.pool}`, {
        node: to,
      });
    if (!isWelcoming(node)) throw unavailable('NODE_UNFIT', `node ${to} is ${node.health} and ${node.duty}`, { node: to });
    const share = zoneShare(wantedReplicas(table), state.zonesFor(table));
    const there = inZone(state, staying, node.zone);
    if (there >= share)
      throw invalid(`zone ${node.zone} has ${there} of the shard's other replicas, and its share is ${share}`, {
        shard: id,
        node: to,
        limit: share,
      });
  }
  round.propose(
    shard,
    'move',
    `from node ${from} to node ${target}`,
    stepsToMove(shard, replica, target, successorOf(state, shard, from, 0)),
  );
  return round.proposals[0]!;
}

/** `to` 0: whoever is best. */
export function askTransfer(state: ClusterState, id: number, to: number, nowMs: number): Proposal {
  const round = new Round(state, nowMs);
  const shard = freeShard(round, id);
  if (to !== 0) {
    const replica = replicaOn(shard, to);
    if (replica === undefined || !mayLead(replica))
      throw invalid(`node ${to} cannot lead shard ${id}: it is no voter with data`, { shard: id, node: to });
    if (shard.leader === to) throw invalid(`node ${to} leads shard ${id} already`, { shard: id, node: to });
    if (state.nodes.get(to)?.record.health !== 'up')
      throw unavailable('NODE_UNFIT', `node ${to} is ${state.nodes.get(to)?.record.health ?? 'gone'}`, { node: to });
  }
  const successor = successorOf(state, shard, shard.leader, to);
  if (successor === 0) throw unavailable('NO_ROOM', `shard ${id} has no other member that could lead it`, { shard: id });
  round.propose(shard, 'transfer', `from node ${shard.leader} to node ${successor}`, [
    { shard: id, type: 'transfer', from: 0, to: successor },
  ]);
  return round.proposals[0]!;
}

/** `key` undefined: in the middle. */
export function askSplit(state: ClusterState, id: number, key: Uint8Array | undefined, nowMs: number): Proposal {
  const round = new Round(state, nowMs);
  const shard = freeShard(round, id);
  const never = undivided(state, shard);
  if (never !== undefined) throw invalid(`shard ${id} is not split: ${never}`, { shard: id });
  const why = canSplit(round, shard);
  if (why !== undefined) throw unavailable('SHARD_BUSY', `shard ${id} is not split: ${why}`, { shard: id });
  const { keys } = shard.record.descriptor;
  if (key !== undefined) {
    if (keys.kind === 'hash')
      throw invalid(`shard ${id} is of a hash table, which has one way to be split: by the next bit`, { shard: id, field: 'at' });
    if (!coversKey(keys, key) || Buffer.compare(key, keys.start) === 0)
      throw invalid(`the key is not within shard ${id}, behind its first one`, { shard: id, field: 'at' });
  }
  round.propose(shard, 'split', key === undefined ? 'in two halves' : 'at the key that was named', splitSteps(shard, key));
  return round.proposals[0]!;
}

/** `other` 0: the smaller one of its neighbours. Guards of age and size do not hold here; split keys that were asked for do. */
export function askMerge(state: ClusterState, id: number, other: number, nowMs: number): Proposal {
  const round = new Round(state, nowMs);
  const shard = freeShard(round, id);
  const neighbours = neighboursOf(state, shard).sort((a, b) => bytesOf(a) - bytesOf(b) || a.id - b.id);
  const chosen = other === 0 ? neighbours[0] : neighbours.find((neighbour) => neighbour.id === other);
  if (chosen === undefined) {
    const have = neighbours.length === 0 ? 'it has none' : `its neighbours are ${listText(neighbours.map((neighbour) => neighbour.id))}`;
    throw invalid(
      other === 0 ? `shard ${id} has no neighbour to be merged with` : `shard ${other} is no neighbour of shard ${id}: ${have}`,
      { shard: id },
    );
  }
  const never = keptApart(round, shard, chosen);
  if (never !== undefined) throw invalid(`shards ${id} and ${chosen.id} are not merged: ${never}`, { shard: id });
  const why = mayMeet(round, shard, chosen);
  if (why !== undefined) throw unavailable('SHARD_BUSY', `shards ${id} and ${chosen.id} are not merged: ${why}`, { shard: id });
  const { target, source } = directed(shard, chosen);
  const blocked = proposeMerge(round, target, source, `with shard ${source.id}`);
  if (blocked !== undefined) throw unavailable('NO_ROOM', blocked, { shard: id });
  return round.proposals[0]!;
}

function freeShard(round: Round, id: number): Shard {
  const shard = round.state.shards.get(id);
  if (shard === undefined) throw new SparrowError('invalid', 'SHARD_UNKNOWN', `there is no shard ${id}`, { shard: id, applied: false });
  const { operator } = shard;
  if (operator !== undefined)
    throw unavailable('SHARD_BUSY', `operator ${operator.id} (${operator.kind}) is at work on shard ${id}: ${operator.reason}`, {
      shard: id,
      operator: operator.id,
    });
  if (shard.leader === 0) throw unavailable('SHARD_BUSY', `nobody leads shard ${id} now, as far as is reported`, { shard: id });
  if (shard.record.joint) throw unavailable('SHARD_BUSY', `the members of shard ${id} are being changed`, { shard: id });
  return shard;
}

function members({ record: { replicas } }: Shard): string {
  return `nodes ${listText(replicas.map(({ node }) => node))}`;
}

function invalid(message: string, details: Readonly<Record<string, string | number>>): SparrowError {
  return new SparrowError('invalid', 'OPERATION', message, { ...details, applied: false });
}

function unavailable(code: string, message: string, details: Readonly<Record<string, number>>): SparrowError {
  return new SparrowError('unavailable', code, message, { ...details, applied: false });
}
