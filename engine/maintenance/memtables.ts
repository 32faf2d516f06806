/**
 * The memtables of one engine, and how long each must stay: the active one takes writes; sealed ones wait for their flush, newest first as
 * in the view; flushed ones are freed once the log has written all that lies in their arenas, which are its image.
 */
import type { EngineLog } from '../log/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { RangeTombstone } from '../manifest/index.ts';
import { Memtable, type MemtableBudget } from '../memtable/index.ts';
import type { View } from '../view.ts';
import type { LiveRanges } from './live-ranges.ts';

export type Sealed = {
  readonly memtable: Memtable;
  /** The last segment that its records may be in. */
  readonly lastSegment: number;
};

export class Memtables {
  readonly #memory: LinearMemory;
  readonly #budget: MemtableBudget;
  readonly #view: View;
  readonly #ranges: LiveRanges;
  #log: EngineLog | undefined;
  #active: Memtable | undefined;
  readonly #sealed: Sealed[] = [];
  /** Flushed, but the log has not written all that lies in their arenas. */
  readonly #unwritten: Memtable[] = [];

  constructor(memory: LinearMemory, budget: MemtableBudget, view: View, ranges: LiveRanges) {
    this.#memory = memory;
    this.#budget = budget;
    this.#ranges = ranges;
    this.#view = view;
  }

  /** The log, once recovery has made it. */
  attachLog(log: EngineLog): void {
    this.#log = log;
  }

  get active(): Memtable | undefined {
    return this.#active;
  }
  /** Newest first. */
  get sealed(): readonly Sealed[] {
    return this.#sealed;
  }
  /** Bytes of records. */
  get bytes(): number {
    return (this.#active?.bytes ?? 0) + this.#sealed.reduce((sum, { memtable }) => sum + memtable.bytes, 0);
  }
  /** Distinct keys of each, added up, and deletes. */
  get counts(): { keys: number; deletes: number } {
    let keys = this.#active?.keys ?? 0;
    let deletes = this.#active?.deletes ?? 0;
    for (const { memtable } of this.#sealed) {
      keys += memtable.keys;
      deletes += memtable.deletes;
    }
    return { keys, deletes };
  }
  /** Of versions as old as `sequence` that are kept for snapshots alone: at most. */
  pinnedBytes(sequence: number): number {
    let bytes = 0;
    let older = -1;
    const newestFirst = [...(this.#active ? [this.#active] : []), ...this.#sealed.map(({ memtable }) => memtable)];
    for (const memtable of newestFirst.toReversed()) {
      if (older < sequence) bytes += memtable.pinnedBytes;
      older = memtable.lastSequence;
    }
    return bytes;
  }
  /** The newest memtable that has records. */
  get newest(): Memtable | undefined {
    return this.#active?.records ? this.#active : this.#sealed[0]?.memtable;
  }
  /** The oldest segment that an unflushed record may be in; undefined: there is none. */
  get firstSegment(): number | undefined {
    return (this.#sealed.at(-1)?.memtable ?? this.#active)?.firstSegment;
  }

  /** Of all that wait to be flushed. */
  get rangeTombstones(): RangeTombstone[] {
    const sealed = this.#sealed.flatMap(({ memtable }) => memtable.rangeTombstones);
    return [...sealed, ...(this.#active?.rangeTombstones ?? [])];
  }

  /** Whether the memtable still waits for its flush. */
  has(memtable: Memtable): boolean {
    return this.#active === memtable || this.#sealed.some((sealed) => sealed.memtable === memtable);
  }

  /** A new active memtable; there is none. */
  begin(segment: number, newestSnapshot: number): Memtable {
    const memtable = new Memtable(this.#memory, segment, this.#budget, (tombstone) => this.#ranges.add(tombstone));
    memtable.newestSnapshot = newestSnapshot;
    this.#active = memtable;
    this.show();
    return memtable;
  }

  /** The active memtable takes no more; the next write begins another. */
  seal(lastSegment: number): void {
    this.#active!.seal();
    this.#sealed.unshift({ memtable: this.#active!, lastSegment });
    this.#active = undefined;
    this.show();
  }

  /** The oldest sealed one is in a table. Reads see it until `show`; it is freed after that, by `freeWritten`. */
  flushed(): void {
    this.#unwritten.push(this.#sealed.pop()!.memtable);
  }

  /** Tells the view. */
  show(): void {
    this.#view.setMemtables(
      this.#active?.address,
      this.#sealed.map(({ memtable }) => memtable.address),
    );
  }

  /** Has the log write what lies in the arenas; false: a full disk puts that off. */
  writeLog(): boolean {
    // Without a log, in recovery: what is in the arenas came out of it.
    const log = this.#log;
    try {
      log?.write();
      return true;
    } catch {
      // Whoever waits for the log is told by it. One that has failed writes nothing any more.
      return log!.failure !== undefined;
    }
  }

  /** After `writeLog`. */
  freeWritten(): void {
    for (const memtable of this.#unwritten.splice(0)) memtable.free();
  }

  /** Nobody finds them after: a snapshot may be released when its engine has been closed, and the memory be somebody else's by then. */
  free(): void {
    this.#active?.free();
    this.#active = undefined;
    for (const { memtable } of this.#sealed.splice(0)) memtable.free();
    this.freeWritten();
  }
}
