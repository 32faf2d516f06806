/** How long the last syncs of a log took, by a monotonic clock, the one that is under way included. Used by log-writer.ts. */

const KEPT = 256;

export class SyncTimes {
  readonly #endedMs: Float64Array = new Float64Array(KEPT).fill(-Infinity);
  readonly #tookMs: Float64Array = new Float64Array(KEPT);
  #next = 0;
  /** Undefined: none is under way. */
  #begunMs: number | undefined;

  begin(nowMs: number): void {
    this.#begunMs = nowMs;
  }

  end(nowMs: number): void {
    if (this.#begunMs === undefined) return;
    this.#endedMs[this.#next] = nowMs;
    this.#tookMs[this.#next] = nowMs - this.#begunMs;
    this.#next = (this.#next + 1) % KEPT;
    this.#begunMs = undefined;
  }

  /** The mean of those that ended in the last so many milliseconds, or how long the one under way takes already, if that is longer. */
  within(ms: number, nowMs: number): number | undefined {
    let sum = 0;
    let count = 0;
    for (let i = 0; i < KEPT; i++) {
      if (nowMs - this.#endedMs[i]! > ms) continue;
      sum += this.#tookMs[i]!;
      count++;
    }
    const underWayMs = this.#begunMs === undefined ? 0 : nowMs - this.#begunMs;
    if (count === 0) return underWayMs === 0 ? undefined : underWayMs;
    return Math.max(sum / count, underWayMs);
  }
}
