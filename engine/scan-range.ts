/** What a scan's options mean: two bounds, a direction and a limit, checked. Pure. */
import { SparrowError } from '../base/errors.ts';
import type { Bytes, ScanOptions } from './api.ts';
import { checkOptions, toBytes } from './keys.ts';
import { internalKey, keyspaceBegin, keyspaceEnd, prefixBytesOf } from './keyspace-key.ts';

export interface ScanRange {
  /** Undefined: from the first key. */
  readonly lower: Uint8Array | undefined;
  readonly lowerExclusive: boolean;
  /** Undefined: to the last key. */
  readonly upper: Uint8Array | undefined;
  readonly upperInclusive: boolean;
  readonly reverse: boolean;
  readonly keysOnly: boolean;
  /** Infinity: no limit. */
  readonly limit: number;
}

/** A range of internal keys within one keyspace. */
export interface InternalRange extends ScanRange {
  /** Bytes of every key in front of the caller's. */
  readonly prefixBytes: number;
}

const KNOWN: readonly string[] = ['gt', 'gte', 'lt', 'lte', 'prefix', 'reverse', 'limit', 'keysOnly', 'snapshot'];

/** Throws `invalid/OPTION_UNKNOWN`, `invalid/SCAN_BOUNDS` (two bounds on one side, or a prefix with bounds), `invalid/OPTION_RANGE` (limit). */
export function scanRange(options: ScanOptions, maxKeyBytes: number): ScanRange {
  checkOptions(options, KNOWN);
  if (options.gt !== undefined && options.gte !== undefined) throw twoBounds('gt', 'gte');
  if (options.lt !== undefined && options.lte !== undefined) throw twoBounds('lt', 'lte');
  const limit = options.limit ?? Infinity;
  if (!(limit >= 0) || (limit !== Infinity && !Number.isSafeInteger(limit))) {
    throw new SparrowError('invalid', 'OPTION_RANGE', `limit is a whole number from 0, not ${String(limit)}`, { field: 'limit', min: 0 });
  }
  const reverse = options.reverse === true;
  const keysOnly = options.keysOnly === true;
  if (options.prefix !== undefined) {
    const other = (['gt', 'gte', 'lt', 'lte'] as const).find((field) => options[field] !== undefined);
    if (other !== undefined) throw twoBounds('prefix', other);
    const lower = bound(options.prefix, 'prefix')!;
    const upper = prefixEnd(lower);
    const range = { lower, lowerExclusive: false, upper, upperInclusive: false, reverse, keysOnly, limit };
    return cut(range, maxKeyBytes);
  }
  const lower = bound(options.gt ?? options.gte, options.gt === undefined ? 'gte' : 'gt');
  const upper = bound(options.lt ?? options.lte, options.lt === undefined ? 'lte' : 'lt');
  const range = {
    lower,
    lowerExclusive: options.gt !== undefined,
    upper,
    upperInclusive: options.lte !== undefined,
    reverse,
    keysOnly,
    limit,
  };
  return cut(range, maxKeyBytes);
}

/** The same range of a keyspace's keys, as internal keys. */
export function internalRange(range: ScanRange, keyspace: number): InternalRange {
  const { lower, upper } = range;
  return {
    ...range,
    prefixBytes: prefixBytesOf(keyspace),
    lower: lower === undefined ? keyspaceBegin(keyspace) : internalKey(keyspace, lower),
    upper: upper === undefined ? keyspaceEnd(keyspace) : internalKey(keyspace, upper),
  };
}

/** The smallest key above all that begin with `prefix`; undefined when there is none (no bytes, or only 0xff). */
export function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  let bytes = prefix.length;
  while (bytes > 0 && prefix[bytes - 1] === 0xff) bytes--;
  if (bytes === 0) return undefined;
  const end = Uint8Array.from(prefix.subarray(0, bytes));
  end[bytes - 1]!++;
  return end;
}

/** A copy: a scan reads its bounds again for each window, when the caller may long have written something else there. */
function bound(value: Bytes | undefined, field: string): Uint8Array | undefined {
  return value === undefined ? undefined : Uint8Array.from(toBytes(value, field));
}

/**
 * A bound longer than any key can be is cut to the longest length: no key lies between the two, and keys equal to the cut bound are
 * smaller than the bound was.
 */
function cut(range: ScanRange, maxKeyBytes: number): ScanRange {
  let { lower, lowerExclusive, upper, upperInclusive } = range;
  if (lower !== undefined && lower.length > maxKeyBytes) {
    lower = lower.subarray(0, maxKeyBytes);
    lowerExclusive = true;
  }
  if (upper !== undefined && upper.length > maxKeyBytes) {
    upper = upper.subarray(0, maxKeyBytes);
    upperInclusive = true;
  }
  return { ...range, lower, lowerExclusive, upper, upperInclusive };
}

function twoBounds(one: string, other: string): SparrowError {
  return new SparrowError('invalid', 'SCAN_BOUNDS', `${one} and ${other} cannot both bound a scan`, { field: other });
}
