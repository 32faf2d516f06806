/**
 * What lies between any two addresses: whether anything comes through in a direction, how long it takes, and what gets lost on the way.
 * Connections (sim-network.ts) and datagrams (sim-datagrams.ts) travel over it.
 */
import type { SimRandom } from './sim-random.ts';
import type { SimScheduler } from './sim-scheduler.ts';

export interface LinkSettings {
  /** Of most deliveries, in milliseconds. */
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  /** So often it takes up to `spikeMsMax` more. */
  readonly spikeChance: number;
  readonly spikeMsMax: number;
  /** Of each direction. What is larger takes longer and holds up what comes after it. */
  readonly bytesPerMs: number;
  /** Datagrams only. Within connections nothing is lost, doubled or overtaken. */
  readonly dropChance: number;
  readonly duplicateChance: number;
  readonly reorderChance: number;
}

export const GOOD_LINKS: LinkSettings = {
  delayMsMin: 0.1,
  delayMsMax: 1,
  spikeChance: 0.01,
  spikeMsMax: 20,
  bytesPerMs: Infinity,
  dropChance: 0,
  duplicateChance: 0,
  reorderChance: 0,
};

export class SimLinks {
  /** May be changed at any time. */
  settings: LinkSettings;
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly #blocked = new Set<string>();
  /** Until when a direction is busy with what was sent before. */
  readonly #busyUntilMs = new Map<string, number>();

  constructor(scheduler: SimScheduler, random: SimRandom, settings: Partial<LinkSettings> = {}) {
    this.scheduler = scheduler;
    this.random = random;
    this.settings = { ...GOOD_LINKS, ...settings };
  }

  isOpen(from: string, to: string): boolean {
    return this.#blocked.size === 0 || !this.#blocked.has(direction(from, to));
  }

  /** Nothing comes through any more in this direction. */
  block(from: string, to: string): void {
    this.#blocked.add(direction(from, to));
  }

  unblock(from: string, to: string): void {
    this.#blocked.delete(direction(from, to));
  }

  /** Between an address of one group and one of another nothing comes through. */
  partition(...groups: readonly (readonly string[])[]): void {
    for (const one of groups)
      for (const other of groups) if (one !== other) for (const from of one) for (const to of other) this.block(from, to);
  }

  heal(): void {
    this.#blocked.clear();
  }

  /** Milliseconds until so many bytes, sent now, are there. */
  delayMs(from: string, to: string, bytes: number): number {
    const { delayMsMin, delayMsMax, spikeChance, spikeMsMax, bytesPerMs } = this.settings;
    let delayMs = delayMsMin + this.random.fraction() * (delayMsMax - delayMsMin);
    if (this.random.chance(spikeChance)) delayMs += this.random.fraction() * spikeMsMax;
    if (bytesPerMs === Infinity) return delayMs;
    const { nowMs } = this.scheduler;
    const begins = Math.max(nowMs, this.#busyUntilMs.get(direction(from, to)) ?? 0);
    const ends = begins + bytes / bytesPerMs;
    this.#busyUntilMs.set(direction(from, to), ends);
    return ends - nowMs + delayMs;
  }
}

function direction(from: string, to: string): string {
  return `${from}>${to}`;
}
