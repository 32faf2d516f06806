/**
 * The log as the core sees it: the term of every entry that is not compacted away, and the entries themselves as long as somebody
 * is likely to need them. Older ones are in storage alone.
 *
 *   compacted            kept from           applied  handed out     committed        last
 *       |--- terms only ----|---------------- entries in memory -----------------------|
 *                                   persisted <= handed to storage <= last
 *                                   applied <= handed out to apply <= min(committed, persisted)
 *
 * Terms are kept as runs (term-runs.ts), so a log of a million entries costs a few numbers.
 * Invariants: no gaps; terms never fall; nothing at or below `committed` is ever replaced; what is not applied is in memory.
 */
import { assert } from '../../base/assert.ts';
import { entriesBytes, NO_DATA } from './entries.ts';
import type { LogEntry, Snapshot } from './messages.ts';
import { TermRuns } from './term-runs.ts';

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
  readonly #terms: TermRuns;
  /** Entries from #memoryFirst to the last; those before #head are let go already. */
  #entries: LogEntry[];
  #head = 0;
  #memoryFirst: number;
  /** Bytes of the entries in memory. */
  #bytes: number;
  /** Entries after `applied` that change the configuration. */
  #changes: LogEntry[];
  #last: number;
  /** What storage was given, and what it said is durable. */
  #handed: number;
  #persisted: number;
  /** Handed out to apply. */
  #applying: number;
  #applied: number;
  /** A snapshot that takes the place of the log: not given to storage, and its index until storage has it. */
  #snapshot: Snapshot | undefined;
  #installing = 0;
  #snapshotHanded = 0;
  committed: number;

  constructor(initial: InitialLog, committed: number, applied: number) {
    this.#terms = new TermRuns(initial.compactedIndex, initial.compactedTerm, initial.terms);
    this.#entries = [...initial.entries];
    this.#bytes = entriesBytes(initial.entries);
    this.#last = this.#handed = this.#persisted = initial.lastIndex;
    this.#memoryFirst = initial.lastIndex + 1 - initial.entries.length;
    this.#changes = initial.entries.filter((entry) => entry.change !== undefined && entry.index > applied);
    this.committed = committed;
    this.#applying = this.#applied = applied;
    assert(applied <= committed && committed <= this.#last, 'applied <= committed <= last when a log is opened');
    assert(initial.compactedIndex <= applied, 'only what is applied is compacted');
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
    return this.#terms.compactedIndex + 1;
  }

  get persisted(): number {
    return this.#persisted;
  }

  get handed(): number {
    return this.#handed;
  }

  get snapshotHanded(): number {
    return this.#snapshotHanded;
  }

  get applied(): number {
    return this.#applied;
  }

  /** Up to where entries were handed out to be applied. */
  get applying(): number {
    return this.#applying;
  }

  /** Bytes of the entries in memory. */
  get memoryBytes(): number {
    return this.#bytes;
  }

  /** Whether a snapshot has taken the place of the log and is not durable yet. */
  get installing(): boolean {
    return this.#installing > 0;
  }

  /** Whether the configuration changes by entries that are committed and not applied. */
  get hasUnappliedChange(): boolean {
    return this.#changes.length > 0 && this.#changes[0]!.index <= this.committed;
  }

  /** The term of an entry, or undefined when it is compacted away or not there yet. */
  term(index: number): number | undefined {
    return index > this.#last ? undefined : this.#terms.term(index);
  }

  /** Whether a log that ends with that entry has at least all that this one has committed (Raft, 5.4.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.#last);
  }

  get committedTerm(): number {
    return this.term(this.committed)!;
  }

  /** Somebody knows this entry to be committed. */
  learnCommitted(index: number, term: number): void {
    if (index > this.committed && this.term(index) === term) this.committed = index;
  }

  /** Adds entries after the last one. */
  append(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.#last + 1, 'log has no gaps');
      this.#terms.append(entry.index, entry.term);
      this.#entries.push(entry);
      this.#bytes += entry.data.length;
      if (entry.change !== undefined) this.#changes.push(entry);
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
    this.append(fresh === 0 ? entries : entries.slice(fresh));
  }

  /** A snapshot takes the place of the log. */
  restore(snapshot: Snapshot): void {
    assert(snapshot.index > this.committed, 'a snapshot brings the log forward');
    this.#terms.restart(snapshot.index, snapshot.term);
    this.#entries = [];
    this.#head = this.#bytes = 0;
    this.#changes = [];
    this.#memoryFirst = snapshot.index + 1;
    this.#last = this.#handed = this.committed = snapshot.index;
    this.#persisted = Math.min(this.#persisted, snapshot.index - 1);
    this.#snapshot = snapshot;
    this.#installing = snapshot.index;
  }

  /** The largest index up to `index` whose term is at most `term`: where two logs may agree at best. */
  agreement(index: number, term: number): { index: number; term: number } {
    return this.#terms.agreement(Math.min(index, this.#last), term);
  }

  /** Whether an entry is in memory, and not in storage alone. */
  inMemory(index: number): boolean {
    return index >= this.#memoryFirst;
  }

  /** Entries from `from` to `to`, as many as fit in `bytesMax`, at least one. They must be in memory. */
  slice(from: number, to: number, bytesMax: number): LogEntry[] {
    assert(from >= this.#memoryFirst, 'entries that are asked for are in memory');
    const slice: LogEntry[] = [];
    let bytes = 0;
    for (let index = from; index <= to; index++) {
      const entry = this.#entry(index);
      bytes += entry.data.length;
      if (slice.length > 0 && bytes > bytesMax) break;
      slice.push(entry);
    }
    return slice;
  }

  /** A snapshot that storage has not been given yet; it counts as given then. */
  takeSnapshot(): Snapshot | undefined {
    const snapshot = this.#snapshot;
    if (snapshot !== undefined) this.#snapshotHanded = snapshot.index;
    this.#snapshot = undefined;
    return snapshot;
  }

  /** Entries that storage has not been given yet; they count as given then. */
  takeUnstored(): LogEntry[] {
    if (this.#handed === this.#last) return [];
    const entries = this.#between(this.#handed + 1, this.#last);
    this.#handed = this.#last;
    return entries;
  }

  /** Storage says that its log is durable up to this entry. Ignored when that entry has been replaced since. */
  persistedTo(index: number, term: number, snapshot: number): void {
    if (this.#installing > 0) {
      if (snapshot < this.#installing) return;
      this.#applying = this.#applied = this.#persisted = this.#installing;
      this.#installing = 0;
    }
    if (index > this.#persisted && this.term(index) === term) {
      assert(index <= this.#handed, 'storage acknowledges what it was given');
      this.#persisted = index;
    }
  }

  /** Entries to apply now: committed and durable here. They are not given again. */
  takeCommitted(): LogEntry[] {
    const to = Math.min(this.committed, this.#persisted);
    if (to <= this.#applying || this.#installing > 0) return [];
    const entries = this.#between(this.#applying + 1, to);
    this.#applying = to;
    return entries;
  }

  /** The host has applied everything up to `index`. Returns the changes of the configuration among it, and its bytes. */
  appliedTo(index: number): { changes: LogEntry[]; bytes: number } {
    // What was on its way when a snapshot took its place is of no interest any more.
    if (index <= this.#applied || this.#installing > 0) return { changes: [], bytes: 0 };
    assert(index <= this.#applying, 'only what was handed out is applied');
    let bytes = 0;
    for (let i = this.#applied + 1; i <= index; i++) bytes += this.#entry(i).data.length;
    const after = this.#changes.findIndex((entry) => entry.index > index);
    const changes = this.#changes.splice(0, after < 0 ? this.#changes.length : after);
    this.#applied = index;
    return { changes, bytes };
  }

  /** Bytes of the entries that are not applied. */
  unappliedBytes(): number {
    return entriesBytes(this.#between(this.#applied + 1, this.#last));
  }

  /** Lets go of applied entries in memory: those up to `index`, and the oldest as long as more than `bytesMax` are held. */
  release(index: number, bytesMax: number): void {
    while (this.#memoryFirst <= this.#applied && (this.#memoryFirst <= index || this.#bytes > bytesMax)) {
      this.#bytes -= this.#entries[this.#head]!.data.length;
      this.#entries[this.#head++] = RELEASED;
      this.#memoryFirst++;
    }
    if (this.#head > 64 && this.#head * 2 > this.#entries.length) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** Forgets everything up to `index`: storage removes it too. */
  compact(index: number): void {
    if (index <= this.#terms.compactedIndex) return;
    assert(index <= this.#applied, 'only what is applied is compacted');
    this.release(index, Infinity);
    this.#terms.compact(index);
  }

  #cut(last: number): void {
    assert(last >= this.committed, 'committed entries are never replaced');
    for (const entry of this.#between(last + 1, this.#last)) this.#bytes -= entry.data.length;
    this.#entries.length = this.#head + last + 1 - this.#memoryFirst;
    while (this.#changes.length > 0 && this.#changes.at(-1)!.index > last) this.#changes.pop();
    this.#terms.cut(last);
    this.#last = last;
    this.#handed = Math.min(this.#handed, last);
    this.#persisted = Math.min(this.#persisted, last);
  }

  #entry(index: number): LogEntry {
    return this.#entries[this.#head + index - this.#memoryFirst]!;
  }

  #between(first: number, last: number): LogEntry[] {
    const at = this.#head - this.#memoryFirst;
    return this.#entries.slice(at + first, at + last + 1);
  }
}

/** In the place of an entry that was let go. */
const RELEASED: LogEntry = { index: 0, term: 0, data: NO_DATA };
