/**
 * The verbs of a table: arguments in, requests out, answers back. How calls travel is call-runner.ts, to which shard table-route.ts.
 *
 * Table `default` is called as if there were no shards, until a node says that it has several; from then on, as any other table, by its map.
 */
import { ConditionFailedError } from '../base/condition-failed.ts';
import { SparrowError } from '../base/errors.ts';
import type { MultiGetResponse } from '../proto/index.ts';
import type {
  Batch,
  Bytes,
  CallOptions,
  DeleteRangeResult,
  Entry,
  KeyValues,
  RangeOptions,
  ReadOptions,
  ScanOptions,
  Table,
  VersionedValue,
  WriteResult,
} from './api.ts';
import {
  checkBoolean,
  checkCallOptions,
  checkCallValues,
  checkInteger,
  checkNames,
  checkReadOptions,
  invalid,
  KEYS_PER_MULTI_GET_MAX,
  RANGE_OPTIONS,
  SCAN_OPTIONS,
  toAnyNode,
  toBytes,
  toKey,
  toRange,
} from './arguments.ts';
import { WriteBatch } from './batch.ts';
import type { CallRunner, CallWays } from './call-runner.ts';
import type { Settings } from './connect-options.ts';
import { HedgeDelay, hedged } from './hedge.ts';
import { DELETE, DELETE_RANGE, GET, MULTI_GET, type Method, PUT, type Request, WRITE } from './methods.ts';
import type { OwnedBytes } from './owned-bytes.ts';
import type { RequestIds } from './request-ids.ts';
import { DEFAULT_TABLE, isOfOtherShard } from './router.ts';
import { deleteRangeOfTable } from './table-delete-range.ts';
import { fanOut, spansShards } from './table-multi-get.ts';
import { scanDefault, scanTable } from './table-scan.ts';
import type { TableRoute } from './table-route.ts';

/** What all tables of a client share. */
export interface VerbParts {
  readonly settings: Settings;
  readonly ids: RequestIds;
  readonly calls: CallRunner;
  readonly owned: OwnedBytes;
  /** Aborts when the client is closed. */
  readonly closed: AbortSignal;
}

type AnyNode = { staleMs: number } | undefined;

export class TableVerbs implements KeyValues {
  readonly #parts: VerbParts;
  readonly #calls: CallRunner;
  /** Undefined: table `default`, as long as it is one shard. */
  #route: TableRoute | undefined;
  /** The ways of a call without options. */
  #plain: CallWays | undefined;
  readonly #hedge = new HedgeDelay();

  constructor(parts: VerbParts, route: TableRoute | undefined) {
    this.#parts = parts;
    this.#calls = parts.calls;
    this.#route = route;
    this.#plain = route && { route };
  }

  async get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined> {
    const anyNode = checkReadOptions(options);
    const request = { key: toKey(key), versionOnly: false, anyNode };
    const answer = await this.#read(GET, request, request.key.length, options);
    return answer.found ? this.#parts.owned.own(answer.value) : undefined;
  }

  async getEntry(key: Bytes, options?: ReadOptions): Promise<VersionedValue | undefined> {
    const anyNode = checkReadOptions(options);
    const request = { key: toKey(key), versionOnly: false, anyNode };
    const answer = await this.#read(GET, request, request.key.length, options);
    return answer.found ? { value: this.#parts.owned.own(answer.value), version: answer.version } : undefined;
  }

  async getVersion(key: Bytes, options?: ReadOptions): Promise<number | undefined> {
    const anyNode = checkReadOptions(options);
    const request = { key: toKey(key), versionOnly: true, anyNode };
    const answer = await this.#read(GET, request, request.key.length, options);
    return answer.found ? answer.version : undefined;
  }

  async multiGet(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]> {
    const anyNode = checkReadOptions(options);
    if (!Array.isArray(keys)) throw invalid('KEYS_TYPE', 'keys must be an array', { field: 'keys' });
    if (keys.length > KEYS_PER_MULTI_GET_MAX) {
      throw invalid('TOO_MANY_KEYS', `${keys.length} keys; a multiGet takes at most ${KEYS_PER_MULTI_GET_MAX}`, {
        field: 'keys',
        limit: KEYS_PER_MULTI_GET_MAX,
      });
    }
    if (keys.length === 0) return [];
    const bytes = keys.map(toKey);
    const route = this.#routeOf(options);
    const entries =
      route === undefined ? await this.#multiGetWhole(bytes, anyNode, options) : await this.#fanOut(route, bytes, anyNode, options);
    return entries.map((entry) => (entry.found ? this.#parts.owned.own(entry.value) : undefined));
  }

  async put(key: Bytes, value: Bytes, options?: CallOptions): Promise<WriteResult> {
    checkCallOptions(options);
    const request = { key: toKey(key), value: toBytes(value, 'value'), requestId: undefined };
    const answer = await this.#calls.run(PUT, request, request.key.length + request.value.length, options, this.#ways);
    return { version: answer.version };
  }

  async delete(key: Bytes, options?: CallOptions): Promise<WriteResult> {
    checkCallOptions(options);
    const request = { key: toKey(key), requestId: undefined };
    const answer = await this.#calls.run(DELETE, request, request.key.length, options, this.#ways);
    return { version: answer.version };
  }

  batch(): Batch {
    return new WriteBatch();
  }

  async write(batch: Batch, options?: CallOptions): Promise<WriteResult> {
    checkCallOptions(options);
    if (!(batch instanceof WriteBatch)) throw invalid('BATCH_TYPE', 'write takes a batch made by client.batch()', { field: 'batch' });
    const conditions = [...batch.conditionList];
    const request = { conditions, operations: [...batch.operationList], requestId: undefined };
    const answer = await this.#calls.run(WRITE, request, batch.bytes, options, this.#ways);
    if (answer.applied) return { version: answer.version };
    const failed = answer.failed;
    const condition = failed === undefined ? undefined : conditions[failed.index];
    if (failed === undefined || condition === undefined) {
      throw new SparrowError('internal', 'INTERNAL', 'the server did not say which condition failed');
    }
    const current = failed.found ? { value: this.#parts.owned.own(failed.value), version: failed.version } : undefined;
    throw new ConditionFailedError(failed.index, condition.key, current);
  }

  async deleteRange(range: RangeOptions, options?: CallOptions): Promise<DeleteRangeResult> {
    checkCallOptions(options);
    checkNames(range, RANGE_OPTIONS);
    const bounds = toRange(range);
    if (Object.keys(bounds).length === 0) throw invalid('RANGE_OPEN', 'deleteRange needs a bound or a prefix', { field: 'range' });
    const bytes = Object.values(bounds).reduce((sum, bound) => sum + bound.length, 0);
    let deleted = 0;
    let cursor: Uint8Array = new Uint8Array(0);
    for (;;) {
      const route = this.#routeOf(undefined);
      if (route !== undefined) return { deleted: deleted + (await this.#deleteRangeOf(route, bounds, cursor, options)) };
      const request = { range: bounds, limit: 0, cursor, requestId: undefined };
      try {
        const answer = await this.#calls.run(DELETE_RANGE, request as never, bytes + cursor.length, options);
        deleted += answer.deleted;
        cursor = answer.cursor;
      } catch (error) {
        // Table `default` has become several shards: what is left is done by its map.
        if (!(error instanceof SparrowError) || !isOfOtherShard(error)) throw error;
        continue;
      }
      if (cursor.length === 0) return { deleted };
    }
  }

  scan(options: ScanOptions = {}): AsyncIterableIterator<Entry> {
    checkNames(options, SCAN_OPTIONS);
    checkCallValues(options);
    const { settings, closed, ids } = this.#parts;
    const plan = {
      range: toRange(options),
      reverse: options.reverse === undefined ? false : checkBoolean('reverse', options.reverse),
      keysOnly: options.keysOnly === undefined ? false : checkBoolean('keysOnly', options.keysOnly),
      limit: options.limit === undefined ? undefined : checkInteger('limit', options.limit, 0, Number.MAX_SAFE_INTEGER),
      anyNode: toAnyNode(options),
      nearest: options.from === 'nearest',
      timeoutMs: options.timeoutMs ?? settings.timeoutMs,
      signal: options.signal,
    };
    const route = this.#routeOf(options);
    if (route !== undefined) return scanTable({ settings, route }, plan, closed);
    const { first } = this.#calls;
    const context = {
      settings,
      visit: this.#calls.visit.bind(this.#calls),
      refused: first.refused.bind(first),
      observe: (version: number) => ids.observe(version),
    };
    return scanDefault(context, plan, closed, () => this.#calls.splitDefault());
  }

  /** For a call to the leader. */
  get #ways(): CallWays | undefined {
    if (this.#route === undefined && this.#calls.defaultIsSplit) this.#settle();
    return this.#plain;
  }

  /** Undefined: the first group serves it. */
  #routeOf(options: Pick<ReadOptions, 'from'> | undefined): TableRoute | undefined {
    if (this.#route === undefined && this.#calls.defaultIsSplit) this.#settle();
    // Where nodes are is told by the map.
    return options?.from === 'nearest' ? (this.#route ?? this.#calls.table(DEFAULT_TABLE)) : this.#route;
  }

  #settle(): void {
    this.#route = this.#calls.table(DEFAULT_TABLE);
    this.#plain = { route: this.#route };
  }

  #read<Q, A>(method: Method<Q, A>, request: Request<Q>, bytes: number, options: ReadOptions | undefined): Promise<A> {
    if (options === undefined) return this.#calls.run(method, request, bytes, undefined, this.#ways);
    const route = this.#routeOf(options);
    const ways: CallWays = { ...(route && { route }), nearest: options.from === 'nearest' };
    return options.hedgeMs === undefined
      ? this.#calls.run(method, request, bytes, options, ways)
      : this.#readHedged(method, request, bytes, options, ways);
  }

  async #readHedged<Q, A>(method: Method<Q, A>, request: Request<Q>, bytes: number, options: ReadOptions, ways: CallWays): Promise<A> {
    const { hedgeMs, timeoutMs = this.#parts.settings.timeoutMs } = options;
    const { clock, scheduler } = this.#calls.surroundings;
    const startMs = clock.monotonicMs();
    const delayMs = hedgeMs === 'p99.9' ? this.#hedge.delayMs : hedgeMs;
    const call = (asked: Request<Q>, more: CallWays, leftMs: number, signal?: AbortSignal): Promise<A> =>
      this.#calls.run(method, asked, bytes, { timeoutMs: Math.max(1, Math.ceil(leftMs)), ...(signal && { signal }) }, { ...ways, ...more });
    try {
      if (delayMs === undefined || delayMs >= timeoutMs) return await call(request, {}, timeoutMs, options.signal);
      return await hedged(
        delayMs,
        scheduler,
        options.signal,
        (signal, begun) => call({ ...request }, { begun }, timeoutMs, signal),
        (avoid) => {
          if (!this.#calls.mayHedge()) return undefined;
          const anyNode = (request as { anyNode?: AnyNode }).anyNode ?? { staleMs: 0 };
          return (signal) =>
            call(
              { ...request, anyNode },
              { avoid: avoid ?? this.#calls.first.target?.address },
              timeoutMs - (clock.monotonicMs() - startMs),
              signal,
            );
        },
      );
    } finally {
      this.#hedge.took(clock.monotonicMs() - startMs);
    }
  }

  async #multiGetWhole(
    keys: readonly Uint8Array[],
    anyNode: AnyNode,
    options: ReadOptions | undefined,
  ): Promise<MultiGetResponse['entries']> {
    try {
      const bytes = keys.reduce((sum, key) => sum + key.length, 0);
      return (await this.#read(MULTI_GET, { keys, anyNode }, bytes, options)).entries;
    } catch (error) {
      const route = this.#routeOf(options);
      if (route === undefined || !spansShards(error)) throw error;
      return this.#fanOut(route, keys, anyNode, options);
    }
  }

  #fanOut(
    route: TableRoute,
    keys: readonly Uint8Array[],
    anyNode: AnyNode,
    options: ReadOptions | undefined,
  ): Promise<MultiGetResponse['entries']> {
    const { settings, closed } = this.#parts;
    return fanOut({ route, settings, closed }, keys, options, async (asked, timeoutMs) => {
      const bytes = asked.reduce((sum, key) => sum + key.length, 0);
      return (await this.#read(MULTI_GET, { keys: asked, anyNode }, bytes, { ...options, timeoutMs })).entries;
    });
  }

  async #deleteRangeOf(
    route: TableRoute,
    range: Record<string, Uint8Array>,
    after: Uint8Array,
    options: CallOptions | undefined,
  ): Promise<number> {
    const { settings, closed, calls } = this.#parts;
    return deleteRangeOfTable({ route, calls, settings, closed }, range, after, options);
  }
}

export class SparrowTable extends TableVerbs implements Table {
  readonly name: string;

  constructor(name: string, parts: VerbParts) {
    super(parts, parts.calls.table(name));
    this.name = name;
  }
}
