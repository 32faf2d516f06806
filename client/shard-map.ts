/**
 * Which shards a table has, as this client knows it. Pure.
 *
 * The map comes from the metaserver, and is corrected by what nodes say when they refuse a call (`ShardNote`). Each is a copy, and may be older than the other.
 * What decides is the epoch: of two entries that have keys in common the one of the larger epoch is newer, also when they are of different shards, because a
 * split gives both halves the epoch after the parent's, and a merge gives the one that remains the epoch after both. So entries can be learned in any order.
 *
 * Invariant: no two entries have a key in common. Keys that no entry has are a hole: who needs one asks the metaserver.
 *
 *   range  entries in the order of their keys; a key is found by binary search
 *   hash   entries by the low bits of a hash; looked up for each number of bits that there is, one or two as a rule
 */
import { assert } from '../base/assert.ts';
import { keyHash } from '../base/key-hash.ts';
import type { ShardNote } from '../proto/index.ts';

export type ShardKeys = ShardNote['keys'];

export interface ShardReplica {
  readonly node: number;
  /** Has no data, and serves no reads. */
  readonly witness: boolean;
}

export interface ShardPlace {
  readonly shard: number;
  readonly epoch: number;
  readonly keys: ShardKeys;
  readonly replicas: readonly ShardReplica[];
  /** Its node; 0: not known. */
  readonly leader: number;
}

export class ShardMap {
  readonly kind: ShardKeys['kind'];
  readonly table: number;
  /** Range: in the order of keys. */
  #ordered: ShardPlace[] = [];
  /** Hash: by `codeOf`. */
  readonly #byCode: Map<number, ShardPlace> = new Map();
  /** How many entries there are of each number of bits. */
  readonly #ofBits: Map<number, number> = new Map();
  /** Those numbers, the smallest first. */
  #bits: number[] = [];
  readonly #byShard: Map<number, ShardPlace> = new Map();

  /** `places`: as the metaserver gave them. Of those that have keys in common, the newest count. */
  constructor(table: number, kind: ShardKeys['kind'], places: Iterable<ShardPlace> = []) {
    this.table = table;
    this.kind = kind;
    for (const place of places) this.learn(place);
  }

  get count(): number {
    return this.#byShard.size;
  }

  /** Range: in the order of keys; hash: in no order. */
  places(): ShardPlace[] {
    return this.kind === 'range' ? [...this.#ordered] : [...this.#byCode.values()];
  }

  /** Undefined: a hole. */
  find(key: Uint8Array): ShardPlace | undefined {
    if (this.kind === 'range') {
      const place = this.#ordered[this.#lastBegun(key)];
      return place !== undefined && hasKey(place.keys, key) ? place : undefined;
    }
    const hash = keyHash(key);
    for (const bits of this.#bits) {
      const place = this.#byCode.get(codeOf(bits, lowBits(hash, bits)));
      if (place !== undefined) return place;
    }
    return undefined;
  }

  /** Of a range table: the shard that has the keys just below `end`, undefined: the last ones. */
  findBelow(end: Uint8Array | undefined): ShardPlace | undefined {
    if (end === undefined) {
      const last = this.#ordered.at(-1);
      return last !== undefined && endOf(last) === undefined ? last : undefined;
    }
    let at = this.#lastBegun(end);
    const place = this.#ordered[at];
    if (place !== undefined && compare(startOf(place), end) === 0) at--;
    const below = this.#ordered[at];
    if (below === undefined) return undefined;
    const belowEnd = endOf(below);
    return belowEnd === undefined || compare(belowEnd, end) >= 0 ? below : undefined;
  }

  byShard(shard: number): ShardPlace | undefined {
    return this.#byShard.get(shard);
  }

  /** Whether every key has a shard. */
  get whole(): boolean {
    if (this.kind === 'hash') {
      let share = 0;
      for (const { keys } of this.#byCode.values()) if (keys.kind === 'hash') share += 2 ** -keys.bits;
      return share === 1;
    }
    let reached: Uint8Array | undefined = new Uint8Array(0);
    for (const place of this.#ordered) {
      if (reached === undefined || compare(startOf(place), reached) !== 0) return false;
      reached = endOf(place);
    }
    return reached === undefined && this.#ordered.length > 0;
  }

  /**
   * Takes an entry in, unless something newer is known of one of its keys. Entries that it has keys in common with, and other entries of the shard, go.
   * Returns whether anything has changed.
   */
  learn(place: ShardPlace): boolean {
    if (place.keys.kind !== this.kind) return false;
    const same = this.#byShard.get(place.shard);
    const others = this.overlapping(place.keys);
    if (same !== undefined && !others.includes(same)) others.push(same);
    if (others.some((other) => other.epoch > place.epoch || (other.epoch === place.epoch && other.shard === place.shard))) return false;
    // Of one epoch and different shards: what comes later is believed. It cannot be so, but for a metaserver that was restored from an old backup.
    for (const other of others) this.#remove(other);
    this.#add(place);
    return true;
  }

  /**
   * What a node said, which knows nothing of replicas: they are those of what was there before, as after a split the child's are the parent's. Returns whether
   * anything has changed.
   */
  learnNotes(notes: readonly ShardNote[]): boolean {
    const fitting = notes.filter(({ table, keys }) => table === this.table && keys.kind === this.kind);
    // Before any of them takes the place of what was there.
    const places = fitting.map(({ shard, epoch, keys }): ShardPlace => {
      const before = this.#byShard.get(shard) ?? this.overlapping(keys)[0];
      return { shard, epoch, keys, replicas: before?.replicas ?? [], leader: before?.leader ?? 0 };
    });
    let news = false;
    for (const place of places) if (this.learn(place)) news = true;
    return news;
  }

  /** The metaserver's map, with what is newer here. Returns whether keys, shards or epochs are others than here. */
  merged(places: readonly ShardPlace[]): { map: ShardMap; changed: boolean } {
    const map = new ShardMap(this.table, this.kind, places);
    for (const place of this.places()) {
      const newer = map.overlapping(place.keys).every((other) => other.epoch < place.epoch);
      const older = map.byShard(place.shard);
      if (newer && (older === undefined || older.epoch < place.epoch)) map.learn(place);
    }
    const before = new Map(this.places().map((place) => [place.shard, place.epoch]));
    const changed = map.count !== this.count || map.places().some(({ shard, epoch }) => before.get(shard) !== epoch);
    return { map, changed };
  }

  /** Index of the last entry that begins at the key or before. */
  #lastBegun(key: Uint8Array): number {
    const places = this.#ordered;
    let low = 0;
    let high = places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(startOf(places[middle]!), key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Those that have some of these keys; of a range in their order. */
  overlapping(keys: ShardKeys): ShardPlace[] {
    if (keys.kind === 'range') {
      const found: ShardPlace[] = [];
      for (let at = Math.max(0, this.#lastBegun(keys.start)); at < this.#ordered.length; at++) {
        const place = this.#ordered[at]!;
        if (keys.end !== undefined && compare(startOf(place), keys.end) >= 0) break;
        if (overlap(place.keys, keys)) found.push(place);
      }
      return found;
    }
    const found: ShardPlace[] = [];
    let finer = false;
    for (const bits of this.#bits) {
      if (bits > keys.bits) {
        finer = true;
        break;
      }
      const place = this.#byCode.get(codeOf(bits, lowBits(keys.index, bits)));
      if (place !== undefined) found.push(place);
    }
    if (!finer) return found;
    for (const place of this.#byCode.values())
      if (place.keys.kind === 'hash' && place.keys.bits > keys.bits && overlap(place.keys, keys)) found.push(place);
    return found;
  }

  #add(place: ShardPlace): void {
    const { keys } = place;
    this.#byShard.set(place.shard, place);
    if (keys.kind === 'range') {
      this.#ordered.splice(this.#lastBegun(keys.start) + 1, 0, place);
    } else {
      this.#byCode.set(codeOf(keys.bits, keys.index), place);
      this.#countBits(keys.bits, 1);
    }
  }

  #remove(place: ShardPlace): void {
    const { keys } = place;
    this.#byShard.delete(place.shard);
    if (keys.kind === 'range') {
      const at = this.#lastBegun(keys.start);
      assert(this.#ordered[at] === place, 'an entry is where its keys begin');
      this.#ordered.splice(at, 1);
    } else {
      this.#byCode.delete(codeOf(keys.bits, keys.index));
      this.#countBits(keys.bits, -1);
    }
  }

  #countBits(bits: number, change: 1 | -1): void {
    const count = (this.#ofBits.get(bits) ?? 0) + change;
    if (count === 0) this.#ofBits.delete(bits);
    else this.#ofBits.set(bits, count);
    if (count === 0 || (count === 1 && change === 1)) this.#bits = [...this.#ofBits.keys()].sort((a, b) => a - b);
  }
}

export function hasKey(keys: ShardKeys, key: Uint8Array): boolean {
  if (keys.kind === 'hash') return lowBits(keyHash(key), keys.bits) === keys.index;
  return compare(keys.start, key) <= 0 && (keys.end === undefined || compare(key, keys.end) < 0);
}

export function overlap(a: ShardKeys, b: ShardKeys): boolean {
  if (a.kind === 'hash') {
    if (b.kind !== 'hash') return false;
    const bits = Math.min(a.bits, b.bits);
    return lowBits(a.index, bits) === lowBits(b.index, bits);
  }
  if (b.kind !== 'range') return false;
  return (a.end === undefined || compare(b.start, a.end) < 0) && (b.end === undefined || compare(a.start, b.end) < 0);
}

function startOf({ keys }: ShardPlace): Uint8Array {
  return keys.kind === 'range' ? keys.start : NOTHING;
}

function endOf({ keys }: ShardPlace): Uint8Array | undefined {
  return keys.kind === 'range' ? keys.end : undefined;
}

/** One number for bits and index: a one in front of the index. */
function codeOf(bits: number, index: number): number {
  return 2 ** bits + index;
}

function lowBits(hash: number, bits: number): number {
  return bits === 32 ? hash >>> 0 : (hash & (2 ** bits - 1)) >>> 0;
}

function compare(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

const NOTHING: Uint8Array = new Uint8Array(0);
