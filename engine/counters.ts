/** Counters: values of 8 bytes, a signed 64-bit integer, little-endian. Pure. */
import { SparrowError } from '../base/errors.ts';

export const COUNTER_BYTES = 8;
const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);

/** By how much, as the caller gave it. `invalid/TYPE`, `invalid/OPTION_RANGE`. */
export function toStep(by: bigint | number | undefined): bigint {
  if (by === undefined) return 1n;
  if (typeof by !== 'bigint' && typeof by !== 'number') {
    throw new SparrowError('invalid', 'TYPE', `by is a bigint or a number, not ${by === null ? 'null' : typeof by}`, { field: 'by' });
  }
  if (typeof by === 'bigint' ? by >= MIN && by <= MAX : Number.isSafeInteger(by)) return BigInt(by);
  throw new SparrowError('invalid', 'OPTION_RANGE', `by is a whole number of 64 bits (as a number: of 53), not ${by}`, { field: 'by' });
}

/** `invalid/NOT_A_COUNTER`, `invalid/COUNTER_OVERFLOW`. */
export function addToCounter(current: Uint8Array | undefined, by: bigint): bigint {
  const sum = (current === undefined ? 0n : decodeCounter(current)) + by;
  if (sum >= MIN && sum <= MAX) return sum;
  throw new SparrowError('invalid', 'COUNTER_OVERFLOW', `the counter would be ${sum}, which does not fit 64 bits`, {
    field: 'by',
    counter: String(sum - by),
  });
}

export function decodeCounter(value: Uint8Array): bigint {
  if (value.length === COUNTER_BYTES) return new DataView(value.buffer, value.byteOffset).getBigInt64(0, true);
  throw new SparrowError('invalid', 'NOT_A_COUNTER', `the key's value has ${value.length} bytes; a counter has ${COUNTER_BYTES}`, {
    field: 'key',
    bytes: value.length,
    limit: COUNTER_BYTES,
  });
}

export function encodeCounter(counter: bigint): Uint8Array {
  const value = new Uint8Array(COUNTER_BYTES);
  new DataView(value.buffer).setBigInt64(0, counter, true);
  return value;
}
