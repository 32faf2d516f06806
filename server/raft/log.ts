/**
 * The log as the core sees it: the term of every entry that is not compacted away, and the entries themselves as long as somebody
 * may still need them.
 *
 *   compacted          released            handed        last
 *       |-- terms only ----|---- entries in memory ---------|
 *                                   persisted <= handed <= last,   applied <= committed <= last,   applied <= persisted
 *
 * Terms are kept as runs (a new one at each change of term), so a log of a million entries costs a few numbers.
 * Invariants: no gaps; terms never fall; nothing at or below `committed` is ever replaced.
 */
import { assert } from '../../base/assert.ts';
import type { LogEntry } from './messages.ts';

/** A log as storage found it. */
export interface InitialLog {
  /** The last entry that is no longer in the log, 0 and 0 when all are. */
  compactedIndex: number;
  compactedTerm: number;
  lastIndex: number;
  /** Where each run of entries of one term begins, in order; the first one at compactedIndex + 1. */
  terms: readonly { index: number; term: number }[];
  /** The last entries of the log, at least all that are not applied yet. */
  entries: readonly LogEntry[];
}

export class RaftLog {
  #compactedIndex: number;
  #compactedTerm: number;
  readonly #runs: { index: number; term: number }[];
  /** Entries from #memoryFirst to the last. */
  #entries: LogEntry[];
  #memoryFirst: number;
  #last: number;
  /** What storage was given, and what it said is durable. */
  #handed: number;
  #persisted: number;
  committed: number;
  applied: number;

  constructor(initial: InitialLog, committed: number, applied: number) {
    this.#compactedIndex = initial.compactedIndex;
    this.#compactedTerm = initial.compactedTerm;
    this.#runs = initial.terms.map((run) => ({ ...run }));
    this.#entries = [...initial.entries];
    this.#last = initial.lastIndex;
    this.#memoryFirst = initial.lastIndex + 1 - initial.entries.length;
    this.#handed = this.#last;
    this.#persisted = this.#last;
    this.committed = committed;
    this.applied = applied;
    assert(applied <= committed && committed <= this.#last, 'applied <= committed <= last when a log is opened');
    assert(this.#memoryFirst <= applied + 1, 'all entries that are not applied are in memory');
    assert(
      initial.entries.every((entry, i) => entry.index === this.#memoryFirst + i),
      'log has no gaps',
    );
  }

  get lastIndex(): number {
    return this.#last;
  }

  get lastTerm(): number {
    return this.term(this.#last)!;
  }

  get firstIndex(): number {
    return this.#compactedIndex + 1;
  }

  get persisted(): number {
    return this.#persisted;
  }

  get handed(): number {
    return this.#handed;
  }

  /** The term of an entry, or undefined when it is compacted away or not there yet. */
  term(index: number): number | undefined {
    if (index === this.#compactedIndex) return this.#compactedTerm;
    if (index < this.#compactedIndex || index > this.#last) return undefined;
    return this.#runs[this.#runOf(index)]!.term;
  }

  /** Whether a log that ends with that entry has at least all that this one has committed (Raft, 5.4.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.#last);
  }

  /** Adds entries after the last one. */
  append(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.#last + 1, 'log has no gaps');
      const last = this.#runs.at(-1);
      assert(entry.term >= (last?.term ?? this.#compactedTerm), 'terms never fall');
      if (last === undefined || last.term !== entry.term) this.#runs.push({ index: entry.index, term: entry.term });
      this.#entries.push(entry);
      this.#last = entry.index;
    }
  }

  /**
   * Takes over what a leader sent after an entry that this log has. Entries that are there already are kept; from the first one that
   * differs on, the rest of the log is replaced.
   */
  merge(entries: readonly LogEntry[]): void {
    const fresh = entries.findIndex((entry) => this.term(entry.index) !== entry.term);
    if (fresh === -1) return;
    const first = entries[fresh]!.index;
    if (first <= this.#last) this.#cut(first - 1);
    this.append(entries.slice(fresh));
  }

  /** The largest index up to `index` whose term is at most `term`: where two logs may agree at best. */
  agreement(index: number, term: number): { index: number; term: number } {
    let at = Math.min(index, this.#last);
    while (at > this.#compactedIndex) {
      const run = this.#runs[this.#runOf(at)]!;
      if (run.term <= term) return { index: at, term: run.term };
      at = run.index - 1;
    }
    return { index: at, term: this.#compactedTerm };
  }

  /** Entries from `from` on, as many as fit in `bytesMax`, at least one. They must be in memory. */
  slice(from: number, bytesMax: number): LogEntry[] {
    assert(from >= this.#memoryFirst, 'entries that are asked for are in memory');
    const slice: LogEntry[] = [];
    let bytes = 0;
    for (let i = from - this.#memoryFirst; i < this.#entries.length; i++) {
      const entry = this.#entries[i]!;
      bytes += entry.data.length;
      if (slice.length > 0 && bytes > bytesMax) break;
      slice.push(entry);
    }
    return slice;
  }

  /** Entries that storage has not been given yet; it counts as given then. */
  takeUnstored(): LogEntry[] {
    if (this.#handed === this.#last) return [];
    const entries = this.#entries.slice(this.#handed + 1 - this.#memoryFirst);
    this.#handed = this.#last;
    return entries;
  }

  /** Storage says that its log is durable up to this entry. Ignored when that entry has been replaced since. */
  persistedTo(index: number, term: number): void {
    if (index > this.#persisted && this.term(index) === term) {
      assert(index <= this.#handed, 'storage acknowledges what it was given');
      this.#persisted = index;
    }
  }

  /** Entries to apply now: committed and durable here. They count as applied then. */
  takeCommitted(): LogEntry[] {
    const to = Math.min(this.committed, this.#persisted);
    if (to <= this.applied) return [];
    const entries = this.#entries.slice(this.applied + 1 - this.#memoryFirst, to + 1 - this.#memoryFirst);
    this.applied = to;
    return entries;
  }

  /** Lets go of the entries up to `index` in memory; their terms stay known. */
  release(index: number): void {
    assert(index <= this.applied, 'only applied entries are released');
    const count = index + 1 - this.#memoryFirst;
    if (count <= 0) return;
    this.#entries.splice(0, count);
    this.#memoryFirst = index + 1;
  }

  /** Forgets everything up to `index`: storage removes it too. */
  compact(index: number): void {
    if (index <= this.#compactedIndex) return;
    const term = this.term(index)!;
    this.release(index);
    while (this.#runs.length > 1 && this.#runs[1]!.index <= index + 1) this.#runs.shift();
    if (index === this.#last) this.#runs.length = 0;
    else this.#runs[0]!.index = Math.max(this.#runs[0]!.index, index + 1);
    this.#compactedIndex = index;
    this.#compactedTerm = term;
  }

  #cut(last: number): void {
    assert(last >= this.committed, 'committed entries are never replaced');
    this.#entries.length = last + 1 - this.#memoryFirst;
    while (this.#runs.length > 0 && this.#runs.at(-1)!.index > last) this.#runs.pop();
    this.#last = last;
    this.#handed = Math.min(this.#handed, last);
    this.#persisted = Math.min(this.#persisted, last);
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
