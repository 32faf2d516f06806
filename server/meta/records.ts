/**
 * The topology as keys and values of META_GROUP's key-value store. Pure.
 *
 *   lead                 who leads the metaserver, in which term, since when: written when a lead begins; each write after it asks that it is still there
 *   counters  policy     one record each
 *   timestamps           all timestamps below are used up
 *   node/0000000001      one record for each node, table, shard, operator: the id in ten digits, so that they are in order
 *   table/...  shard/...  operator/...
 *
 * A value is JSON, UTF-8, of the record's fields as node.ts, table.ts, shard.ts and operator.ts have them; bytes (split keys, bounds of shards) are
 * {"bytes": "<base64>"}. A field that is not there is undefined. Fields that come later have a meaning when they are missing.
 *
 * Format: docs/formats/meta.md. Used by store.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { MetaWrite } from './state.ts';

export interface RecordOperation {
  readonly key: Uint8Array;
  /** Undefined: there is none any more. */
  readonly value: Uint8Array | undefined;
}

const ID_DIGITS = 10;
const SINGLE = ['counters', 'policy'] as const;
const MANY = ['node', 'table', 'shard', 'operator'] as const;

export const LEAD_KEY: Uint8Array = Buffer.from('lead');
export const TIMESTAMPS_KEY: Uint8Array = Buffer.from('timestamps');

export function encodeRecord({ kind, id, record }: MetaWrite): RecordOperation {
  const key = Buffer.from(isSingle(kind) ? kind : `${kind}/${String(id).padStart(ID_DIGITS, '0')}`);
  return { key, value: record === undefined ? undefined : encodeJson(record) };
}

/** Undefined for a key that is no record's: `lead`, `timestamps`. Throws `corrupt/CORRUPT_TOPOLOGY`. */
export function decodeRecord(key: Uint8Array, value: Uint8Array): MetaWrite | undefined {
  const name = Buffer.from(key).toString();
  if (name === 'lead' || name === 'timestamps') return undefined;
  const single = SINGLE.find((each) => each === name);
  if (single !== undefined) return { kind: single, id: 0, record: decodeJson(name, value) } as MetaWrite;
  const match = /^(node|table|shard|operator)\/(\d{10})$/.exec(name);
  if (match === null) throw corrupt(name, 'no such key is known');
  const kind = MANY.find((each) => each === match[1])!;
  const record = decodeJson(name, value) as { id?: unknown };
  const id = Number(match[2]);
  if (record.id !== id) throw corrupt(name, `it holds the record of ${String(record.id)}`);
  return { kind, id, record } as unknown as MetaWrite;
}

export function encodeJson(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(toJson(value)));
}

/** `name`: for the error. Throws `corrupt/CORRUPT_TOPOLOGY`. */
export function decodeJson(name: string, value: Uint8Array): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(value).toString());
  } catch (error) {
    throw corrupt(name, error instanceof Error ? error.message : String(error));
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw corrupt(name, 'it is no record');
  return fromJson(parsed) as object;
}

function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, toJson(field)]));
}

function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && entries[0]![0] === 'bytes' && typeof entries[0]![1] === 'string')
    return Uint8Array.from(Buffer.from(entries[0]![1], 'base64'));
  return Object.fromEntries(entries.map(([name, field]) => [name, fromJson(field)]));
}

function isSingle(kind: MetaWrite['kind']): boolean {
  return SINGLE.some((each) => each === kind);
}

function corrupt(key: string, what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_TOPOLOGY', `the metaserver's record ${key}: ${what}`, { key });
}
