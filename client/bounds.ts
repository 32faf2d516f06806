/**
 * A range of keys as two bounds: what a scan or a range delete over several shards is divided by. Pure.
 *
 * `start` is included unless `startOpen`; `end` is excluded unless `endClosed`. Both are keys that exist as such: no zero byte is put behind a key, which might
 * make it longer than a server takes.
 */
import type { ShardKeys, ShardMap, ShardPlace } from './shard-map.ts';

export interface Bounds {
  readonly start: Uint8Array;
  readonly startOpen: boolean;
  /** Undefined: to the last key. */
  readonly end: Uint8Array | undefined;
  readonly endClosed: boolean;
}

/** `range`: gt, gte, lt, lte and prefix, as a request has them; all must hold. */
export function boundsOf(range: Readonly<Record<string, Uint8Array | undefined>>): Bounds {
  const { gt, gte, lt, lte, prefix } = range;
  let bounds: Bounds = {
    start: gt ?? gte ?? NOTHING,
    startOpen: gt !== undefined,
    end: lt ?? lte,
    endClosed: lt === undefined && lte !== undefined,
  };
  if (prefix !== undefined && prefix.length > 0) {
    bounds = within(bounds, { start: prefix, startOpen: false, end: behindPrefix(prefix), endClosed: false });
  }
  return bounds;
}

/** The part of `bounds` that is in `other`, too. */
export function within(bounds: Bounds, other: Bounds): Bounds {
  let { start, startOpen, end, endClosed } = bounds;
  const byStart = Buffer.compare(other.start, start);
  if (byStart > 0 || (byStart === 0 && other.startOpen)) ({ start, startOpen } = other);
  if (other.end !== undefined) {
    const byEnd = end === undefined ? -1 : Buffer.compare(other.end, end);
    if (byEnd < 0 || (byEnd === 0 && !other.endClosed)) ({ end, endClosed } = other);
  }
  return { start, startOpen, end, endClosed };
}

export function isEmptyBounds({ start, startOpen, end, endClosed }: Bounds): boolean {
  if (end === undefined) return false;
  const order = Buffer.compare(start, end);
  return order > 0 || (order === 0 && (startOpen || !endClosed));
}

/** What of the bounds is the shard's; all of it of a hash table, whose shards have keys everywhere. */
export function withinShard(bounds: Bounds, keys: ShardKeys): Bounds {
  if (keys.kind === 'hash') return bounds;
  return within(bounds, { start: keys.start, startOpen: false, end: keys.end, endClosed: false });
}

/** As a request says it. */
export function rangeOfBounds({ start, startOpen, end, endClosed }: Bounds): Record<string, Uint8Array> {
  return {
    ...((start.length > 0 || startOpen) && { [startOpen ? 'gt' : 'gte']: start }),
    ...(end !== undefined && { [endClosed ? 'lte' : 'lt']: end }),
  };
}

/** What is left of the bounds after this key was come to, from the small keys up or from the large ones down. */
export function after(bounds: Bounds, key: Uint8Array, reverse: boolean): Bounds {
  return within(
    bounds,
    reverse
      ? { start: NOTHING, startOpen: false, end: key, endClosed: false }
      : { start: key, startOpen: true, end: undefined, endClosed: false },
  );
}

/** What of the bounds is up to this key, which is included. */
export function until(bounds: Bounds, key: Uint8Array): Bounds {
  return within(bounds, { start: NOTHING, startOpen: false, end: key, endClosed: true });
}

/** What is left after all keys of a range shard. Undefined: nothing. */
export function behindShard(bounds: Bounds, keys: ShardKeys, reverse: boolean): Bounds | undefined {
  if (keys.kind === 'hash') return undefined;
  if (!reverse && keys.end === undefined) return undefined;
  if (reverse && keys.start.length === 0) return undefined;
  const rest = within(
    bounds,
    reverse
      ? { start: NOTHING, startOpen: false, end: keys.start, endClosed: false }
      : { start: keys.end as Uint8Array, startOpen: false, end: undefined, endClosed: false },
  );
  return isEmptyBounds(rest) ? undefined : rest;
}

/** Of a range table: the shard that has the first keys of the bounds, or the last ones. Undefined: a hole in the map. */
export function firstShard(map: ShardMap, { start, end, endClosed }: Bounds, reverse: boolean): ShardPlace | undefined {
  if (!reverse) return map.find(start);
  return end !== undefined && endClosed ? map.find(end) : map.findBelow(end);
}

/** The smallest bytes behind all that begin with the prefix; undefined: there are none. */
function behindPrefix(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  // A copy: `slice` of a Buffer is none, and the prefix is the caller's.
  const behind = new Uint8Array(prefix.subarray(0, length));
  behind[length - 1]!++;
  return behind;
}

const NOTHING: Uint8Array = new Uint8Array(0);
