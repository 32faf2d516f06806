/**
 * The active memtable: who may write to it, and when it is sealed so that it is flushed: when it is full, when memtables of all engines take too
 * much, when somebody else needs the memory, and when its range deletes hide much. One that cannot be sealed now, because flushes are too far behind,
 * outgrows its size, is sealed as soon as that can be, and takes nothing more when the disk is full meanwhile.
 *
 * The writers have it (engine/writer.ts, engine/hosted/hosted-writer.ts), the budget of memtables and the memory. Made by maintenance.ts.
 */
import type { Clock, Scheduler, Timer } from '../../base/env.ts';
import type { Background } from '../background/index.ts';
import type { Events } from '../events/index.ts';
import type { EngineLog } from '../log/index.ts';
import { tablesUnder } from '../manifest/index.ts';
import type { LinearMemory, MemoryHolder } from '../memory/linear-memory.ts';
import type { Memtable, MemtableBudget, MemtableHolder } from '../memtable/index.ts';
import type { EngineSettings } from '../settings.ts';
import type { Snapshots } from '../snapshots.ts';
import type { MemtableOwner } from '../writer.ts';
import type { BackPressure } from './back-pressure.ts';
import type { Compactions } from './compactions.ts';
import type { Flushes } from './flushes.ts';
import type { Memtables } from './memtables.ts';
import { type Progress, stall } from './progress.ts';
import type { Versions } from './versions.ts';

const WAIT_SYNC_MS = 1000;
/** So long a write that found no memory waits for a flush to give some back. */
const MAKE_ROOM_MS_MAX = 10_000;
/** So long after the last range delete its memtable is flushed, if it hides anything in tables. */
const FLUSH_RANGES_AFTER_MS = 2000;

export class Sealing implements MemtableOwner, MemtableHolder, MemoryHolder {
  readonly #memory: LinearMemory;
  readonly #budget: MemtableBudget;
  readonly #settings: Readonly<EngineSettings>;
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  readonly #background: Background;
  readonly #snapshots: Snapshots;
  readonly #events: Events;
  readonly #memtables: Memtables;
  readonly #versions: Versions;
  readonly #flushes: Flushes;
  readonly #compactions: Compactions;
  readonly #pressure: BackPressure;
  readonly #progress: Progress;
  readonly #sealReplayed: () => void;
  readonly #onSealed: () => void;
  readonly #leaveMemory: () => void;
  #log: EngineLog | undefined;
  #rangeTimer: Timer | undefined;

  constructor(parts: {
    memory: LinearMemory;
    budget: MemtableBudget;
    settings: Readonly<EngineSettings>;
    scheduler: Scheduler;
    clock: Clock;
    background: Background;
    snapshots: Snapshots;
    events: Events;
    memtables: Memtables;
    versions: Versions;
    flushes: Flushes;
    compactions: Compactions;
    pressure: BackPressure;
    progress: Progress;
    /** While there is no log yet: seals what recovery has replayed. */
    sealReplayed: () => void;
    /** The writer counts anew when a memtable is sealed. */
    onSealed: () => void;
  }) {
    this.#memory = parts.memory;
    this.#budget = parts.budget;
    this.#settings = parts.settings;
    this.#scheduler = parts.scheduler;
    this.#clock = parts.clock;
    this.#background = parts.background;
    this.#snapshots = parts.snapshots;
    this.#events = parts.events;
    this.#memtables = parts.memtables;
    this.#versions = parts.versions;
    this.#flushes = parts.flushes;
    this.#compactions = parts.compactions;
    this.#pressure = parts.pressure;
    this.#progress = parts.progress;
    this.#sealReplayed = parts.sealReplayed;
    this.#onSealed = parts.onSealed;
    this.#leaveMemory = parts.memory.addHolder(this);
  }

  /** The log, once recovery has made it. */
  attachLog(log: EngineLog): void {
    this.#log = log;
  }

  /** Recovery is over. */
  begin(): void {
    this.#budget.add(this);
    this.#progress.onEnd(() => {
      this.#budget.flushEnded();
      this.#sealOverdue();
    });
    if (this.#activeBytes >= this.#settings.memtableBytes) this.seal();
  }

  end(): void {
    this.#leaveMemory();
    this.#budget.remove(this);
    this.#budget.flushEnded();
    this.#rangeTimer?.cancel();
  }

  // ---- for writers ----

  active(segment: number): Memtable {
    if (this.#progress.failure) throw this.#progress.failure;
    if (this.#progress.isShort) this.#assertRoom();
    return this.#memtables.active ?? this.#memtables.begin(segment, this.#snapshots.newest);
  }

  seal(): void {
    const progress = this.#progress;
    // What has ended since takes effect now: a caller that awaits nothing but writes never lets the event loop bring it.
    this.#background.waitSync(0);
    const memtable = this.#memtables.active;
    // Recovery makes one that stays empty when tables have all that the log's floor left to replay.
    if (memtable === undefined || memtable.records === 0) return;
    if (this.#pressure.farBehind) this.#pressure.hold();
    if (progress.failure) throw progress.failure;
    // It outgrows its size. When the disk is full, `active` takes no more.
    if (this.#pressure.farBehind || this.#memtables.active !== memtable) return;
    this.#sealActive(memtable);
  }

  get memoryIsShort(): boolean {
    return this.#budget.isOver;
  }

  relieveMemory(): void {
    this.#budget.relieve();
  }

  admit(bytes: number): Promise<void> | undefined {
    return this.#pressure.admit(bytes);
  }

  // ---- for the budget of memtables ----

  get activeArenaBytes(): number {
    const { active } = this.#memtables;
    return active?.records ? active.arenaBytes : 0;
  }

  get flushing(): boolean {
    return this.#flushes.running;
  }

  sealForMemory(): boolean {
    const { active } = this.#memtables;
    if (!active?.records || this.#progress.isOver || this.#pressure.farBehind || !this.#log) return false;
    this.#sealActive(active);
    return true;
  }

  // ---- for who needs memory ----

  giveBack(): void {
    this.#versions.unloadTables();
  }

  /**
   * A memtable is flushed, on the spot: who asks holds nothing of it. It ends: a flush that has found its memory goes on to its end, or its thread
   * dies and it fails; one that finds none is not under way; and one that waits behind others for longer than that is given up.
   */
  makeRoom(): boolean {
    const [progress, memtables, memory] = [this.#progress, this.#memtables, this.#memory];
    const used = memory.usedBytes;
    this.#background.waitSync(0);
    if (memory.usedBytes < used) return true;
    progress.retry('flush');
    const { active } = memtables;
    if (!this.#flushes.running && memtables.sealed.length === 0 && active?.records && !progress.isOver) {
      if (this.#log) this.#sealActive(active);
      else this.#sealReplayed();
    }
    if (!this.#flushes.running) return false;
    const ended = stall(this.#events, 'memory', true);
    const untilMs = this.#clock.monotonicMs() + MAKE_ROOM_MS_MAX;
    while (this.#flushes.running && memory.usedBytes >= used && !progress.failure) {
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs <= 0) break;
      this.#background.waitSync(Math.min(leftMs, WAIT_SYNC_MS));
    }
    ended();
    return memory.usedBytes < used;
  }

  // ---- range deletes ----

  /** What a range delete hides in tables is given back once its memtable is flushed: when none has come for a while, that is done for it alone. */
  rangeDeleted(): void {
    this.#rangeTimer?.cancel();
    this.#rangeTimer = this.#scheduler.after(
      FLUSH_RANGES_AFTER_MS,
      () => {
        if (this.#pressure.farBehind === undefined && !this.#progress.isOver) this.#progress.guarded('flush', () => this.sealRanges());
      },
      true,
    );
  }

  /** Seals it when its range deletes hide anything in tables. */
  sealRanges(): void {
    const { levels } = this.#versions.version;
    const tombstones = this.#memtables.active?.rangeTombstones ?? [];
    if (tombstones.some((tombstone) => tablesUnder(tombstone, levels).length > 0)) this.seal();
  }

  get #activeBytes(): number {
    return this.#memtables.active?.bytes ?? 0;
  }

  #sealActive(memtable: Memtable): void {
    // After recovery the log has no segment of its own until the first write: the last one recovered counts.
    this.#memtables.seal(Math.max(this.#log!.segment, memtable.firstSegment, ...this.#versions.closedSegments.keys()));
    this.#onSealed();
    this.#compactions.busy();
    this.#flushes.start();
    this.#pressure.changed();
  }

  /** One that has outgrown its size because it could not be sealed is sealed when it can be. */
  #sealOverdue(): void {
    if (this.#activeBytes >= this.#settings.memtableBytes) this.sealForMemory();
  }

  /** A memtable over its size that cannot be sealed takes nothing more. */
  #assertRoom(): void {
    const work = this.#pressure.farBehind;
    if (work === undefined || this.#activeBytes < this.#settings.memtableBytes) return;
    // A caller that awaits nothing but refusals never lets a timer bring the next attempt.
    this.#progress.retry(work);
    this.#background.waitSync(0);
    this.#progress.assertSpace(this.#pressure.farBehind);
  }
}
