/**
 * How an operator goes: which of its steps are done, what nodes are to be told now, whether it can end well. All of it is a function of the operator and
 * of what nodes report, so that it does not matter which leader of META_GROUP asks, how often, or what the one before had ordered.
 *
 *   create-replica  the node reports one that runs        catch-up   the leader knows it to have all but a few entries
 *   members         the leader's newest configuration      transfer   who leads
 *   split, merge    epochs and states of descriptors       import, discard   nothing shows them: the outcome of their order does (changes/)
 *
 * Pure. Called by changes/operators.ts and, for the orders, by the shell.
 */
import type { ConfigurationChange, MemberChange } from '../../raft/index.ts';
import { LENGTHENED_MAX, type Order } from '../orders.ts';
import { absentMember, foundersOf, isDescribed, isLeaderless } from './diagnosis.ts';
import { withSettings } from '../../shard/descriptor.ts';
import { isGone } from '../node.ts';
import type { OperatorRecord, Step } from '../operator.ts';
import { failureOn, mayLead, replicaOn, runsOn, type Shard } from '../shard.ts';
import type { ClusterState } from '../state.ts';
import { shardSettings } from '../table.ts';
import { overlap } from '../shard-order.ts';

/** A learner that lags by no more entries has caught up: it gets those while its vote is under way. */
export const CAUGHT_UP_LAG = 200;

/** Order ids are `OPERATOR.STEP`, so that outcomes find their way back (`stepOfOrder`); those of what a step needs besides are others. */
export interface OrderTo {
  readonly node: number;
  readonly id: string;
  readonly order: Order;
}

/** Where the operator is: the first step from its own on that is not done; the number of steps when all are. */
export function stepReached(state: ClusterState, { at, steps }: OperatorRecord): number {
  let reached = at;
  while (reached < steps.length && isDone(state, steps[reached]!)) reached++;
  return reached;
}

export function isDone(state: ClusterState, step: Step): boolean {
  const shard = state.shards.get(step.shard);
  switch (step.type) {
    case 'destroy-replica':
      return isAway(state, shard, step.shard, step.node);
    case 'destroy-shard':
      return shard === undefined || (allReported(state) && [...shard.hosts.keys()].every((node) => isOut(state, node)));
    case 'unseal':
      return (state.shards.get(step.source)?.record.descriptor.state ?? 'normal') === 'normal';
    case 'seal':
      return state.shards.get(step.source)?.record.descriptor.state !== 'normal';
    case 'retire':
      return (state.shards.get(step.source)?.record.descriptor.state ?? 'retired') === 'retired';
    default:
  }
  if (shard === undefined) return false;
  const { record, leader } = shard;
  switch (step.type) {
    case 'create-replica':
      return runsOn(shard, step.node);
    case 'add-learner':
      return replicaOn(shard, step.node) !== undefined && record.asOfIndex > 0;
    case 'catch-up':
      return shard.progress.some(({ node, match }) => node === step.node && match > 0 && match + CAUGHT_UP_LAG >= shard.lastIndex);
    case 'promote':
      return !record.joint && replicaOn(shard, step.node)?.votes === true;
    case 'replace':
      return !record.joint && replicaOn(shard, step.node)?.votes === true && replicaOn(shard, step.voter)?.votes !== true;
    case 'transfer':
      return step.from === 0 ? leader === step.to : leader !== 0 && leader !== step.from;
    case 'demote':
      return !record.joint && replicaOn(shard, step.node)?.votes !== true;
    case 'remove':
      return replicaOn(shard, step.node) === undefined;
    case 'split':
      return record.descriptor.epoch > step.epoch && state.shards.has(step.child);
    case 'commit-merge': {
      const source = state.shards.get(step.source);
      return (
        record.descriptor.epoch >= step.epoch && (source === undefined || overlap(record.descriptor.keys, source.record.descriptor.keys))
      );
    }
    case 'describe': {
      const table = state.tables.get(record.table);
      return !table || isDescribed(record.descriptor, table);
    }
    default:
      return false;
  }
}

/** What nodes are to be told for the step that is under way: again and again until it is done. While nobody leads, only what a leader may be lacking for; empty when there is nothing to tell. */
export function ordersOf(state: ClusterState, operator: OperatorRecord): OrderTo[] {
  const { id, at, steps, state: how } = operator;
  const step = steps[at];
  if (step === undefined || how !== 'running' || isDone(state, step)) return [];
  const orders = told(state, step).map(({ node, order }) => ({ node, id: `${id}.${at}`, order }));
  return [...orders, ...lacking(state, step).map(({ node, order }) => ({ node, id: `${id}.${at}.${node}`, order }))];
}

/**
 * Replicas that members lack of shards which nobody leads, for want of them perhaps. A step that is told to a leader waits for one, and as long as it does no other operator mends
 * the shard.
 */
function lacking(state: ClusterState, step: Step): { readonly node: number; readonly order: Order }[] {
  if (step.type === 'create-replica' || step.type === 'destroy-replica' || step.type === 'destroy-shard') return [];
  const shards = [step.shard, 'source' in step ? step.source : undefined].map((id) =>
    id === undefined ? undefined : state.shards.get(id),
  );
  return shards.flatMap((shard) => {
    const node = shard !== undefined && isLeaderless(state, shard) ? absentMember(state, shard) : undefined;
    if (shard === undefined || node === undefined) return [];
    return [{ node, order: { type: 'create-replica', descriptor: shard.record.descriptor, voters: foundersOf(shard.record) } }];
  });
}

/** The operator and step that an order was given for. */
export function stepOfOrder(id: string): { readonly operator: number; readonly at: number } | undefined {
  const parts = /^(\d+)\.(\d+)$/.exec(id);
  return parts ? { operator: Number(parts[1]), at: Number(parts[2]) } : undefined;
}

/** Why it will not come to its end, if so. */
export function hopeless(state: ClusterState, { steps, at }: OperatorRecord): string | undefined {
  const merging = steps.findIndex((step) => step.type === 'import');
  if (at === merging && merging >= 0) {
    const step = steps[merging]!;
    const target = state.shards.get(step.shard);
    const source = step.type === 'import' ? state.shards.get(step.source) : undefined;
    if (target === undefined || source === undefined) return 'one of the two shards is gone';
    // Versions of keys are indices of the log: they would come back.
    if (source.lastIndex - target.lastIndex > LENGTHENED_MAX)
      return `the log of shard ${source.id} is longer by now, by more than ${LENGTHENED_MAX} entries`;
  }
  const changed = changedSince(state, steps[at]);
  if (changed !== undefined) return changed;
  for (let i = at; i < steps.length; i++) {
    const step = steps[i]!;
    if (
      step.type !== 'create-replica' &&
      step.type !== 'add-learner' &&
      step.type !== 'catch-up' &&
      step.type !== 'promote' &&
      step.type !== 'replace'
    )
      continue;
    const node = state.nodes.get(step.node)?.record;
    if (node === undefined) return `node ${step.node} is not known any more`;
    if (node.health === 'down') return `node ${step.node} is down`;
    if (node.duty !== 'active') return `node ${step.node} is ${node.duty}`;
  }
  return undefined;
}

/** It was decided on members of before a change that the leader made for an operator of before, and had not reported. */
function changedSince({ shards }: ClusterState, step: Step | undefined): string | undefined {
  if (step?.type !== 'remove' && step?.type !== 'destroy-replica') return undefined;
  const shard = shards.get(step.shard);
  const replica = shard && replicaOn(shard, step.node);
  if (replica === undefined || shard!.record.joint) return undefined;
  if (step.type === 'destroy-replica') return `node ${step.node} is a member by now`;
  return replica.votes ? `node ${step.node} has a vote by now` : undefined;
}

function told(state: ClusterState, step: Step): { readonly node: number; readonly order: Order }[] {
  const shard = state.shards.get(step.shard);
  if (step.type === 'destroy-replica') return [{ node: step.node, order: { type: 'destroy-replica', shard: step.shard } }];
  if (shard === undefined) return [];
  const toLeader = (order: Order, of: Shard = shard): { node: number; order: Order }[] =>
    of.leader === 0 ? [] : [{ node: of.leader, order }];
  const change = (members: ConfigurationChange): { node: number; order: Order }[] =>
    toLeader({ type: 'change-members', shard: shard.id, change: members });
  const simple = (member: MemberChange): { node: number; order: Order }[] => change({ type: 'simple', members: [member] });
  switch (step.type) {
    case 'create-replica':
      return [{ node: step.node, order: { type: 'create-replica', descriptor: shard.record.descriptor, voters: step.voters } }];
    case 'add-learner':
      return simple({ type: 'make-learner', id: step.node, ...(step.witness && { witness: true }) });
    case 'catch-up':
      return [];
    case 'promote':
      return simple({ type: 'make-voter', id: step.node });
    case 'replace': {
      const members: MemberChange[] = [
        { type: 'make-learner', id: step.voter },
        { type: 'make-voter', id: step.node },
      ];
      return change({ type: 'enter-joint', members, autoLeave: true });
    }
    case 'demote':
      return simple({ type: 'make-learner', id: step.node });
    case 'remove':
      return simple({ type: 'remove', id: step.node });
    case 'transfer': {
      const to = successorOf(state, shard, step.from, step.to);
      return to === 0 ? [] : toLeader({ type: 'transfer', shard: shard.id, to });
    }
    case 'split': {
      const { keys } = shard.record.descriptor;
      const at =
        keys.kind === 'hash' ? { kind: 'hash' as const } : step.key ? { kind: 'key' as const, key: step.key } : { kind: 'middle' as const };
      return toLeader({ type: 'split', shard: shard.id, epoch: step.epoch, child: step.child, at });
    }
    case 'describe': {
      const settings = shardSettings(state.tables.get(shard.record.table)!);
      return toLeader({ type: 'describe', descriptor: withSettings(shard.record.descriptor, settings) });
    }
    case 'destroy-shard':
      return [...shard.hosts.keys()]
        .filter((node) => !isOut(state, node))
        .map((node) => ({ node, order: { type: 'destroy-replica', shard: shard.id } }));
    case 'seal':
    case 'unseal':
    case 'retire':
    case 'import':
    case 'commit-merge':
    case 'discard': {
      const source = state.shards.get(step.source);
      if (source === undefined) return [];
      if (step.type === 'seal' || step.type === 'unseal') return toLeader({ type: step.type, shard: source.id }, source);
      const of = source.record.descriptor;
      if (step.type === 'discard') return toLeader({ type: 'forget', shard: shard.id, source: of });
      // One node is to lead both; a lead that has gone elsewhere meanwhile is brought back.
      if ((step.type === 'import' || step.type === 'retire') && source.leader !== shard.leader && shard.leader !== 0)
        return toLeader({ type: 'transfer', shard: source.id, to: shard.leader }, source);
      if (step.type === 'retire') return toLeader({ type: 'retire', shard: source.id, into: shard.id }, source);
      // Whoever commits may have to import again.
      if (step.type === 'commit-merge' && shard.leader !== 0 && !hasData(source, shard.leader)) {
        const to = shard.record.replicas.find((replica) => mayLead(replica) && hasData(source, replica.node));
        if (to !== undefined) return toLeader({ type: 'transfer', shard: shard.id, to: to.node });
      }
      return toLeader({ type: 'absorb', shard: shard.id, source: of, commit: step.type === 'commit-merge' });
    }
  }
}

/** Who takes the lead over: `wanted` while it can, else the voter with data that has most of the log; not `from`. 0: nobody can. */
export function successorOf(state: ClusterState, shard: Shard, from: number, wanted: number): number {
  let best = 0;
  let bestLasts = false;
  let bestMatch = -1;
  for (const replica of shard.record.replicas) {
    const { node } = replica;
    if (node === from || !mayLead(replica) || failureOn(shard, node) !== undefined) continue;
    const there = state.nodes.get(node);
    if (there?.record.health !== 'up') continue;
    if (node === wanted) return node;
    // Those that would have to give it away again only where there is nobody else.
    const lasts = there.record.duty === 'active' && !there.over.slow;
    const match = shard.progress.find((progress) => progress.node === node)?.match ?? 0;
    if (best !== 0 && (lasts === bestLasts ? match <= bestMatch : bestLasts)) continue;
    best = node;
    bestLasts = lasts;
    bestMatch = match;
  }
  return best;
}

function hasData(shard: Shard, node: number): boolean {
  return replicaOn(shard, node)?.data === true;
}

function isOut(state: ClusterState, node: number): boolean {
  const record = state.nodes.get(node)?.record;
  return record === undefined || isGone(record);
}

/** Who has not reported in this lead may have anything. */
function isAway(state: ClusterState, shard: Shard | undefined, id: number, node: number): boolean {
  if (isOut(state, node)) return true;
  if (state.nodes.get(node)!.load === undefined) return false;
  return !(shard ? shard.hosts.has(node) : state.strays.get(id)?.has(node) === true);
}

function allReported(state: ClusterState): boolean {
  for (const { record, load } of state.nodes.values()) if (load === undefined && !isOut(state, record.id)) return false;
  return true;
}
