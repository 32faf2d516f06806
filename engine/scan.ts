/**
 * Scans: cursors over a window at a time. A window is one crossing into the scan kernel (assembly/scan.ts), which merges the sources of
 * the view as it is then; behind it the next crossing begins anew after the last key. So between windows the engine may seal, flush,
 * compact and swap its view as it likes, and the sequence number that the scan reads at keeps what it sees in one piece: whoever makes the
 * cursor pins that sequence (snapshots.ts) and unpins it when it is done.
 *
 * A window is copied once, into an array of its own, and entries are views of that: 128 KiB at most stay alive with one entry that is
 * kept. The first window is small, so that seeking to a key and reading a few costs no more than that; later ones grow. Large values are
 * read one by one when their entry is reached.
 *
 * RangeCursor is what scans (ScanIterator, here) and iterators that seek (iterator.ts) are made of.
 */
import { assert } from '../base/assert.ts';
import {
  ABSENT,
  FLAG_EXPIRES,
  FRONT,
  KEY_A,
  KEY_B,
  KIND_POINTER,
  POINTER_BYTES,
  RESULT_BYTES,
  RESULT_ENTRIES,
  SCAN_ENTRY_BYTES,
  SCAN_KEYS_ONLY,
  SCAN_LOWER_EXCLUSIVE,
  SCAN_NOW,
  SCAN_REVERSE,
  SCAN_UPPER_INCLUSIVE,
  SCAN_WALKED,
  WINDOW_FULL,
} from '../assembly/memory-map.ts';
import type { Entry } from './api.ts';
import { copyOut } from './memory/copy.ts';
import type { LinearMemory } from './memory/linear-memory.ts';
import type { InternalRange } from './scan-range.ts';

/** What a scan reads through. */
export interface ScanSource {
  readonly memory: LinearMemory;
  /** Address of the view as it is now. */
  readonly viewAddress: number;
  /** Loads what the kernel asked for in the FRONT context by NEEDS_PAGE or NEEDS_TABLE. */
  satisfy(answer: number): void;
  /** Milliseconds since the epoch: what expires at or before it is not there. */
  readonly nowMs: number;
  /**
   * A copy of the value that a pointer in linear memory refers to. The pointer was read at `sequence` with the internal key `key`, since when
   * the value may have moved; undefined when it has expired since and is gone.
   */
  readPointer(pointer: number, key: Uint8Array, sequence: number, expires: boolean): Uint8Array | undefined;
  /**
   * A window of which something is there was stopped by `error`: whether that says that the rest is on its way. What is there is taken then,
   * and the next window begins behind it.
   */
  comes?(error: unknown): boolean;
  /** A forward scan from the internal key `start` at `sequence` has walked over so many keys that are not there before it found `head`. */
  scanned?(start: Uint8Array, head: Uint8Array, deletes: number, sequence: number): void;
}

/** In linear memory; the kernel leaves a little of it unused. */
export const SCAN_WINDOW_BYTES: number = 128 * 1024;
const FIRST_ENTRIES = 16;
const GROWTH = 8;
const ENTRIES_MAX = 0xffffffff;

const CELL_ENTRIES = (FRONT + RESULT_ENTRIES) >>> 2;
const CELL_NOW = (FRONT + SCAN_NOW) >>> 3;
const CELL_WALKED = (FRONT + SCAN_WALKED) >>> 2;
const CELL_BYTES = (FRONT + RESULT_BYTES) >>> 2;
const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/** A place in a range, at one point in time. Holds nothing but its window's copy. */
export class RangeCursor {
  readonly #source: ScanSource;
  readonly #range: InternalRange;
  readonly #sequence: number;
  /** Address of SCAN_WINDOW_BYTES that all scans of the thread share: nothing stays there between calls. */
  readonly #window: number;
  readonly #flags: number;
  /** Where the next window begins: the range's own bound, the last key of the window before, or where it was sent. */
  #near: Uint8Array | undefined;
  #nearExclusive: boolean;
  /** The window's copy. */
  #bytes: Uint8Array<ArrayBuffer> = EMPTY;
  #at = 0;
  #entriesMax = FIRST_ENTRIES;
  #left: number;
  /** No window comes behind this one. */
  #ended = false;

  constructor(source: ScanSource, range: InternalRange, sequence: number, window: number) {
    this.#source = source;
    this.#range = range;
    this.#sequence = sequence;
    this.#window = window;
    this.#left = range.limit;
    this.#flags = (range.reverse ? SCAN_REVERSE : 0) | (range.keysOnly ? SCAN_KEYS_ONLY : 0);
    this.#near = range.reverse ? range.upper : range.lower;
    this.#nearExclusive = range.reverse ? !range.upperInclusive : range.lowerExclusive;
    // A limit says how many are wanted: one window brings them.
    if (range.limit !== Infinity) this.#entriesMax = range.limit;
  }

  /** The next entry, or undefined behind the last. Its arrays are the caller's. */
  next(): Entry | undefined {
    while (this.#left > 0 && (this.#at < this.#bytes.length || this.#fill())) {
      const at = this.#at;
      const bytes = this.#bytes;
      const keyBytes = bytes[at]! | (bytes[at + 1]! << 8);
      const valueBytes = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
      const keyAt = at + SCAN_ENTRY_BYTES;
      const valueAt = keyAt + keyBytes;
      const { buffer, byteOffset } = bytes;
      const { prefixBytes } = this.#range;
      const key = new Uint8Array(buffer, byteOffset + keyAt + prefixBytes, keyBytes - prefixBytes);
      const pointed = bytes[at + 2] === KIND_POINTER && valueBytes === POINTER_BYTES;
      // First of all: it may have to be waited for, and then this entry is the next one still.
      const value = pointed
        ? this.#pointed(keyAt, valueAt, (bytes[at + 3]! & FLAG_EXPIRES) !== 0)
        : new Uint8Array(buffer, byteOffset + valueAt, valueBytes);
      this.#at = (valueAt + valueBytes + 7) & ~7;
      // Behind it the next window begins; a copy, because the key belongs to the caller, who may write to it.
      if (this.#at === bytes.length) this.#beginAt(new Uint8Array(bytes.subarray(keyAt, valueAt)), true);
      if (value === undefined) continue;
      this.#left--;
      return [key, value];
    }
    return undefined;
  }

  /** How the next entry's key compares with `key`, which is as callers give it; undefined: there is none. Equal ones are passed. */
  compareNext(key: Uint8Array): number | undefined {
    if (this.#at === this.#bytes.length && !this.#fill()) return undefined;
    const bytes = this.#bytes;
    const at = this.#at;
    const keyBytes = bytes[at]! | (bytes[at + 1]! << 8);
    const valueBytes = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
    const keyAt = at + SCAN_ENTRY_BYTES + this.#range.prefixBytes;
    const keyEnd = at + SCAN_ENTRY_BYTES + keyBytes;
    let same = keyEnd - keyAt === key.length;
    // Neighbours differ at their ends.
    for (let i = key.length - 1; same && i >= 0; i--) same = bytes[keyAt + i] === key[i];
    if (!same) return Buffer.compare(bytes.subarray(keyAt, keyEnd), key);
    this.#at = (keyEnd + valueBytes + 7) & ~7;
    if (this.#at === bytes.length) this.#beginAt(new Uint8Array(bytes.subarray(at + SCAN_ENTRY_BYTES, keyEnd)), true);
    return 0;
  }

  /** The next window is to bring this many entries, if it has room for them. */
  expect(entries: number): void {
    this.#entriesMax = Math.max(this.#entriesMax, entries);
  }

  /**
   * The next entry is the first of the range at or behind the internal key `key`, in the cursor's direction; behind it when `exclusive`.
   * Either way from where the cursor is. Keeps `key`.
   */
  seek(key: Uint8Array, exclusive: boolean): void {
    const { reverse, lower, lowerExclusive, upper, upperInclusive } = this.#range;
    const bound = reverse ? upper : lower;
    const beyond = bound === undefined ? 1 : Buffer.compare(key, bound) * (reverse ? -1 : 1);
    const boundExclusive = reverse ? !upperInclusive : lowerExclusive;
    if (beyond > 0) this.#beginAt(key, exclusive);
    else this.#beginAt(bound!, boundExclusive || (beyond === 0 && exclusive));
    this.#bytes = EMPTY;
    this.#at = 0;
    this.#ended = false;
    this.#entriesMax = FIRST_ENTRIES;
  }

  /** Lets go of the window: nothing comes any more. */
  end(): void {
    this.#left = 0;
    this.#bytes = EMPTY;
    this.#at = 0;
  }

  #beginAt(key: Uint8Array, exclusive: boolean): void {
    this.#near = key;
    this.#nearExclusive = exclusive;
  }

  /** Brings the next window. False when there is no entry left. */
  #fill(): boolean {
    if (this.#ended) return false;
    const { memory } = this.#source;
    const { kernel } = memory;
    const { reverse } = this.#range;
    const lower = reverse ? this.#range.lower : this.#near;
    const upper = reverse ? this.#near : this.#range.upper;
    let flags = this.#flags;
    if (reverse ? this.#range.lowerExclusive : this.#nearExclusive) flags |= SCAN_LOWER_EXCLUSIVE;
    if (reverse ? !this.#nearExclusive : this.#range.upperInclusive) flags |= SCAN_UPPER_INCLUSIVE;
    if (lower !== undefined) memory.u8.set(lower, FRONT + KEY_A);
    if (upper !== undefined) memory.u8.set(upper, FRONT + KEY_B);
    const entriesMax = Math.min(this.#entriesMax, this.#left, ENTRIES_MAX);

    memory.f64[CELL_NOW] = this.#source.nowMs;

    let answer = kernel['scanOpen']!(
      FRONT,
      this.#source.viewAddress,
      lower === undefined ? -1 : lower.length,
      upper === undefined ? -1 : upper.length,
      flags,
      this.#sequence,
      entriesMax,
      this.#window,
      SCAN_WINDOW_BYTES,
    );
    try {
      while (answer !== ABSENT && answer !== WINDOW_FULL) {
        assert(answer > 0, 'a view has no more sources than the scan has cursors');
        this.#source.satisfy(answer);
        answer = kernel['scanNext']!(FRONT);
      }
    } catch (error) {
      if (memory.u32[CELL_ENTRIES] === 0 || !this.#source.comes?.(error)) throw error;
      answer = WINDOW_FULL;
    } finally {
      kernel['scanClose']!(FRONT);
    }
    this.#entriesMax *= GROWTH;
    this.#ended = answer === ABSENT;
    assert(this.#ended || memory.u32[CELL_ENTRIES]! > 0, 'an entry fits a window');
    const bytes = memory.u32[CELL_BYTES]!;
    // Small ones share Node's pool, as small Buffers do: an array of its own costs more than the entries of a short scan.
    this.#bytes = Buffer.allocUnsafe(bytes);
    copyOut(memory, this.#window, bytes, this.#bytes, 0);
    this.#at = 0;
    const walked = memory.u32[CELL_WALKED]!;
    if (walked > 0 && bytes > 0 && !reverse && lower !== undefined) this.#tell(lower, walked);
    return bytes > 0;
  }

  #tell(start: Uint8Array, walked: number): void {
    const head = this.#bytes.slice(SCAN_ENTRY_BYTES, SCAN_ENTRY_BYTES + (this.#bytes[0]! | (this.#bytes[1]! << 8)));
    this.#source.scanned?.(start, head, walked, this.#sequence);
  }

  /** Undefined: it expired since the window was filled. */
  #pointed(keyAt: number, at: number, expires: boolean): Uint8Array | undefined {
    // The bound's window is free between windows: it is written anew for each.
    const pointer = FRONT + KEY_B;
    this.#source.memory.u8.set(this.#bytes.subarray(at, at + POINTER_BYTES), pointer);
    return this.#source.readPointer(pointer, this.#bytes.subarray(keyAt, at), this.#sequence, expires);
  }
}

/** Entries in order from one point in time. Iterate it, or call `return` when leaving it early: until then its sequence stays pinned. */
export class ScanIterator implements IterableIterator<Entry> {
  readonly #cursor: RangeCursor;
  readonly #release: () => void;
  readonly #assertOpen: () => void;
  #released = false;

  /** `assertOpen`: throws once there is nothing to scan any more. */
  constructor(
    source: ScanSource,
    range: InternalRange,
    sequence: number,
    window: number,
    release: () => void,
    assertOpen = (): void => undefined,
  ) {
    this.#assertOpen = assertOpen;
    this.#cursor = new RangeCursor(source, range, sequence, window);
    this.#release = release;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Entry, undefined> {
    if (!this.#released) this.#assertOpen();
    const value = this.#cursor.next();
    return value === undefined ? this.return() : { value, done: false };
  }

  return(): IteratorResult<Entry, undefined> {
    this.#cursor.end();
    if (!this.#released) {
      this.#released = true;
      this.#release();
    }
    return { value: undefined, done: true };
  }

  [Symbol.dispose](): void {
    this.return();
  }
}
