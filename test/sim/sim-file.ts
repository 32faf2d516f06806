/**
 * The bytes of one file twice: as programs see them (cached) and as the disk has them (durable), by sectors of 512 bytes.
 *
 *   write, truncate     change the cached bytes; each sector that differs is dirty, with the states it went through
 *   datasync            the cached bytes and size of the moment of the call become durable
 *   drop                a failed sync: dirty sectors are forgotten, programs still see them, the disk never will
 *   lose                a write that the disk has not done though it says so: the same of the sectors of one write
 *   crash               each dirty sector becomes what the choice says: lost, kept, an earlier state, or torn between two states
 *
 * A sector that was extended over but never written reads as zeros after the crash.
 */
import type { SimRandom } from './sim-random.ts';

export const SECTOR_BYTES = 512;
/** Earlier states that are remembered of one dirty sector and of the size. */
const STATES_MAX = 4;

/**
 * What power loss leaves of what was not synced.
 * - `none`: nothing.
 * - `all`: everything.
 * - `random`: of each sector and each directory entry, nothing or everything or an earlier state.
 * - `torn`: as random, and sectors are cut between two states.
 * - `entries-lost`: everything but changes of directories: what a missing fsync of a directory may cost.
 * - `contents-lost`: changes of directories and nothing else: what a missing fsync of a file may cost.
 */
export type CrashMode = 'none' | 'all' | 'random' | 'torn' | 'entries-lost' | 'contents-lost';

export const CRASH_MODES: readonly CrashMode[] = ['none', 'all', 'random', 'torn', 'entries-lost', 'contents-lost'];

interface DirtySector {
  version: number;
  /** States between the durable and the cached one, oldest first. */
  between: Uint8Array[] | undefined;
}

/** What a datasync will make durable: the state of the moment when it was called. */
export interface PendingSync {
  readonly bytes: number;
  /** Dirty sectors, ascending, and the version of each. */
  readonly sectors: readonly number[];
  readonly versions: readonly number[];
  /** From the first of them to the last. */
  readonly content: Uint8Array;
}

export class SimFile {
  #cached = new Uint8Array(0);
  #bytes = 0;
  #durable = new Uint8Array(0);
  #durableBytes = 0;
  /** Sizes between the durable and the cached one, oldest first; undefined when the size is durable. */
  #sizesBetween: number[] | undefined;
  readonly #dirty = new Map<number, DirtySector>();
  #version = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get dirty(): boolean {
    return this.#dirty.size > 0 || this.#sizesBetween !== undefined;
  }

  read(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    const count = Math.max(0, Math.min(length, this.#bytes - position));
    if (count > 0) target.set(this.#cached.subarray(position, position + count), targetOffset);
    return count;
  }

  write(source: Uint8Array, position: number): void {
    if (source.length === 0) return;
    const end = position + source.length;
    if (end > this.#bytes) this.#resize(end);
    this.#touch(position, end);
    this.#cached.set(source, position);
  }

  truncate(bytes: number): void {
    if (bytes === this.#bytes) return;
    if (bytes < this.#bytes) {
      this.#touch(bytes, this.#bytes);
      this.#cached.fill(0, bytes, this.#bytes);
    }
    this.#resize(bytes);
  }

  beginSync(): PendingSync {
    const sectors = [...this.#dirty.keys()].sort((a, b) => a - b);
    const versions = sectors.map((index) => this.#dirty.get(index)!.version);
    const content =
      sectors.length === 0 ? new Uint8Array(0) : this.#cached.slice(sectors[0]! * SECTOR_BYTES, (sectors.at(-1)! + 1) * SECTOR_BYTES);
    return { bytes: this.#bytes, sectors, versions, content };
  }

  finishSync(pending: PendingSync): void {
    const { sectors, versions, content } = pending;
    const first = sectors[0] ?? 0;
    const whole = sectors.length * SECTOR_BYTES >= content.length;
    this.#durable = grown(this.#durable, first * SECTOR_BYTES + content.length);
    if (whole) this.#durable.set(content, first * SECTOR_BYTES);
    for (const [i, index] of sectors.entries()) {
      const at = (index - first) * SECTOR_BYTES;
      if (!whole) this.#durable.set(content.subarray(at, at + SECTOR_BYTES), index * SECTOR_BYTES);
      const dirty = this.#dirty.get(index);
      if (dirty?.version === versions[i]) this.#dirty.delete(index);
      else if (dirty) dirty.between = undefined;
    }
    this.#durableBytes = pending.bytes;
    if (this.#bytes === pending.bytes) this.#sizesBetween = undefined;
    else this.#sizesBetween = [];
  }

  /** After a sync that failed the system calls the pages clean; they are not on the disk. */
  drop(): void {
    this.#dirty.clear();
    this.#sizesBetween = undefined;
  }

  /** What was written there is in the system's cache only, and no sync will bring it to the disk. */
  lose(position: number, bytes: number): void {
    for (let index = Math.floor(position / SECTOR_BYTES); index * SECTOR_BYTES < position + bytes; index++) this.#dirty.delete(index);
  }

  /** Becomes what power loss leaves. */
  crash(mode: CrashMode, random: SimRandom): void {
    if (mode === 'all' || mode === 'entries-lost') this.finishSync(this.beginSync());
    else if (mode === 'random' || mode === 'torn') this.#keepSome(mode, random);
    this.#dirty.clear();
    this.#sizesBetween = undefined;
    this.#bytes = this.#durableBytes;
    this.#durable = grown(this.#durable, sectorEnd(this.#bytes));
    // What lies past the end is gone for good: a later extension reads zeros there.
    this.#durable.fill(0, this.#bytes);
    this.#cached = this.#durable.slice();
  }

  /** Bit rot, on the disk and in the cache alike. */
  flip(position: number, mask: number): void {
    for (const content of [this.#cached, this.#durable]) if (position < content.length) content[position]! ^= mask;
  }

  #keepSome(mode: CrashMode, random: SimRandom): void {
    for (const [index, { between }] of this.#dirty) {
      this.#durable = grown(this.#durable, (index + 1) * SECTOR_BYTES);
      const at = index * SECTOR_BYTES;
      const states = [this.#durable.slice(at, at + SECTOR_BYTES), ...(between ?? []), this.#sector(index)];
      // Half of the time the newest or the oldest: these are the likely ones.
      const state = random.chance(0.5) ? states[random.below(2) * (states.length - 1)]! : random.pick(states);
      this.#durable.set(state, at);
      if (mode === 'torn' && random.chance(0.3)) {
        const cut = random.below(SECTOR_BYTES);
        this.#durable.set(random.pick(states).subarray(cut), at + cut);
      }
    }
    if (this.#sizesBetween) this.#durableBytes = random.pick([this.#durableBytes, ...this.#sizesBetween, this.#bytes]);
  }

  #sector(index: number): Uint8Array {
    return this.#cached.slice(index * SECTOR_BYTES, (index + 1) * SECTOR_BYTES);
  }

  #resize(bytes: number): void {
    if (this.#sizesBetween) remember(this.#sizesBetween, this.#bytes);
    else this.#sizesBetween = [];
    this.#cached = grown(this.#cached, sectorEnd(bytes));
    this.#bytes = bytes;
  }

  /** The bytes from `begin` to `end` are about to change. */
  #touch(begin: number, end: number): void {
    for (let index = Math.floor(begin / SECTOR_BYTES); index * SECTOR_BYTES < end; index++) {
      const dirty = this.#dirty.get(index);
      const version = ++this.#version;
      if (dirty) {
        remember((dirty.between ??= []), this.#sector(index));
        dirty.version = version;
      } else this.#dirty.set(index, { version, between: undefined });
    }
  }
}

function remember<T>(states: T[], state: T): void {
  states.push(state);
  if (states.length > STATES_MAX) states.shift();
}

function sectorEnd(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
}

function grown(content: Uint8Array<ArrayBuffer>, bytes: number): Uint8Array<ArrayBuffer> {
  if (content.length >= bytes) return content;
  const larger = new Uint8Array(Math.max(sectorEnd(bytes), content.length * 2));
  larger.set(content);
  return larger;
}
