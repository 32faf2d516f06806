/**
 * One entry as one line of JSON: what `scan --json` prints and `import --jsonl` reads.
 *
 *   {"key":"a","value":"text"}                     both are UTF-8
 *   {"keyBase64":"/w==","valueBase64":"AAH/"}      bytes that are not UTF-8 go as base64, under a name of their own
 *
 * `version` is printed when it is known and ignored when read. With keys only there is no value.
 */
import { isUtf8 } from 'node:buffer';

import { SparrowError } from '../../base/errors.ts';

export interface ParsedEntry {
  key: Uint8Array;
  value: Uint8Array;
}

export function entryToJson(key: Uint8Array, value?: Uint8Array): string {
  return JSON.stringify({ ...named('key', key), ...(value === undefined ? {} : named('value', value)) });
}

/** Throws `invalid/JSON_ENTRY` with what is wrong with the line. */
export function entryFromJson(line: string): ParsedEntry {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (error) {
    throw invalid(`not JSON: ${(error as Error).message}`);
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record)) throw invalid('not a JSON object');
  const fields = record as Record<string, unknown>;
  for (const name of Object.keys(fields)) if (!KNOWN.has(name)) throw invalid(`unknown field ${JSON.stringify(name)}`);
  return { key: bytesOf(fields, 'key'), value: bytesOf(fields, 'value') };
}

const KNOWN: ReadonlySet<string> = new Set(['key', 'keyBase64', 'value', 'valueBase64', 'version']);
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function named(name: 'key' | 'value', bytes: Uint8Array): Record<string, string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? { [name]: buffer.toString('utf8') } : { [`${name}Base64`]: buffer.toString('base64') };
}

function bytesOf(fields: Record<string, unknown>, name: 'key' | 'value'): Uint8Array {
  const text = fields[name];
  const base64 = fields[`${name}Base64`];
  if ((text === undefined) === (base64 === undefined)) throw invalid(`needs exactly one of "${name}" and "${name}Base64"`);
  if (base64 === undefined) {
    if (typeof text !== 'string') throw invalid(`"${name}" is not a string`);
    return Buffer.from(text, 'utf8');
  }
  if (typeof base64 !== 'string' || !BASE64.test(base64)) throw invalid(`"${name}Base64" is not base64`);
  return Buffer.from(base64, 'base64');
}

function invalid(message: string): SparrowError {
  return new SparrowError('invalid', 'JSON_ENTRY', message);
}
