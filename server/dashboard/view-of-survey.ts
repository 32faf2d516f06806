/** The metaserver's survey as a page wants it. Pure. */
import {
  type OperatorEntry,
  ReplicaKind,
  type SurveyNode,
  type SurveyResponse,
  type SurveyShard,
  type TableEntry,
} from '../../proto/index.ts';
import type { NodeState, NodeView, OperatorView, ReplicaKindView, ShardView, TableView } from './cluster-view.ts';
import type { SurveyedView } from './dashboard.ts';
import { textOfKeys } from './key-text.ts';

/** More are too many for a page that asks every few seconds. */
export const SHARDS_SHOWN_MAX = 5_000;
/** The table of the metaserver's own shard. It is on no list of tables. */
const SYSTEM_TABLE = 0;
const SYSTEM_NAME = 'system';
const NO_QUOTAS = { bytes: 0, readsPerSecond: 0, writesPerSecond: 0 };

const KINDS: ReadonlyMap<number, ReplicaKindView> = new Map([
  [ReplicaKind.VOTER, 'voter'],
  [ReplicaKind.LEARNER, 'learner'],
  [ReplicaKind.WITNESS, 'witness'],
]);

export function viewOfSurvey(survey: SurveyResponse, answeredBy: { readonly node: number; readonly release: string }): SurveyedView {
  const nodes = survey.nodes.map(nodeView);
  const shards = survey.shards.filter(({ entry }) => entry !== undefined).map(shardView);
  const tables = survey.tables.map((table) => tableView(table, shards)).sort((a, b) => a.id - b.id);
  return {
    clusterId: survey.clusterId,
    answeredBy: answeredBy.node,
    release: answeredBy.release,
    leader: survey.leader,
    term: survey.term,
    leadsSinceMs: survey.leadsSinceMs,
    nowMs: survey.nowMs,
    decisionMs: survey.decisionMs,
    pausedBecause: survey.pausedBecause,
    nodes,
    tables: withSystem(tables, shards),
    shards: shown(shards, nodes, tables),
    shardsInAll: shards.length,
    operators: survey.operators.map(operatorView),
    ended: survey.ended.map(operatorView).sort((a, b) => b.endedMs - a.endedMs),
    plan: survey.plan.map(({ kind, shard, reason, steps }) => ({ kind, shard, reason, steps })),
    blocked: survey.blocked.map(({ shard, reason }) => ({ shard, reason })),
  };
}

function nodeView(node: SurveyNode): NodeView {
  const { entry, state, version, ...figures } = node;
  return {
    id: entry?.node ?? 0,
    address: entry?.address ?? '',
    zone: entry?.zone ?? '',
    pool: entry?.pool ?? '',
    role: entry?.role ?? '',
    release: version,
    state: state as NodeState,
    ...figures,
  };
}

function shardView({
  entry,
  dataBytes,
  keysCount,
  readsPerSecond,
  writesPerSecond,
  term,
  replicas,
  operator,
  byHand,
}: SurveyShard): ShardView {
  return {
    id: entry?.shard ?? 0,
    table: entry?.table ?? 0,
    epoch: entry?.epoch ?? 0,
    keys: textOfKeys(entry?.keys),
    state: entry?.state ?? '',
    leader: entry?.leader ?? 0,
    term,
    replicas: replicas.map(({ node, kind, role, lag, diskBytes }) => ({ node, kind: KINDS.get(kind) ?? 'voter', role, lag, diskBytes })),
    dataBytes,
    keysCount,
    readsPerSecond,
    writesPerSecond,
    operator,
    byHand,
  };
}

function tableView(table: TableEntry, shards: readonly ShardView[]): TableView {
  const { table: id, name, partitioning, replicas, learners, witnesses, pool, ttlMs, durability, state, undeleteUntilMs } = table;
  const { quotas = NO_QUOTAS } = table;
  return {
    id,
    name,
    partitioning,
    replicas,
    learners,
    witnesses,
    pool,
    ttlMs,
    durability,
    quotas,
    state,
    undeleteUntilMs,
    ...sums(id, shards),
  };
}

function sums(
  table: number,
  shards: readonly ShardView[],
): Pick<TableView, 'shards' | 'dataBytes' | 'keys' | 'readsPerSecond' | 'writesPerSecond'> {
  const total = { shards: 0, dataBytes: 0, keys: 0, readsPerSecond: 0, writesPerSecond: 0 };
  for (const shard of shards) {
    if (shard.table !== table) continue;
    total.shards++;
    total.dataBytes += shard.dataBytes;
    total.keys += shard.keysCount;
    total.readsPerSecond += shard.readsPerSecond;
    total.writesPerSecond += shard.writesPerSecond;
  }
  return total;
}

/** The metaserver's shard is looked after as others are, so it is shown as they are. */
function withSystem(tables: readonly TableView[], shards: readonly ShardView[]): TableView[] {
  const own = shards.find(({ table }) => table === SYSTEM_TABLE);
  if (own === undefined || tables.some(({ id }) => id === SYSTEM_TABLE)) return [...tables];
  const replicas = own.replicas.filter(({ kind }) => kind === 'voter').length;
  const system: TableView = {
    id: SYSTEM_TABLE,
    name: SYSTEM_NAME,
    partitioning: 'range',
    replicas,
    learners: 0,
    witnesses: 0,
    pool: '',
    ttlMs: 0,
    durability: 'synced',
    quotas: NO_QUOTAS,
    state: 'normal',
    undeleteUntilMs: 0,
    ...sums(SYSTEM_TABLE, shards),
  };
  return [...tables, system];
}

/** All, or as many as a page takes: those that may need a look, and then the first others. */
function shown(shards: readonly ShardView[], nodes: readonly NodeView[], tables: readonly TableView[]): readonly ShardView[] {
  if (shards.length <= SHARDS_SHOWN_MAX) return shards;
  const up = new Set(nodes.filter(({ state }) => state !== 'suspect' && state !== 'down' && state !== 'removed').map(({ id }) => id));
  const wanted = new Map(tables.map(({ id, replicas, witnesses }) => [id, replicas + witnesses]));
  const isWell = ({ table, leader, state, operator, replicas }: ShardView): boolean => {
    const voters = replicas.filter(
      ({ kind, node, role }) => kind !== 'learner' && up.has(node) && role !== 'stopped' && role !== 'failed',
    ).length;
    return up.has(leader) && state === 'normal' && operator === '' && voters >= (wanted.get(table) ?? 0);
  };
  const ill = shards.filter((shard) => !isWell(shard)).slice(0, SHARDS_SHOWN_MAX);
  const taken = new Set(ill);
  for (const shard of shards) {
    if (taken.size >= SHARDS_SHOWN_MAX) break;
    taken.add(shard);
  }
  return shards.filter((shard) => taken.has(shard));
}

function operatorView({ id, kind, shard, reason, state, steps, step, beganMs, endedMs, note, by, other }: OperatorEntry): OperatorView {
  return {
    id,
    kind,
    shard,
    reason,
    state,
    steps: steps.map(({ what, state }) => ({ what, state })),
    step,
    beganMs,
    endedMs,
    note,
    by,
    other,
  };
}
