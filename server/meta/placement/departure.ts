/**
 * What becomes of a node's replicas when it is drained or decommissioned: where each would go as things are now, or why it stays. As the rounds to come would
 * decide (mend.ts), with two differences: the node counts as leaving already, and copies that others are busy with are waited for. Pure. Called by the gateway, for
 * who asks what a drain would do, and whether it can end.
 */
import { SparrowError } from '../../../base/errors.ts';
import { isLeaving } from '../node.ts';
import { kindOf, type ReplicaRecord, replicaOn, type Shard } from '../shard.ts';
import type { ClusterState } from '../state.ts';
import type { TableRecord } from '../table.ts';
import { surplus } from './diagnosis.ts';
import { successorOf } from './progress.ts';
import { type Proposal, Round } from './round.ts';
import { stepsToMove, stepsToRemove } from './steps.ts';
import { targetFor } from './targets.ts';
import { nodeText } from './words.ts';

export interface Departure extends Proposal {
  /** Why the replica stays, and with it the drain does not end; empty: it goes. */
  readonly stays: string;
}

/** Throws `invalid/NODE_UNKNOWN`. */
export function departures(state: ClusterState, node: number, nowMs: number): Departure[] {
  const leaving = state.nodes.get(node);
  if (leaving === undefined) throw new SparrowError('invalid', 'NODE_UNKNOWN', `there is no node ${node}`, { node, applied: false });
  const round = new Round(state, nowMs);
  const zones = new Map<TableRecord, number>();
  return [...leaving.shards]
    .sort((a, b) => a.id - b.id)
    .map((shard): Departure => {
      const table = state.tables.get(shard.record.table)!;
      if (!zones.has(table)) zones.set(table, zonesWithout(state, table, node));
      const stays = hindrance(shard) ?? goes(round, table, shard, replicaOn(shard, node)!, zones.get(table)!);
      const proposed = round.proposals.at(-1);
      if (proposed?.shard === shard.id) return { ...proposed, stays };
      const reason = shard.operator === undefined ? stays : `operator ${shard.operator.id} is at work on it`;
      return { shard: shard.id, other: undefined, kind: 'drain', reason, steps: [], stays };
    });
}

/** Why a replica cannot go wherever there is room; empty: it is on its way, as far as can be told. */
function hindrance({ record, leader, operator }: Shard): string | undefined {
  if (operator !== undefined) return '';
  if (record.byHand) return 'its members were changed by hand: "sparrowkv cluster release SHARD" has it looked after again';
  return leader === 0 ? 'nobody leads it, as far as is reported' : undefined;
}

/** Proposes it, so that those that come after find what is left; or says why not. */
function goes(round: Round, table: TableRecord, shard: Shard, replica: ReplicaRecord, zones: number): string {
  const { state } = round;
  const { replicas } = shard.record;
  const successor = successorOf(state, shard, replica.node, 0);
  if (surplus(table, replicas) === kindOf(replica)) {
    round.propose(shard, 'drain', 'to nowhere: it has more members than its table wants', stepsToRemove(shard, replica, successor));
    return '';
  }
  const staying = replicas.filter((other) => other !== replica);
  const target = targetFor(round, { table, shard, staying, kind: 'drain', data: replica.data, zones, patient: true });
  if (typeof target === 'string') return target;
  round.propose(shard, 'drain', `to ${nodeText(target.node)}`, stepsToMove(shard, replica, target.id, successor));
  return '';
}

/** As `ClusterState.zonesFor`, once the node is leaving. */
function zonesWithout(state: ClusterState, table: TableRecord, node: number): number {
  const staying = state.nodesFor(table).filter(({ record }) => record.id !== node && !isLeaving(record));
  return new Set(staying.map(({ record }) => record.zone)).size;
}
