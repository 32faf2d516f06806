/**
 * How much of a group's log is kept. What the engine has made durable could go; but who lags behind by less than `keptBytesMax` of commands should
 * get them from the log, and not a snapshot. So the log is cut there, or further where nobody lacks anything; never beyond what is durable.
 *
 *   compacted | kept for who lags .......... | durable in the engine | in its memory | not applied |
 *             cut                            <------ keptBytesMax ------>
 *
 * How many bytes lie between two indexes is known in steps: a *mark* is set about every `keptBytesMax` or `flushBytes` / 32.
 * Pure. Used by replica.ts.
 */
const MARKS = 32;

export class LogRetention {
  readonly #keptBytesMax: number;
  readonly #stepBytes: number;
  /** Of commands, applied since opening. */
  #bytes = 0;
  #applied: number;
  #durable: number;
  /** Oldest first: up to `index` there were so many bytes. The first is at or before what is durable, and before what the log begins with. */
  #marks: { readonly index: number; readonly bytes: number }[];

  /** `applied`: what the engine was found with. `flushBytes`: what it has in memory at most, about. */
  constructor(keptBytesMax: number, flushBytes: number, applied: number) {
    this.#keptBytesMax = keptBytesMax;
    this.#stepBytes = Math.max(keptBytesMax, flushBytes) / MARKS;
    this.#applied = this.#durable = applied;
    this.#marks = [{ index: applied, bytes: 0 }];
  }

  /** Commands were applied, up to `index`. */
  applied(index: number, bytes: number): void {
    this.#applied = index;
    this.#bytes += bytes;
    if (this.#bytes - this.#marks.at(-1)!.bytes >= this.#stepBytes) this.#marks.push({ index, bytes: this.#bytes });
  }

  /** The engine has durably what was applied up to `index`; which may be ahead of what it was told of, `applied`. */
  durable(index: number): void {
    this.#durable = Math.max(this.#durable, index);
  }

  /** Everything up to there is durable in the engine, and known to be applied. */
  get durableIndex(): number {
    return Math.min(this.#durable, this.#applied);
  }

  /** Of commands that the engine has in memory only: up to a step too many. */
  get volatileBytes(): number {
    return this.#bytes - this.#marks.findLast(({ index }) => index <= this.durableIndex)!.bytes;
  }

  /** Up to where the log may go, 0: nowhere. Nobody lacks what is up to `compactable`. */
  cut(compactable: number): number {
    const kept = this.#keptBytesMax === 0 ? { index: this.durableIndex } : this.#marks.findLast((mark) => this.#isSpared(mark));
    const cut = Math.max(kept?.index ?? 0, Math.min(compactable, this.durableIndex));
    const first = this.#marks.findLastIndex(({ index }) => index <= cut);
    if (first > 0) this.#marks = this.#marks.slice(first);
    return cut;
  }

  /** Everything up to `index` came as a snapshot. */
  restart(index: number): void {
    this.#applied = this.#durable = index;
    this.#marks = [{ index, bytes: this.#bytes }];
  }

  #isSpared({ index, bytes }: { index: number; bytes: number }): boolean {
    return index <= this.durableIndex && this.#bytes - bytes >= this.#keptBytesMax;
  }
}
