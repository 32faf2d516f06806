/**
 * The verbs of Meta (proto/sparrowkv/v1/meta.proto), on whichever node is asked: the one that leads answers, others say who does. Requests are turned into
 * changes of the topology here; what a change may be is server/meta's to say.
 *
 * Served by meta-service.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type {
  AlterTableRequest,
  AlterTableResponse,
  CreateTableRequest,
  CreateTableResponse,
  DropTableRequest,
  DropTableResponse,
  ListTablesRequest,
  ListTablesResponse,
  OperateRequest,
  OperateResponse,
  PolicyRequest,
  PolicyResponse,
  SurveyPoint,
  SurveyRequest,
  SurveyResponse,
  TimestampsRequest,
  TimestampsResponse,
  TopologyRequest,
  TopologyResponse,
  UndeleteTableRequest,
  UndeleteTableResponse,
} from '../../proto/index.ts';
import { alterTable, createTable, dropTable, setPolicy, type TableSpec, undeleteTable } from '../meta/changes/index.ts';
import type { MetaLead } from '../meta/lead.ts';
import type { Metaserver } from '../meta/metaserver.ts';
import { plan } from '../meta/placement/index.ts';
import { boundsOf, fieldsOf, type Policy } from '../meta/policy.ts';
import type { Shard } from '../meta/shard.ts';
import type { Change, ClusterState } from '../meta/state.ts';
import type { Durability, TableRecord } from '../meta/table.ts';
import { SYSTEM_TABLE } from '../shard/descriptor.ts';
import { changeFor, isDeparture, proposalsFor } from './meta-operate.ts';
import {
  nodeEntry,
  newShardEntry,
  operatorEntry,
  plannedEntry,
  proposedEntry,
  shardEntry,
  surveyNode,
  surveyShard,
  tableEntry,
} from './meta-answers.ts';

/** Whoever leads the metaserver, as far as this node knows. */
export interface MetaLeader {
  /** 0: not known. */
  readonly node: number;
  /** HOST:PORT for clients. */
  readonly address: string;
}

export interface MetaCallsParts {
  /** Undefined: this node has no replica of META_GROUP now. */
  readonly metaserver: () => Metaserver | undefined;
  readonly leader: () => MetaLeader | undefined;
  readonly clusterId: string;
  /** What this node keeps of the last hour, later than that. */
  readonly historySince: (ms: number) => SurveyPoint[];
}

/** Of the call's time: how long it may wait for leaders of new shards. */
const WAIT_MS = 15_000;
/** So long after its beginning a leader waits to hear the nodes that it knows of. */
const HEARD_MS = 10_000;
const WAIT_MS_MAX = 600_000;
const ENDED_OPERATORS = 20;
const TIMESTAMPS_MAX = 1_000_000;
const BY_HAND = 'an operator';

export class MetaCalls {
  readonly #parts: MetaCallsParts;

  constructor(parts: MetaCallsParts) {
    this.#parts = parts;
  }

  /** Throws `rerouted/NOT_LEADER` with who leads, as far as it is known; `unavailable/NO_LEADER`, `unavailable/META_STARTING`. */
  lead(): MetaLead {
    const metaserver = this.#parts.metaserver();
    if (metaserver !== undefined) return metaserver.leading();
    throw new SparrowError('unavailable', 'NO_LEADER', 'this node has no part in the metaserver, and knows of none that leads it', {
      applied: false,
    });
  }

  /** The error as a caller gets it: with where the leader is. */
  routed(error: unknown): unknown {
    if (!(error instanceof SparrowError) || (error.code !== 'NOT_LEADER' && error.code !== 'NO_LEADER')) return error;
    const leader = this.#parts.leader();
    if (leader === undefined || leader.address === '') {
      if (error.code === 'NO_LEADER') return error;
      return new SparrowError(
        'unavailable',
        'NO_LEADER',
        'who leads the metaserver is not known',
        { ...error.details, applied: false },
        error,
      );
    }
    const details = { ...error.details, leader: leader.node, leaderAddress: leader.address, applied: false };
    return new SparrowError('rerouted', 'NOT_LEADER', `the metaserver is led at ${leader.address}`, details, error);
  }

  topology({ table, knownVersion }: TopologyRequest): Promise<TopologyResponse> {
    return this.lead().view((state) => {
      const { version } = state.counters;
      const tables = table === '' ? live(state) : [named(state, table)];
      if (knownVersion === version) return { version, unchanged: true, nodes: [], tables: [], shards: [] };
      return {
        version,
        unchanged: false,
        nodes: [...state.nodes.values()].filter(({ record }) => record.duty !== 'decommissioned').map(nodeEntry),
        tables: tables.map((each) => tableEntry(state, each)),
        shards: tables.flatMap(({ id }) => state.shardsOf(id).map(shardEntry)),
      };
    });
  }

  async createTable(request: CreateTableRequest): Promise<CreateTableResponse> {
    const lead = this.lead();
    const spec = specOf(request);
    // A cluster that has just been started would have few nodes to count with.
    await lead.until(isHeard, Math.max(0, HEARD_MS - (lead.nowMs - lead.beganMs)));
    if (request.dryRun) {
      return lead.view((state, nowMs) => {
        const { table, shards } = createTable(state, spec, BY_HAND, nowMs).result;
        return {
          table: { ...tableEntry(state, table), shards: shards.length },
          shards: shards.map(newShardEntry),
          version: state.counters.version,
        };
      });
    }
    const { table, shards } = await lead.change((state, nowMs) => createTable(state, spec, BY_HAND, nowMs));
    const ids = shards.map(({ id }) => id);
    const waitMs = Math.min(WAIT_MS_MAX, request.waitMs === 0 ? WAIT_MS : request.waitMs);
    const reached = lead.until((state) => ids.every((id) => (state.shards.get(id)?.leader ?? 0) !== 0), waitMs);
    const led = await reached.catch((error: unknown) => {
      throw made(error, table);
    });
    return lead.view((state) => {
      if (!led) throw notReady(state, table, ids, waitMs, lead);
      const there = ids.flatMap((id) => state.shards.get(id) ?? []);
      return {
        table: tableEntry(state, state.tables.get(table.id) ?? table),
        shards: there.map(shardEntry),
        version: state.counters.version,
      };
    });
  }

  async alterTable(request: AlterTableRequest): Promise<AlterTableResponse> {
    const { name, newName, replicas, learners, witnesses, ttlMs, durability, inlineThreshold, quotas, pool } = request;
    const counts = withoutUndefined({ voters: replicas, learners, witnesses });
    const alter = withoutUndefined({
      newName,
      replicas: Object.keys(counts).length === 0 ? undefined : counts,
      ttlMs,
      durability: durability as Durability | undefined,
      inlineThreshold,
      quotas: quotas && withoutUndefined(quotas),
      pool,
    });
    return this.#tableChange((state, nowMs) => alterTable(state, name, alter, nowMs, BY_HAND), request.dryRun);
  }

  dropTable({ name, undeleteMs, dryRun }: DropTableRequest): Promise<DropTableResponse> {
    return this.#tableChange((state, nowMs) => dropTable(state, name, nowMs, undeleteMs, BY_HAND), dryRun);
  }

  undeleteTable({ name, newName }: UndeleteTableRequest): Promise<UndeleteTableResponse> {
    return this.#tableChange((state, nowMs) => undeleteTable(state, name, nowMs, newName === '' ? undefined : newName, BY_HAND), false);
  }

  listTables({ withDropped }: ListTablesRequest): Promise<ListTablesResponse> {
    return this.lead().view((state) => {
      const tables = [...state.tables.values()].filter(({ id, droppedAtMs }) => id !== SYSTEM_TABLE && (withDropped || droppedAtMs === 0));
      return { tables: tables.sort((a, b) => a.id - b.id).map((table) => tableEntry(state, table)), version: state.counters.version };
    });
  }

  async survey({ withoutShards, endedOperators, historySinceMs }: SurveyRequest): Promise<SurveyResponse> {
    const lead = this.lead();
    return lead.view((state, nowMs) => {
      const { proposals, blocked, paused } = plan(state, nowMs);
      const ended = [...state.operators.values()]
        .filter((operator) => operator.state !== 'running')
        .sort((a, b) => b.stepAtMs - a.stepAtMs || b.id - a.id);
      return {
        clusterId: this.#parts.clusterId,
        leader: lead.leader,
        term: lead.term,
        leadsSinceMs: Math.round(lead.beganMs),
        nowMs: Math.round(nowMs),
        version: state.counters.version,
        nodes: [...state.nodes.values()].sort((a, b) => a.record.id - b.record.id).map(surveyNode),
        tables: [...state.tables.values()].filter(({ id }) => id !== SYSTEM_TABLE).map((table) => tableEntry(state, table)),
        shards: withoutShards ? [] : inOrder(state).map(surveyShard),
        operators: [...state.running.values()].map((operator) => operatorEntry(operator, lead.whyWaiting(operator.id))),
        ended: ended.slice(0, endedOperators === 0 ? ENDED_OPERATORS : endedOperators).map((operator) => operatorEntry(operator)),
        plan: proposals.map(plannedEntry),
        blocked: [...blocked],
        decisionMs: lead.counts.decisionMs,
        pausedBecause: paused ?? '',
        history: historySinceMs === undefined ? [] : this.#parts.historySince(historySinceMs),
      };
    });
  }

  async operate({ operation, dryRun }: OperateRequest): Promise<OperateResponse> {
    if (operation === undefined) throw invalid('OPERATION_EMPTY', 'operation is empty: it names none of the operations', 'operation');
    const lead = this.lead();
    const operators = dryRun ? [] : await lead.change((state, nowMs) => changeFor(state, operation, BY_HAND, nowMs));
    if (dryRun || isDeparture(operation)) {
      const proposals = await lead.view((state, nowMs) => proposalsFor(state, operation, BY_HAND, nowMs));
      return { operators: proposals.map((proposal) => proposedEntry(proposal, BY_HAND)) };
    }
    return { operators: operators.map((operator) => operatorEntry(operator)) };
  }

  async policy({ set, reset, dryRun }: PolicyRequest): Promise<PolicyResponse> {
    const lead = this.lead();
    const fields = fieldsOf(set, reset);
    const make = (state: ClusterState): Change<Policy> => setPolicy(state, fields);
    const policy = dryRun ? await lead.view((state) => make(state).result) : await lead.change(make);
    return { bounds: boundsOf(policy) };
  }

  async timestamps({ count }: TimestampsRequest): Promise<TimestampsResponse> {
    if (count < 1 || count > TIMESTAMPS_MAX)
      throw invalid('TIMESTAMPS', `count is a whole number from 1 to ${TIMESTAMPS_MAX}, not ${count}`, 'count');
    return { first: await this.lead().timestamps(count), count };
  }

  async #tableChange(
    make: (state: ClusterState, nowMs: number) => Change<TableRecord>,
    dryRun: boolean,
  ): Promise<{ table: ReturnType<typeof tableEntry> }> {
    const lead = this.lead();
    const table = dryRun ? await lead.view((state, nowMs) => make(state, nowMs).result) : await lead.change(make);
    return lead.view((state) => ({ table: tableEntry(state, table) }));
  }
}

/** Whether the members of all shards have registered and reported. */
function isHeard(state: ClusterState): boolean {
  for (const { record } of state.shards.values())
    for (const { node } of record.replicas) if (state.nodes.get(node)?.load === undefined) return false;
  return true;
}

function specOf(request: CreateTableRequest): TableSpec {
  const { name, partitioning, replicas, learners, witnesses, pool, ttlMs, durability, inlineThreshold, quotas } = request;
  return withoutUndefined({
    name,
    partitioning:
      partitioning === undefined
        ? undefined
        : partitioning.$case === 'hash'
          ? { kind: 'hash', shards: partitioning.value.shards }
          : { kind: 'range', splitKeys: partitioning.value.splitKeys },
    replicas: { ...(replicas === 0 ? {} : { voters: replicas }), learners, witnesses },
    pool: pool === '' ? undefined : pool,
    ttlMs,
    durability: durability === '' ? undefined : (durability as Durability),
    inlineThreshold,
    quotas,
  }) as TableSpec;
}

/** By table, the metaserver's own last, and there in the order of keys; of a hash, of its lowest bits. */
function inOrder(state: ClusterState): Shard[] {
  const tables = [...state.tables.keys()].sort((a, b) => Number(a === SYSTEM_TABLE) - Number(b === SYSTEM_TABLE) || a - b);
  return tables.flatMap((table) => state.shardsOf(table));
}

function live(state: ClusterState): TableRecord[] {
  return [...state.tables.values()].filter(({ id, droppedAtMs }) => id !== SYSTEM_TABLE && droppedAtMs === 0).sort((a, b) => a.id - b.id);
}

function named(state: ClusterState, name: string): TableRecord {
  const table = state.tableNamed(name);
  if (table !== undefined && table.id !== SYSTEM_TABLE) return table;
  throw new SparrowError('invalid', 'TABLE_UNKNOWN', `there is no table ${name}`, { table: name, applied: false });
}

function notReady(state: ClusterState, { name }: TableRecord, ids: readonly number[], waitMs: number, lead: MetaLead): SparrowError {
  const without = ids.filter((id) => (state.shards.get(id)?.leader ?? 0) === 0);
  const why = without.flatMap((id) => {
    const operator = state.shards.get(id)?.operator;
    return operator === undefined ? [] : [lead.whyWaiting(operator.id)].filter((text) => text !== '');
  })[0];
  const because = why === undefined ? '' : ` (${why})`;
  return new SparrowError(
    'unavailable',
    'TABLE_NOT_READY',
    `table ${name} is there, but after ${waitMs} ms ${without.length} of its ${ids.length} shards have no leader yet${because}: ` +
      'they come by themselves when their nodes are up; "sparrowkv cluster operators" tells how it goes',
    { table: name, shards: without.length, applied: true },
  );
}

/** The lead was lost: the next leader goes on with it. */
function made(error: unknown, { name }: TableRecord): unknown {
  if (!(error instanceof SparrowError)) return error;
  return new SparrowError(
    error.kind,
    error.code,
    `table ${name} is there, its shards come; ${error.message}`,
    { ...error.details, applied: true },
    error,
  );
}

function withoutUndefined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function invalid(code: string, message: string, field: string): SparrowError {
  return new SparrowError('invalid', code, message, { field, applied: false });
}
