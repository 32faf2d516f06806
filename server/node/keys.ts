/**
 * Keys of the engine under a replica: one byte in front tells a user's key (0x01) from the replica's own records (0x00). The byte is
 * added when a command is encoded and taken off when an answer leaves; no user can name a key of the replica.
 */
import type { ScanOptions } from '../../engine/index.ts';
import type { RangeKeys } from '../shard/descriptor.ts';

export const OWN_PREFIX = 0x00;
export const USER_PREFIX = 0x01;

const FIRST_USER_KEY: Uint8Array = Uint8Array.of(USER_PREFIX);
const AFTER_USER_KEYS: Uint8Array = Uint8Array.of(USER_PREFIX + 1);

/** A range of a user's keys as it was asked for. */
export interface KeyRange {
  gt?: Uint8Array | undefined;
  gte?: Uint8Array | undefined;
  lt?: Uint8Array | undefined;
  lte?: Uint8Array | undefined;
  prefix?: Uint8Array | undefined;
}

/** The same range in the engine's keys: from `start`, included, to `end`, excluded. */
export interface EngineRange {
  start: Uint8Array;
  end: Uint8Array;
}

export function engineKey(key: Uint8Array): Uint8Array {
  const prefixed = new Uint8Array(key.length + 1);
  prefixed[0] = USER_PREFIX;
  prefixed.set(key, 1);
  return prefixed;
}

/** Aliases its argument. */
export function userKey(key: Uint8Array): Uint8Array {
  return key.subarray(1);
}

/** All given bounds hold together. An empty range has start >= end. */
export function engineRange(range: KeyRange): EngineRange {
  const starts = [FIRST_USER_KEY];
  const ends = [AFTER_USER_KEYS];
  if (range.gte !== undefined) starts.push(engineKey(range.gte));
  if (range.gt !== undefined) starts.push(successor(engineKey(range.gt)));
  if (range.lt !== undefined) ends.push(engineKey(range.lt));
  if (range.lte !== undefined) ends.push(successor(engineKey(range.lte)));
  if (range.prefix !== undefined) {
    starts.push(engineKey(range.prefix));
    ends.push(prefixEnd(engineKey(range.prefix)));
  }
  return { start: starts.reduce((a, b) => (compareKeys(a, b) >= 0 ? a : b)), end: ends.reduce((a, b) => (compareKeys(a, b) <= 0 ? a : b)) };
}

/** What of it is a shard's. May be empty. */
export function clampRange({ start, end }: EngineRange, keys: RangeKeys): EngineRange {
  const from = engineKey(keys.start);
  const to = keys.end === undefined ? AFTER_USER_KEYS : engineKey(keys.end);
  return { start: compareKeys(start, from) >= 0 ? start : from, end: compareKeys(end, to) <= 0 ? end : to };
}

export function isEmpty(range: EngineRange): boolean {
  return compareKeys(range.start, range.end) >= 0;
}

export function scanOptions(range: EngineRange): ScanOptions {
  return { gte: range.start, lt: range.end };
}

/** By unsigned bytes; a key comes before the longer ones that begin with it. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

/** The first key after this one. */
export function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** The first key after all that begin with `prefix`; the prefix's first byte is not 0xff. */
function prefixEnd(prefix: Uint8Array): Uint8Array {
  let last = prefix.length - 1;
  while (prefix[last] === 0xff) last--;
  const end = prefix.slice(0, last + 1);
  end[last]!++;
  return end;
}
