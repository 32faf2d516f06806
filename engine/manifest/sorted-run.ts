/** Searching a level below level 0: its tables are in the order of their keys, and apart from one another. Pure. */
import type { TableMeta } from '../table/index.ts';

type Keys = Pick<TableMeta, 'smallest' | 'largest'>;

/** The tables that may hold keys of a range, both ends included: from `from` up to, without, `to`. */
export function runWithin(tables: readonly Keys[], { smallest, largest }: Keys): { from: number; to: number } {
  const from = firstReaching(tables, smallest);
  return { from, to: Math.max(from, firstAbove(tables, largest)) };
}

/** Whether any may hold keys of the range, both ends included. */
export function reachesRun(tables: readonly Keys[], { smallest, largest }: Keys): boolean {
  const table = tables[firstReaching(tables, smallest)];
  return table !== undefined && Buffer.compare(table.smallest, largest) <= 0;
}

/** The first that does not end below the key. */
export function firstReaching(tables: readonly Keys[], key: Uint8Array): number {
  let low = 0;
  for (let high = tables.length; low < high;) {
    const middle = (low + high) >> 1;
    if (Buffer.compare(tables[middle]!.largest, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The first that begins at the key or above it. */
export function firstFrom(tables: readonly Keys[], key: Uint8Array): number {
  let low = 0;
  for (let high = tables.length; low < high;) {
    const middle = (low + high) >> 1;
    if (Buffer.compare(tables[middle]!.smallest, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The first that begins above the key. */
export function firstAbove(tables: readonly Keys[], key: Uint8Array): number {
  const at = firstFrom(tables, key);
  return at < tables.length && Buffer.compare(tables[at]!.smallest, key) === 0 ? at + 1 : at;
}
