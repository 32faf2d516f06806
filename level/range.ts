/** Ranges of stored keys: Level's range options, and whether the target of a seek lies in one. Pure. */
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

/** Whether a stored key lies in the range. */
export function includes({ gt, gte, lt, lte }: Range, stored: Encoded): boolean {
  const key = typeof stored === 'string' ? Buffer.from(stored, 'utf8') : stored;
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
