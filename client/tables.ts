/** `client.tables`: what the metaserver is asked about tables. */
import { SparrowError } from '../base/errors.ts';
import type { AlterTableRequest, CreateTableRequest, TableEntry } from '../proto/index.ts';
import type { CallOptions, CreateTableOptions, Partitioning, TableInfo, TableQuotas, Tables, TableSettings } from './api.ts';
import { CALL_OPTIONS, checkBoolean, checkCallValues, checkInteger, checkNames, checkTableName, invalid, toBytes } from './arguments.ts';
import type { CallRunner } from './call-runner.ts';
import type { Settings } from './connect-options.ts';
import { ALTER_TABLE, CREATE_TABLE, DROP_TABLE, LIST_TABLES, type Method, type Request, UNDELETE_TABLE } from './methods.ts';

/** Creating a table takes elections. */
const CREATE_TIMEOUT_MS = 30_000;
const LOOK_PAUSE_MS = 100;
const U32_MAX = 0xffff_ffff;
const COPIES_MAX = 100;
/** 100 years. */
const TTL_MS_MAX: number = 100 * 365 * 86_400_000;

const SETTINGS: readonly (keyof TableSettings)[] = [
  'replicas',
  'learners',
  'witnesses',
  'pool',
  'inlineThreshold',
  'durability',
  'ttlMs',
  'quotas',
];
const QUOTAS: readonly (keyof TableQuotas)[] = ['bytes', 'readsPerSecond', 'writesPerSecond'];
const NO_QUOTAS = { bytes: 0, readsPerSecond: 0, writesPerSecond: 0 } as const;

export class ClientTables implements Tables {
  readonly #calls: CallRunner;
  readonly #settings: Settings;

  constructor(calls: CallRunner, settings: Settings) {
    this.#calls = calls;
    this.#settings = settings;
  }

  async create(name: string, options: CreateTableOptions & CallOptions = {}): Promise<TableInfo> {
    checkNames(options, new Set([...SETTINGS, 'partitioning', ...CALL_OPTIONS]));
    checkSettings(options);
    const timeoutMs = options.timeoutMs ?? Math.max(CREATE_TIMEOUT_MS, this.#settings.timeoutMs);
    const request: Request<CreateTableRequest> = {
      name: checkTableName(name),
      partitioning: partitioningOf(options.partitioning),
      replicas: options.replicas ?? 0,
      pool: options.pool ?? '',
      ttlMs: options.ttlMs ?? 0,
      durability: options.durability ?? '',
      inlineThreshold: options.inlineThreshold ?? 0,
      quotas: { ...NO_QUOTAS, ...options.quotas },
      learners: options.learners ?? 0,
      witnesses: options.witnesses ?? 0,
      dryRun: false,
      // The answer that not all shards have leaders yet is worth more than none.
      waitMs: Math.ceil(timeoutMs * 0.8),
    };
    const endMs = this.#nowMs + timeoutMs;
    try {
      return infoOf((await this.#run(CREATE_TABLE, request, { ...options, timeoutMs })).table);
    } catch (error) {
      if (!(error instanceof SparrowError) || error.code !== 'META_LEAD_LOST' || error.details['applied'] !== true) throw error;
      return this.#whenMade(request.name, endMs, options.signal, error);
    }
  }

  /** Another node has come to lead the metaserver, and goes on with the table. */
  async #whenMade(name: string, endMs: number, signal: AbortSignal | undefined, lost: SparrowError): Promise<TableInfo> {
    for (;;) {
      const timeoutMs = Math.ceil(endMs - this.#nowMs);
      if (timeoutMs < 1) throw lost;
      const table = await this.get(name, signal === undefined ? { timeoutMs } : { timeoutMs, signal });
      if (table !== undefined && table.state !== 'creating') return table;
      await new Promise<void>((resolve) => this.#calls.surroundings.scheduler.after(LOOK_PAUSE_MS, resolve));
    }
  }

  get #nowMs(): number {
    return this.#calls.surroundings.clock.monotonicMs();
  }

  async list(options: { dropped?: boolean } & CallOptions = {}): Promise<TableInfo[]> {
    checkNames(options, new Set(['dropped', ...CALL_OPTIONS]));
    const withDropped = options.dropped === undefined ? false : checkBoolean('dropped', options.dropped);
    return (await this.#run(LIST_TABLES, { withDropped }, options)).tables.map(infoOf);
  }

  async get(name: string, options: CallOptions = {}): Promise<TableInfo | undefined> {
    checkNames(options, CALL_OPTIONS);
    const wanted = checkTableName(name);
    return (await this.list(options)).find((table) => table.name === wanted);
  }

  async alter(name: string, changes: TableSettings & { newName?: string }, options: CallOptions = {}): Promise<TableInfo> {
    checkNames(changes, new Set([...SETTINGS, 'newName']));
    checkNames(options, CALL_OPTIONS);
    checkSettings(changes);
    const { replicas, learners, witnesses, pool, inlineThreshold, durability, ttlMs, quotas, newName } = changes;
    const request: Request<AlterTableRequest> = {
      name: checkTableName(name),
      newName: newName === undefined ? undefined : checkTableName(newName),
      replicas,
      learners,
      witnesses,
      pool,
      ttlMs,
      durability,
      inlineThreshold,
      quotas: quotas && { bytes: quotas.bytes, readsPerSecond: quotas.readsPerSecond, writesPerSecond: quotas.writesPerSecond },
      dryRun: false,
    };
    return infoOf((await this.#run(ALTER_TABLE, request, options)).table);
  }

  async drop(name: string, options: { undeleteMs?: number } & CallOptions = {}): Promise<TableInfo> {
    checkNames(options, new Set(['undeleteMs', ...CALL_OPTIONS]));
    const { undeleteMs } = options;
    if (undeleteMs !== undefined) checkInteger('undeleteMs', undeleteMs, 0, Number.MAX_SAFE_INTEGER);
    return infoOf((await this.#run(DROP_TABLE, { name: checkTableName(name), undeleteMs, dryRun: false }, options)).table);
  }

  async undelete(name: string, options: { newName?: string } & CallOptions = {}): Promise<TableInfo> {
    checkNames(options, new Set(['newName', ...CALL_OPTIONS]));
    const newName = options.newName === undefined ? '' : checkTableName(options.newName);
    return infoOf((await this.#run(UNDELETE_TABLE, { name: checkTableName(name), newName }, options)).table);
  }

  #run<Q, A>(method: Method<Q, A>, request: Request<Q>, options: CallOptions): Promise<A> {
    checkCallValues(options);
    return this.#calls.run(method, request, 0, options, { route: this.#calls.metaRoute });
  }
}

function checkSettings(settings: TableSettings): void {
  const { replicas, learners, witnesses, pool, inlineThreshold, durability, ttlMs, quotas } = settings;
  if (replicas !== undefined) checkInteger('replicas', replicas, 1, COPIES_MAX);
  if (learners !== undefined) checkInteger('learners', learners, 0, COPIES_MAX);
  if (witnesses !== undefined) checkInteger('witnesses', witnesses, 0, COPIES_MAX);
  if (pool !== undefined && typeof pool !== 'string') throw invalid('OPTION_TYPE', 'pool must be a string', { field: 'pool' });
  if (inlineThreshold !== undefined) checkInteger('inlineThreshold', inlineThreshold, 0, U32_MAX);
  if (quotas !== undefined) {
    checkNames(quotas, new Set(QUOTAS));
    for (const name of QUOTAS) {
      const max = name === 'bytes' ? Number.MAX_SAFE_INTEGER : U32_MAX;
      if (quotas[name] !== undefined) checkInteger(`quotas.${name}`, quotas[name], 0, max);
    }
  }
  if (ttlMs !== undefined) checkInteger('ttlMs', ttlMs, 0, TTL_MS_MAX);
  if (durability !== undefined && durability !== 'synced' && durability !== 'os')
    throw invalid('OPTION_RANGE', `durability is synced or os, not ${String(durability)}`, { field: 'durability' });
}

function partitioningOf(partitioning: Partitioning | undefined): Request<CreateTableRequest>['partitioning'] {
  if (partitioning === undefined) return undefined;
  checkNames(partitioning, new Set(['hash', 'range']));
  const { hash, range } = partitioning as { hash?: number; range?: readonly (Uint8Array | string)[] };
  if ((hash === undefined) === (range === undefined)) {
    throw invalid('OPTION_CONFLICT', 'partitioning is { hash: shards } or { range: splitKeys }', { field: 'partitioning' });
  }
  if (hash !== undefined) return { $case: 'hash', value: { shards: checkInteger('partitioning.hash', hash, 1, 1_024) } };
  if (!Array.isArray(range)) throw invalid('OPTION_TYPE', 'partitioning.range must be an array of keys', { field: 'partitioning.range' });
  return { $case: 'range', value: { splitKeys: range.map((key, i) => Buffer.from(toBytes(key, `partitioning.range[${i}]`))) } };
}

function infoOf(entry: TableEntry | undefined): TableInfo {
  if (entry === undefined) throw new SparrowError('internal', 'INTERNAL', 'the metaserver did not say which table');
  const { table, name, partitioning, shards, replicas, learners, witnesses, pool, inlineThreshold } = entry;
  return {
    id: table,
    name,
    partitioning: partitioning === 'hash' ? 'hash' : 'range',
    shards,
    replicas,
    learners,
    witnesses,
    pool,
    inlineThreshold,
    durability: entry.durability === 'os' ? 'os' : 'synced',
    ttlMs: entry.ttlMs,
    quotas: { ...NO_QUOTAS, ...entry.quotas },
    state: entry.state === 'dropped' || entry.state === 'creating' ? entry.state : 'normal',
    undeleteUntil: entry.undeleteUntilMs === 0 ? undefined : new Date(entry.undeleteUntilMs),
  };
}
