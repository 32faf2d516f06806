/**
 * Owns the memory of a value cache (assembly/value-cache.ts). Any number of engines of one linear memory may share it, each under a number
 * of its own; only the caller's thread uses it. The ring takes address space at once, but memory only as it fills.
 */
import { VALUE_CACHE_BYTES, VALUE_CACHE_ENTRIES, VALUE_CACHE_USED } from '../assembly/memory-map.ts';
import { type LinearMemory, unitBytes } from './memory/linear-memory.ts';

/** Slots are for values of this size on the average; smaller ones run out of slots first. */
const VALUE_BYTES_EXPECTED = 1024;
const ENTRY_UNIT_BYTES = 32;
/** Of the ring, one value takes a quarter at most, its header and what it is rounded up by included. */
const CACHED_PART = 4;
const ENTRY_HEADER_BYTES_MAX = 128;

export class ValueCache {
  readonly #memory: LinearMemory;
  readonly #address: number;
  readonly #ring: { address: number; bytes: number };
  readonly #slots: { address: number; bytes: number };
  readonly #find: (...operands: number[]) => number;
  readonly #reserve: (...operands: number[]) => number;
  readonly #commit: (...operands: number[]) => number;
  #owners = 0;

  /** `bytes`: what it may take; 0: it keeps nothing. */
  constructor(memory: LinearMemory, bytes: number) {
    this.#memory = memory;
    this.#address = memory.allocateSmall(VALUE_CACHE_BYTES);
    const slots = slotsFor(bytes);
    const slotBytes = slots * 2 * 4;
    this.#slots = { address: memory.allocateCleared(slotBytes), bytes: slotBytes };
    const ringBytes = Math.max(ENTRY_UNIT_BYTES, Math.floor(bytes / ENTRY_UNIT_BYTES) * ENTRY_UNIT_BYTES);
    this.#ring = { address: memory.allocate(ringBytes), bytes: ringBytes };
    const { kernel } = memory;
    kernel['valueCacheInit']!(this.#address, this.#ring.address, this.#ring.bytes, this.#slots.address, slots * 2);
    this.#find = kernel['valueCacheFind']!;
    this.#reserve = kernel['valueCacheReserve']!;
    this.#commit = kernel['valueCacheCommit']!;
  }

  /** A number under which an engine keeps its values. */
  takeOwner(): number {
    return ++this.#owners;
  }

  /** Address of the verified value that the pointer at `pointer` refers to, or 0. Valid until the next `reserve`. */
  find(owner: number, pointer: number): number {
    return this.#find(this.#address, owner, pointer) >>> 0;
  }

  /** Where to read a value of `bytes` to, or 0 when it is too large to be kept. Once it is verified, `commit` keeps it. */
  reserve(bytes: number): number {
    return this.#reserve(this.#address, bytes) >>> 0;
  }

  commit(owner: number, pointer: number, value: number): void {
    this.#commit(this.#address, owner, pointer, value);
  }

  /** Forgets an owner's values. */
  drop(owner: number): void {
    this.#memory.kernel['valueCacheDrop']!(this.#address, owner);
  }

  get entries(): number {
    return this.#memory.u32[(this.#address + VALUE_CACHE_ENTRIES) >>> 2]!;
  }

  get usedBytes(): number {
    return this.#memory.u32[(this.#address + VALUE_CACHE_USED) >>> 2]!;
  }

  free(): void {
    for (const { address, bytes } of [this.#ring, this.#slots]) this.#memory.free(address, bytes);
    this.#memory.freeSmall(this.#address, VALUE_CACHE_BYTES);
  }
}

/** What a cache for `bytes` of values takes. */
export function valueCacheMemory(bytes: number): number {
  return unitBytes(Math.max(ENTRY_UNIT_BYTES, bytes)) + unitBytes(slotsFor(bytes) * 2 * 4);
}

/** The largest value that a cache of `bytes` keeps; larger ones are read into a window. */
export function cachedValueBytesMax(bytes: number): number {
  return Math.max(0, Math.floor(bytes / CACHED_PART) - ENTRY_HEADER_BYTES_MAX);
}

function slotsFor(bytes: number): number {
  let slots = 16;
  while (slots * VALUE_BYTES_EXPECTED < bytes) slots *= 2;
  return slots;
}
