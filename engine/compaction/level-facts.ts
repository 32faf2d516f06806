/**
 * What the picker asks of the levels again and again: sums over their tables, and which table of a level goes down at the least cost. Carried on from
 * one version to the next, so that a pick among thousands of tables costs what has changed, and the caller's thread, which picks, is not held for
 * milliseconds. Pure: what was carried on is what would be found anew.
 */
import { changedSpan } from '../changed-span.ts';
import { firstAbove, firstReaching } from '../manifest/index.ts';
import type { TableMeta } from '../table/index.ts';
import { isFullOfDeletes } from './full-of-deletes.ts';

type Tables = readonly TableMeta[];

export interface LevelSums {
  readonly bytes: number;
  /** Of large values that its tables refer to. */
  readonly valueBytes: number;
  /** How many of its tables have anything that expires, and how many are full of deletes. */
  readonly expiring: number;
  readonly fullOfDeletes: number;
}

const NOTHING: LevelSums = { bytes: 0, valueBytes: 0, expiring: 0, fullOfDeletes: 0 };

export class LevelFacts {
  #levels: readonly Tables[] = [];
  #sums: LevelSums[] = [];
  /** By level, once asked for. */
  readonly #costs: (DownCosts | undefined)[] = [];

  constructor(levels: readonly Tables[]) {
    this.update(levels);
  }

  /** These are the levels now. */
  update(levels: readonly Tables[]): void {
    const before = this.#levels;
    this.#sums = levels.map((tables, level) => carriedOn(this.#sums[level] ?? NOTHING, before[level] ?? [], tables));
    this.#levels = levels;
  }

  of(level: number): LevelSums {
    return this.#sums[level] ?? NOTHING;
  }

  /** Bytes of large values that all tables refer to. */
  get valueBytes(): number {
    return this.#sums.reduce((total, { valueBytes }) => total + valueBytes, 0);
  }

  /** Of a level's tables the one with the least to rewrite below for its size. There is one, and the level is not level 0. */
  cheapestDown(level: number): TableMeta {
    const costs = new DownCosts(this.#levels[level]!, this.#levels[level + 1]!, this.#costs[level]);
    this.#costs[level] = costs;
    return costs.cheapest();
  }
}

function carriedOn(sums: LevelSums, before: Tables, after: Tables): LevelSums {
  if (before === after) return sums;
  const { from, beforeEnd, afterEnd } = changedSpan(before, after);
  let { bytes, valueBytes, expiring, fullOfDeletes } = sums;
  const count = (table: TableMeta, sign: 1 | -1): void => {
    bytes += sign * table.bytes;
    for (const reference of table.references) valueBytes += sign * reference.bytes;
    if (table.expiring) expiring += sign;
    if (isFullOfDeletes(table)) fullOfDeletes += sign;
  };
  for (let i = from; i < beforeEnd; i++) count(before[i]!, -1);
  for (let i = from; i < afterEnd; i++) count(after[i]!, 1);
  return { bytes, valueBytes, expiring, fullOfDeletes };
}

/** Bytes of the tables of the next level that each table of a level overlaps. */
class DownCosts {
  readonly #tables: Tables;
  readonly #below: Tables;
  readonly #bytes: Float64Array;

  constructor(tables: Tables, below: Tables, before?: DownCosts) {
    this.#tables = tables;
    this.#below = below;
    if (before && before.#tables === tables && before.#below === below) {
      this.#bytes = before.#bytes;
      return;
    }
    this.#bytes = new Float64Array(tables.length);
    if (before) this.#carryOn(before);
    else this.#measure(0, tables.length);
  }

  cheapest(): TableMeta {
    let best = this.#tables[0]!;
    let bestCost = Infinity;
    for (const [i, bytes] of this.#bytes.entries()) {
      const table = this.#tables[i]!;
      const cost = bytes / table.bytes;
      if (cost < bestCost || (cost === bestCost && table.fileId < best.fileId)) [best, bestCost] = [table, cost];
    }
    return best;
  }

  #carryOn(before: DownCosts): void {
    const tables = this.#tables;
    const own = changedSpan(before.#tables, tables);
    this.#bytes.set(before.#bytes.subarray(0, own.from));
    this.#bytes.set(before.#bytes.subarray(own.beforeEnd), own.afterEnd);
    this.#measure(own.from, own.afterEnd);
    if (before.#below === this.#below) return;
    // Tables that hold nothing of the keys between what has stayed below, in front of the change and behind it, see what they saw.
    const { from, afterEnd } = changedSpan(before.#below, this.#below);
    const first = from === 0 ? 0 : firstReaching(tables, this.#below[from - 1]!.largest);
    const end = afterEnd === this.#below.length ? tables.length : firstAbove(tables, this.#below[afterEnd]!.smallest);
    this.#measure(first, end);
  }

  /** Both are in the order of keys: the search goes on where the table before has led it. */
  #measure(from: number, end: number): void {
    const below = this.#below;
    if (from >= end) return;
    let at = firstReaching(below, this.#tables[from]!.smallest);
    for (let i = from; i < end; i++) {
      const { smallest, largest } = this.#tables[i]!;
      while (at < below.length && Buffer.compare(below[at]!.largest, smallest) < 0) at++;
      let bytes = 0;
      let reached = at;
      for (; reached < below.length && Buffer.compare(below[reached]!.smallest, largest) <= 0; reached++) bytes += below[reached]!.bytes;
      // The last of them may reach into the next table as well.
      at = Math.max(at, reached - 1);
      this.#bytes[i] = bytes;
    }
  }
}
