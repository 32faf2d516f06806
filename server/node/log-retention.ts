/**
 * How much of a group's log is kept. What the engine has made durable could go; but who lags behind by less than `keptBytesMax` of commands should
 * get them from the log, and not a snapshot. So the log is cut at the last checkpoint that leaves as much; further where nobody lacks anything.
 *
 * Pure. Used by replica.ts.
 */
export class LogRetention {
  readonly #keptBytesMax: number;
  /** Of commands, applied since opening. */
  #bytes = 0;
  /** Checkpoints of the engine, oldest first: up to `index` it is durable, with so many bytes before. */
  #checkpoints: { readonly index: number; readonly bytes: number }[] = [];

  constructor(keptBytesMax: number) {
    this.#keptBytesMax = keptBytesMax;
  }

  /** Commands were applied. */
  applied(bytes: number): void {
    this.#bytes += bytes;
  }

  /** A checkpoint begins, of what is applied now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The engine has durably what was applied up to `index`, when `bytes` had been. Returns up to where the log may go; nobody lacks what is up to `compactable`. */
  durable(index: number, bytes: number, compactable: number): number {
    this.#checkpoints.push({ index, bytes });
    const cut = this.#checkpoints.findLast((checkpoint) => this.#bytes - checkpoint.bytes >= this.#keptBytesMax);
    if (cut !== undefined) this.#checkpoints = this.#checkpoints.filter((checkpoint) => checkpoint.index >= cut.index);
    return Math.max(cut?.index ?? 0, Math.min(compactable, index));
  }

  /** Everything up to `index` came as a snapshot. */
  restart(): void {
    this.#checkpoints = [];
  }
}
