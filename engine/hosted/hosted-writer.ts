/**
 * The write path of an engine under a host's log: a batch is laid out in the memtable's arena and indexed; nothing goes to the disk. Of values that the
 * host's log has, the record is a pointer there; their bytes pass through linear memory once, for the checksum.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Durability } from '../api.ts';
import { assertFits, assertSequence, type EngineWriter, LOG_PER_MEMTABLE, type MemtableOwner } from '../writer.ts';
import { type BatchPlan, planOne } from '../batch-plan.ts';
import { layOut, type PointTo } from '../lay-out.ts';
import { copyIn } from '../memory/copy.ts';
import { isMemoryShort, type LinearMemory } from '../memory/linear-memory.ts';
import type { Reserve } from '../memory/reserve.ts';
import type { Memtable } from '../memtable/index.ts';
import type { OpenKeyspace } from '../open-keyspace.ts';
import type { EngineSettings } from '../settings.ts';
import type { HostLinks } from './host-links.ts';
import type { HostedLog } from './hosted-log.ts';

const RESOLVED: Promise<void> = Promise.resolve();

export class HostedWriter implements EngineWriter {
  readonly #memory: LinearMemory;
  readonly #window: Reserve;
  readonly #log: HostedLog;
  readonly #links: HostLinks;
  readonly #owner: MemtableOwner;
  readonly #settings: Readonly<EngineSettings>;
  readonly #batchMemoryBytesMax: number;
  #sequence: number;
  /** What the host's log has grown by for the active memtable, about: bounds what it applies again. */
  #logBytesOfMemtable = 0;
  #puts = 0;
  #userBytes = 0;
  /** Of the batch that is being laid out. */
  #memtable: Memtable | undefined;
  #plan: BatchPlan | undefined;
  readonly #pointTo: PointTo = (value, pointerAt, i) => {
    const { segment, offset } = this.#plan!.places![i]!;
    const at = this.#window.window(value.length);
    copyIn(value, this.#memory, at);
    this.#memory.kernel['sealPointer']!(pointerAt, this.#memtable!.links.get(segment)!.segment, at, value.length, offset);
  };

  /** `window`: where values pass through. `sequence`: of the last batch that is in tables. */
  constructor(parts: {
    memory: LinearMemory;
    window: Reserve;
    log: HostedLog;
    links: HostLinks;
    owner: MemtableOwner;
    settings: Readonly<EngineSettings>;
    sequence: number;
    batchMemoryBytesMax: number;
  }) {
    this.#memory = parts.memory;
    this.#window = parts.window;
    this.#log = parts.log;
    this.#links = parts.links;
    this.#owner = parts.owner;
    this.#settings = parts.settings;
    this.#sequence = parts.sequence;
    this.#batchMemoryBytesMax = parts.batchMemoryBytesMax;
  }

  get sequence(): number {
    return this.#sequence;
  }
  get puts(): number {
    return this.#puts;
  }
  get userBytes(): number {
    return this.#userBytes;
  }

  one(
    keyspace: OpenKeyspace,
    key: Uint8Array,
    value: Uint8Array | undefined,
    expiresAtMs: number,
    durability: Durability,
    sequence: number | undefined,
  ): Promise<void> {
    return this.batch(planOne(keyspace, key, value, expiresAtMs), durability, sequence);
  }

  batch(plan: BatchPlan, _durability: Durability, sequence: number | undefined): Promise<void> {
    return this.batchNow(plan, sequence) ?? RESOLVED;
  }

  /**
   * All or nothing, and `exhausted/MEMORY_BUDGET` when there is no memory for it and none comes back. There is no durability to choose. Done when it returns; what to
   * wait for before the next one, if anything.
   */
  batchNow(plan: BatchPlan, sequence: number | undefined): Promise<void> | undefined {
    this.#log.assertWritable();
    // What is in the arena, nodes, and what its flush takes. Values in the host's log take nothing.
    assertFits(plan, 0, this.#batchMemoryBytesMax);
    const next = this.#nextSequence(sequence);
    for (;;) {
      try {
        return this.#batch(plan, next);
      } catch (error) {
        // It waits for some, on the spot, and is done from its beginning: it may get another memtable.
        if (!isMemoryShort(error) || this.#sequence === next || this.#log.failure || !this.#memory.makeRoom()) throw error;
      }
    }
  }

  #batch(plan: BatchPlan, next: number): Promise<void> | undefined {
    if (plan.keys.length === 0) {
      this.#sequence = next;
      return undefined;
    }
    const memtable = this.#owner.active(0);
    memtable.provide(plan.keys.length);
    const isPointed = this.#link(memtable, plan);
    const from = memtable.reserve(plan.recordBytes);
    this.#memtable = memtable;
    this.#plan = plan;
    try {
      layOut(this.#memory, plan, from, this.#pointTo);
    } finally {
      this.#memtable = undefined;
      this.#plan = undefined;
    }
    memtable.setTop(from + plan.recordBytes);
    try {
      memtable.insert(from, plan.recordBytes, next, -1);
    } catch (error) {
      // Half of the batch is visible: nothing may follow it.
      throw this.#log.abandon('memtable', error);
    }
    if (isPointed) this.#count(memtable, plan);
    this.#sequence = next;
    this.#puts += plan.operations;
    this.#userBytes += plan.userBytes;
    return this.#after(memtable, plan.recordBytes + plan.payloadBytes);
  }

  /** `invalid/SEQUENCE` for one that cannot come next. */
  assertNext(sequence: number): void {
    this.#nextSequence(sequence);
  }

  /** The sequence number that comes next has been given to something beside the memtable. */
  advance(sequence: number): void {
    this.#sequence = this.#nextSequence(sequence);
  }

  write(): void {
    this.#log.write();
  }

  sync(): Promise<void> {
    return this.#log.sync();
  }

  memtableSealed(): void {
    this.#logBytesOfMemtable = 0;
  }

  /** Sees to it that there is a link for each segment that the batch points into; whether it points anywhere. */
  #link(memtable: Memtable, { places }: BatchPlan): boolean {
    let isPointed = false;
    for (const place of places ?? []) {
      if (place === undefined) continue;
      isPointed = true;
      if (memtable.links.has(place.segment)) continue;
      try {
        this.#links.of(memtable, place.segment);
      } catch (error) {
        // What cannot be had, or not now, is the caller's to know. A disk that fails is the end.
        throw error instanceof SparrowError ? error : this.#log.abandon('link', error);
      }
    }
    return isPointed;
  }

  #count(memtable: Memtable, { places, values }: BatchPlan): void {
    for (const [i, place] of places!.entries()) {
      if (place === undefined) continue;
      const link = memtable.links.get(place.segment)!;
      const { length } = values[i]!;
      link.bytes += length;
      link.end = Math.max(link.end, place.offset + length);
    }
    this.#log.pointed();
  }

  #nextSequence(given: number | undefined): number {
    if (given === undefined) {
      throw new SparrowError('invalid', 'SEQUENCE', 'a write to a hosted engine says its sequence number, by which its host knows it', {
        field: 'sequence',
        limit: this.#sequence,
      });
    }
    assertSequence(given, this.#sequence);
    return given;
  }

  #after(memtable: Memtable, logBytes: number): Promise<void> | undefined {
    this.#logBytesOfMemtable += logBytes;
    const limit = this.#settings.memtableBytes;
    if (memtable.bytes >= limit || this.#logBytesOfMemtable >= limit * LOG_PER_MEMTABLE) this.#owner.seal();
    else if (this.#owner.memoryIsShort) this.#owner.relieveMemory();
    return this.#owner.admit(logBytes);
  }
}
