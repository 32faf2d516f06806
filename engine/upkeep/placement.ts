/**
 * Where tables from outside go among those that are there: as deep as may be, with nothing of their keys at that level or above it, because what they
 * hold is newer than all else. Pure.
 */
import type { Occupied } from '../maintenance/index.ts';
import { type AddedTable, reachesRun, type Version } from '../manifest/index.ts';
import type { TableMeta } from '../table/index.ts';

/** Levels below hold what is much larger; a table goes there in time. */
const DEEPEST = 6;

/** `tables` do not overlap. `occupied`: where compactions under way will put what they make. */
export function placeTables(version: Pick<Version, 'levels'>, occupied: readonly Occupied[], tables: readonly TableMeta[]): AddedTable[] {
  return tables.map((table) => {
    let level = 0;
    if (!version.levels[0]!.some((other) => overlaps(table, other))) {
      while (level < DEEPEST && isFree(version, occupied, level + 1, table)) level++;
    }
    return { level, table };
  });
}

function isFree(version: Pick<Version, 'levels'>, occupied: readonly Occupied[], level: number, table: TableMeta): boolean {
  return !reachesRun(version.levels[level]!, table) && !occupied.some((other) => other.level === level && overlaps(table, other));
}

function overlaps(a: Pick<TableMeta, 'smallest' | 'largest'>, b: Pick<TableMeta, 'smallest' | 'largest'>): boolean {
  return Buffer.compare(a.smallest, b.largest) <= 0 && Buffer.compare(b.smallest, a.largest) <= 0;
}
