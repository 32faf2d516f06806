/** What a caller gives as key, value or batch, checked against the limits. Every refusal names the field and the limit. */
import { SparrowError } from '../base/errors.ts';
import type { Bytes } from './api.ts';

/** Strings become UTF-8; arrays pass as they are. */
export function toBytes(value: Bytes, field: string): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  if (value instanceof Uint8Array) return value;
  throw new SparrowError('invalid', 'TYPE', `${field} is a Uint8Array or a string, not ${value === null ? 'null' : typeof value}`, {
    field,
  });
}

export function toKey(key: Bytes, maxKeyBytes: number): Uint8Array {
  const bytes = toBytes(key, 'key');
  if (bytes.length === 0)
    throw new SparrowError('invalid', 'KEY_EMPTY', 'key is empty; a key has at least 1 byte', { field: 'key', limit: 1 });
  if (bytes.length > maxKeyBytes) {
    throw new SparrowError('invalid', 'KEY_TOO_LARGE', `key has ${bytes.length} bytes; the limit is ${maxKeyBytes} (maxKeyBytes)`, {
      field: 'key',
      limit: maxKeyBytes,
      bytes: bytes.length,
    });
  }
  return bytes;
}

export function toValue(value: Bytes, maxValueBytes: number): Uint8Array {
  const bytes = toBytes(value, 'value');
  if (bytes.length > maxValueBytes) {
    throw new SparrowError('invalid', 'VALUE_TOO_LARGE', `value has ${bytes.length} bytes; the limit is ${maxValueBytes} (maxValueBytes)`, {
      field: 'value',
      limit: maxValueBytes,
      bytes: bytes.length,
    });
  }
  return bytes;
}

/** `invalid/TYPE` unless `options` is an object; `invalid/OPTION_UNKNOWN` for its first field that is not in `known`. */
export function checkOptions(options: object | undefined, known: readonly string[]): void {
  if (options === undefined) return;
  checkObject(options, 'options');
  for (const field in options) {
    if (!known.includes(field)) {
      throw new SparrowError('invalid', 'OPTION_UNKNOWN', `unknown option '${field}'; known are: ${known.join(', ')}`, { field });
    }
  }
}

/** `invalid/TYPE`. */
export function checkObject(value: unknown, field: string): void {
  if (typeof value === 'object' && value !== null) return;
  throw new SparrowError('invalid', 'TYPE', `${field} is an object, not ${value === null ? 'null' : typeof value}`, { field });
}

/** `invalid/TYPE`. */
export function checkArray(value: unknown, field: string): void {
  if (Array.isArray(value)) return;
  throw new SparrowError('invalid', 'TYPE', `${field} is an array, not ${value === null ? 'null' : typeof value}`, { field });
}
