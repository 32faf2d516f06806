/**
 * Bounds the linear memory that the memtables of all engines take together. When those that still take writes have half of it, the engine
 * with the largest gives it up to a flush; when it is used up, writers wait for flushes (maintenance/back-pressure.ts).
 */

/** An engine, as far as its memtables go. */
export interface MemtableHolder {
  /** Linear memory of the memtable that takes writes. */
  readonly activeArenaBytes: number;
  /** Whether one of its memtables is on its way into a table. */
  readonly flushing: boolean;
  /** Seals it, unless that would mean to wait; whether it did. */
  sealForMemory(): boolean;
}

/** From here on writers are slowed. */
const NEAR_SHARE = 0.75;

export class MemtableBudget {
  readonly bytesMax: number;
  readonly #holders = new Set<MemtableHolder>();
  #usedBytes = 0;
  #sealedBytes = 0;
  readonly #waiting = new Set<() => void>();
  /** Nobody could seal anything, and nothing has changed since. */
  #stuck = false;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Whether somebody should seal a memtable: cheap, asked after every write. */
  get isOver(): boolean {
    return this.#usedBytes - this.#sealedBytes > this.bytesMax / 2 && !this.#stuck;
  }

  /** Whether it is about to be used up. */
  get isNear(): boolean {
    return this.#usedBytes > this.bytesMax * NEAR_SHARE;
  }

  /** How much of it is used, as far as a flush will change that: one of an engine that has failed or has no disk space left never will. */
  get share(): number {
    for (const holder of this.#holders) if (holder.flushing) return this.#usedBytes / this.bytesMax;
    return 0;
  }

  add(holder: MemtableHolder): void {
    this.#holders.add(holder);
  }

  remove(holder: MemtableHolder): void {
    this.#holders.delete(holder);
  }

  /** Seals the largest memtables until the others have less than half. */
  relieve(): void {
    const tried = new Set<MemtableHolder>();
    while (this.isOver) {
      let largest: MemtableHolder | undefined;
      for (const holder of this.#holders) {
        if (tried.has(holder) || holder.activeArenaBytes === 0) continue;
        if (!largest || holder.activeArenaBytes > largest.activeArenaBytes) largest = holder;
      }
      if (!largest) {
        this.#stuck = true;
        return;
      }
      tried.add(largest);
      largest.sealForMemory();
    }
  }

  /** `listener` is called once, when there is more room. */
  whenRoom(listener: () => void): void {
    this.#waiting.add(listener);
  }

  // ---- for memtables ----

  grew(bytes: number): void {
    this.#usedBytes += bytes;
    this.#stuck = false;
  }

  sealed(bytes: number): void {
    this.#sealedBytes += bytes;
  }

  freed(bytes: number, wasSealed: boolean): void {
    this.#usedBytes -= bytes;
    if (wasSealed) this.#sealedBytes -= bytes;
    this.#stuck = false;
    this.flushEnded();
  }

  /** A holder's flush ended, well or not. */
  flushEnded(): void {
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const listener of waiting) listener();
  }
}
