/**
 * The term of each entry of a log, as runs: a new one at each change of term. Entries up to `compactedIndex` are unknown but for the
 * term of the last of them.
 *
 *   index   1 2 3 4 5 6 7        compacted 2/1        runs 3/1 5/4 7/6
 *   term    1 1 1 1 4 4 6
 */
import { assert } from '../../base/assert.ts';

export class TermRuns {
  #compactedIndex: number;
  #compactedTerm: number;
  readonly #runs: { index: number; term: number }[];

  constructor(compactedIndex: number, compactedTerm: number, runs: readonly { index: number; term: number }[]) {
    this.#compactedIndex = compactedIndex;
    this.#compactedTerm = compactedTerm;
    this.#runs = runs.map((run) => ({ ...run }));
  }

  get compactedIndex(): number {
    return this.#compactedIndex;
  }

  /** Where each run begins. */
  get runs(): { index: number; term: number }[] {
    return this.#runs.map((run) => ({ ...run }));
  }

  /** The term of an entry that is not beyond the end, or undefined when it is compacted away. */
  term(index: number): number | undefined {
    if (index === this.#compactedIndex) return this.#compactedTerm;
    if (index < this.#compactedIndex) return undefined;
    return this.#runs[this.#runOf(index)]!.term;
  }

  append(index: number, term: number): void {
    const last = this.#runs.at(-1)?.term ?? this.#compactedTerm;
    assert(term >= last, 'terms never fall');
    if (this.#runs.length === 0 || last !== term) this.#runs.push({ index, term });
  }

  /** Everything after `last` is gone. */
  cut(last: number): void {
    while (this.#runs.length > 0 && this.#runs.at(-1)!.index > last) this.#runs.pop();
  }

  /** The log begins anew after `index`. */
  restart(index: number, term: number): void {
    this.#compactedIndex = index;
    this.#compactedTerm = term;
    this.#runs.length = 0;
  }

  /** Everything up to `index` is gone. */
  compact(index: number): void {
    const term = this.term(index)!;
    const kept = this.#runs.filter((_, i) => (this.#runs[i + 1]?.index ?? Infinity) > index + 1);
    this.#runs.splice(0, this.#runs.length, ...kept);
    // A run of which nothing is left yet stays: the next entry of its term continues it.
    if (kept.length > 0) kept[0]!.index = Math.max(kept[0]!.index, index + 1);
    this.#compactedIndex = index;
    this.#compactedTerm = term;
  }

  /** The largest index up to `index` whose term is at most `term`. */
  agreement(index: number, term: number): { index: number; term: number } {
    let at = index;
    while (at > this.#compactedIndex) {
      const run = this.#runs[this.#runOf(at)]!;
      if (run.term <= term) return { index: at, term: run.term };
      at = run.index - 1;
    }
    return { index: at, term: this.#compactedTerm };
  }

  /** The run that holds `index`: the last one that begins at or before it. */
  #runOf(index: number): number {
    let low = 0;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#runs[middle]!.index <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
