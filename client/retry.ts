/** What is worth another attempt, when, and how often. Decisions only; call-runner.ts acts on them. */
import type { SparrowError } from '../base/errors.ts';

/** What is short only for now. A full disk, a full table, or a message that gRPC finds too large, is not. */
const PASSING: ReadonlySet<string> = new Set(['OVERLOADED', 'SCAN_STALLED', 'QUOTA_RATE']);

/**
 * Whether the server may answer differently a little later. Every call is safe to repeat: reads as they are, writes by their request id.
 * An answer of TIMEOUT says that the call's time is over.
 */
export function isWorthRetrying(error: SparrowError): boolean {
  if (error.kind === 'unavailable') return error.code !== 'TIMEOUT' && error.code !== 'LOCKED';
  return error.kind === 'rerouted' || (error.kind === 'exhausted' && PASSING.has(error.code));
}

/** Another server may know better than the one that answered so. */
export function isWorthRotating(error: SparrowError): boolean {
  return error.kind === 'rerouted' || (error.kind === 'unavailable' && error.code !== 'TIMEOUT');
}

/** Milliseconds before attempt `attempt` (1: the first repetition): doubling from `firstMs` to `mostMs`, of which a random half to whole is taken. */
export function pauseMs(attempt: number, firstMs: number, mostMs: number, random: () => number): number {
  const whole = Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 30));
  return whole * (0.5 + random() / 2);
}

/**
 * Keeps retries from multiplying the load on a server that is in trouble: a bucket of tokens of which each retry takes one. Calls that
 * succeed refill it, so that retries are at most a fifth of all calls; time does too, so that a lone caller is never cut off for good.
 * Waiting for a connection takes none: it sends nothing.
 */
export class RetryBudget {
  readonly #capacity: number;
  readonly #perSecond: number;
  readonly #nowMs: () => number;
  #tokens: number;
  #refilledAtMs: number;

  constructor(nowMs: () => number, capacity: number = 100, perSecond: number = 10) {
    this.#nowMs = nowMs;
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#tokens = capacity;
    this.#refilledAtMs = nowMs();
  }

  succeeded(): void {
    if (this.#tokens < this.#capacity) this.#tokens = Math.min(this.#capacity, this.#tokens + 0.2);
  }

  /** Takes a token; false when there is none. */
  take(): boolean {
    const nowMs = this.#nowMs();
    this.#tokens = Math.min(this.#capacity, this.#tokens + ((nowMs - this.#refilledAtMs) / 1000) * this.#perSecond);
    this.#refilledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
