/** Checks what a caller passes, before anything is sent. All throw `invalid` errors that name the field. Pure. */
import { SparrowError, type ErrorDetails } from '../base/errors.ts';
import type { Bytes, CallOptions, RangeOptions, ReadOptions, ScanOptions } from './api.ts';

export const TIMEOUT_MS_MAX = 3_600_000;
export const KEYS_PER_MULTI_GET_MAX = 10_000;
const STALE_MS_MAX = 3_600_000;
const HEDGE_MS_MAX = 60_000;
const TABLE_NAME_CHARACTERS_MAX = 128;

const encoder = new TextEncoder();

type AnyNode = { staleMs: number } | undefined;

/** Strings as UTF-8; a Uint8Array as it is: it must not change until the call settles. */
export function toBytes(bytes: Bytes, field: string): Uint8Array {
  if (typeof bytes === 'string') return encoder.encode(bytes);
  if (bytes instanceof Uint8Array) return bytes;
  throw invalid('BYTES_TYPE', `${field} must be a string or a Uint8Array, not ${typeName(bytes)}`, { field });
}

export function toKey(key: Bytes): Uint8Array {
  const bytes = toBytes(key, 'key');
  if (bytes.length === 0) throw invalid('KEY_EMPTY', 'key is empty; a key has at least one byte', { field: 'key' });
  return bytes;
}

export function checkTableName(name: unknown): string {
  if (typeof name === 'string' && name.length <= TABLE_NAME_CHARACTERS_MAX && /^[A-Za-z0-9._-]+$/.test(name)) return name;
  const message = `a table's name is 1 to ${TABLE_NAME_CHARACTERS_MAX} letters, digits, '.', '_' and '-', not ${JSON.stringify(name)}`;
  throw invalid('TABLE_NAME', message, { field: 'name', limit: TABLE_NAME_CHARACTERS_MAX });
}

export const CALL_OPTIONS: ReadonlySet<string> = new Set<keyof CallOptions>(['signal', 'timeoutMs']);
const READ_OPTIONS: ReadonlySet<string> = new Set<keyof ReadOptions>(['signal', 'timeoutMs', 'from', 'staleMs', 'hedgeMs']);
export const RANGE_OPTIONS: ReadonlySet<string> = new Set<keyof RangeOptions>(['gt', 'gte', 'lt', 'lte', 'prefix']);
export const SCAN_OPTIONS: ReadonlySet<string> = new Set<keyof ScanOptions>([
  'gt',
  'gte',
  'lt',
  'lte',
  'prefix',
  'reverse',
  'limit',
  'keysOnly',
  'from',
  'staleMs',
  'signal',
  'timeoutMs',
]);

export function checkNames(options: object, known: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null) {
    throw invalid('OPTION_TYPE', `options must be an object, not ${typeName(options)}`, { field: 'options' });
  }
  for (const name in options) {
    if (!known.has(name)) {
      throw invalid('OPTION_UNKNOWN', `unknown option ${JSON.stringify(name)}; known are ${[...known].join(', ')}`, { field: name });
    }
  }
}

/** The options of a call, checked. Called for each call: cheap when there are none. */
export function checkCallOptions(options: CallOptions | undefined): void {
  if (options === undefined) return;
  checkNames(options, CALL_OPTIONS);
  checkCallValues(options);
}

/** The options of a read, checked. Returns what a request says of where it may be served. */
export function checkReadOptions(options: ReadOptions | undefined): AnyNode {
  if (options === undefined) return undefined;
  checkNames(options, READ_OPTIONS);
  checkCallValues(options);
  const { hedgeMs } = options;
  if (hedgeMs !== undefined && hedgeMs !== 'p99.9') checkInteger('hedgeMs', hedgeMs, 1, HEDGE_MS_MAX);
  return toAnyNode(options);
}

/** Undefined: by the leader alone. */
export function toAnyNode({ from, staleMs }: Pick<ReadOptions, 'from' | 'staleMs'>): AnyNode {
  if (from !== undefined && from !== 'leader' && from !== 'any' && from !== 'nearest') {
    throw invalid('OPTION_RANGE', `from must be 'leader', 'any' or 'nearest', not ${JSON.stringify(from)}`, { field: 'from' });
  }
  const anywhere = from === 'any' || from === 'nearest';
  if (staleMs !== undefined) {
    checkInteger('staleMs', staleMs, 1, STALE_MS_MAX);
    if (!anywhere) throw invalid('OPTION_CONFLICT', `staleMs is for reads from: 'any' or 'nearest'`, { field: 'staleMs' });
  }
  return anywhere ? { staleMs: staleMs ?? 0 } : undefined;
}

export function checkCallValues({ signal, timeoutMs }: CallOptions): void {
  if (timeoutMs !== undefined) checkInteger('timeoutMs', timeoutMs, 1, TIMEOUT_MS_MAX);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalid('OPTION_TYPE', `signal must be an AbortSignal, not ${typeName(signal)}`, { field: 'signal' });
  }
}

export function checkInteger(field: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid('OPTION_RANGE', `${field} must be a whole number from ${min} to ${max}, not ${String(value)}`, { field, min, max });
  }
  return value;
}

export function checkBoolean(field: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalid('OPTION_TYPE', `${field} must be true or false, not ${typeName(value)}`, { field });
  return value;
}

/** The bounds as bytes; what is absent stays absent. Empty bounds are allowed: `gte: ''` is the beginning, as is the empty prefix. */
export function toRange(options: RangeOptions): Record<string, Uint8Array> {
  const range: Record<string, Uint8Array> = {};
  for (const name of RANGE_OPTIONS as ReadonlySet<keyof RangeOptions>) {
    const bound = options[name];
    if (bound !== undefined) range[name] = toBytes(bound, name);
  }
  if (range['gt'] !== undefined && range['gte'] !== undefined) throw twoBounds('gt', 'gte');
  if (range['lt'] !== undefined && range['lte'] !== undefined) throw twoBounds('lt', 'lte');
  return range;
}

export function invalid(code: string, message: string, details: ErrorDetails): SparrowError {
  return new SparrowError('invalid', code, message, details);
}

function twoBounds(one: string, other: string): SparrowError {
  return invalid('OPTION_CONFLICT', `${one} and ${other} cannot be given together`, { field: one });
}

function typeName(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
}
