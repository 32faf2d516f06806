/**
 * The steps by which members of a shard change, each leaving a group that is whole:
 *
 *   add      create the replica, take it in as a learner, let it catch up, give it its vote
 *   remove   move the lead away, take the vote, remove, destroy the replica
 *   move     add, but for the vote; then one joint change gives the new one the vote of the old one. A fourth voter in a zone that has one already would
 *            make the loss of that zone a loss of the majority; a joint change bears the loss of any zone that the old or the new members bear.
 *
 * The lead is moved away wherever a voter goes, whoever leads when this is decided: it may be another one by then, and the step is nothing if so.
 * Pure. Used by all that decide.
 */
import type { Step } from '../operator.ts';
import { mayLead, type ReplicaKind, type ReplicaRecord, type Shard } from '../shard.ts';

export function stepsToAdd({ id: shard }: Pick<Shard, 'id'>, node: number, kind: ReplicaKind): Step[] {
  const learner: Step[] = [
    { shard, type: 'create-replica', node, voters: [] },
    { shard, type: 'add-learner', node, witness: kind === 'witness' },
    { shard, type: 'catch-up', node },
  ];
  return kind === 'learner' ? learner : [...learner, { shard, type: 'promote', node }];
}

/** `successor`: who is to lead if it does; 0: anybody. */
export function stepsToRemove({ id: shard }: Pick<Shard, 'id'>, replica: ReplicaRecord, successor: number): Step[] {
  const { node, votes } = replica;
  return [
    ...(mayLead(replica) ? [{ shard, type: 'transfer', from: node, to: successor } as const] : []),
    ...(votes ? [{ shard, type: 'demote', node } as const] : []),
    { shard, type: 'remove', node },
    { shard, type: 'destroy-replica', node },
  ];
}

export function stepsToMove(shard: Shard, from: ReplicaRecord, to: number, successor: number): Step[] {
  const { id } = shard;
  const learner = stepsToAdd(shard, to, from.data ? 'learner' : 'witness').slice(0, 3);
  if (!from.votes) return [...learner, ...stepsToRemove(shard, from, 0)];
  const others = shard.record.replicas.some((replica) => replica.node !== from.node && mayLead(replica));
  // Nobody else could lead meanwhile.
  if (!others && from.data) return [...learner, { shard: id, type: 'promote', node: to }, ...stepsToRemove(shard, from, to)];
  return [
    ...learner,
    ...(from.data ? [{ shard: id, type: 'transfer', from: from.node, to: successor } as const] : []),
    { shard: id, type: 'replace', voter: from.node, node: to },
    { shard: id, type: 'remove', node: from.node },
    { shard: id, type: 'destroy-replica', node: from.node },
  ];
}

/** As people read it. */
export function stepText(step: Step): string {
  switch (step.type) {
    case 'create-replica':
      return step.voters.length > 0
        ? `create a replica on node ${step.node}, of voters ${step.voters.join(', ')}`
        : `create a replica on node ${step.node}`;
    case 'add-learner':
      return `take node ${step.node} in as a ${step.witness ? 'witness' : 'learner'}`;
    case 'catch-up':
      return `wait until node ${step.node} has caught up`;
    case 'promote':
      return `give node ${step.node} a vote`;
    case 'replace':
      return `give the vote of node ${step.voter} to node ${step.node}`;
    case 'transfer':
      if (step.from === 0) return `transfer the lead to node ${step.to}`;
      return `transfer the lead from node ${step.from}, if it has it${step.to === 0 ? '' : `, to node ${step.to}`}`;
    case 'demote':
      return `take the vote of node ${step.node}`;
    case 'remove':
      return `remove node ${step.node} from the group`;
    case 'destroy-replica':
      return `destroy the replica on node ${step.node}`;
    case 'split':
      return `split: ${step.child === 0 ? 'a new shard' : `shard ${step.child}`} gets the upper half`;
    case 'seal':
      return `seal shard ${step.source}`;
    case 'import':
      return `copy shard ${step.source} to shard ${step.shard}`;
    case 'retire':
      return `retire shard ${step.source}`;
    case 'commit-merge':
      return `give the keys of shard ${step.source} to shard ${step.shard}`;
    case 'discard':
      return `discard what was copied of shard ${step.source}`;
    case 'unseal':
      return `unseal shard ${step.source}`;
    case 'describe':
      return `tell the shard its table's settings`;
    case 'destroy-shard':
      return `destroy all replicas of shard ${step.shard}`;
  }
}
