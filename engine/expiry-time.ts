/**
 * What time it is, for what expires. An engine goes by the clock. One under a host that says so (`Hosted.expiry: 'told'`) goes by what it is told, because copies of
 * a store that are fed the same batches must answer alike whatever their clocks say, and whatever their background has done by then:
 *
 *   reads        see what has not expired at the time of `look`; outside of it, at `dropMs`
 *   background   leaves out what has expired at `dropMs`, which only grows, and is 0 before the host tells: nothing has
 *
 * Used by reader.ts, scans (engine.ts), maintenance/, and the host.
 */
import type { Clock } from '../base/env.ts';

export class ExpiryTime {
  readonly #clock: Pick<Clock, 'wallMs'>;
  /** Told by the host; undefined: the clock says. */
  #toldMs: number | undefined;
  #lookMs: number | undefined;

  constructor(clock: Pick<Clock, 'wallMs'>, isTold: boolean) {
    this.#clock = clock;
    this.#toldMs = isTold ? 0 : undefined;
  }

  /** Time does not pass by itself. */
  get isTold(): boolean {
    return this.#toldMs !== undefined;
  }

  /** Milliseconds since the epoch: what expires at or before it is not there. */
  get readMs(): number {
    return this.#lookMs ?? this.dropMs;
  }

  /** What expires at or before it may go. */
  get dropMs(): number {
    return this.#toldMs ?? this.#clock.wallMs();
  }

  /** Reads made by `look`, before it returns, are of `atMs`. */
  look<T>(atMs: number, look: () => T): T {
    const before = this.#lookMs;
    this.#lookMs = atMs;
    try {
      return look();
    } finally {
      this.#lookMs = before;
    }
  }

  /** Nobody looks at an earlier time any more, whatever the host writes again after a crash. An earlier one than before is ignored. */
  passed(dropMs: number): void {
    if (this.#toldMs !== undefined && dropMs > this.#toldMs) this.#toldMs = dropMs;
  }
}
