/**
 * Range tombstones, and the structure in linear memory that kernels ask for them (drawn in assembly/range-tombstones.ts): fragments that do
 * not overlap, each with the sequence numbers of the tombstones that cover it.
 *
 * A tombstone hides what is older than itself. Where a newer one covers a fragment, an older one counts only for those who read in
 * between: it is kept where a pinned sequence lies between the two. Whoever pins later reads at a newer sequence than both.
 *
 * Used by the engine for reads (all that live), and by flush and compaction jobs (those that overlap the job).
 */
import { assert } from '../base/assert.ts';
import type { RangeTombstone } from './manifest/index.ts';
import { SMALL_BYTES_MAX, type LinearMemory } from './memory/linear-memory.ts';

interface Fragment {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  /** Descending. */
  readonly sequences: readonly number[];
  readonly address: number;
  readonly bytes: number;
}

const SET_BYTES = 16;
const FRAGMENT_BYTES = 24;
/** Kernels may read this far past a key. */
const KEY_SLACK_BYTES = 16;
const LIST_MIN = 16;

export class RangeTombstones {
  readonly #memory: LinearMemory;
  #fragments: Fragment[] = [];
  #set = 0;
  #list = { address: 0, capacity: 0 };

  constructor(memory: LinearMemory) {
    this.#memory = memory;
  }

  /** Of the set, for kernels; 0: there are no tombstones. */
  get address(): number {
    return this.#fragments.length === 0 ? 0 : this.#set;
  }

  get fragments(): number {
    return this.#fragments.length;
  }

  /** The last fragment that begins at or below the key. */
  before(key: Uint8Array): Pick<RangeTombstone, 'start' | 'end'> | undefined {
    let low = 0;
    for (let high = this.#fragments.length; low < high;) {
      const middle = (low + high) >> 1;
      if (Buffer.compare(this.#fragments[middle]!.start, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return this.#fragments[low - 1];
  }

  /** `tombstone` is at least as new as all before. `pinned`: sequences that somebody reads at, ascending. */
  add(tombstone: RangeTombstone, pinned: readonly number[]): void {
    const { start, end, sequence } = tombstone;
    assert(Buffer.compare(start, end) < 0, 'a range tombstone covers something');
    const fragments = this.#fragments;
    let from = 0;
    for (let high = fragments.length; from < high;) {
      const middle = (from + high) >> 1;
      if (Buffer.compare(fragments[middle]!.end, start) > 0) high = middle;
      else from = middle + 1;
    }
    const added: Piece[] = [];
    let at = start;
    let to = from;
    for (; to < fragments.length && Buffer.compare(fragments[to]!.start, end) < 0; to++) {
      const old = fragments[to]!;
      if (Buffer.compare(old.start, at) < 0) added.push({ ...old, end: at });
      else if (Buffer.compare(at, old.start) < 0) append(added, { start: at, end: old.start, sequences: [sequence] });
      const overlapStart = Buffer.compare(old.start, at) < 0 ? at : old.start;
      const overlapEnd = Buffer.compare(old.end, end) < 0 ? old.end : end;
      append(added, { start: overlapStart, end: overlapEnd, sequences: told([sequence, ...old.sequences], pinned) });
      if (Buffer.compare(end, old.end) < 0) added.push({ ...old, start: end });
      at = overlapEnd;
    }
    if (Buffer.compare(at, end) < 0) append(added, { start: at, end, sequences: [sequence] });
    this.#replace(from, to, added);
  }

  /** Forgets all there were and takes these, in any order. */
  reset(tombstones: readonly RangeTombstone[], pinned: readonly number[]): void {
    for (const fragment of this.#fragments.splice(0)) this.#freeFragment(fragment);
    for (const tombstone of tombstones.toSorted((a, b) => a.sequence - b.sequence)) this.add(tombstone, pinned);
  }

  free(): void {
    for (const fragment of this.#fragments.splice(0)) this.#freeFragment(fragment);
    if (this.#list.capacity > 0) this.#release(this.#list.address, this.#list.capacity * 4);
    if (this.#set !== 0) this.#memory.freeSmall(this.#set, SET_BYTES);
    this.#list = { address: 0, capacity: 0 };
    this.#set = 0;
  }

  #replace(from: number, to: number, pieces: readonly Piece[]): void {
    const old = this.#fragments.slice(from, to);
    const fresh = pieces.map((piece) => this.#makeFragment(piece));
    this.#fragments.splice(from, to - from, ...fresh);
    const count = this.#fragments.length;
    const { u32 } = this.#memory;
    if (count > this.#list.capacity) {
      this.#grow(count);
      u32.set(
        this.#fragments.map(({ address }) => address),
        this.#list.address >>> 2,
      );
    } else {
      const word = this.#list.address >>> 2;
      u32.copyWithin(word + from + fresh.length, word + to, word + count + to - from - fresh.length);
      for (const [i, { address }] of fresh.entries()) u32[word + from + i] = address;
    }
    u32[this.#set >>> 2] = count;
    u32[(this.#set >>> 2) + 1] = this.#list.address;
    for (const fragment of old) this.#freeFragment(fragment);
  }

  #grow(count: number): void {
    let capacity = Math.max(LIST_MIN, this.#list.capacity);
    while (capacity < count) capacity *= 2;
    const address = this.#take(capacity * 4);
    if (this.#list.capacity > 0) this.#release(this.#list.address, this.#list.capacity * 4);
    this.#list = { address, capacity };
    if (this.#set === 0) this.#set = this.#memory.allocateSmall(SET_BYTES);
  }

  #makeFragment({ start, end, sequences }: Piece): Fragment {
    const keysAt = FRAGMENT_BYTES + sequences.length * 8;
    const bytes = keysAt + start.length + end.length + KEY_SLACK_BYTES;
    const address = this.#take(bytes);
    const { u8, u32, view } = this.#memory;
    const word = address >>> 2;
    u32[word] = address + keysAt;
    u32[word + 1] = start.length;
    u32[word + 2] = address + keysAt + start.length;
    u32[word + 3] = end.length;
    u32[word + 4] = sequences.length;
    u32[word + 5] = 0;
    for (const [i, sequence] of sequences.entries()) view.setBigUint64(address + FRAGMENT_BYTES + i * 8, BigInt(sequence), true);
    u8.set(start, address + keysAt);
    u8.set(end, address + keysAt + start.length);
    return { start, end, sequences, address, bytes };
  }

  #freeFragment({ address, bytes }: Fragment): void {
    this.#release(address, bytes);
  }

  #take(bytes: number): number {
    return bytes <= SMALL_BYTES_MAX ? this.#memory.allocateSmall(bytes) : this.#memory.allocate(bytes);
  }

  #release(address: number, bytes: number): void {
    if (bytes <= SMALL_BYTES_MAX) this.#memory.freeSmall(address, bytes);
    else this.#memory.free(address, bytes);
  }
}

type Piece = Pick<Fragment, 'start' | 'end' | 'sequences'>;

/** Adds a piece behind the last one, or makes that one longer where the two say the same. */
function append(pieces: Piece[], piece: Piece): void {
  const last = pieces.at(-1);
  const same = last && last.sequences.length === piece.sequences.length && last.sequences.every((each, i) => each === piece.sequences[i]);
  if (same && Buffer.compare(last.end, piece.start) === 0) pieces[pieces.length - 1] = { ...last, end: piece.end };
  else pieces.push(piece);
}

/** Of descending sequences those that somebody can tell from the newer ones. */
function told(sequences: readonly number[], pinned: readonly number[]): number[] {
  const kept = [sequences[0]!];
  for (const sequence of sequences.slice(1)) {
    const newer = kept.at(-1)!;
    if (sequence < newer && pinned.some((pin) => sequence <= pin && pin < newer)) kept.push(sequence);
  }
  return kept;
}
