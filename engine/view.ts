/**
 * What a read sees, as the kernels want it: a struct in linear memory with the memtables and the tables of every level (drawn in
 * assembly/table.ts). It is changed only between kernel calls, on the caller's thread, so a read sees one state throughout.
 */
import { assert } from '../base/assert.ts';
import {
  VIEW_ACTIVE,
  VIEW_LEVEL0,
  VIEW_LEVEL0_COUNT,
  VIEW_LEVEL_COUNT,
  VIEW_LEVELS,
  VIEW_PROBES,
  VIEW_RANGES,
  VIEW_SEALED,
  VIEW_SEALED_COUNT,
} from '../assembly/memory-map.ts';
import { SMALL_BYTES_MAX, type LinearMemory } from './memory/linear-memory.ts';

const VIEW_BYTES = 64;
export const SEALED_MAX = 4;

type Piece = { address: number; bytes: number };

export class View {
  readonly address: number;
  readonly #memory: LinearMemory;
  /** Arrays of table addresses that the struct refers to. */
  #arrays: Piece[] = [];

  constructor(memory: LinearMemory) {
    this.#memory = memory;
    this.address = memory.allocateSmall(VIEW_BYTES);
  }

  /** `sealed`: newest first, at most SEALED_MAX. */
  setMemtables(active: number | undefined, sealed: readonly number[]): void {
    assert(sealed.length <= SEALED_MAX, 'sealed memtables fit the view');
    this.#set(VIEW_ACTIVE, active ?? 0);
    this.#set(VIEW_SEALED_COUNT, sealed.length);
    sealed.forEach((address, i) => this.#set(VIEW_SEALED + 4 * i, address));
  }

  /** `levels[0]`: headers newest first; below: headers by key. */
  setTables(levels: readonly (readonly number[])[]): void {
    const old = this.#arrays;
    this.#arrays = [];
    const below = levels.slice(1);
    while (below.length > 0 && below.at(-1)!.length === 0) below.pop();
    this.#set(VIEW_LEVEL0_COUNT, levels[0]?.length ?? 0);
    this.#set(VIEW_LEVEL0, this.#array(levels[0] ?? []));
    const pairs = below.flatMap((headers) => [headers.length, this.#array(headers)]);
    this.#set(VIEW_LEVEL_COUNT, below.length);
    this.#set(VIEW_LEVELS, this.#array(pairs));
    for (const piece of old) this.#freeArray(piece);
  }

  /** Address of the set of range tombstones; 0: there are none. */
  setRanges(address: number): void {
    this.#set(VIEW_RANGES, address);
  }

  /** How often reads have looked into a table of level 0; a scan's seek counts for several. Never goes back. */
  get level0Probes(): number {
    return this.#memory.f64[(this.address + VIEW_PROBES) >>> 3]!;
  }

  free(): void {
    for (const piece of this.#arrays) this.#freeArray(piece);
    this.#memory.freeSmall(this.address, VIEW_BYTES);
  }

  #set(offset: number, value: number): void {
    this.#memory.u32[(this.address + offset) >>> 2] = value;
  }

  #array(values: readonly number[]): number {
    if (values.length === 0) return 0;
    const bytes = values.length * 4;
    const address = bytes <= SMALL_BYTES_MAX ? this.#memory.allocateSmall(bytes) : this.#memory.allocate(bytes);
    this.#arrays.push({ address, bytes });
    this.#memory.u32.set(values, address >>> 2);
    return address;
  }

  #freeArray(piece: Piece): void {
    if (piece.bytes <= SMALL_BYTES_MAX) this.#memory.freeSmall(piece.address, piece.bytes);
    else this.#memory.free(piece.address, piece.bytes);
  }
}
