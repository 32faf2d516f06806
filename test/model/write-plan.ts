/**
 * Drawn writes, as calls of the engine and as what they must come to: values made, increments added up, conditions held against the model,
 * refusals foretold.
 */
import type {
  BatchOperation,
  Condition,
  Expiry,
  KeyRange,
  Keyspace,
  KeyspaceSettings,
  KeyValues,
  WriteOptions,
} from '../../engine/index.ts';
import type { SimClock } from '../sim/sim-clock.ts';
import { expectSame } from './agreement.ts';
import { type DrawnCondition, type DrawnTtl, type DrawnWrite, keyOf, valueOf } from './commands.ts';
import type { Model, ModelState, ModelWrite } from './model.ts';

export interface Planned {
  /** A single operation by its own verb, where that is what was drawn. */
  readonly call: ((options: WriteOptions) => Promise<void>) | undefined;
  readonly operations: BatchOperation[];
  readonly conditions: Condition[];
  readonly writes: readonly ModelWrite[];
  readonly counters: readonly bigint[];
  /** The error's code, and the index of a condition. */
  readonly refusal: string | undefined;
}

const COUNTER_MAX = 2n ** 63n;

export class WritePlanner {
  /** Of each keyspace, as they were given last. */
  readonly settings: (KeyspaceSettings | undefined)[] = [];
  readonly #model: Model;
  readonly #clock: SimClock;
  #stamp = 0;

  constructor(model: Model, clock: SimClock) {
    this.#model = model;
    this.#clock = clock;
  }

  /** To be carried out at once: it is of this moment. */
  plan(drawn: readonly DrawnWrite[], drawnConditions: readonly DrawnCondition[], storeOf: (keyspace: number) => KeyValues): Planned {
    const nowMs = this.#clock.wallMs();
    const conditions: Condition[] = [];
    let refusal: string | undefined;
    for (const [i, condition] of drawnConditions.entries()) {
      const { asked, holds } = this.#condition(condition, nowMs, storeOf);
      conditions.push(asked);
      if (!holds) refusal ??= `CONDITION_FAILED ${i}`;
    }
    const writes: ModelWrite[] = [];
    const operations: BatchOperation[] = [];
    const counters: bigint[] = [];
    for (const write of drawn) {
      const { keyspace = 0 } = write;
      const operation = this.#operation(write, nowMs);
      operations.push(keyspace === 0 ? operation : { ...operation, keyspace: storeOf(keyspace) as Keyspace });
      if (operation.type === 'deleteRange') {
        writes.push({ keyspace, key: operation.gte as Uint8Array, value: undefined, end: operation.lt as Uint8Array });
      } else if (operation.type === 'delete') writes.push({ keyspace, key: operation.key as Uint8Array, value: undefined });
      else if (operation.type === 'put') {
        const expiresAtMs = this.#expiryOf(write.ttl, keyspace, nowMs);
        writes.push({ keyspace, key: operation.key as Uint8Array, value: operation.value as Uint8Array, expiresAtMs });
      } else {
        const result = this.#increment(write, this.#model.with(writes), nowMs);
        if (typeof result === 'string') {
          refusal ??= result;
          break;
        }
        writes.push(result.write);
        counters.push(result.counter);
      }
    }
    const call =
      drawn.length === 1 && conditions.length === 0 ? callOf(operations[0]!, storeOf(drawn[0]!.keyspace ?? 0), counters[0]) : undefined;
    // What comes behind an operation that is refused still has to be there.
    for (const write of drawn.slice(operations.length)) operations.push(this.#operation(write, nowMs));
    return { call, operations, conditions, writes, counters, refusal };
  }

  #operation(write: DrawnWrite, nowMs: number): BatchOperation {
    const key = keyOf(write.key);
    if (write.to !== undefined) {
      const [gte, end] = [key, keyOf(write.to)].toSorted((a, b) => Buffer.compare(a, b));
      // A range without keys would be no batch.
      return { type: 'deleteRange', gte: gte!, lt: Buffer.compare(gte!, end!) === 0 ? Buffer.concat([end!, Buffer.alloc(1)]) : end! };
    }
    if (write.by !== undefined) return { type: 'increment', key, by: write.by, ...given(write.ttl, nowMs) };
    if (write.bytes === undefined) return { type: 'delete', key };
    return { type: 'put', key, value: valueOf(++this.#stamp, write.bytes), ...given(write.ttl, nowMs) };
  }

  #expiryOf(ttl: DrawnTtl | undefined, keyspace: number, nowMs: number): number | undefined {
    if (ttl === 'never') return undefined;
    if (ttl !== undefined) return nowMs + ttl;
    const defaultMs = this.settings[keyspace]?.ttlMs;
    return defaultMs === undefined ? undefined : nowMs + defaultMs;
  }

  #increment(write: DrawnWrite, state: ModelState, nowMs: number): { write: ModelWrite; counter: bigint } | string {
    const { keyspace = 0, by = 0, ttl } = write;
    const key = keyOf(write.key);
    const before = state.get(keyspace, key, nowMs);
    if (before && before.value.length !== 8) return 'NOT_A_COUNTER';
    const counter = (before ? Buffer.from(before.value).readBigInt64LE() : 0n) + BigInt(by);
    if (counter < -COUNTER_MAX || counter >= COUNTER_MAX) return 'COUNTER_OVERFLOW';
    const value = Buffer.alloc(8);
    value.writeBigInt64LE(counter);
    const expiresAtMs = before && ttl === undefined ? before.expiresAtMs : this.#expiryOf(ttl, keyspace, nowMs);
    return { write: { keyspace, key, value, expiresAtMs }, counter };
  }

  #condition(
    { key: number, keyspace, kind, wrong }: DrawnCondition,
    nowMs: number,
    storeOf: (keyspace: number) => KeyValues,
  ): { asked: Condition; holds: boolean } {
    const key = keyOf(number);
    const current = this.#model.get(keyspace, key, nowMs);
    const place = { key, ...(keyspace > 0 && { keyspace: storeOf(keyspace) as Keyspace }) };
    if (kind === 'absent') return { asked: { ...place, absent: true }, holds: current === undefined };
    if (kind === 'version')
      return { asked: { ...place, version: (current?.version ?? 1) + Number(wrong) }, holds: current !== undefined && !wrong };
    const value = current?.value ?? new Uint8Array(1);
    return {
      asked: { ...place, value: wrong ? Buffer.concat([value, value, Buffer.alloc(1)]) : value },
      holds: current !== undefined && !wrong,
    };
  }
}

function given(ttl: DrawnTtl | undefined, nowMs: number): Expiry {
  if (ttl === undefined) return {};
  if (ttl === 'never') return { ttlMs: Infinity };
  return ttl > 0 ? { ttlMs: ttl } : { expiresAtMs: nowMs + ttl };
}

function callOf(operation: BatchOperation, store: KeyValues, counter: bigint | undefined): (options: WriteOptions) => Promise<void> {
  const { type, keyspace: _, ...rest } = operation;
  return async (options) => {
    if (type === 'put') {
      const { key, value, ...expiry } = rest as { key: Uint8Array; value: Uint8Array } & Expiry;
      return store.put(key, value, { ...options, ...expiry });
    }
    if (type === 'delete') return store.delete((rest as { key: Uint8Array }).key, options);
    if (type === 'deleteRange') return store.deleteRange(rest as KeyRange, options);
    const { key, by, ...expiry } = rest as { key: Uint8Array; by: number } & Expiry;
    expectSame('a counter', await store.increment(key, by, { ...options, ...expiry }), counter);
  };
}
