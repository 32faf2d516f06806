/**
 * One budget of bytes a second for all that is read and written behind: flushes, compactions with the values that they move, and upkeep beside
 * engines (upkeep-io.ts): backups, checkpoints, ingests, restores, verifying. A token bucket in memory that threads share: whoever has done some
 * work says how many bytes it was, and is told how long to wait before more. A flush says so too but does not wait: writers wait for it; what it
 * took, the others wait for.
 *
 *   | rate i64, bytes a second; 0: no bound | free at i64, us | spent i64, bytes, for each kind of work |
 *
 * `free at` is when all that was spent is paid for; up to BURST_MS of it may be owed.
 */
import { IO_KINDS, type IoKind } from '../io-kind.ts';

const RATE = 0;
const FREE_AT = 1;
const SPENT = 2;
export const IO_BUDGET_BYTES: number = (SPENT + IO_KINDS.length) * 8;
/** Work comes in steps of a mebibyte: they need not be spread evenly. */
const BURST_MS = 50;

export class IoBudget {
  readonly #words: BigInt64Array;
  readonly #nowMs: () => number;

  /** `nowMs`: of a clock that all threads have in common. */
  constructor(shared: SharedArrayBuffer, nowMs: () => number) {
    this.#words = new BigInt64Array(shared);
    this.#nowMs = nowMs;
  }

  /** Bytes a second; Infinity: no bound. */
  get rate(): number {
    return Number(Atomics.load(this.#words, RATE)) || Infinity;
  }
  set rate(bytesPerSec: number) {
    const raised = bytesPerSec > this.rate;
    Atomics.store(this.#words, RATE, Number.isFinite(bytesPerSec) ? BigInt(Math.max(1, Math.round(bytesPerSec))) : 0n);
    // What was spent at a lower rate would be paid for at that.
    if (raised) Atomics.store(this.#words, FREE_AT, 0n);
  }

  /** Bytes since it was made, each kind modulo 2^63. */
  get spentBytes(): number {
    return IO_KINDS.reduce((sum, kind) => sum + this.spentOn(kind), 0);
  }

  /** Of them, those of one kind. */
  spentOn(kind: IoKind): number {
    return Number(Atomics.load(this.#words, SPENT + IO_KINDS.indexOf(kind)));
  }

  /** So many bytes were read or written. */
  spend(kind: IoKind, bytes: number): void {
    if (bytes === 0) return;
    Atomics.add(this.#words, SPENT + IO_KINDS.indexOf(kind), BigInt(bytes));
    const { rate } = this;
    if (rate === Infinity) return;
    const costUs = BigInt(Math.ceil((bytes / rate) * 1e6));
    for (;;) {
      const freeAt = Atomics.load(this.#words, FREE_AT);
      const nowUs = BigInt(Math.round(this.#nowMs() * 1000));
      const next = (freeAt > nowUs ? freeAt : nowUs) + costUs;
      if (Atomics.compareExchange(this.#words, FREE_AT, freeAt, next) === freeAt) return;
    }
  }

  /** How long to wait before more is done, milliseconds; 0: go on. */
  get waitMs(): number {
    if (this.rate === Infinity) return 0;
    const owedMs = Number(Atomics.load(this.#words, FREE_AT)) / 1000 - this.#nowMs();
    return Math.max(0, owedMs - BURST_MS);
  }
}
