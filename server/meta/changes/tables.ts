/**
 * Tables are made with their first shards, altered while they are used, dropped, had back, and in the end forgotten.
 *
 *   create     the table, its shards (pre-split), for each an operator that makes its replicas where placement wants them
 *   alter      what changes takes effect by itself: rules by the next plans, settings of shards by operators that describe them
 *   drop       its name is free, its shards answer nobody; nothing is destroyed until the time to have it back is over
 *   undelete   until then, and not once the first of its shards is being destroyed: another leader's clock may say that it is earlier
 *   purge      after that: placement/tidy.ts destroys its shards, and when none is left the table is forgotten
 *
 * Errors: `invalid/TABLE_SPEC`, `invalid/TABLE_EXISTS`, `invalid/TABLE_SYSTEM`, `invalid/TABLE_UNKNOWN`, `unavailable/TOO_FEW_NODES`.
 *
 * Pure. Called by the shell.
 */
import { DEFAULT_TABLE, sameSettings, type ShardDescriptor, type ShardKeys, SYSTEM_TABLE } from '../../shard/descriptor.ts';
import { placeNew, Round } from '../placement/index.ts';
import { isFor, isWelcoming } from '../node.ts';
import type { OperatorRecord } from '../operator.ts';
import type { ShardRecord } from '../shard.ts';
import type { Change, ClusterState, MetaWrite } from '../state.ts';
import { DEFAULT_POOL, isOver, type ReplicaCounts, shardSettings, type TablePartitioning, type TableRecord } from '../table.ts';
import { change, invalid, unavailable } from './change.ts';
import {
  checkDurability,
  checkInlineThreshold,
  checkName,
  checkPartitioning,
  checkPool,
  checkQuotas,
  checkReplicas,
  checkTtl,
  type TableSpec,
} from './table-spec.ts';

const ONE_RANGE: TablePartitioning = { kind: 'range', splitKeys: [] };

export interface CreatedTable {
  readonly table: TableRecord;
  readonly shards: readonly ShardRecord[];
}

/** `by`: who asks. */
export function createTable(state: ClusterState, spec: TableSpec, by: string, nowMs: number): Change<CreatedTable> {
  const name = checkName(spec.name);
  checkFree(state, name);
  const pool = checkPool(spec.pool ?? DEFAULT_POOL);
  const id = state.counters.nextTable;
  const nodes = welcomingIn(state, pool);
  const table: TableRecord = {
    id,
    name,
    partitioning: checkPartitioning(spec.partitioning ?? ONE_RANGE),
    replicas: checkReplicas({ voters: spec.replicas?.voters ?? (nodes >= 3 ? 3 : 1), learners: 0, witnesses: 0, ...spec.replicas }),
    pool,
    ttlMs: checkTtl(spec.ttlMs ?? 0),
    durability: checkDurability(spec.durability ?? 'synced'),
    inlineThreshold: checkInlineThreshold(spec.inlineThreshold ?? 0),
    quotas: checkQuotas(spec.quotas ?? {}),
    createdAtMs: nowMs,
    droppedAtMs: 0,
    undeleteUntilMs: 0,
    revision: 1,
  };
  checkNodes(table, nodes);

  const keys = keysOf(table.partitioning);
  const shards = keys.map((of, i) => newShard(table, state.counters.nextShard + i, of, nowMs));
  const placed = placeNew(new Round(state, nowMs), table, shards.length);
  const operators = shards.map(({ id: shard }, i): OperatorRecord => {
    const { begin, more } = placed[i]!;
    const voters = begin.map(({ node }) => node).sort((a, b) => a - b);
    return {
      id: state.counters.nextOperator + i,
      shard,
      other: undefined,
      kind: 'create',
      reason: `shard ${i + 1} of ${shards.length} of the new table ${name}`,
      by,
      steps: [...voters.map((node) => ({ shard, type: 'create-replica', node, voters }) as const), ...more(shard)],
      at: 0,
      state: 'running',
      ending: undefined,
      startedAtMs: nowMs,
      stepAtMs: nowMs,
    };
  });
  const begun = shards.map((shard, i): ShardRecord => ({
    ...shard,
    replicas: placed[i]!.begin.map(({ node }) => ({ node, votes: true, data: true })).sort((a, b) => a.node - b.node),
  }));
  const writes: MetaWrite[] = [
    { kind: 'table', id, record: table },
    ...begun.map((record): MetaWrite => ({ kind: 'shard', id: record.id, record })),
    ...operators.map((record): MetaWrite => ({ kind: 'operator', id: record.id, record })),
  ];
  return change(state, writes, { table, shards: begun }, { tables: 1, shards: shards.length, operators: operators.length });
}

/** What is not named stays. The partitioning does not change: shards split and merge by themselves. What shards have to know, they are told at once. */
export function alterTable(
  state: ClusterState,
  name: string,
  alter: Partial<Omit<TableSpec, 'name' | 'partitioning'>> & { readonly newName?: string },
  nowMs: number,
  by: string = 'policy',
): Change<TableRecord> {
  const known = theTable(state, name);
  const { newName, replicas, pool, inlineThreshold, durability, ttlMs, quotas } = alter;
  if (newName !== undefined && newName !== name) {
    if (known.id === DEFAULT_TABLE)
      throw invalid('TABLE_SYSTEM', `table ${name} keeps its name: clients that name no table mean it`, { field: 'newName' });
    checkFree(state, checkName(newName));
  }
  const table: TableRecord = {
    ...known,
    name: newName ?? known.name,
    replicas: replicas === undefined ? known.replicas : checkReplicas({ ...known.replicas, ...replicas } as ReplicaCounts),
    pool: pool === undefined ? known.pool : checkPool(pool),
    quotas: quotas === undefined ? known.quotas : checkQuotas({ ...known.quotas, ...quotas }),
    ttlMs: ttlMs === undefined ? known.ttlMs : checkTtl(ttlMs),
    durability: durability === undefined ? known.durability : checkDurability(durability),
    inlineThreshold: inlineThreshold === undefined ? known.inlineThreshold : checkInlineThreshold(inlineThreshold),
  };
  if (replicas !== undefined || pool !== undefined) checkNodes(table, welcomingIn(state, table.pool));
  if (JSON.stringify(table) === JSON.stringify(known)) return change(state, [], known);
  const record = { ...table, revision: known.revision + 1 };
  if (!sameSettings(shardSettings(record), shardSettings(known))) return toldToShards(state, record, 'was altered', by, nowMs);
  return change(state, [{ kind: 'table', id: record.id, record }], record);
}

/** `undeleteMs`: how long it can be had back; as the policy says where it is not given. */
export function dropTable(
  state: ClusterState,
  name: string,
  nowMs: number,
  undeleteMs: number = state.policy.undeleteMs,
  by: string = 'policy',
): Change<TableRecord> {
  const known = theTable(state, name);
  if (known.id === DEFAULT_TABLE)
    throw invalid('TABLE_SYSTEM', `table ${name} is there for clients that name none, and stays`, { field: 'name' });
  if (!Number.isSafeInteger(undeleteMs) || undeleteMs < 0)
    throw invalid('TABLE_SPEC', `undeleteMs is a whole number of milliseconds, not ${undeleteMs}`, { field: 'undeleteMs' });
  const record = { ...known, droppedAtMs: nowMs, undeleteUntilMs: nowMs + undeleteMs, revision: known.revision + 1 };
  return toldToShards(state, record, 'was dropped', by, nowMs);
}

/** The one of that name that was dropped last. `newName`: its own may be another's by now. */
export function undeleteTable(
  state: ClusterState,
  name: string,
  nowMs: number,
  newName: string = name,
  by: string = 'policy',
): Change<TableRecord> {
  let known: TableRecord | undefined;
  for (const table of state.tables.values()) {
    if (table.name === name && table.droppedAtMs > 0 && (known === undefined || table.droppedAtMs > known.droppedAtMs)) known = table;
  }
  if (known === undefined) throw invalid('TABLE_UNKNOWN', `no table ${name} was dropped, or it is forgotten`, { name });
  if (isOver(known, nowMs)) {
    const until = known.undeleteUntilMs;
    const why =
      until === 0
        ? 'cannot be had back any more: its shards are being destroyed'
        : `could be had back until ${new Date(until).toISOString()}`;
    throw invalid('TABLE_UNKNOWN', `table ${name} ${why}`, { name });
  }
  checkFree(state, checkName(newName));
  const record = { ...known, name: newName, droppedAtMs: 0, undeleteUntilMs: 0, revision: known.revision + 1 };
  return toldToShards(state, record, 'is back', by, nowMs);
}

/** Tables whose time is over and whose last shard has gone are forgotten. Their names. */
export function purgeTables(state: ClusterState, nowMs: number): Change<readonly string[]> {
  const gone = [...state.tables.values()].filter((table) => isOver(table, nowMs) && state.shardsOf(table.id).length === 0);
  const writes = gone.map(({ id }): MetaWrite => ({ kind: 'table', id, record: undefined }));
  return change(
    state,
    writes,
    gone.map(({ name }) => name),
  );
}

/** Its shards are told at once, whatever waits or is paused; those at which an operator is at work, by a later plan (placement/tidy.ts). */
function toldToShards(state: ClusterState, table: TableRecord, what: string, by: string, nowMs: number): Change<TableRecord> {
  const shards = state.shardsOf(table.id).filter(({ operator }) => operator === undefined);
  const operators = shards.map(({ id: shard }, i): MetaWrite => {
    const id = state.counters.nextOperator + i;
    const reason = `table ${table.name} ${what}`;
    const begun = { steps: [{ shard, type: 'describe' }], at: 0, state: 'running', startedAtMs: nowMs, stepAtMs: nowMs } as const;
    return { kind: 'operator', id, record: { id, shard, other: undefined, kind: 'describe', reason, by, ending: undefined, ...begun } };
  });
  return change(state, [{ kind: 'table', id: table.id, record: table }, ...operators], table, { operators: operators.length });
}

function theTable(state: ClusterState, name: string): TableRecord {
  const table = state.tableNamed(name);
  if (table === undefined) throw invalid('TABLE_UNKNOWN', `there is no table ${name}`, { name });
  if (table.id === SYSTEM_TABLE) throw invalid('TABLE_SYSTEM', `table ${name} is the metaserver's own`, { field: 'name' });
  return table;
}

function checkFree(state: ClusterState, name: string): void {
  if (state.tableNamed(name) !== undefined) throw invalid('TABLE_EXISTS', `there is a table ${name} already`, { name });
}

function welcomingIn(state: ClusterState, pool: string): number {
  let count = 0;
  for (const { record } of state.nodes.values()) if (isWelcoming(record) && isFor(record, { id: -1, pool })) count++;
  return count;
}

function checkNodes({ replicas: { voters, learners, witnesses }, pool }: TableRecord, nodes: number): void {
  const wanted = voters + learners + witnesses;
  if (nodes >= wanted) return;
  throw unavailable(
    'TOO_FEW_NODES',
    `each shard is to have ${wanted} replicas, and pool ${pool} has ${nodes} nodes that are up and active`,
    {
      field: 'replicas',
      wanted,
      nodes,
      pool,
    },
  );
}

function keysOf(partitioning: TablePartitioning): ShardKeys[] {
  if (partitioning.kind === 'hash') {
    const bits = Math.log2(partitioning.shards);
    return Array.from({ length: partitioning.shards }, (_, index) => ({ kind: 'hash', bits, index }));
  }
  const bounds = [new Uint8Array(0), ...partitioning.splitKeys, undefined];
  return bounds.slice(0, -1).map((start, i) => ({ kind: 'range', start: start!, end: bounds[i + 1] }));
}

function newShard(of: TableRecord, id: number, keys: ShardKeys, nowMs: number): ShardRecord {
  const table = of.id;
  const descriptor: ShardDescriptor = { shard: id, table, epoch: 1, keys, state: 'normal', ...shardSettings(of) };
  return { id, table, descriptor, replicas: [], joint: false, asOfIndex: 0, asOfTerm: 0, createdAtMs: nowMs, splitAtMs: 0, byHand: false };
}
