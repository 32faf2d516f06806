/**
 * The verbs of Kv, served from this node's replicas, independent of how a call came in: plain methods (kv-service.ts) and sessions (session.ts) share them.
 *
 * A write is checked, encoded once as a command, and proposed to the replica of its shard (shard-router.ts). A read waits, where the replica says so, until reading is
 * linearizable, and then reads the engine synchronously; what it needs to look at more than once, it sees at one point in time.
 *
 * Called by kv-front.ts. Calls server/node and the engine.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Engine } from '../../engine/index.ts';
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  DeleteRequest,
  GetRequest,
  GetResponse,
  MultiGetRequest,
  MultiGetResponse,
  PutRequest,
  PutResponse,
  Range,
  WriteRequest,
  WriteResponse,
} from '../../proto/index.ts';
import {
  type ApplyResult,
  type CallState,
  clampRange,
  type CommandCondition,
  type CommandOperation,
  encodeDeleteRange,
  encodeWrite,
  engineKey,
  type EngineRange,
  engineRange,
  isEmpty,
  type NodeShards,
  type Replica,
  successor,
} from '../node/index.ts';
import type { ServerSettings } from '../settings.ts';
import { type ClusterIdentity, ClusterView, NO_CLUSTER } from './cluster-view.ts';
import type { KvVerbs } from './kv-verbs.ts';
import type { QuotaKeeper } from './quota-keeper.ts';
import { keepInCommand } from './received-message.ts';
import { shardSealed } from './shard-refusals.ts';
import { type ShardAddress, ShardRouter } from './shard-router.ts';
import { checkBound, checkKey, checkRequestId, checkValue, checkWriteBytes, readTerms } from './limits.ts';

export class KvCalls implements KvVerbs {
  readonly shards: NodeShards;
  readonly router: ShardRouter;
  readonly settings: ServerSettings;
  readonly cluster: ClusterView;
  /** What this node has to keep to of tables' quotas; set by whoever is told. */
  quotas: QuotaKeeper | undefined;

  constructor(shards: NodeShards, settings: ServerSettings, identity: ClusterIdentity = NO_CLUSTER) {
    this.shards = shards;
    this.router = new ShardRouter(shards);
    this.settings = settings;
    this.cluster = new ClusterView(identity, shards);
  }

  /** Of shard 1. */
  get replica(): Replica {
    return this.shards.first;
  }

  /** Of shard 1. Another one after a snapshot was installed. */
  get engine(): Engine {
    return this.replica.engine;
  }

  get seen(): number {
    return this.replica.applied;
  }

  /** At once where reading needs no waiting. */
  get(request: GetRequest): GetResponse | Promise<GetResponse> {
    checkKey(request.key, 'key', this.settings);
    const replica = this.router.forKey(request, request.key);
    const ready = this.#readable(replica, request, 1);
    return ready === undefined ? this.#get(replica, request) : ready.then(() => this.#get(replica, request));
  }

  multiGet(request: MultiGetRequest): MultiGetResponse | Promise<MultiGetResponse> {
    const { maxMultiGetKeys } = this.settings;
    if (request.keys.length > maxMultiGetKeys) {
      throw new SparrowError('invalid', 'TOO_MANY_KEYS', `keys holds ${request.keys.length} keys; at most ${maxMultiGetKeys} are taken`, {
        field: 'keys',
        limit: maxMultiGetKeys,
      });
    }
    for (const [i, key] of request.keys.entries()) checkKey(key, `keys[${i}]`, this.settings);
    const replica = this.router.forKeys(request, () => request.keys);
    const ready = this.#readable(replica, request, request.keys.length);
    return ready === undefined ? this.#multiGet(replica, request) : ready.then(() => this.#multiGet(replica, request));
  }

  async put(request: PutRequest, call: CallState): Promise<PutResponse> {
    checkKey(request.key, 'key', this.settings);
    checkValue(request.value, 'value', this.settings);
    const id = checkRequestId(request.requestId);
    const replica = this.router.forKey(request, request.key);
    const room = this.quotas?.write(replica.shard.descriptor.table, 1, request.key.length + request.value.length, true);
    if (room !== undefined) await room;
    const epoch = this.router.epochForWrite(replica, request, () => [request.key]);
    const nowMs = replica.timeMs;
    const expiry = expiryAt(replica, nowMs);
    const command = encodeWrite(id, [], [{ type: 'put', key: request.key, value: request.value, ...expiry }], epoch, nowMs);
    keepInCommand(request, command);
    return this.#applied(replica, await replica.propose(command, call));
  }

  async delete(request: DeleteRequest, call: CallState): Promise<PutResponse> {
    checkKey(request.key, 'key', this.settings);
    const id = checkRequestId(request.requestId);
    const replica = this.router.forKey(request, request.key);
    const room = this.quotas?.write(replica.shard.descriptor.table, 1, request.key.length, false);
    if (room !== undefined) await room;
    const epoch = this.router.epochForWrite(replica, request, () => [request.key]);
    return this.#applied(replica, await replica.propose(encodeWrite(id, [], [{ type: 'delete', key: request.key }], epoch), call));
  }

  async write(request: WriteRequest, call: CallState): Promise<WriteResponse> {
    const { conditions, operations, bytes } = this.#writeParts(request);
    const id = checkRequestId(request.requestId);
    const keys = (): Uint8Array[] => [...conditions, ...operations].map(({ key }) => key);
    const replica = this.router.forKeys(request, keys);
    const grows = operations.some(({ type }) => type === 'put');
    const room = this.quotas?.write(replica.shard.descriptor.table, Math.max(1, operations.length), bytes, grows);
    if (room !== undefined) await room;
    const epoch = this.router.epochForWrite(replica, request, keys);
    const nowMs = replica.timeMs;
    const expiry = expiryAt(replica, nowMs);
    const timed = expiry === undefined ? operations : operations.map((each) => (each.type === 'put' ? { ...each, ...expiry } : each));
    const result = await replica.propose(encodeWrite(id, conditions, timed, epoch, nowMs), call);
    if (result.outcome !== 'condition-failed') return { applied: true, version: this.#applied(replica, result).version, failed: undefined };
    const { condition, value, version } = result;
    return { applied: false, version: 0, failed: { index: condition, found: value !== undefined, value: asBuffer(value), version } };
  }

  async deleteRange(request: DeleteRangeRequest, call: CallState): Promise<DeleteRangeResponse> {
    const range = this.range(request.range);
    checkBound(request.cursor, 'cursor', this.settings);
    const id = checkRequestId(request.requestId);
    if (request.cursor.length > 0) {
      const after = successor(engineKey(request.cursor));
      if (Buffer.compare(after, range.start) > 0) range.start = after;
    }
    const replica = this.router.forRange(request, range);
    const room = this.quotas?.write(replica.shard.descriptor.table, 1, 0, false);
    if (room !== undefined) await room;
    const epoch = this.router.epochForWrite(replica, request, NO_KEYS);
    const { keys } = replica.shard.descriptor;
    const { start, end } = keys.kind === 'range' ? clampRange(range, keys) : range;
    if (isEmpty({ start, end })) return { deleted: 0, cursor: EMPTY, version: replica.applied };
    const limit = Math.min(request.limit === 0 ? Infinity : request.limit, this.settings.deleteRangeKeysMax);
    const result = await replica.propose(encodeDeleteRange(id, start, end, limit, epoch, replica.timeMs), call);
    if (result.outcome !== 'range-deleted') throw this.#notDone(replica, result);
    return { deleted: result.deleted, cursor: asBuffer(result.cursor), version: result.version };
  }

  /** A range of a request, checked, in the engine's keys. */
  range(range: Range | undefined): EngineRange {
    if (range === undefined) return engineRange({});
    for (const field of ['gt', 'gte', 'lt', 'lte', 'prefix'] as const) checkBound(range[field], `range.${field}`, this.settings);
    return engineRange(range);
  }

  /** What a read of `count` keys waits for; undefined: nothing. */
  #readable(replica: Replica, { anyNode }: Pick<GetRequest, 'anyNode'>, count: number): Promise<void> | undefined {
    const room = this.quotas?.read(replica.shard.descriptor.table, count);
    return room === undefined ? replica.read(readTerms(anyNode)) : room.then(() => replica.read(readTerms(anyNode)));
  }

  #get(replica: Replica, request: ShardAddress & { readonly key: Buffer; readonly versionOnly: boolean }): GetResponse {
    this.router.checkRead(replica, request, request.key);
    const entry = replica.look(replica.timeMs, () => replica.engine.getEntrySync(engineKey(request.key)));
    if (entry === undefined) return MISSING;
    return { found: true, value: request.versionOnly ? EMPTY : asBuffer(entry.value), version: entry.version };
  }

  #multiGet(replica: Replica, request: MultiGetRequest): MultiGetResponse {
    const { maxMultiGetBytes } = this.settings;
    let bytes = 0;
    const atMs = replica.timeMs;
    const entries = request.keys.map((key) => {
      this.router.checkRead(replica, request, key);
      const found = replica.look(atMs, () => replica.engine.getEntrySync(engineKey(key)));
      const entry = found === undefined ? MISSING : { found: true, value: asBuffer(found.value), version: found.version };
      bytes += entry.value.length;
      if (bytes > maxMultiGetBytes) {
        const message = `the values of ${request.keys.length} keys are more than ${maxMultiGetBytes} bytes; ask for fewer at a time`;
        throw new SparrowError('invalid', 'ANSWER_TOO_LARGE', message, { field: 'keys', limit: maxMultiGetBytes });
      }
      return entry;
    });
    return { entries };
  }

  #writeParts(request: WriteRequest): { conditions: CommandCondition[]; operations: CommandOperation[]; bytes: number } {
    const { maxWriteOperations } = this.settings;
    const parts = request.conditions.length + request.operations.length;
    if (parts > maxWriteOperations) {
      throw new SparrowError(
        'invalid',
        'TOO_MANY_OPERATIONS',
        `a write of ${parts} operations and conditions is too large; at most ${maxWriteOperations} are taken`,
        { field: 'operations', limit: maxWriteOperations, operations: parts },
      );
    }
    let bytes = 0;
    const conditions = request.conditions.map(({ key, expected }, i): CommandCondition => {
      checkKey(key, `conditions[${i}].key`, this.settings);
      bytes += key.length;
      if (expected === undefined || (expected.$case === 'absent' && !expected.value)) {
        throw new SparrowError('invalid', 'CONDITION_EMPTY', `conditions[${i}] expects nothing: set absent, value or version`, {
          field: `conditions[${i}].expected`,
        });
      }
      if (expected.$case === 'absent') return { kind: 'absent', key };
      if (expected.$case === 'version') return { kind: 'version', key, version: expected.value };
      checkValue(expected.value, `conditions[${i}].value`, this.settings);
      bytes += expected.value.length;
      return { kind: 'value', key, value: expected.value };
    });
    const operations = request.operations.map(({ operation }, i): CommandOperation => {
      if (operation === undefined) {
        throw new SparrowError('invalid', 'OPERATION_EMPTY', `operations[${i}] is empty: set put or delete`, { field: `operations[${i}]` });
      }
      const { key } = operation.value;
      checkKey(key, `operations[${i}].key`, this.settings);
      bytes += key.length;
      if (operation.$case === 'delete') return { type: 'delete', key };
      checkValue(operation.value.value, `operations[${i}].value`, this.settings);
      bytes += operation.value.value.length;
      return { type: 'put', key, value: operation.value.value };
    });
    checkWriteBytes(bytes, this.settings);
    return { conditions, operations, bytes };
  }

  /** The version of a write that was done. */
  #applied(replica: Replica, result: ApplyResult): PutResponse {
    if (result.outcome === 'applied' || result.outcome === 'range-deleted') return { version: result.version };
    throw this.#notDone(replica, result);
  }

  #notDone(replica: Replica, result: ApplyResult): SparrowError {
    if (result.outcome === 'sealed') return shardSealed(replica.group);
    return result.outcome === 'other-epoch' ? this.router.otherEpoch(replica) : expired(result);
  }
}

const EMPTY: Buffer = Buffer.alloc(0);
const NO_KEYS = (): Uint8Array[] => [];
const MISSING: GetResponse = Object.freeze({ found: false, value: EMPTY, version: 0 });

/** When what is put at `nowMs` expires, as its table says; undefined: never. */
function expiryAt({ shard }: Replica, nowMs: number): { expiresAtMs: number } | undefined {
  const { ttlMs } = shard.descriptor;
  return ttlMs === 0 ? undefined : { expiresAtMs: nowMs + ttlMs };
}

function expired(result: ApplyResult): SparrowError {
  const index = result.outcome === 'expired' ? result.applied : 0;
  const message = 'this write was sent before, too long ago to tell whether it was applied then; it was not applied now';
  return new SparrowError('invalid', 'REQUEST_EXPIRED', message, { applied: false, seen: index });
}

function asBuffer(bytes: Uint8Array | undefined): Buffer {
  return bytes === undefined ? EMPTY : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
