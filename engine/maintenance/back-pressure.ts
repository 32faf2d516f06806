/**
 * What writers feel of work that is left undone. Behind: they are asked to wait (a promise that their own waits for). Far behind: there is
 * no place for another sealed memtable, and whoever does not wait is made to. To wait for space on the disk is not the writers' part: they
 * are refused when there is nothing left to write into.
 */
import type { Events, StallReason } from '../events/index.ts';
import type { MemtableBudget } from '../memtable/index.ts';
import type { EngineSettings } from '../settings.ts';
import { SEALED_MAX } from '../view.ts';
import type { Compactions } from './compactions.ts';
import type { Memtables } from './memtables.ts';
import type { Progress, Work } from './progress.ts';
import type { Versions } from './versions.ts';

/** Writers are asked to wait when this many memtables wait to be flushed, and made to wait at one less than the view has room for. */
const SEALED_THROTTLE = 2;
/** A writer that does not wait when asked to is made to wait at this many tables of level 0: a scan has a cursor for each, and some to spare. */
const LEVEL0_MAX = 48;

export class BackPressure {
  readonly #settings: Readonly<EngineSettings>;
  readonly #budget: MemtableBudget;
  readonly #memtables: Memtables;
  readonly #versions: Versions;
  readonly #compactions: Compactions;
  readonly #progress: Progress;
  readonly #events: Events;
  readonly #onRoom = (): void => this.#letGo();
  /** What writers wait for while they are asked to. */
  #room: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(parts: {
    settings: Readonly<EngineSettings>;
    budget: MemtableBudget;
    memtables: Memtables;
    versions: Versions;
    compactions: Compactions;
    progress: Progress;
    events: Events;
  }) {
    this.#settings = parts.settings;
    this.#budget = parts.budget;
    this.#memtables = parts.memtables;
    this.#versions = parts.versions;
    this.#compactions = parts.compactions;
    this.#progress = parts.progress;
    this.#events = parts.events;
    parts.progress.onEnd(() => this.#letGo());
  }

  /** What writers should wait for before they write more. */
  get throttle(): Promise<void> | undefined {
    const reason = this.#behind();
    if (reason === undefined || this.#progress.isShort) return undefined;
    return (this.#room ??= this.#askToWait(reason)).promise;
  }

  /** What must get on before another memtable can be sealed, if so. */
  get farBehind(): Work | undefined {
    if (this.#memtables.sealed.length >= SEALED_MAX - 1) return 'flush';
    const tables = this.#versions.version.levels[0]!.length;
    if (tables >= LEVEL0_MAX && (this.#compactions.running || this.#progress.isFull('compaction'))) return 'compaction';
    return undefined;
  }

  #askToWait(reason: StallReason): { promise: Promise<void>; resolve: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const ended = stall(this.#events, reason, false);
    return {
      promise,
      resolve: () => {
        ended();
        resolve();
      },
    };
  }

  #behind(): StallReason | undefined {
    if (this.#budget.isFull) {
      // Another engine's flush may make room.
      this.#budget.whenRoom(this.#onRoom);
      return 'memory';
    }
    if (this.#memtables.sealed.length >= SEALED_THROTTLE) return 'memtables';
    return this.#versions.version.levels[0]!.length >= this.#settings.level0Stop ? 'level0' : undefined;
  }

  #letGo(): void {
    if (this.#room === undefined) return;
    if (!this.#progress.isOver && !this.#progress.isShort && this.#behind() !== undefined) return;
    this.#room.resolve();
    this.#room = undefined;
  }
}

/** Tells that writers wait from now on, and, when what it returns is called, that they wait no longer. */
export function stall(events: Events, reason: StallReason, blocking: boolean): () => void {
  const begunMs = events.nowMs();
  events.emit({ type: 'stall-begun', reason, blocking });
  return () => events.emit({ type: 'stall-ended', reason, blocking, durationMs: events.nowMs() - begunMs });
}
