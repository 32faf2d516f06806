/**
 * What a batch comes to: its operations, checked against the limits and made puts and deletes, with the bytes that they take. Making a plan
 * changes nothing; writer.ts carries it out, in the same turn, so that what increments have read still holds.
 */
import { EXPIRY_BYTES, POINTER_BYTES, RECORD_HEADER_BYTES } from '../assembly/memory-map.ts';
import type { Clock } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import type { BatchOperation, Keyspace } from './api.ts';
import { addToCounter, encodeCounter, toStep } from './counters.ts';
import { expiryOf, NEVER } from './expiry.ts';
import { checkOptions, toKey, toValue } from './keys.ts';
import type { OpenKeyspace } from './open-keyspace.ts';
import { NEWEST, type Reader } from './reader.ts';
import type { EngineSettings } from './settings.ts';

/** Key and stored value of an entry that lies in a page together take at most this; a larger value is stored by pointer. */
const ENTRY_BYTES_MAX = 8000;
/** A frame counts its records in 24 bits. */
const OPERATIONS_MAX = 2 ** 24 - 1;

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  put: ['type', 'key', 'value', 'keyspace', 'ttlMs', 'expiresAtMs'],
  delete: ['type', 'key', 'keyspace'],
  increment: ['type', 'key', 'by', 'keyspace', 'ttlMs', 'expiresAtMs'],
};

/** The records of a batch, in order. */
export interface BatchPlan {
  readonly keyspaces: OpenKeyspace[];
  readonly keys: Uint8Array[];
  /** Undefined: a delete. */
  readonly values: (Uint8Array | undefined)[];
  /** Milliseconds since the epoch, or NEVER. */
  readonly expiries: number[];
  /** What the increments came to, in their order. */
  readonly counters: bigint[];
  /** With headers and padding. */
  recordBytes: number;
  /** Of large values, with padding. */
  payloadBytes: number;
  /** Of keys and values, as the caller gave them. */
  userBytes: number;
}

type Written = { value: Uint8Array | undefined; expiresAtMs: number };

export class BatchPlanner {
  readonly #settings: Readonly<EngineSettings>;
  readonly #reader: Pick<Reader, 'getEntry'>;
  readonly #clock: Clock;

  constructor(settings: Readonly<EngineSettings>, reader: Pick<Reader, 'getEntry'>, clock: Clock) {
    this.#settings = settings;
    this.#reader = reader;
    this.#clock = clock;
  }

  /** `keyspaceOf`: what an operation's `keyspace` stands for; may throw. `invalid/*` when the batch cannot be written. */
  plan(operations: readonly BatchOperation[], keyspaceOf: (keyspace: Keyspace | undefined) => OpenKeyspace): BatchPlan {
    if (operations.length > OPERATIONS_MAX) {
      throw new SparrowError('invalid', 'BATCH_TOO_LARGE', `batch has ${operations.length} operations; the limit is ${OPERATIONS_MAX}`, {
        field: 'batch',
        limit: OPERATIONS_MAX,
        operations: operations.length,
      });
    }
    const plan: BatchPlan = {
      keyspaces: [],
      keys: [],
      values: [],
      expiries: [],
      counters: [],
      recordBytes: 0,
      payloadBytes: 0,
      userBytes: 0,
    };
    // An increment sees what comes before it in its batch.
    const written = operations.some(({ type }) => type === 'increment') ? new Map<string, Written>() : undefined;
    const nowMs = (): number => this.#clock.wallMs();
    for (const operation of operations) {
      checkFields(operation);
      const keyspace = keyspaceOf(operation.keyspace);
      const key = toKey(operation.key, this.#settings.maxKeyBytes);
      let value: Uint8Array | undefined;
      let expiresAtMs = NEVER;
      if (operation.type === 'put') {
        value = toValue(operation.value, this.#settings.maxValueBytes);
        if (keyspace.ttlMs !== 0 || operation.ttlMs !== undefined || operation.expiresAtMs !== undefined) {
          expiresAtMs = expiryOf(operation, keyspace.ttlMs, nowMs);
        }
      } else if (operation.type === 'increment') {
        const before = written!.get(nameOf(keyspace, key)) ?? this.#stored(keyspace, key);
        const counter = addToCounter(before.value, toStep(operation.by));
        plan.counters.push(counter);
        value = encodeCounter(counter);
        expiresAtMs =
          keepsExpiry(operation) && before.value !== undefined ? before.expiresAtMs : expiryOf(operation, keyspace.ttlMs, nowMs);
      }
      written?.set(nameOf(keyspace, key), { value, expiresAtMs });
      this.#add(plan, keyspace, key, value, expiresAtMs);
    }
    const { maxBatchBytes } = this.#settings;
    if (plan.userBytes > maxBatchBytes) {
      throw new SparrowError(
        'invalid',
        'BATCH_TOO_LARGE',
        `batch has ${plan.userBytes} bytes of keys and values; the limit is ${maxBatchBytes} (maxBatchBytes)`,
        {
          field: 'batch',
          limit: maxBatchBytes,
          bytes: plan.userBytes,
        },
      );
    }
    return plan;
  }

  #add(plan: BatchPlan, keyspace: OpenKeyspace, key: Uint8Array, value: Uint8Array | undefined, expiresAtMs: number): void {
    const valueBytes = value === undefined ? 0 : value.length;
    const expiryBytes = expiresAtMs === NEVER ? 0 : EXPIRY_BYTES;
    const keyBytes = keyspace.prefixBytes + key.length;
    const large = value !== undefined && isLarge(keyspace, keyBytes, valueBytes, expiryBytes);
    plan.keyspaces.push(keyspace);
    plan.keys.push(key);
    plan.values.push(value);
    plan.expiries.push(expiresAtMs);
    plan.recordBytes += (RECORD_HEADER_BYTES + keyBytes + expiryBytes + (large ? POINTER_BYTES : valueBytes) + 7) & ~7;
    if (large) plan.payloadBytes += (valueBytes + 7) & ~7;
    plan.userBytes += key.length + valueBytes;
  }

  #stored(keyspace: OpenKeyspace, key: Uint8Array): Written {
    const entry = this.#reader.getEntry(keyspace.id, key, NEWEST);
    return { value: entry?.value, expiresAtMs: entry?.expiresAtMs ?? NEVER };
  }
}

/** Whether a value goes behind its frame. `keyBytes`: of the internal key. */
export function isLarge(keyspace: OpenKeyspace, keyBytes: number, valueBytes: number, expiryBytes: number): boolean {
  return valueBytes >= keyspace.inlineThreshold || keyBytes + expiryBytes + valueBytes > ENTRY_BYTES_MAX;
}

/** An increment leaves the counter's expiry as it is unless it says otherwise. */
export function keepsExpiry(options: { ttlMs?: number; expiresAtMs?: number } | undefined): boolean {
  return options?.ttlMs === undefined && options?.expiresAtMs === undefined;
}

function checkFields(operation: BatchOperation): void {
  const { type } = operation as { type: unknown };
  if (typeof type === 'string' && Object.hasOwn(FIELDS, type)) return checkOptions(operation, FIELDS[type]!);
  const known = Object.keys(FIELDS)
    .map((each) => `'${each}'`)
    .join(', ');
  throw new SparrowError('invalid', 'TYPE', `type of a batch operation is one of ${known}, not '${String(type)}'`, { field: 'type' });
}

function nameOf(keyspace: OpenKeyspace, key: Uint8Array): string {
  return `${keyspace.id}:${Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')}`;
}
