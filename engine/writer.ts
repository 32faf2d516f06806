/**
 * The write path: a batch is laid out once, in the memtable's arena and in the form in which the log stores it; a kernel indexes it; the
 * log takes the same bytes at the end of the tick. Values at or over the threshold go behind their frame into the log and nowhere else.
 *
 * Promises are shared: all writes of one tick with the same durability settle together.
 */
import type { Scheduler } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import {
  EXPIRY_BYTES,
  FRAME_HEADER_BYTES,
  KIND_DELETE,
  KIND_POINTER,
  KIND_PUT,
  POINTER_BYTES,
  RECORD_HEADER_BYTES,
} from '../assembly/memory-map.ts';
import type { Durability } from './api.ts';
import { type BatchPlan, isLarge } from './batch-plan.ts';
import { NEVER } from './expiry.ts';
import { writePrefix } from './keyspace-key.ts';
import { EXPIRING, layOut, type PointTo, writeExpiry } from './lay-out.ts';
import type { LogWriter } from './log/index.ts';
import { copyIn } from './memory/copy.ts';
import { isMemoryShort, type LinearMemory } from './memory/linear-memory.ts';
import { type Memtable, NODE_BYTES_PER_RECORD } from './memtable/index.ts';
import type { OpenKeyspace } from './open-keyspace.ts';
import type { EngineSettings } from './settings.ts';

/** A memtable is sealed when the log has grown by this many times its size meanwhile: bounds what recovery reads. */
export const LOG_PER_MEMTABLE = 8;
/** Synced frames up to this size are worth preallocating for. */
const SMALL_FRAME_BYTES = 4096;
const SEQUENCE_MAX: number = Number.MAX_SAFE_INTEGER;
/** So many `os` writes settle without a turn of the event loop: some hundred microseconds. */
const MICROTASK_WRITES = 128;
const RESOLVED: Promise<void> = Promise.resolve();

/** The memtables, as the write path needs them. */
export interface MemtableOwner {
  /** The memtable to write to, made when there is none; its first record will be in `segment`. */
  active(segment: number): Memtable;
  /** Turns the active memtable into a sealed one. May block until there is room for another. */
  seal(): void;
  /** Memtables of all engines together take too much: `relieveMemory` seals the largest. */
  readonly memoryIsShort: boolean;
  relieveMemory(): void;
  /** What a write of `bytes` should wait for before it counts as done, when the background is behind. */
  admit(bytes: number): Promise<void> | undefined;
}

/** What writes, as the rest of the engine knows it: a Writer, or hosted/hosted-writer.ts. */
export type EngineWriter = Pick<
  Writer,
  'sequence' | 'puts' | 'userBytes' | 'one' | 'batch' | 'assertNext' | 'advance' | 'write' | 'sync' | 'memtableSealed'
>;

export class Writer {
  readonly #memory: LinearMemory;
  readonly #log: LogWriter;
  readonly #owner: MemtableOwner;
  readonly #settings: Readonly<EngineSettings>;
  readonly #scheduler: Scheduler;
  readonly #memtablePut: (...operands: number[]) => number;
  readonly #batchMemoryBytesMax: number;

  #sequence: number;
  #logBytesOfMemtable = 0;
  #puts = 0;
  #userBytes = 0;
  #osGroup: Promise<void> | undefined;
  /** Calls, and how many there had been when the event loop was last made to turn. */
  #writes = 0;
  #writesAtTurn = 0;
  #syncGroup: Promise<void> | undefined;
  /** Callers that wait for the group. */
  #syncWaiters = 0;
  #writeScheduled = false;
  #zeroScheduled = false;
  /** Of the batch that is being laid out: its segment, where its next large value is staged, and at which offset of the segment that will be. */
  #payloadSegment = 0;
  #payload = 0;
  #payloadOffset = 0;
  /** Puts a large value behind those before it. */
  readonly #pointTo: PointTo = (value, pointerAt) => {
    const { u8, kernel } = this.#memory;
    copyIn(value, this.#memory, this.#payload);
    kernel['sealPointer']!(pointerAt, this.#payloadSegment, this.#payload, value.length, this.#payloadOffset);
    const end = this.#payload + value.length;
    const next = (end + 7) & ~7;
    u8.fill(0, end, next);
    this.#payloadOffset += next - this.#payload;
    this.#payload = next;
  };

  constructor(parts: {
    memory: LinearMemory;
    log: LogWriter;
    owner: MemtableOwner;
    settings: Readonly<EngineSettings>;
    scheduler: Scheduler;
    sequence: number;
    /** Linear memory that one batch may take, when it is written or replayed. */
    batchMemoryBytesMax: number;
  }) {
    this.#memory = parts.memory;
    this.#log = parts.log;
    this.#owner = parts.owner;
    this.#settings = parts.settings;
    this.#scheduler = parts.scheduler;
    this.#sequence = parts.sequence;
    this.#batchMemoryBytesMax = parts.batchMemoryBytesMax;
    this.#memtablePut = parts.memory.kernel['memtablePut']!;
  }

  /** Sequence number of the last write. */
  get sequence(): number {
    return this.#sequence;
  }
  get puts(): number {
    return this.#puts;
  }
  get userBytes(): number {
    return this.#userBytes;
  }

  /** One put (value given) or delete. `key` and `value` have passed the limits. `expiresAtMs`: or NEVER. */
  one(
    keyspace: OpenKeyspace,
    key: Uint8Array,
    value: Uint8Array | undefined,
    expiresAtMs: number,
    durability: Durability,
    sequence: number | undefined,
  ): Promise<void> {
    const before = this.#sequence;
    try {
      return this.#one(keyspace, key, value, expiresAtMs, durability, sequence);
    } catch (error) {
      return this.#withRoom(error, before, () => this.#one(keyspace, key, value, expiresAtMs, durability, sequence));
    }
  }

  #one(
    keyspace: OpenKeyspace,
    key: Uint8Array,
    value: Uint8Array | undefined,
    expiresAtMs: number,
    durability: Durability,
    sequence: number | undefined,
  ): Promise<void> {
    const log = this.#log;
    log.assertWritable();
    const next = this.#nextSequence(sequence);
    const { prefixBytes } = keyspace;
    const keyBytes = prefixBytes + key.length;
    const expiryBytes = expiresAtMs === NEVER ? 0 : EXPIRY_BYTES;
    const large = value !== undefined && isLarge(keyspace, keyBytes, value.length, expiryBytes);
    const storedBytes = value === undefined ? 0 : expiryBytes + (large ? POINTER_BYTES : value.length);
    const frameBytes = FRAME_HEADER_BYTES + ((RECORD_HEADER_BYTES + keyBytes + storedBytes + 7) & ~7);
    const payloadBytes = large ? (value.length + 7) & ~7 : 0;
    const segment = log.prepare(frameBytes + payloadBytes);
    const memtable = this.#owner.active(segment);
    const payload = large ? this.#stage(payloadBytes, value) : 0;
    const frame = memtable.reserve(frameBytes);
    const at = frame + FRAME_HEADER_BYTES + RECORD_HEADER_BYTES;
    const u8 = this.#memory.u8;
    writePrefix(u8, at, keyspace.id);
    u8.set(key, at + prefixBytes);
    let valueAt = at + keyBytes;
    let kind = KIND_DELETE;
    if (value !== undefined) {
      kind = large ? KIND_POINTER : KIND_PUT;
      if (expiryBytes !== 0) {
        kind |= EXPIRING;
        writeExpiry(this.#memory, valueAt, expiresAtMs);
        valueAt += EXPIRY_BYTES;
      }
      if (large) this.#memory.kernel['sealPointer']!(valueAt, segment, payload, value.length, log.nextOffset + frameBytes);
      else copyIn(value, this.#memory, valueAt);
    }
    const address = memtable.address;
    while (this.#memtablePut(address, keyBytes, storedBytes, kind, next, payloadBytes, log.syncedTo, segment) === 0)
      memtable.addNodeChunk();
    log.append(frame, frameBytes);
    if (large) log.append(payload, payloadBytes);
    this.#sequence = next;
    this.#puts++;
    this.#userBytes += key.length + (value === undefined ? 0 : value.length);
    return this.#after(memtable, frameBytes + payloadBytes, durability);
  }

  /** A batch; all or nothing. Returns its sequence number by way of `sequence` and the promise that settles at `durability`. */
  batch(plan: BatchPlan, durability: Durability, sequence: number | undefined): Promise<void> {
    const before = this.#sequence;
    try {
      return this.#batch(plan, durability, sequence);
    } catch (error) {
      return this.#withRoom(error, before, () => this.#batch(plan, durability, sequence));
    }
  }

  #batch(plan: BatchPlan, durability: Durability, sequence: number | undefined): Promise<void> {
    const log = this.#log;
    log.assertWritable();
    this.#assertFits(plan);
    const next = this.#nextSequence(sequence);
    const records = plan.keys.length;
    if (records === 0) {
      this.#sequence = next;
      return this.#settle(durability, 0);
    }
    const frameBytes = FRAME_HEADER_BYTES + plan.recordBytes;
    const segment = log.prepare(frameBytes + plan.payloadBytes);
    const memtable = this.#owner.active(segment);
    memtable.provide(records);
    const payload = plan.payloadBytes > 0 ? log.stage(plan.payloadBytes) : 0;
    const frame = memtable.reserve(frameBytes);
    this.#payloadSegment = segment;
    this.#payload = payload;
    this.#payloadOffset = log.nextOffset + frameBytes;
    layOut(this.#memory, plan, frame + FRAME_HEADER_BYTES, this.#pointTo);
    memtable.setTop(frame + frameBytes);
    try {
      memtable.insert(frame + FRAME_HEADER_BYTES, plan.recordBytes, next, -1);
    } catch (error) {
      // Half of the batch is visible and none of it in the log: nothing may follow it.
      throw log.abandon(error);
    }
    this.#memory.kernel['sealFrame']!(frame, plan.recordBytes, plan.payloadBytes, log.syncedTo, records, segment);
    log.append(frame, frameBytes);
    if (plan.payloadBytes > 0) log.append(payload, plan.payloadBytes);
    this.#sequence = next;
    this.#puts += plan.operations;
    this.#userBytes += plan.userBytes;
    return this.#after(memtable, frameBytes + plan.payloadBytes, durability);
  }

  /** `invalid/SEQUENCE` for one that cannot come next. */
  assertNext(sequence: number): void {
    this.#nextSequence(sequence);
  }

  /** The sequence number that comes next has been given to something beside the log. */
  advance(sequence: number): void {
    this.#sequence = this.#nextSequence(sequence);
  }

  /** Writes what is pending to the operating system. */
  write(): void {
    this.#log.write();
  }

  /** Settles when everything written so far is on disk. */
  sync(): Promise<void> {
    this.#syncWaiters++;
    return (this.#syncGroup ??= RESOLVED.then(() => {
      const calls = this.#syncWaiters;
      this.#syncGroup = undefined;
      this.#syncWaiters = 0;
      return this.#log.sync(calls);
    }));
  }

  /** The owner sealed the memtable. */
  memtableSealed(): void {
    this.#logBytesOfMemtable = 0;
  }

  /**
   * A write that found no memory waits for some, on the spot, and is done from its beginning: it may get another memtable. What it has laid out
   * by then nobody has seen. `sequence`: what there was before it; when that has changed, it is not what failed.
   */
  #withRoom(error: unknown, sequence: number, write: () => Promise<void>): Promise<void> {
    for (;;) {
      if (!isMemoryShort(error) || this.#sequence !== sequence || this.#log.failure) throw error;
      // What was staged for it in vain goes too.
      this.#log.write();
      if (!this.#memory.makeRoom()) throw error;
      try {
        return write();
      } catch (again) {
        error = again;
      }
    }
  }

  #nextSequence(given: number | undefined): number {
    const next = given ?? this.#sequence + 1;
    assertSequence(next, this.#sequence);
    return next;
  }

  #stage(payloadBytes: number, value: Uint8Array): number {
    const address = this.#log.stage(payloadBytes);
    const { u8 } = this.#memory;
    copyIn(value, this.#memory, address);
    if (payloadBytes > value.length) u8.fill(0, address + value.length, address + payloadBytes);
    return address;
  }

  /** What could be written now and not be replayed later must not be written: its records and large values are in the window of a replay, too. */
  #assertFits(plan: BatchPlan): void {
    assertFits(plan, plan.recordBytes + plan.payloadBytes, this.#batchMemoryBytesMax);
  }

  #after(memtable: Memtable, logBytes: number, durability: Durability): Promise<void> {
    this.#logBytesOfMemtable += logBytes;
    const limit = this.#settings.memtableBytes;
    if (memtable.bytes >= limit || this.#logBytesOfMemtable >= limit * LOG_PER_MEMTABLE) this.#owner.seal();
    else if (this.#owner.memoryIsShort) this.#owner.relieveMemory();
    return this.#settle(durability, logBytes);
  }

  #settle(durability: Durability, bytes: number): Promise<void> {
    const log = this.#log;
    this.#writes++;
    if (log.isDue) this.#writeDue();
    let settled: Promise<void>;
    if (durability === 'os') {
      settled = this.#osGroup ??= this.#nextTurn().then(() => {
        this.#osGroup = undefined;
        this.#log.write();
      });
    } else if (durability === 'synced') {
      settled = this.sync();
      if (bytes <= SMALL_FRAME_BYTES && !this.#zeroScheduled) this.#scheduleZeros();
    } else {
      if (!this.#writeScheduled) this.#scheduleWrite();
      settled = RESOLVED;
    }
    const admitted = this.#owner.admit(bytes);
    return admitted === undefined ? settled : settled.then(() => admitted);
  }

  /** A full disk keeps what is pending, this write too: who waits for it to get there is told below, the next write before it changes anything. */
  #writeDue(): void {
    try {
      this.#log.write();
    } catch (error) {
      if (this.#log.failure) throw error;
    }
  }

  /**
   * When the writes of this tick go to the operating system: at its end, in the microtask queue. A loop that awaits nothing but such writes
   * would keep the event loop from turning for good, so once in a while the turn of the loop is waited for.
   */
  #nextTurn(): Promise<void> {
    if (this.#writes - this.#writesAtTurn < MICROTASK_WRITES) return RESOLVED;
    this.#writesAtTurn = this.#writes;
    return new Promise((resolve) => this.#scheduler.soon(resolve));
  }

  #scheduleWrite(): void {
    this.#writeScheduled = true;
    this.#scheduler.soon(() => {
      this.#writeScheduled = false;
      try {
        this.#log.write();
      } catch {
        // Nobody waits for a buffered write. The log keeps its state, and the next call on it throws the same.
      }
    });
  }

  #scheduleZeros(): void {
    this.#zeroScheduled = true;
    this.#scheduler.soon(() => {
      this.#zeroScheduled = false;
      this.#log.zeroAhead();
    });
  }
}

/** `invalid/SEQUENCE` for one that cannot come after `last`. */
export function assertSequence(next: number, last: number): void {
  if (Number.isSafeInteger(next) && next > last && next < SEQUENCE_MAX) return;
  throw new SparrowError(
    'invalid',
    'SEQUENCE',
    `sequence is a whole number larger than the last one, ${last}, and below 2^53 - 1; not ${String(next)}`,
    { field: 'sequence', limit: last },
  );
}

/** A batch has its records in the arena, with nodes, and its flush takes something; `besides`: what else of it must be in memory at once. */
export function assertFits(plan: BatchPlan, besides: number, limit: number): void {
  const records = plan.keys.length;
  const bytes = plan.recordBytes + besides + records * NODE_BYTES_PER_RECORD + records * 20 + plan.recordBytes / 16;
  if (bytes <= limit) return;
  throw new SparrowError(
    'invalid',
    'BATCH_TOO_LARGE',
    `batch of ${records} operations and ${plan.userBytes} bytes takes ${bytes} bytes of memory; there are ${limit} for it ` +
      '(memoryBytes without the caches, what is set aside for flushes and reads, and a memtable)',
    { field: 'batch', limit, bytes, operations: records },
  );
}
