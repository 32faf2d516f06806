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
  FLAG_EXPIRES,
  FRAME_HEADER_BYTES,
  KIND_DELETE,
  KIND_POINTER,
  KIND_PUT,
  KIND_RANGE_DELETE,
  POINTER_BYTES,
  RECORD_HEADER_BYTES,
} from '../assembly/memory-map.ts';
import type { Durability } from './api.ts';
import { type BatchPlan, isLarge } from './batch-plan.ts';
import { NEVER } from './expiry.ts';
import { writePrefix } from './keyspace-key.ts';
import type { LogWriter } from './log/index.ts';
import { copyIn } from './memory/copy.ts';
import { isMemoryShort, type LinearMemory } from './memory/linear-memory.ts';
import { type Memtable, NODE_BYTES_PER_RECORD } from './memtable/index.ts';
import type { OpenKeyspace } from './open-keyspace.ts';
import type { EngineSettings } from './settings.ts';

/** A memtable is sealed when the log has grown by this many times its size meanwhile: bounds what recovery reads. */
const LOG_PER_MEMTABLE = 8;
/** Synced frames up to this size are worth preallocating for. */
const SMALL_FRAME_BYTES = 4096;
const SEQUENCE_MAX: number = Number.MAX_SAFE_INTEGER;
/** A record's flags stand above its kind. */
const EXPIRING = FLAG_EXPIRES << 8;
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
        this.#writeExpiry(valueAt, expiresAtMs);
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
    this.#layOut(plan, frame, payload, segment, log.nextOffset + frameBytes);
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
    if (!Number.isSafeInteger(next) || next <= this.#sequence || next >= SEQUENCE_MAX) {
      throw new SparrowError(
        'invalid',
        'SEQUENCE',
        `sequence is a whole number larger than the last one, ${this.#sequence}, and below 2^53 - 1; not ${String(next)}`,
        { field: 'sequence', limit: this.#sequence },
      );
    }
    return next;
  }

  #stage(payloadBytes: number, value: Uint8Array): number {
    const address = this.#log.stage(payloadBytes);
    const { u8 } = this.#memory;
    copyIn(value, this.#memory, address);
    if (payloadBytes > value.length) u8.fill(0, address + value.length, address + payloadBytes);
    return address;
  }

  /** What could be written now and not be replayed later must not be written. */
  #assertFits(plan: BatchPlan): void {
    const records = plan.keys.length;
    // Its records in the arena, and once more (with its large values) in the window of a replay; nodes; what its flush takes.
    const bytes = 2 * plan.recordBytes + plan.payloadBytes + records * NODE_BYTES_PER_RECORD + records * 20 + plan.recordBytes / 16;
    if (bytes <= this.#batchMemoryBytesMax) return;
    throw new SparrowError(
      'invalid',
      'BATCH_TOO_LARGE',
      `batch of ${records} operations and ${plan.userBytes} bytes takes ${bytes} bytes of memory; there are ${this.#batchMemoryBytesMax} for it ` +
        '(memoryBytes without the caches, what is set aside for flushes and reads, and a memtable)',
      { field: 'batch', limit: this.#batchMemoryBytesMax, bytes, operations: records },
    );
  }

  /** Writes the records of a batch behind the frame's header, and its large values to `payload`. Sequences are the kernel's. */
  #layOut(plan: BatchPlan, frame: number, payload: number, segment: number, payloadOffset: number): void {
    const { u8, u32, kernel } = this.#memory;
    const sealPointer = kernel['sealPointer']!;
    let at = frame + FRAME_HEADER_BYTES;
    let staged = 0;
    for (let i = 0; i < plan.keys.length; i++) {
      const key = plan.keys[i]!;
      const value = plan.values[i];
      const keyspace = plan.keyspaces[i]!;
      const { prefixBytes } = keyspace;
      const keyBytes = prefixBytes + key.length;
      const expiresAtMs = plan.expiries[i]!;
      const expiryBytes = expiresAtMs === NEVER ? 0 : EXPIRY_BYTES;
      let kind = KIND_DELETE;
      let valueBytes = 0;
      writePrefix(u8, at + RECORD_HEADER_BYTES, keyspace.id);
      u8.set(key, at + RECORD_HEADER_BYTES + prefixBytes);
      const storedAt = at + RECORD_HEADER_BYTES + keyBytes;
      if (value !== undefined) {
        const valueAt = storedAt + expiryBytes;
        if (isLarge(keyspace, keyBytes, value.length, expiryBytes)) {
          kind = KIND_POINTER;
          valueBytes = POINTER_BYTES;
          copyIn(value, this.#memory, payload + staged);
          sealPointer(valueAt, segment, payload + staged, value.length, payloadOffset + staged);
          const end = staged + value.length;
          staged = (end + 7) & ~7;
          u8.fill(0, payload + end, payload + staged);
        } else {
          kind = KIND_PUT;
          valueBytes = value.length;
          copyIn(value, this.#memory, valueAt);
        }
        if (expiryBytes !== 0) {
          kind |= EXPIRING;
          valueBytes += EXPIRY_BYTES;
          this.#writeExpiry(storedAt, expiresAtMs);
        }
      }
      const rangeEnd = plan.ends[i];
      if (rangeEnd !== undefined) {
        kind = KIND_RANGE_DELETE;
        valueBytes = rangeEnd.length;
        u8.set(rangeEnd, storedAt);
      }
      u32[at >>> 2] = valueBytes;
      u32[(at >>> 2) + 1] = keyBytes | (kind << 16);
      const end = storedAt + valueBytes;
      at = (end + 7) & ~7;
      for (let zero = end; zero < at; zero++) u8[zero] = 0;
    }
  }

  #writeExpiry(at: number, expiresAtMs: number): void {
    const { view } = this.#memory;
    view.setUint32(at, expiresAtMs % 2 ** 32, true);
    view.setUint32(at + 4, Math.floor(expiresAtMs / 2 ** 32), true);
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
