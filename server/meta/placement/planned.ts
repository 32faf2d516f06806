/**
 * What an operator's remaining steps make of a shard's members: what is planned counts as if it were done (node.ts, Node), so that a round does not
 * decide again what the one before has decided. Pure. Called by cluster.ts.
 */
import type { OperatorRecord, Step } from '../operator.ts';
import type { ReplicaRecord, Shard } from '../shard.ts';

export function plannedReplicas(shard: Shard, operator: OperatorRecord | undefined): readonly ReplicaRecord[] {
  if (operator === undefined || operator.state !== 'running') return shard.record.replicas;
  let planned = shard.record.replicas;
  for (let i = operator.at; i < operator.steps.length; i++) {
    if (operator.steps[i]!.shard === shard.id) planned = after(planned, operator.steps[i]!);
  }
  return planned;
}

export function plannedLeader(shard: Shard, operator: OperatorRecord | undefined): number {
  if (operator === undefined || operator.state !== 'running') return shard.leader;
  for (let i = operator.steps.length - 1; i >= operator.at; i--) {
    const step = operator.steps[i]!;
    if (step.type === 'transfer' && step.shard === shard.id && (step.from === 0 || step.from === shard.leader)) return step.to;
  }
  return shard.leader;
}

/** Nodes to which it brings data, and those that lose a replica by it. */
export function nodesTouched({ at, steps }: Pick<OperatorRecord, 'at' | 'steps'>): {
  readonly arriving: readonly number[];
  readonly departing: readonly number[];
} {
  const arriving: number[] = [];
  const departing: number[] = [];
  let copies = false;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i]!;
    if (step.type === 'catch-up') {
      copies = true;
      // What has been ordered may be under way still: a copy counts until it has caught up.
      if (i >= at) arriving.push(step.node);
    }
    if (step.type === 'destroy-replica' && i >= at && copies) departing.push(step.node);
  }
  return { arriving, departing };
}

function after(replicas: readonly ReplicaRecord[], step: Step): readonly ReplicaRecord[] {
  switch (step.type) {
    case 'add-learner':
      return replicas.some(({ node }) => node === step.node)
        ? replicas
        : [...replicas, { node: step.node, votes: false, data: !step.witness }];
    case 'promote':
      return replicas.map((replica) => (replica.node === step.node ? { ...replica, votes: true } : replica));
    case 'replace':
      return replicas.map((replica) => {
        if (replica.node === step.node) return { ...replica, votes: true };
        return replica.node === step.voter ? { ...replica, votes: false } : replica;
      });
    case 'demote':
      return replicas.map((replica) => (replica.node === step.node ? { ...replica, votes: false } : replica));
    case 'remove':
      return replicas.filter(({ node }) => node !== step.node);
    default:
      return replicas;
  }
}
