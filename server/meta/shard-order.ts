/**
 * The shards of each table in the order of their keys: where a key's shard is found, and who is whose neighbour.
 *
 * A range begins with its first key. A hash shard (bits, index) has the hashes that end in `index`: with the order of bits reversed those are one
 * range, from the reversed index on; so siblings, which differ in their highest bit of the index only, are neighbours as ranges are.
 *
 * A sorted array for each table, searched by halving. While a split or merge is half reported two shards may begin with one key; the id decides then.
 * Pure. Used by cluster.ts.
 */
import type { ShardKeys } from '../shard/descriptor.ts';
import type { Shard } from './shard.ts';

export class ShardOrder<Entry extends Shard> {
  readonly #tables: Map<number, Entry[]> = new Map();
  /** Not in their places yet: a hundred thousand that are loaded at once are sorted once. */
  readonly #added: Map<number, Entry[]> = new Map();

  of(table: number): readonly Entry[] {
    const added = this.#added.get(table);
    if (added !== undefined) this.#settle(table, added);
    return this.#tables.get(table) ?? [];
  }

  add(shard: Entry): void {
    const { table } = shard.record;
    const added = this.#added.get(table);
    if (added) added.push(shard);
    else this.#added.set(table, [shard]);
  }

  /** By the record with which it was added. */
  remove(shard: Entry): void {
    const shards = this.of(shard.record.table) as Entry[];
    const at = placeOf(shards, shard);
    if (shards[at] === shard) shards.splice(at, 1);
  }

  #settle(table: number, added: Entry[]): void {
    this.#added.delete(table);
    const shards = this.#tables.get(table) ?? [];
    this.#tables.set(table, shards);
    if (added.length <= FEW) {
      for (const shard of added) shards.splice(placeOf(shards, shard), 0, shard);
      return;
    }
    this.#tables.set(table, merged(shards, added.sort(compare)));
  }
}

const FEW = 32;

function merged<Entry extends Shard>(a: readonly Entry[], b: readonly Entry[]): Entry[] {
  const all: Entry[] = [];
  let i = 0;
  for (const shard of b) {
    while (i < a.length && compare(a[i]!, shard) < 0) all.push(a[i++]!);
    all.push(shard);
  }
  while (i < a.length) all.push(a[i++]!);
  return all;
}

/** Where a shard is in `shards`, or would be. */
export function placeOf(shards: readonly Shard[], shard: Shard): number {
  let low = 0;
  let high = shards.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(shards[middle]!, shard) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function compare(a: Shard, b: Shard): number {
  return compareStarts(a.record.descriptor.keys, b.record.descriptor.keys) || a.id - b.id;
}

/** Below 0 when `a` begins first. */
export function compareStarts(a: ShardKeys, b: ShardKeys): number {
  if (a.kind === 'hash') return b.kind === 'hash' ? reversed(a.index) - reversed(b.index) : 1;
  return b.kind === 'hash' ? -1 : Buffer.compare(a.start, b.start);
}

/** Whether `b` begins where `a` ends. */
export function follows(a: ShardKeys, b: ShardKeys): boolean {
  if (a.kind === 'hash') return b.kind === 'hash' && reversed(a.index) + 2 ** (32 - a.bits) === reversed(b.index);
  return b.kind === 'range' && a.end !== undefined && Buffer.compare(a.end, b.start) === 0;
}

/** Whether they have a key in common. */
export function overlap(a: ShardKeys, b: ShardKeys): boolean {
  if (a.kind === 'hash' || b.kind === 'hash') {
    if (a.kind !== b.kind) return true;
    const [x, y] = [a, b] as [Extract<ShardKeys, { kind: 'hash' }>, Extract<ShardKeys, { kind: 'hash' }>];
    const from = Math.max(reversed(x.index), reversed(y.index));
    return from < Math.min(reversed(x.index) + 2 ** (32 - x.bits), reversed(y.index) + 2 ** (32 - y.bits));
  }
  const aBeforeB = a.end !== undefined && Buffer.compare(a.end, b.start) <= 0;
  const bBeforeA = b.end !== undefined && Buffer.compare(b.end, a.start) <= 0;
  return !aBeforeB && !bBeforeA;
}

/** The 32 bits of an index from the other end. */
function reversed(index: number): number {
  let left = index;
  let bits = 0;
  for (let i = 0; i < 32; i++) {
    bits = bits * 2 + (left & 1);
    left >>>= 1;
  }
  return bits;
}
