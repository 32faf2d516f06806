/**
 * What writers feel of work that is left undone (debt.ts): they are slowed by their promises, the more the more there is of it (pace.ts). A
 * writer that does not await is not reached by that: when there is no place for another sealed memtable, or level 0 has as many tables as a
 * scan has cursors for, the active memtable outgrows its size, and from twice its size on each write is held for a moment, with the thread.
 *
 * To wait for space on the disk is not the writers' part: they are refused when there is nothing left to write into.
 */
import type { Clock, Scheduler } from '../../base/env.ts';
import type { Background, IoTuner } from '../background/index.ts';
import { BLOCK_HEADER_BYTES, levelBytesMax } from '../compaction/index.ts';
import type { Events, StallReason } from '../events/index.ts';
import type { Version } from '../manifest/index.ts';
import type { MemtableBudget } from '../memtable/index.ts';
import type { EngineSettings } from '../settings.ts';
import { SEALED_MAX } from '../view.ts';
import type { Compactions } from './compactions.ts';
import { type Debt, NO_DEBT, passingDebt, standingDebt } from './debt.ts';
import type { Memtables } from './memtables.ts';
import { Pace, WAIT_MS_MAX } from './pace.ts';
import { type Progress, stall, type Work } from './progress.ts';
import type { Versions } from './versions.ts';

/** At so many tables of level 0 no memtable is sealed: a scan has a cursor for each, and some to spare. */
const LEVEL0_MAX = 48;
/** Block files of fewer segments than this are not worth slowing anybody for. */
const SEGMENTS_FEW = 8;

export class BackPressure {
  readonly #settings: Readonly<EngineSettings>;
  readonly #budget: MemtableBudget;
  readonly #io: IoTuner;
  readonly #clock: Clock;
  readonly #background: Background;
  readonly #memtables: Memtables;
  readonly #versions: Versions;
  readonly #compactions: Compactions;
  readonly #progress: Progress;
  readonly #events: Events;
  readonly #pace: Pace;
  readonly #onRoom = (): void => this.changed();
  /** Of the version that was looked at last. */
  #standing: Debt = NO_DEBT;
  #version: Version | undefined;
  /** Whether writers may have to be slowed. */
  #isNear = false;
  #stalled: { reason: StallReason; ended: () => void } | undefined;

  constructor(parts: {
    settings: Readonly<EngineSettings>;
    budget: MemtableBudget;
    io: IoTuner;
    clock: Clock;
    scheduler: Scheduler;
    background: Background;
    memtables: Memtables;
    versions: Versions;
    compactions: Compactions;
    progress: Progress;
    events: Events;
  }) {
    this.#settings = parts.settings;
    this.#budget = parts.budget;
    this.#io = parts.io;
    this.#clock = parts.clock;
    this.#background = parts.background;
    this.#memtables = parts.memtables;
    this.#versions = parts.versions;
    this.#compactions = parts.compactions;
    this.#progress = parts.progress;
    this.#events = parts.events;
    this.#pace = new Pace(parts.clock, parts.scheduler);
    parts.progress.onEnd(() => this.changed());
  }

  /** A write of `bytes` was made. What it should wait for, if anything. */
  admit(bytes: number): Promise<void> | undefined {
    if (!this.#isNear && !this.#budget.isNear) return undefined;
    if (this.#isOff) return undefined;
    const debt = this.#debt();
    if (debt.amount === 0) return undefined;
    const wait = this.#pace.admit(bytes, debt);
    if (wait && this.#stalled?.reason !== debt.reason) {
      this.#stalled?.ended();
      this.#stalled = { reason: debt.reason, ended: stall(this.#events, debt.reason, false) };
    }
    return wait;
  }

  /** A memtable was sealed, or something has ended. */
  changed(): void {
    const { version } = this.#versions;
    if (version !== this.#version) {
      this.#version = version;
      this.#standing = this.#standingDebt(version);
    }
    const { amount, full } = this.#debt();
    this.#io.debt(amount, this.#clock.monotonicMs());
    this.#isNear = amount > 0 || this.#memtables.sealed.length > 0;
    if (amount > 0 && !this.#isOff) {
      this.#pace.shorten(full);
      return;
    }
    this.#pace.letGo();
    this.#stalled?.ended();
    this.#stalled = undefined;
  }

  /** What must get on before another memtable can be sealed, if so. */
  get farBehind(): Work | undefined {
    if (this.#memtables.sealed.length >= SEALED_MAX - 1) return 'flush';
    const tables = this.#versions.version.levels[0]!.length;
    if (tables >= LEVEL0_MAX && (this.#compactions.running || this.#progress.isFull('compaction'))) return 'compaction';
    return undefined;
  }

  /** Holds a writer that could not seal its memtable, with its thread, for a moment; not before the memtable has twice its size. */
  hold(): void {
    const active = this.#memtables.active;
    if (!active || active.bytes < 2 * this.#settings.memtableBytes) return;
    const goesOn = (): boolean => {
      const work = this.farBehind;
      return work !== undefined && !this.#progress.failure && !this.#progress.isFull(work);
    };
    if (!goesOn()) return;
    const ended = stall(this.#events, this.farBehind === 'flush' ? 'memtables' : 'level0', true);
    const untilMs = this.#clock.monotonicMs() + WAIT_MS_MAX;
    for (let leftMs = WAIT_MS_MAX; leftMs > 0 && goesOn(); leftMs = untilMs - this.#clock.monotonicMs()) this.#background.waitSync(leftMs);
    ended();
  }

  /** Nobody waits for what will not come. */
  get #isOff(): boolean {
    return this.#progress.isOver || this.#progress.isShort;
  }

  #debt(): Debt {
    // Another engine's flush may make room.
    if (this.#budget.isNear) this.#budget.whenRoom(this.#onRoom);
    const passing = passingDebt({
      sealed: this.#memtables.sealed.length,
      sealedMax: SEALED_MAX - 1,
      activeShare: (this.#memtables.active?.bytes ?? 0) / this.#settings.memtableBytes,
      memoryShare: this.#budget.isNear ? this.#budget.share : 0,
    });
    const most = passing.amount > this.#standing.amount ? passing : this.#standing;
    return { ...most, full: Math.max(passing.full, this.#standing.full) };
  }

  #standingDebt(version: Version): Debt {
    const { level0Compact, level0Stop, segmentBytes } = this.#settings;
    let valueBytes = 0;
    let garbageBytes = 0;
    for (const file of version.segments.values()) {
      valueBytes += file.bytes - BLOCK_HEADER_BYTES;
      garbageBytes += file.bytes - BLOCK_HEADER_BYTES - file.liveBytes;
    }
    return standingDebt({
      level0: version.levels[0]!.length,
      level0Compact,
      level0Stop,
      level0Max: LEVEL0_MAX,
      fullestLevel: this.#fullestLevel(),
      valueBytes,
      garbageBytes,
      valueBytesFew: SEGMENTS_FEW * segmentBytes,
    });
  }

  /** The last level has nowhere to go to. */
  #fullestLevel(): number {
    const { facts, version } = this.#versions;
    let most = 0;
    for (let level = 1; level < version.levels.length - 1; level++) {
      most = Math.max(most, facts.of(level).bytes / levelBytesMax(level, this.#settings));
    }
    return most;
  }
}
