/**
 * What a batch comes to: its operations, checked against the limits and made puts and deletes, with the bytes that they take. Making a plan
 * changes nothing; writer.ts carries it out, in the same turn, so that what increments have read still holds.
 */
import { EXPIRY_BYTES, POINTER_BYTES, RECORD_HEADER_BYTES } from '../assembly/memory-map.ts';
import type { Clock } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import type { Keyspace } from './api.ts';
import { addToCounter, encodeCounter, toStep } from './counters.ts';
import { type DeleteRuns, RUN_MIN } from './delete-runs.ts';
import { expiryOf, NEVER } from './expiry.ts';
import type { HostedOperation, ValuePlace } from './hosted-api.ts';
import { covers, keyRange, type KeyRange, KeyRanges } from './key-range.ts';
import { checkArray, checkObject, checkOptions, toKey, toValue } from './keys.ts';
import { internalKey } from './keyspace-key.ts';
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
  deleteRange: ['type', 'gt', 'gte', 'lt', 'lte', 'prefix', 'keyspace'],
  increment: ['type', 'key', 'by', 'keyspace', 'ttlMs', 'expiresAtMs'],
};
const HOSTED_FIELDS: typeof FIELDS = { ...FIELDS, put: [...FIELDS['put']!, 'at'] };
const PLACE_FIELDS: readonly string[] = ['segment', 'offset'];
/** A host's segments, and offsets in them, have 32 bits. */
const PLACE_END_MAX = 2 ** 32;

/** The records of a batch, in order. */
export interface BatchPlan {
  readonly keyspaces: OpenKeyspace[];
  /** Of a range delete: the first key that it covers. */
  readonly keys: Uint8Array[];
  /** Undefined: a delete. */
  readonly values: (Uint8Array | undefined)[];
  /** Of a range delete: the internal key behind what it covers. */
  readonly ends: (Uint8Array | undefined)[];
  /** Milliseconds since the epoch, or NEVER. */
  readonly expiries: number[];
  /** Of a hosted engine's: where the values lie that it points to. Others are stored with their keys. Undefined: the engine has a log of its own. */
  readonly places: (ValuePlace | undefined)[] | undefined;
  /** What the increments came to, in their order. */
  readonly counters: bigint[];
  /** As the caller counts them: a range delete may stand for many. */
  operations: number;
  /** With headers and padding. */
  recordBytes: number;
  /** Of large values, with padding. */
  payloadBytes: number;
  /** Of keys and values, as the caller gave them. */
  userBytes: number;
}

type KeyspaceOf = (keyspace: Keyspace | undefined) => OpenKeyspace;
type Read = { value: Uint8Array | undefined; expiresAtMs: number };
type Written = Read & { internal: Uint8Array };

export class BatchPlanner {
  readonly #settings: Readonly<EngineSettings>;
  readonly #reader: Pick<Reader, 'getEntry'>;
  readonly #clock: Clock;
  readonly #runs: DeleteRuns | undefined;
  readonly #isHosted: boolean;

  /** `isHosted`: puts may say where their values lie. */
  constructor(settings: Readonly<EngineSettings>, reader: Pick<Reader, 'getEntry'>, clock: Clock, runs?: DeleteRuns, isHosted = false) {
    this.#runs = runs;
    this.#isHosted = isHosted;
    this.#settings = settings;
    this.#reader = reader;
    this.#clock = clock;
  }

  /** `keyspaceOf`: what an operation's `keyspace` stands for; may throw. `invalid/*` when the batch cannot be written. */
  plan(operations: readonly HostedOperation[], keyspaceOf: KeyspaceOf): BatchPlan {
    const at = { operation: -1 };
    try {
      return this.#plan(operations, keyspaceOf, at);
    } catch (error) {
      throw at.operation < 0 ? error : ofOperation(error, at.operation);
    }
  }

  /** `at`: the operation that is looked at, -1: none. */
  #plan(operations: readonly HostedOperation[], keyspaceOf: KeyspaceOf, at: { operation: number }): BatchPlan {
    checkArray(operations, 'batch');
    if (operations.length > OPERATIONS_MAX) {
      throw new SparrowError('invalid', 'BATCH_TOO_LARGE', `batch has ${operations.length} operations; the limit is ${OPERATIONS_MAX}`, {
        field: 'batch',
        limit: OPERATIONS_MAX,
        operations: operations.length,
      });
    }
    let plan = emptyPlan(this.#isHosted);
    const fields = this.#isHosted ? HOSTED_FIELDS : FIELDS;
    // Ranges that the batch has deleted so far.
    let deleted: KeyRanges | undefined;
    // An increment sees what comes before it in its batch.
    const written = operations.some((operation) => operation?.type === 'increment') ? new Map<string, Written>() : undefined;
    const nowMs = (): number => this.#clock.wallMs();
    for (const operation of operations) {
      at.operation++;
      checkFields(operation, fields);
      const keyspace = keyspaceOf(operation.keyspace);
      if (operation.type === 'deleteRange') {
        const { type: _, keyspace: _keyspace, ...bounds } = operation;
        const range = keyRange(bounds, keyspace.id, this.#settings.maxKeyBytes);
        if (range === undefined) continue;
        addRangeDelete(plan, keyspace, range);
        (deleted ??= new KeyRanges()).add(range);
        for (const [name, { internal }] of written ?? []) {
          if (covers(range, internal)) written!.set(name, { internal, value: undefined, expiresAtMs: NEVER });
        }
        continue;
      }
      const key = toKey(operation.key, this.#settings.maxKeyBytes);
      let value: Uint8Array | undefined;
      let expiresAtMs = NEVER;
      let place: ValuePlace | undefined;
      if (operation.type === 'put') {
        value = toValue(operation.value, this.#settings.maxValueBytes);
        if (this.#isHosted) place = placeOf(operation, value.length);
        if (keyspace.ttlMs !== 0 || operation.ttlMs !== undefined || operation.expiresAtMs !== undefined) {
          expiresAtMs = expiryOf(operation, keyspace.ttlMs, nowMs);
        }
      } else if (operation.type === 'increment') {
        const internal = internalKey(keyspace.id, key);
        const before =
          written!.get(nameOf(keyspace, key)) ??
          (deleted?.has(internal) ? { value: undefined, expiresAtMs: NEVER } : this.#stored(keyspace, key));
        const counter = addToCounter(before.value, toStep(operation.by));
        plan.counters.push(counter);
        value = encodeCounter(counter);
        expiresAtMs =
          keepsExpiry(operation) && before.value !== undefined ? before.expiresAtMs : expiryOf(operation, keyspace.ttlMs, nowMs);
      }
      // What has expired by now is not there for an increment behind it.
      const expired = expiresAtMs !== NEVER && expiresAtMs <= nowMs();
      const seen = expired ? { value: undefined, expiresAtMs: NEVER } : { value, expiresAtMs };
      written?.set(nameOf(keyspace, key), { internal: internalKey(keyspace.id, key), ...seen });
      add(plan, keyspace, key, value, expiresAtMs, place);
    }
    at.operation = -1;
    if (deleted) plan = withoutOvertaken(plan);
    plan.operations = operations.length;
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
    return this.#runs && operations.length >= RUN_MIN ? withRun(plan, this.#runs) : plan;
  }

  #stored(keyspace: OpenKeyspace, key: Uint8Array): Read {
    const entry = this.#reader.getEntry(keyspace.id, key, NEWEST);
    return { value: entry?.value, expiresAtMs: entry?.expiresAtMs ?? NEVER };
  }
}

/** The error, with which operation of the batch it is about: `details.operation`, from 0. */
function ofOperation(error: unknown, operation: number): unknown {
  if (!(error instanceof SparrowError)) return error;
  return new SparrowError(
    error.kind,
    error.code,
    `operation ${operation} of the batch: ${error.message}`,
    { ...error.details, operation },
    error,
  );
}

function emptyPlan(isHosted = false): BatchPlan {
  return {
    keyspaces: [],
    keys: [],
    values: [],
    ends: [],
    expiries: [],
    places: isHosted ? [] : undefined,
    counters: [],
    operations: 0,
    recordBytes: 0,
    payloadBytes: 0,
    userBytes: 0,
  };
}

/** A batch of one put, or delete (without `value`), for a hosted engine. */
export function planOne(keyspace: OpenKeyspace, key: Uint8Array, value: Uint8Array | undefined, expiresAtMs: number): BatchPlan {
  const plan = emptyPlan(true);
  add(plan, keyspace, key, value, expiresAtMs);
  plan.operations = 1;
  return plan;
}

/** A batch of one range delete, or of nothing. */
export function planRangeDelete(keyspace: OpenKeyspace, range: KeyRange | undefined): BatchPlan {
  const plan = emptyPlan();
  if (range) addRangeDelete(plan, keyspace, range);
  plan.operations = 1;
  return plan;
}

/** A batch of deletes in key order: as many of them as have nothing in between become one range delete. */
function withRun(plan: BatchPlan, runs: DeleteRuns): BatchPlan {
  const { keyspaces, keys, values, ends, operations, userBytes } = plan;
  const keyspace = keyspaces[0]!;
  if (keys.length < RUN_MIN) return plan;
  for (let i = 0; i < keys.length; i++) {
    if (values[i] !== undefined || ends[i] !== undefined || keyspaces[i] !== keyspace) return plan;
    if (i > 0 && Buffer.compare(keys[i - 1]!, keys[i]!) > 0) return plan;
  }
  const run = runs.coverBatch(keyspace.id, keys);
  if (run === undefined) return plan;
  const shorter = planRangeDelete(keyspace, run.range);
  for (const key of keys.slice(run.deletes)) add(shorter, keyspace, key, undefined, NEVER);
  return Object.assign(shorter, { operations, userBytes });
}

function add(
  plan: BatchPlan,
  keyspace: OpenKeyspace,
  key: Uint8Array,
  value: Uint8Array | undefined,
  expiresAtMs: number,
  place?: ValuePlace,
): void {
  const valueBytes = value === undefined ? 0 : value.length;
  const expiryBytes = expiresAtMs === NEVER ? 0 : EXPIRY_BYTES;
  const keyBytes = keyspace.prefixBytes + key.length;
  let large = value !== undefined && isLarge(keyspace, keyBytes, valueBytes, expiryBytes);
  if (plan.places) {
    if (large && place === undefined) {
      assertFitsPage(keyBytes, valueBytes, expiryBytes);
      large = false;
    }
    plan.places.push(large ? place : undefined);
  }
  plan.keyspaces.push(keyspace);
  plan.keys.push(key);
  plan.values.push(value);
  plan.ends.push(undefined);
  plan.expiries.push(expiresAtMs);
  plan.recordBytes += (RECORD_HEADER_BYTES + keyBytes + expiryBytes + (large ? POINTER_BYTES : valueBytes) + 7) & ~7;
  if (large) plan.payloadBytes += (valueBytes + 7) & ~7;
  plan.userBytes += key.length + valueBytes;
}

function addRangeDelete(plan: BatchPlan, keyspace: OpenKeyspace, { start, end }: KeyRange): void {
  plan.keyspaces.push(keyspace);
  plan.keys.push(start.subarray(keyspace.prefixBytes));
  plan.values.push(undefined);
  plan.ends.push(end);
  plan.places?.push(undefined);
  plan.expiries.push(NEVER);
  plan.recordBytes += (RECORD_HEADER_BYTES + start.length + end.length + 7) & ~7;
  plan.userBytes += start.length + end.length;
}

/**
 * The plan without what a later range delete of the batch covers: it would have the sequence number of the tombstone, which hides only what is
 * older than itself.
 */
function withoutOvertaken(plan: BatchPlan): BatchPlan {
  const later = new KeyRanges();
  const kept: number[] = [];
  for (let i = plan.keys.length - 1; i >= 0; i--) {
    const keyspace = plan.keyspaces[i]!;
    const internal = internalKey(keyspace.id, plan.keys[i]!);
    const end = plan.ends[i];
    if (end) later.add({ start: internal, end });
    else if (later.has(internal)) continue;
    kept.push(i);
  }
  if (kept.length === plan.keys.length) return plan;
  const left = { ...emptyPlan(plan.places !== undefined), counters: plan.counters };
  for (const i of kept.toReversed()) {
    const keyspace = plan.keyspaces[i]!;
    const end = plan.ends[i];
    if (end) addRangeDelete(left, keyspace, { start: internalKey(keyspace.id, plan.keys[i]!), end });
    else add(left, keyspace, plan.keys[i]!, plan.values[i], plan.expiries[i]!, plan.places?.[i]);
  }
  return left;
}

/** Whether a value goes behind its frame. `keyBytes`: of the internal key. */
export function isLarge(keyspace: OpenKeyspace, keyBytes: number, valueBytes: number, expiryBytes: number): boolean {
  return valueBytes >= keyspace.inlineThreshold || keyBytes + expiryBytes + valueBytes > ENTRY_BYTES_MAX;
}

/** Whether the value of operation `i` is elsewhere, and its record a pointer. `keyBytes`: of the internal key. */
export function isPointed(plan: BatchPlan, i: number, keyBytes: number, valueBytes: number, expiryBytes: number): boolean {
  const { places } = plan;
  return places === undefined ? isLarge(plan.keyspaces[i]!, keyBytes, valueBytes, expiryBytes) : places[i] !== undefined;
}

function assertFitsPage(keyBytes: number, valueBytes: number, expiryBytes: number): void {
  if (keyBytes + expiryBytes + valueBytes <= ENTRY_BYTES_MAX) return;
  throw new SparrowError(
    'invalid',
    'NO_PLACE',
    `a value of ${valueBytes} bytes fits no page with its key (${ENTRY_BYTES_MAX} bytes at most): the put must say where the host's log has it (at)`,
    { field: 'at', limit: ENTRY_BYTES_MAX, bytes: valueBytes },
  );
}

/** Where a put says that its value lies. */
function placeOf(operation: { at?: ValuePlace | undefined }, valueBytes: number): ValuePlace | undefined {
  const { at } = operation;
  if (at === undefined) return undefined;
  checkObject(at, 'at');
  checkOptions(at, PLACE_FIELDS);
  const { segment, offset } = at;
  if (!Number.isInteger(segment) || segment < 1 || segment >= PLACE_END_MAX) {
    throw new SparrowError(
      'invalid',
      'OPTION_RANGE',
      `at.segment is a whole number from 1 to ${PLACE_END_MAX - 1}, not ${String(segment)}`,
      {
        field: 'at.segment',
        limit: PLACE_END_MAX - 1,
      },
    );
  }
  if (!Number.isInteger(offset) || offset < 0 || offset + valueBytes >= PLACE_END_MAX) {
    throw new SparrowError(
      'invalid',
      'OPTION_RANGE',
      `at.offset is a whole number from 0, and the value (${valueBytes} bytes) ends below ${PLACE_END_MAX}; not ${String(offset)}`,
      { field: 'at.offset', limit: PLACE_END_MAX },
    );
  }
  return { segment, offset };
}

/** An increment leaves the counter's expiry as it is unless it says otherwise. */
export function keepsExpiry(options: { ttlMs?: number; expiresAtMs?: number } | undefined): boolean {
  return options?.ttlMs === undefined && options?.expiresAtMs === undefined;
}

function checkFields(operation: HostedOperation, fields: typeof FIELDS): void {
  checkObject(operation, 'operation');
  const { type } = operation as { type: unknown };
  if (typeof type === 'string' && Object.hasOwn(fields, type)) return checkOptions(operation, fields[type]!);
  const known = Object.keys(FIELDS)
    .map((each) => `'${each}'`)
    .join(', ');
  throw new SparrowError('invalid', 'TYPE', `type of a batch operation is one of ${known}, not '${String(type)}'`, { field: 'type' });
}

function nameOf(keyspace: OpenKeyspace, key: Uint8Array): string {
  return `${keyspace.id}:${Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')}`;
}
