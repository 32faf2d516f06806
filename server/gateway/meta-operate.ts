/** What an operator asks of the metaserver (Meta.Operate): which operators it means, and which change begins them. Pure. Used by meta-calls.ts. */
import { SparrowError } from '../../base/errors.ts';
import type { OperateRequest } from '../../proto/index.ts';
import { cancelOperator, setDuty, setPolicy, startOperators } from '../meta/changes/index.ts';
import { releaseShard } from '../meta/hands.ts';
import { askMerge, askMove, askSplit, askTransfer, type Departure, departures, type Proposal } from '../meta/placement/index.ts';
import type { NodeDuty } from '../meta/node.ts';
import type { OperatorRecord } from '../meta/operator.ts';
import type { Change, ClusterState } from '../meta/state.ts';

export type Operation = NonNullable<OperateRequest['operation']>;

/** What operators would begin, or for a node that is to leave what becomes of each of its replicas. For the rest (pause, cancel ...) what would be refused is. */
export function proposalsFor(
  state: ClusterState,
  operation: Operation,
  by: string,
  nowMs: number,
): readonly (Proposal & Partial<Departure>)[] {
  switch (operation.$case) {
    case 'move':
      return [askMove(state, operation.value.shard, operation.value.from, operation.value.to, nowMs)];
    case 'split':
      return [askSplit(state, operation.value.shard, operation.value.at, nowMs)];
    case 'merge':
      return [askMerge(state, operation.value.shard, operation.value.with, nowMs)];
    case 'transfer':
      return [askTransfer(state, operation.value.shard, operation.value.to, nowMs)];
    case 'drain':
    case 'decommission':
      changeFor(state, operation, by, nowMs);
      return departures(state, operation.value.node, nowMs);
    default:
      changeFor(state, operation, by, nowMs);
      return [];
  }
}

/** Whether it has a node leave: its operators begin one after another, as there is room. */
export function isDeparture({ $case }: Operation): boolean {
  return $case === 'drain' || $case === 'decommission';
}

export function changeFor(state: ClusterState, operation: Operation, by: string, nowMs: number): Change<readonly OperatorRecord[]> {
  switch (operation.$case) {
    case 'drain':
      return duty(state, operation.value.node, 'draining');
    case 'undrain':
      return duty(state, operation.value.node, 'active');
    case 'decommission':
      return duty(state, operation.value.node, 'decommissioning');
    case 'cancel': {
      const { writes, result } = cancelOperator(state, idOf(operation.value), by, nowMs);
      return { writes, result: [result] };
    }
    case 'release':
      return { ...releaseShard(state, operation.value), result: [] };
    case 'pause':
      return { ...setPolicy(state, { paused: operation.value }), result: [] };
    default: {
      const change = startOperators(state, proposalsFor(state, operation, by, nowMs), by, nowMs);
      if (change.result.length > 0) return change;
      throw new SparrowError('unavailable', 'SHARD_BUSY', 'another operator is at work on it', { applied: false });
    }
  }
}

function duty(state: ClusterState, node: number, wanted: NodeDuty): Change<readonly OperatorRecord[]> {
  return { ...setDuty(state, node, wanted), result: [] };
}

function idOf(text: string): number {
  const id = Number(text);
  if (/^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(id)) return id;
  throw new SparrowError('invalid', 'OPERATOR_UNKNOWN', `'${text}' is not the id of an operator`, { field: 'cancel', applied: false });
}
