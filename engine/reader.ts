/**
 * The read path. Everything is looked for in place, in linear memory, by one kernel call; when a page or an index is not there the kernel
 * says which, the host reads it synchronously (about a microsecond from the operating system's cache) and the kernel goes on.
 * A value is copied out once.
 */
import { assert } from '../base/assert.ts';
import { SparrowError } from '../base/errors.ts';
import {
  ABSENT,
  EXPIRY_BYTES,
  FLAG_EXPIRES,
  FOUND,
  FRONT,
  KEY_A,
  KIND_POINTER,
  NEED_FRAME,
  NEED_PAGE,
  NEED_TABLE_HEADER,
  NEEDS_PAGE,
  NEEDS_TABLE,
  RESULT_FLAGS,
  RESULT_KIND,
  RESULT_SEQUENCE,
  RESULT_VALUE,
  RESULT_VALUE_BYTES,
} from '../assembly/memory-map.ts';
import type { VersionedValue } from './api.ts';
import type { ExpiryTime } from './expiry-time.ts';
import { prefixBytesOf, writePrefix } from './keyspace-key.ts';
import type { Events } from './events/index.ts';
import type { LinearMemory } from './memory/linear-memory.ts';
import { withNextStep } from './next-step.ts';
import type { OpenTable } from './table/index.ts';
import type { ValueFiles } from './value-files.ts';
import type { ValuePool } from './value-pool.ts';
import type { View } from './view.ts';

/** Larger than any sequence number: reads what is newest. */
export const NEWEST: number = Number.MAX_SAFE_INTEGER;

const CELL_KIND = (FRONT + RESULT_KIND) >>> 2;
const CELL_FLAGS = (FRONT + RESULT_FLAGS) >>> 2;
const CELL_VALUE = (FRONT + RESULT_VALUE) >>> 2;
const CELL_VALUE_BYTES = (FRONT + RESULT_VALUE_BYTES) >>> 2;
const CELL_SEQUENCE = (FRONT + RESULT_SEQUENCE) >>> 3;
const CELL_TABLE = (FRONT + NEED_TABLE_HEADER) >>> 2;
const CELL_PAGE = (FRONT + NEED_PAGE) >>> 2;
const CELL_FRAME = (FRONT + NEED_FRAME) >>> 2;

export class Reader {
  readonly memory: LinearMemory;
  readonly #view: View;
  readonly #values: ValueFiles;
  readonly #expiryTime: ExpiryTime;
  /** Where in linear memory a value lies that the log has yet to write, or 0. */
  readonly #pendingAt: (segment: number, offset: number) => number;
  readonly #events: Events;
  readonly #directory: string;
  readonly #tables = new Map<number, OpenTable>();
  readonly #pool: ValuePool;
  readonly #lookup: (...operands: number[]) => number;
  readonly #lookupResume: (...operands: number[]) => number;
  #gets = 0;
  #pageReads = 0;

  constructor(
    memory: LinearMemory,
    pool: ValuePool,
    view: View,
    values: ValueFiles,
    expiryTime: ExpiryTime,
    pendingAt: (segment: number, offset: number) => number,
    events: Events,
    directory: string,
  ) {
    this.memory = memory;
    this.#pool = pool;
    this.#expiryTime = expiryTime;
    this.#view = view;
    this.#values = values;
    this.#pendingAt = pendingAt;
    this.#events = events;
    this.#directory = directory;
    this.#lookup = memory.kernel['lookup']!;
    this.#lookupResume = memory.kernel['lookupResume']!;
  }

  /** Milliseconds since the epoch: what expires at or before it is not there. */
  get nowMs(): number {
    return this.#expiryTime.readMs;
  }
  get gets(): number {
    return this.#gets;
  }
  /** Point reads of late were stopped and are begun anew: they count once. */
  takeBack(gets: number): void {
    this.#gets -= gets;
  }
  get pageReads(): number {
    return this.#pageReads;
  }

  addTable(table: OpenTable): void {
    this.#tables.set(table.header, table);
  }
  removeTable(table: OpenTable): void {
    this.#tables.delete(table.header);
  }

  /** The value of a key of keyspace `keyspace` as of `sequence`, copied out, or undefined. `key` has passed the limits. */
  get(keyspace: number, key: Uint8Array, sequence: number): Uint8Array | undefined {
    return this.#find(keyspace, key, sequence) ? this.#value() : undefined;
  }

  /** Whether there is a value, without reading it. */
  has(keyspace: number, key: Uint8Array, sequence: number): boolean {
    return this.#find(keyspace, key, sequence);
  }

  /** As `get`, with the sequence number of the write, and when the value expires if it does. */
  getEntry(keyspace: number, key: Uint8Array, sequence: number): VersionedValue | undefined {
    if (!this.#find(keyspace, key, sequence)) return undefined;
    const { f64, u32 } = this.memory;
    const version = f64[CELL_SEQUENCE]!;
    if ((u32[CELL_FLAGS]! & FLAG_EXPIRES) === 0) return { value: this.#value(), version };
    const expiresAtMs = this.#expiry();
    return { value: this.#value(), version, expiresAtMs };
  }

  /** Loads what a kernel in the FRONT context asked for by `answer`. */
  satisfy(answer: number): void {
    try {
      this.#load(answer);
    } catch (error) {
      throw this.#met(error);
    }
  }

  /** What a caller is told of it; listeners are, too, when something is damaged. */
  #met(error: unknown): unknown {
    this.#events.corruption('read', error);
    return withNextStep(error, this.#directory, 'open');
  }

  #load(answer: number): void {
    const u32 = this.memory.u32;
    const table = this.#tables.get(u32[CELL_TABLE]!);
    assert(table !== undefined, 'a kernel asks for tables of its view only');
    if (answer === NEEDS_TABLE) table.loadIndex();
    else {
      assert(answer === NEEDS_PAGE, 'a kernel asks for a page or an index');
      table.loadPage(u32[CELL_PAGE]!, u32[CELL_FRAME]!);
      this.#pageReads++;
    }
  }

  /**
   * Copies the value out that a 24-byte pointer in linear memory refers to. A pointer that was kept for a while (`key`, internal, and
   * `sequence`: what it was found for) may lead into a segment that compaction has emptied since: then the value is looked for anew, and
   * is undefined when it has expired meanwhile.
   */
  readPointer(pointer: number): Uint8Array;
  readPointer(pointer: number, key: Uint8Array, sequence: number, expires: boolean): Uint8Array | undefined;
  readPointer(pointer: number, key?: Uint8Array, sequence?: number, expires: boolean = false): Uint8Array | undefined {
    const { view, u8 } = this.memory;
    const segment = view.getUint32(pointer, true);
    const pending = this.#pendingAt(segment, view.getUint32(pointer + 8, true));
    if (pending !== 0) return this.#pool.copy(this.memory, pending, this.#values.bytesOf(pointer));
    if (key !== undefined && !this.#values.has(segment)) {
      u8.set(key, FRONT + KEY_A);
      const found = this.#look(key.length, sequence!);
      assert(expires || found, 'a pinned version stays where a read finds it');
      return found ? this.#value() : undefined;
    }
    const bytes = this.#values.bytesOf(pointer);
    try {
      return this.#pool.copy(this.memory, this.#values.read(pointer), bytes);
    } catch (error) {
      throw this.#met(error);
    }
  }

  #find(keyspace: number, key: Uint8Array, sequence: number): boolean {
    this.#gets++;
    const { u8 } = this.memory;
    const prefixBytes = prefixBytesOf(keyspace);
    writePrefix(u8, FRONT + KEY_A, keyspace);
    u8.set(key, FRONT + KEY_A + prefixBytes);
    return this.#look(prefixBytes + key.length, sequence);
  }

  /** Looks for the internal key in KEY_A. */
  #look(keyBytes: number, sequence: number): boolean {
    let answer = this.#lookup(FRONT, this.#view.address, keyBytes, sequence);
    while (answer > FOUND) {
      this.satisfy(answer);
      answer = this.#lookupResume(FRONT);
    }
    if (answer === FOUND) return (this.memory.u32[CELL_FLAGS]! & FLAG_EXPIRES) === 0 || this.#expiry() > this.#expiryTime.readMs;
    if (answer !== ABSENT) throw new SparrowError('internal', 'LOOKUP', `point read answered ${answer}`);
    return false;
  }

  /** When what was found expires: it does. */
  #expiry(): number {
    return Number(this.memory.view.getBigUint64(this.memory.u32[CELL_VALUE]!, true));
  }

  #value(): Uint8Array {
    const u32 = this.memory.u32;
    const skipped = (u32[CELL_FLAGS]! & FLAG_EXPIRES) === 0 ? 0 : EXPIRY_BYTES;
    const address = u32[CELL_VALUE]! + skipped;
    if (u32[CELL_KIND] === KIND_POINTER) return this.readPointer(address);
    return this.#pool.copy(this.memory, address, u32[CELL_VALUE_BYTES]! - skipped);
  }
}
