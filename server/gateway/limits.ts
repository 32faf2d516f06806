/** What a request may hold. Every refusal names the field, its size and the limit. */
import { SparrowError } from '../../base/errors.ts';
import type { AnyNode, RequestId } from '../../proto/index.ts';
import { AT_LEADER, CLIENT_BYTES_MAX, type CommandRequestId, type ReadTerms } from '../node/index.ts';

export interface Limits {
  maxKeyBytes: number;
  maxValueBytes: number;
  maxWriteBytes: number;
}

export function checkKey(key: Uint8Array, field: string, limits: Limits): void {
  if (key.length === 0) throw new SparrowError('invalid', 'KEY_EMPTY', `${field} is empty; a key has at least one byte`, { field, min: 1 });
  if (key.length > limits.maxKeyBytes) throw tooLarge('KEY_TOO_LARGE', field, key.length, limits.maxKeyBytes);
}

/** A bound of a range may be empty. */
export function checkBound(key: Uint8Array | undefined, field: string, limits: Limits): void {
  if (key !== undefined && key.length > limits.maxKeyBytes) throw tooLarge('KEY_TOO_LARGE', field, key.length, limits.maxKeyBytes);
}

export function checkValue(value: Uint8Array, field: string, limits: Limits): void {
  if (value.length > limits.maxValueBytes) throw tooLarge('VALUE_TOO_LARGE', field, value.length, limits.maxValueBytes);
}

export function checkWriteBytes(bytes: number, limits: Limits): void {
  if (bytes > limits.maxWriteBytes) throw tooLarge('WRITE_TOO_LARGE', 'operations', bytes, limits.maxWriteBytes);
}

/** The id of a write as the command carries it. */
export function checkRequestId(id: RequestId | undefined): CommandRequestId | undefined {
  if (id === undefined) return undefined;
  if (id.client.length === 0 || id.client.length > CLIENT_BYTES_MAX) {
    throw new SparrowError('invalid', 'REQUEST_ID', `request_id.client has 1 to ${CLIENT_BYTES_MAX} bytes, not ${id.client.length}`, {
      field: 'request_id.client',
      limit: CLIENT_BYTES_MAX,
    });
  }
  if (id.sequence < 1) {
    throw new SparrowError('invalid', 'REQUEST_ID', 'request_id.sequence counts from 1', { field: 'request_id.sequence', min: 1 });
  }
  return id;
}

/** Who may serve a read, and how old it may be. */
export function readTerms(anyNode: AnyNode | undefined): ReadTerms {
  return anyNode === undefined ? AT_LEADER : { anyMember: true, staleMs: anyNode.staleMs };
}

export function tooLarge(code: string, field: string, bytes: number, limit: number): SparrowError {
  return new SparrowError('invalid', code, `${field} has ${bytes} bytes; at most ${limit} are taken`, { field, bytes, limit });
}
