/** The SDK's verbs: arguments in, requests out, answers back. How calls travel is call-runner.ts. */
import { randomBytes } from 'node:crypto';

import { ConditionFailedError } from '../base/condition-failed.ts';
import { SparrowError } from '../base/errors.ts';
import type {
  Batch,
  Bytes,
  CallOptions,
  Client,
  DeleteRangeResult,
  Entry,
  Limits,
  RangeOptions,
  ReadOptions,
  ScanOptions,
  ServerStatus,
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
import { CallRunner } from './call-runner.ts';
import type { Settings } from './connect-options.ts';
import type { Connection } from './connection.ts';
import { DELETE, DELETE_RANGE, GET, MULTI_GET, PUT, STATUS, WRITE } from './methods.ts';
import { OwnedBytes } from './owned-bytes.ts';
import { RequestIds } from './request-ids.ts';
import { scanEntries } from './scan.ts';
import { clientClosed } from './settled-errors.ts';
import { realSurroundings } from './surroundings.ts';
import { Wait } from './wait.ts';

/** What a server takes when it does not tell. */
const DEFAULT_LIMITS: Limits = { keyBytesMax: 4_000, valueBytesMax: 16 * 1024 * 1024, writeBytesMax: 32 * 1024 * 1024 };

export class SparrowClient implements Client {
  readonly #settings: Settings;
  readonly #ids: RequestIds = new RequestIds(randomBytes(16));
  readonly #calls: CallRunner;
  readonly #owned = new OwnedBytes();
  readonly #closing = new AbortController();

  constructor(addresses: readonly string[], settings: Settings) {
    this.#settings = settings;
    this.#calls = new CallRunner(addresses, settings, this.#ids, realSurroundings(settings));
  }

  async get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined> {
    const anyNode = checkReadOptions(options);
    const request = { key: toKey(key), versionOnly: false, anyNode };
    const answer = await this.#calls.run(GET, request, request.key.length, options);
    return answer.found ? this.#owned.own(answer.value) : undefined;
  }

  async getEntry(key: Bytes, options?: ReadOptions): Promise<VersionedValue | undefined> {
    const anyNode = checkReadOptions(options);
    const request = { key: toKey(key), versionOnly: false, anyNode };
    const answer = await this.#calls.run(GET, request, request.key.length, options);
    return answer.found ? { value: this.#owned.own(answer.value), version: answer.version } : undefined;
  }

  async getVersion(key: Bytes, options?: ReadOptions): Promise<number | undefined> {
    const anyNode = checkReadOptions(options);
    const request = { key: toKey(key), versionOnly: true, anyNode };
    const answer = await this.#calls.run(GET, request, request.key.length, options);
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
    const request = { keys: keys.map(toKey), anyNode };
    const bytes = request.keys.reduce((sum, key) => sum + key.length, 0);
    const answer = await this.#calls.run(MULTI_GET, request, bytes, options);
    return answer.entries.map((entry) => (entry.found ? this.#owned.own(entry.value) : undefined));
  }

  async put(key: Bytes, value: Bytes, options?: CallOptions): Promise<WriteResult> {
    checkCallOptions(options);
    const request = { key: toKey(key), value: toBytes(value, 'value'), requestId: undefined };
    const answer = await this.#calls.run(PUT, request, request.key.length + request.value.length, options);
    return { version: answer.version };
  }

  async delete(key: Bytes, options?: CallOptions): Promise<WriteResult> {
    checkCallOptions(options);
    const request = { key: toKey(key), requestId: undefined };
    const answer = await this.#calls.run(DELETE, request, request.key.length, options);
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
    const answer = await this.#calls.run(WRITE, request, batch.bytes, options);
    if (answer.applied) return { version: answer.version };
    const failed = answer.failed;
    const condition = failed === undefined ? undefined : conditions[failed.index];
    if (failed === undefined || condition === undefined) {
      throw new SparrowError('internal', 'INTERNAL', 'the server did not say which condition failed');
    }
    const current = failed.found ? { value: this.#owned.own(failed.value), version: failed.version } : undefined;
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
    do {
      const request = { range: bounds, limit: 0, cursor, requestId: undefined };
      const answer = await this.#calls.run(DELETE_RANGE, request as never, bytes + cursor.length, options);
      deleted += answer.deleted;
      cursor = answer.cursor;
    } while (cursor.length > 0);
    return { deleted };
  }

  scan(options: ScanOptions = {}): AsyncIterableIterator<Entry> {
    checkNames(options, SCAN_OPTIONS);
    checkCallValues(options);
    const plan = {
      range: toRange(options),
      reverse: options.reverse === undefined ? false : checkBoolean('reverse', options.reverse),
      keysOnly: options.keysOnly === undefined ? false : checkBoolean('keysOnly', options.keysOnly),
      limit: options.limit === undefined ? undefined : checkInteger('limit', options.limit, 0, Number.MAX_SAFE_INTEGER),
      anyNode: toAnyNode(options),
      timeoutMs: options.timeoutMs ?? this.#settings.timeoutMs,
      signal: options.signal,
    };
    const context = {
      settings: this.#settings,
      visit: this.#calls.visit.bind(this.#calls),
      refused: this.#calls.first.refused.bind(this.#calls.first),
      observe: (version: number) => this.#ids.observe(version),
    };
    return scanEntries(context, plan, this.#closing.signal);
  }

  async status(options?: CallOptions): Promise<ServerStatus> {
    checkCallOptions(options);
    return this.#calls.run(STATUS, {}, 0, options);
  }

  async limits(options?: CallOptions): Promise<Limits> {
    checkCallOptions(options);
    const wait = new Wait('limits', options?.timeoutMs ?? this.#settings.timeoutMs, options?.signal, this.#closing.signal);
    wait.begin();
    let leave: (() => void) | undefined;
    const connected = new Promise<Connection>((resolve, reject) => {
      leave = this.#calls.visit({ anyNode: true, connected: resolve, failed: reject });
    });
    const { greeting } = await wait.for(connected).finally(() => leave?.());
    if (greeting === undefined) return DEFAULT_LIMITS;
    const { keyBytesMax, valueBytesMax, writeBytesMax } = greeting;
    return { keyBytesMax, valueBytesMax, writeBytesMax };
  }

  close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort(clientClosed());
      this.#calls.close();
    }
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
