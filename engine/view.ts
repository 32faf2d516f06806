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
import { changedSpan } from './changed-span.ts';
import { SMALL_BYTES_MAX, type LinearMemory } from './memory/linear-memory.ts';
import type { TableMeta } from './table/index.ts';

const VIEW_BYTES = 64;
export const SEALED_MAX = 4;

type Piece = { readonly address: number; readonly bytes: number };
type Level = { readonly tables: readonly TableMeta[]; readonly piece: Piece };

const NO_PIECE: Piece = { address: 0, bytes: 0 };
const NO_LEVEL: Level = { tables: [], piece: NO_PIECE };

export class View {
  readonly address: number;
  readonly #memory: LinearMemory;
  /** By level: its tables, and the array of their addresses that the struct refers to. */
  #levels: Level[] = [];
  /** Counts and arrays of the levels below level 0. */
  #pairs: Piece = NO_PIECE;

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

  /** `levels[0]`: newest first; below: by key. `headerOf`: asked for tables that a level did not have. A level costs what has changed of it. */
  setTables(levels: readonly (readonly TableMeta[])[], headerOf: (table: TableMeta) => number): void {
    const old = this.#levels;
    const oldPairs = this.#pairs;
    const used = Math.max(1, levels.findLastIndex((tables) => tables.length > 0) + 1);
    this.#levels = levels.slice(0, used).map((tables, level) => this.#level(old[level] ?? NO_LEVEL, tables, headerOf));
    const [flushed, ...below] = this.#levels as [Level, ...Level[]];
    this.#pairs = this.#allocate(below.length * 8);
    this.#memory.u32.set(
      below.flatMap(({ tables, piece }) => [tables.length, piece.address]),
      this.#pairs.address >>> 2,
    );
    this.#set(VIEW_LEVEL0_COUNT, flushed.tables.length);
    this.#set(VIEW_LEVEL0, flushed.piece.address);
    this.#set(VIEW_LEVEL_COUNT, below.length);
    this.#set(VIEW_LEVELS, this.#pairs.address);
    for (const [level, { piece }] of old.entries()) if (piece !== this.#levels[level]?.piece) this.#free(piece);
    this.#free(oldPairs);
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
    for (const { piece } of this.#levels) this.#free(piece);
    this.#free(this.#pairs);
    this.#memory.freeSmall(this.address, VIEW_BYTES);
  }

  #set(offset: number, value: number): void {
    this.#memory.u32[(this.address + offset) >>> 2] = value;
  }

  #level(old: Level, tables: readonly TableMeta[], headerOf: (table: TableMeta) => number): Level {
    if (old.tables === tables) return old;
    const { u32 } = this.#memory;
    const piece = this.#allocate(tables.length * 4);
    const [from, to] = [old.piece.address >>> 2, piece.address >>> 2];
    const span = changedSpan(old.tables, tables);
    u32.copyWithin(to, from, from + span.from);
    for (let i = span.from; i < span.afterEnd; i++) u32[to + i] = headerOf(tables[i]!);
    u32.copyWithin(to + span.afterEnd, from + span.beforeEnd, from + old.tables.length);
    return { tables, piece };
  }

  #allocate(bytes: number): Piece {
    if (bytes === 0) return NO_PIECE;
    return { address: bytes <= SMALL_BYTES_MAX ? this.#memory.allocateSmall(bytes) : this.#memory.allocate(bytes), bytes };
  }

  #free({ address, bytes }: Piece): void {
    if (bytes === 0) return;
    if (bytes <= SMALL_BYTES_MAX) this.#memory.freeSmall(address, bytes);
    else this.#memory.free(address, bytes);
  }
}
