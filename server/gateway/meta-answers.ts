/** What the metaserver knows, as messages of proto/sparrowkv/v1/meta.proto. Times there are whole milliseconds; its clock counts parts of them. Used by meta-calls.ts. */
import {
  type NodeEntry,
  type OperatorEntry,
  type PlannedOperator,
  ReplicaKind,
  type ShardEntry,
  type ShardKeys as ShardKeysMessage,
  type SurveyNode,
  type SurveyShard,
  type TableEntry,
} from '../../proto/index.ts';
import { type Departure, type Proposal, stepText } from '../meta/placement/index.ts';
import { type Node, stateOf } from '../meta/node.ts';
import type { OperatorRecord } from '../meta/operator.ts';
import { failureOn, kindOf, type Shard, type ShardRecord } from '../meta/shard.ts';
import type { ClusterState } from '../meta/state.ts';
import type { TableRecord } from '../meta/table.ts';
import type { ShardKeys } from '../shard/descriptor.ts';

const KINDS = { voter: ReplicaKind.VOTER, learner: ReplicaKind.LEARNER, witness: ReplicaKind.WITNESS } as const;

export function nodeEntry({ record: { id, address, peerAddress, zone, pool, role } }: Node): NodeEntry {
  return { node: id, address, peerAddress, zone, pool, role };
}

export function tableEntry(state: ClusterState, table: TableRecord): TableEntry {
  const { id, name, partitioning, replicas, pool, ttlMs, durability, inlineThreshold, quotas, droppedAtMs, undeleteUntilMs } = table;
  const shards = state.shardsOf(id);
  const creating = shards.some(({ operator }) => operator?.kind === 'create');
  return {
    table: id,
    name,
    partitioning: partitioning.kind,
    replicas: replicas.voters,
    learners: replicas.learners,
    witnesses: replicas.witnesses,
    pool,
    ttlMs,
    durability,
    inlineThreshold,
    quotas: { ...quotas },
    state: droppedAtMs > 0 ? 'dropped' : creating ? 'creating' : 'normal',
    undeleteUntilMs: Math.round(undeleteUntilMs),
    shards: shards.length,
  };
}

export function shardEntry({ id, record, leader }: Pick<Shard, 'id' | 'record' | 'leader'>): ShardEntry {
  const { table, descriptor, replicas } = record;
  return {
    shard: id,
    table,
    epoch: descriptor.epoch,
    keys: keysMessage(descriptor.keys),
    state: descriptor.state,
    replicas: replicas.map((replica) => ({ node: replica.node, kind: KINDS[kindOf(replica)] })),
    leader,
  };
}

/** One that nobody leads yet. */
export function newShardEntry(record: ShardRecord): ShardEntry {
  return shardEntry({ id: record.id, record, leader: 0 });
}

export function surveyNode(node: Node): SurveyNode {
  const { record, load, heardAtMs } = node;
  return {
    entry: nodeEntry(node),
    state: stateOf(node),
    sinceMs: Math.round(record.healthSinceMs),
    heardMs: Math.round(heardAtMs),
    capacityBytes: record.capacity.diskBytes,
    diskUsedBytes: load?.diskUsedBytes ?? 0,
    diskFreeBytes: load?.diskFreeBytes ?? 0,
    cpu: load?.cpu ?? 0,
    io: load?.io ?? 0,
    ioBytesPerSecond: load?.ioBytesPerSecond ?? 0,
    slowDisk: load?.slowDisk ?? 0,
    replicas: node.shards.size,
    leaders: [...node.shards].filter(({ leader }) => leader === record.id).length,
    labels: { ...record.labels },
    version: record.version,
    readsPerSecond: load?.readsPerSecond ?? 0,
    writesPerSecond: load?.writesPerSecond ?? 0,
    incoming: node.arriving,
    outgoing: node.departing,
  };
}

export function surveyShard(shard: Shard): SurveyShard {
  const { record, load, term, lastIndex, leader, operator, progress, hosts } = shard;
  return {
    entry: shardEntry(shard),
    dataBytes: load?.bytes ?? 0,
    keysCount: load?.keys ?? 0,
    readsPerSecond: load?.readsPerSecond ?? 0,
    writesPerSecond: load?.writesPerSecond ?? 0,
    term,
    lastIndex,
    replicas: record.replicas.map((replica) => {
      const { node } = replica;
      const failure = failureOn(shard, node);
      const match = progress.find((each) => each.node === node)?.match;
      return {
        node,
        kind: KINDS[kindOf(replica)],
        role: node === leader ? 'leader' : (failure?.how ?? (hosts.has(node) ? 'follower' : '')),
        appliedIndex: hosts.get(node)?.applied ?? 0,
        lag: match === undefined || node === leader ? 0 : Math.max(0, lastIndex - match),
        diskBytes: load !== undefined && replica.data ? load.bytes : 0,
        failedBecause: failure?.why ?? '',
        failedSinceMs: Math.round(failure?.sinceMs ?? 0),
      };
    }),
    operator: operator === undefined ? '' : String(operator.id),
    byHand: record.byHand,
  };
}

/** `waiting`: why it does not get on. */
export function operatorEntry(operator: OperatorRecord, waiting: string = ''): OperatorEntry {
  const { id, kind, shard, other, reason, by, steps, at, state, ending, startedAtMs, stepAtMs } = operator;
  return {
    id: String(id),
    kind,
    shard,
    other: other ?? 0,
    reason,
    by,
    state,
    steps: steps.map((step, i) => ({ what: stepText(step), state: stepState(operator, i) })),
    step: at,
    beganMs: Math.round(startedAtMs),
    endedMs: state === 'running' ? 0 : Math.round(stepAtMs),
    note: ending ?? waiting,
  };
}

/** What would begin. */
export function proposedEntry({ kind, shard, other, reason, steps, stays = '' }: Proposal & Partial<Departure>, by: string): OperatorEntry {
  return {
    id: '',
    kind,
    shard,
    other: other ?? 0,
    reason,
    by,
    state: 'planned',
    steps: steps.map((step) => ({ what: stepText(step), state: 'pending' })),
    step: 0,
    beganMs: 0,
    endedMs: 0,
    note: stays,
  };
}

export function plannedEntry({ kind, shard, reason, steps }: Proposal): PlannedOperator {
  return { kind, shard, reason, steps: steps.map(stepText) };
}

function stepState({ at, state }: OperatorRecord, step: number): string {
  if (step < at || state === 'done') return 'done';
  if (state === 'running') return step === at ? 'running' : 'pending';
  return step === at && state === 'failed' ? 'failed' : 'skipped';
}

function keysMessage(keys: ShardKeys): ShardKeysMessage {
  if (keys.kind === 'hash') return { keys: { $case: 'hash', value: { bits: keys.bits, index: keys.index } } };
  return { keys: { $case: 'range', value: { start: Buffer.from(keys.start), end: keys.end && Buffer.from(keys.end) } } };
}
