/**
 * Where the entries of one group lie: 12 bytes an entry, in chunks of 128.
 *
 *   | segment u32 | plain 1 bit, offset / 8 29 bits | length of the frame's data u32 |        segment 0: not known, the entry is missing
 *
 * Segments do not fall with the index, as an entry is always written after the one before it; entries that were filled in are the exception.
 * Used by group-state.ts.
 */
import { assert } from '../../../base/assert.ts';

const CHUNK_ENTRIES = 128;
const WORDS = 3;
const PLAIN = 0x8000_0000;

export interface EntryPlace {
  segment: number;
  /** Of the frame. */
  offset: number;
  /** Of the frame's data. */
  bytes: number;
  /** The frame's data is the entry's data. */
  plain: boolean;
}

export class EntryPlaces {
  readonly #chunks: Uint32Array[] = [];
  #first: number;
  #next: number;

  /** Empty; the first entry will be `first`. */
  constructor(first: number) {
    this.#first = this.#next = first;
  }

  get first(): number {
    return this.#first;
  }

  /** The index after the last one. */
  get next(): number {
    return this.#next;
  }

  /** Bytes of memory. */
  get heldBytes(): number {
    return this.#chunks.length * CHUNK_ENTRIES * WORDS * 4;
  }

  append(place: EntryPlace): void {
    const index = this.#next++;
    if (this.#chunks.length === 0 || Math.floor(index / CHUNK_ENTRIES) >= this.#chunkFirst() + this.#chunks.length) {
      this.#chunks.push(new Uint32Array(CHUNK_ENTRIES * WORDS));
    }
    this.set(index, place);
  }

  set(index: number, { segment, offset, bytes, plain }: EntryPlace): void {
    const chunk = this.#chunkOf(index);
    const at = (index % CHUNK_ENTRIES) * WORDS;
    chunk[at] = segment;
    chunk[at + 1] = offset / 8 + (plain ? PLAIN : 0);
    chunk[at + 2] = bytes;
  }

  get(index: number): EntryPlace {
    const chunk = this.#chunkOf(index);
    const at = (index % CHUNK_ENTRIES) * WORDS;
    const word = chunk[at + 1]!;
    return { segment: chunk[at]!, offset: (word & (PLAIN - 1)) * 8, bytes: chunk[at + 2]!, plain: word >= PLAIN };
  }

  /** 0: the entry is missing. */
  segmentOf(index: number): number {
    return this.#chunkOf(index)[(index % CHUNK_ENTRIES) * WORDS]!;
  }

  /** Everything after `last` is gone. */
  cut(last: number): void {
    assert(last >= this.#first - 1 && last < this.#next, 'what is cut is there');
    this.#next = last + 1;
    const chunks = this.#next === this.#first ? 0 : Math.floor(last / CHUNK_ENTRIES) - this.#chunkFirst() + 1;
    this.#chunks.length = chunks;
  }

  /** Everything up to `index` is gone. */
  compact(index: number): void {
    assert(index < this.#next, 'what is compacted is there');
    const before = this.#chunkFirst();
    this.#first = index + 1;
    if (this.#first === this.#next) this.#chunks.length = 0;
    else this.#chunks.splice(0, this.#chunkFirst() - before);
  }

  /** Begins at `first`, with missing entries up to the one that was the first. */
  extendDown(first: number): void {
    assert(first < this.#first, 'it begins earlier than it did');
    const lowest = Math.floor(first / CHUNK_ENTRIES);
    const had = this.#chunks.length > 0 ? this.#chunkFirst() : Math.floor((this.#first - 1) / CHUNK_ENTRIES) + 1;
    for (let i = lowest; i < had; i++) this.#chunks.unshift(new Uint32Array(CHUNK_ENTRIES * WORDS));
    for (let index = first; index < this.#first; index++) {
      const at = (index % CHUNK_ENTRIES) * WORDS;
      this.#chunks[Math.floor(index / CHUNK_ENTRIES) - lowest]!.fill(0, at, at + WORDS);
    }
    this.#first = first;
  }

  #chunkFirst(): number {
    return Math.floor(this.#first / CHUNK_ENTRIES);
  }

  #chunkOf(index: number): Uint32Array {
    assert(index >= this.#first && index < this.#next, 'the entry is in the log');
    return this.#chunks[Math.floor(index / CHUNK_ENTRIES) - this.#chunkFirst()]!;
  }
}

export const MISSING: EntryPlace = { segment: 0, offset: 0, bytes: 0, plain: false };
