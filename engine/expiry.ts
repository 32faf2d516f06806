/** When what is written is to expire, from what the caller and the keyspace say. Times are milliseconds since the epoch. Pure. */
import { SparrowError } from '../base/errors.ts';
import type { Expiry } from './api.ts';

/** Stands for no expiry: no time is 0. */
export const NEVER = 0;
export const TTL_MS_MAX: number = 2 ** 52;

/** `invalid/EXPIRY` when both are given, `invalid/OPTION_RANGE`. `keyspaceTtlMs`: what holds where neither is, 0 for none. */
export function expiryOf({ ttlMs, expiresAtMs }: Expiry, keyspaceTtlMs: number, nowMs: () => number): number {
  if (expiresAtMs !== undefined) {
    if (ttlMs !== undefined) {
      throw new SparrowError('invalid', 'EXPIRY', 'ttlMs and expiresAtMs cannot both say when a value expires', { field: 'expiresAtMs' });
    }
    if (!Number.isSafeInteger(expiresAtMs) || expiresAtMs < 1) {
      throw outOfRange('expiresAtMs', expiresAtMs, Number.MAX_SAFE_INTEGER);
    }
    return expiresAtMs;
  }
  if (ttlMs === undefined) return keyspaceTtlMs === 0 ? NEVER : nowMs() + keyspaceTtlMs;
  return ttlMs === Infinity ? NEVER : nowMs() + checkTtl(ttlMs);
}

/** `invalid/OPTION_RANGE`. */
export function checkTtl(ttlMs: number): number {
  if (Number.isSafeInteger(ttlMs) && ttlMs >= 1 && ttlMs <= TTL_MS_MAX) return ttlMs;
  throw outOfRange('ttlMs', ttlMs, TTL_MS_MAX);
}

function outOfRange(field: string, value: unknown, max: number): SparrowError {
  return new SparrowError(
    'invalid',
    'OPTION_RANGE',
    `${field} is a whole number of milliseconds from 1 to ${max}, not ${typeof value === 'string' ? `'${value}'` : String(value)}`,
    {
      field,
      min: 1,
      max,
    },
  );
}
