/** Tables of a directory whose manifest nobody knows: which of them overlap, and so have to be merged. Pure. */
import type { TableMeta } from '../table/index.ts';
import type { DamagedTable, SalvagedEntry } from './salvage-table.ts';

/** A table that was found in the directory; with `meta` it is sound. */
export interface FoundTable extends DamagedTable {
  readonly smallest: Uint8Array;
  readonly largest: Uint8Array;
  readonly maxSequence: number;
  readonly meta: TableMeta | undefined;
  /** By its own account it has all that it ever had. One that does not say so was cut short by a crash, or has lost its footer. */
  readonly complete: boolean;
  /** Records of the log that take part as if they were a table. */
  readonly records?: readonly SalvagedEntry[];
}

/** Groups of tables such that no two of different groups overlap, by key. */
export function overlapping(tables: readonly FoundTable[]): FoundTable[][] {
  const groups: FoundTable[][] = [];
  let end: Uint8Array | undefined;
  for (const table of tables.toSorted((a, b) => Buffer.compare(a.smallest, b.smallest))) {
    if (end !== undefined && Buffer.compare(table.smallest, end) <= 0) groups.at(-1)!.push(table);
    else groups.push([table]);
    if (end === undefined || Buffer.compare(table.largest, end) > 0) end = table.largest;
  }
  return groups;
}
