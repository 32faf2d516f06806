/** Ranges of stored keys: Level's range options, and what is left of them behind the target of a seek. Pure. */
import { type Encoded, storedKey } from './stored-key.ts';

/** At most one bound on each side. No bound: up to the first or the last key. */
export interface Range {
  readonly gt?: Uint8Array;
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly lte?: Uint8Array;
}

/** Range options as Level hands them down, keys encoded. `gte` takes precedence over `gt`, `lte` over `lt`. */
export interface RangeOptions {
  readonly gt?: Encoded;
  readonly gte?: Encoded;
  readonly lt?: Encoded;
  readonly lte?: Encoded;
}

export function rangeOf({ gt, gte, lt, lte }: RangeOptions): Range {
  return {
    ...(gte !== undefined ? { gte: boundBytes(gte) } : gt !== undefined ? { gt: boundBytes(gt) } : {}),
    ...(lte !== undefined ? { lte: boundBytes(lte) } : lt !== undefined ? { lt: boundBytes(lt) } : {}),
  };
}

/** The part of `range` from `target` on, `target` included; downwards when `reverse`. Undefined when the range has no place for it. */
export function rangeFrom(range: Range, target: Encoded, reverse: boolean): Range | undefined {
  const bytes = boundBytes(target);
  if (!includes(range, bytes)) return undefined;
  const { gt, gte, lt, lte } = range;
  if (reverse) return { ...(gte && { gte }), ...(gt && { gt }), lte: bytes };
  return { ...(lte && { lte }), ...(lt && { lt }), gte: bytes };
}

function includes({ gt, gte, lt, lte }: Range, key: Uint8Array): boolean {
  if (gte !== undefined && Buffer.compare(key, gte) < 0) return false;
  if (gt !== undefined && Buffer.compare(key, gt) <= 0) return false;
  if (lte !== undefined && Buffer.compare(key, lte) > 0) return false;
  return lt === undefined || Buffer.compare(key, lt) < 0;
}

/** A copy: the caller may write something else where it keeps its bounds, and seeks are held against them later. */
function boundBytes(bound: Encoded): Uint8Array {
  const key = storedKey(bound);
  return typeof key === 'string' ? Buffer.from(key, 'utf8') : Uint8Array.from(key);
}
