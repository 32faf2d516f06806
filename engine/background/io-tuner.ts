/**
 * Sets the rate of the I/O budget by what writers and the disk say: up while work is left undone, because writers are slowed for it; down, to
 * less than what was just used, while syncs that callers wait for take several times as long as they can. Without news it goes up again
 * little by little. So background work takes what the disk has left.
 */
import type { IoBudget } from './io-budget.ts';

const MIB = 1024 * 1024;
/** Below this it is not cut: what is behind must come to an end. */
const RATE_MIN = 4 * MIB;
/** A bound above this is none. */
const RATE_UNBOUND = 2048 * MIB;
const CHANGE_MS = 100;
/** So long without a slow sync, and it may go up. */
const CALM_MS = 2000;
/** A sync is slow when it takes longer than this, and than so many times the quickest of late. */
const SLOW_MS = 20;
const SLOW_TIMES = 5;
/** By how much the memory of a quick sync fades with each that is slower. */
const FADING = 0.0003;
const SOME_DEBT = 0.1;

export class IoTuner {
  readonly #budget: IoBudget;
  readonly #max: number;
  #changedMs = 0;
  #slowMs = -Infinity;
  #quickestMs = Infinity;
  #debtMs = -Infinity;
  #seen: { spent: number; atMs: number } | undefined;

  /** `max`: bytes a second, Infinity for no bound. */
  constructor(budget: IoBudget, max: number) {
    this.#budget = budget;
    this.#max = max;
    budget.rate = max;
  }

  /** An engine has so much left undone (maintenance/debt.ts). */
  debt(amount: number, nowMs: number): void {
    if (amount > SOME_DEBT) {
      this.#debtMs = nowMs;
      this.#change(1 + Math.min(1, amount), nowMs);
    } else if (nowMs - this.#slowMs > CALM_MS) this.#change(1.25, nowMs);
  }

  /** A sync that callers waited for took so long. */
  synced(ms: number, nowMs: number): void {
    this.#quickestMs = ms < this.#quickestMs ? ms : this.#quickestMs + (ms - this.#quickestMs) * FADING;
    const isSlow = ms > SLOW_MS && ms > SLOW_TIMES * this.#quickestMs;
    if (isSlow) {
      this.#slowMs = nowMs;
      // Writers who are slowed anyway gain nothing from it.
      if (nowMs - this.#debtMs > CALM_MS) this.#cut(nowMs);
    } else if (nowMs - this.#slowMs > CALM_MS) this.#change(1.25, nowMs);
  }

  #cut(nowMs: number): void {
    const spent = this.#budget.spentBytes;
    const last = this.#seen;
    if (last && nowMs - last.atMs < CHANGE_MS) return;
    this.#seen = { spent, atMs: nowMs };
    // What was used long before says nothing of now.
    if (!last || nowMs - last.atMs > CALM_MS) return;
    const used = ((spent - last.spent) / (nowMs - last.atMs)) * 1000;
    // Nothing was done behind: the disk is slow by itself.
    if (used < RATE_MIN) return;
    this.#changedMs = nowMs;
    this.#budget.rate = Math.max(RATE_MIN, Math.min(this.#budget.rate, used) * 0.8);
  }

  #change(times: number, nowMs: number): void {
    const { rate } = this.#budget;
    if (rate >= this.#max || nowMs - this.#changedMs < CHANGE_MS) return;
    this.#changedMs = nowMs;
    const next = rate * times;
    this.#budget.rate = next >= RATE_UNBOUND ? this.#max : Math.min(next, this.#max);
  }
}
