/**
 * What is in memory of one group's log: its hard state, where it begins, and term and place of every entry.
 *
 *     begin        first known                           last
 *       |-- missing --|------- terms and places -----------|         missing: nothing, when the log is sound
 *
 * Changed by the writer when frames are written, and by recovery.ts when they are read.
 */
import { assert } from '../../../base/assert.ts';
import { type HardState, TermRuns } from '../../raft/index.ts';
import { EntryPlaces, type EntryPlace, MISSING } from './entry-places.ts';
import { type GroupSummary, NO_DATA } from './frame-kinds.ts';

/** Entries from `from` to `to`. */
export interface IndexRange {
  from: number;
  to: number;
}

export class GroupState {
  readonly id: number;
  /** Of the group's last frame; 0: it has none. */
  ordinal = 0;
  hardState: HardState = NO_STATE;
  /** What the log has of it. */
  writtenState: HardState = NO_STATE;
  /** The last entry that is no longer in the log. */
  beginIndex = 0;
  beginTerm = 0;
  note: Uint8Array = NO_DATA;
  /** A replica of the group was destroyed here once. */
  retired = false;
  /** The last entry of its log then; of several of them the last by term and index. 0: it had none. */
  retiredIndex = 0;
  retiredTerm = 0;
  /** On its way out: nothing is appended any more. */
  removing = false;
  /** Frames of the group may have been lost behind the last one that was found. */
  endLost = false;
  #places: EntryPlaces = new EntryPlaces(1);
  #terms: TermRuns = new TermRuns(0, 0, []);
  /** Entries were filled in: segments may fall with the index. */
  #scattered = false;

  constructor(id: number) {
    this.id = id;
  }

  get lastIndex(): number {
    return this.#places.next - 1;
  }

  /** As the next segment begins with it. */
  get summary(): GroupSummary {
    const { id: group, ordinal, lastIndex, hardState, beginIndex, beginTerm, endLost, retired, retiredIndex, retiredTerm, note } = this;
    const lastTerm = this.termHint(lastIndex) ?? 0;
    return { group, ordinal, lastIndex, lastTerm, hardState, beginIndex, beginTerm, endLost, retired, retiredIndex, retiredTerm, note };
  }

  get heldBytes(): number {
    return this.#places.heldBytes;
  }

  /** Where each run of entries of one term begins. */
  get runs(): { index: number; term: number }[] {
    return this.#terms.runs.filter(({ index }) => index <= this.lastIndex);
  }

  /** The term of an entry, or undefined when it is not in the log. */
  term(index: number): number | undefined {
    if (index === this.beginIndex) return this.beginTerm;
    return this.has(index) ? this.#terms.term(index) : undefined;
  }

  /** As `term`, also of a missing entry, where only what came after it tells. */
  termHint(index: number): number | undefined {
    if (index === this.beginIndex) return this.beginTerm;
    return index > this.lastIndex ? undefined : this.#terms.term(index);
  }

  has(index: number): boolean {
    return index >= this.#places.first && index <= this.lastIndex && this.#places.segmentOf(index) !== 0;
  }

  place(index: number): EntryPlace {
    return this.#places.get(index);
  }

  /** An entry after the last one, or in the place of it and all that follow. */
  put(index: number, term: number, place: EntryPlace): void {
    assert(index > this.beginIndex && index <= this.lastIndex + 1, 'log has no gaps');
    if (index < this.#places.first) this.#restart(index - 1, this.termHint(index - 1) ?? 0);
    else if (index <= this.lastIndex) this.cut(index - 1);
    this.#terms.append(index, term);
    this.#places.append(place);
  }

  /** An entry that was missing. */
  fill(index: number, term: number, place: EntryPlace): void {
    assert(index > this.beginIndex && index <= this.lastIndex && !this.has(index), 'only what is missing is filled in');
    if (index < this.#places.first) {
      this.#places.extendDown(this.beginIndex + 1);
      const runs = this.#terms.runs;
      const lowest = runs[0]?.term ?? term;
      this.#terms = new TermRuns(this.beginIndex, this.beginTerm, [{ index: this.beginIndex + 1, term: lowest }, ...runs]);
    }
    this.#terms = new TermRuns(this.beginIndex, this.beginTerm, withTerm(this.runs, index, term, this.lastIndex));
    this.#places.set(index, place);
    this.#scattered = true;
  }

  /** An entry after the last one that is known to be missing. `term` is that of what follows. */
  putMissing(term: number): void {
    this.#terms.append(this.lastIndex + 1, term);
    this.#places.append(MISSING);
  }

  /** Everything after `last` is gone. */
  cut(last: number): void {
    this.#terms.cut(last);
    this.#places.cut(last);
  }

  /** Everything up to `index` is gone. */
  begin(index: number, term: number, note: Uint8Array): void {
    assert(index <= this.lastIndex, 'what is compacted is in the log');
    if (index >= this.#places.first) {
      this.#terms.compact(index);
      this.#places.compact(index);
    }
    this.#begins(index, term, note);
  }

  /** Nothing is left; the log goes on after `index`. */
  restore(index: number, term: number, note: Uint8Array): void {
    this.#restart(index, term);
    this.#begins(index, term, note);
  }

  /** Nothing is left but term and vote, and up to where there was a log. */
  retire(): void {
    const { lastIndex } = this;
    const lastTerm = this.termHint(lastIndex) ?? 0;
    if (lastTerm > this.retiredTerm || (lastTerm === this.retiredTerm && lastIndex > this.retiredIndex)) {
      this.retiredIndex = lastIndex;
      this.retiredTerm = lastTerm;
    }
    this.restore(0, 0, NO_DATA);
    this.hardState = { ...this.hardState, commit: 0 };
    this.retired = true;
  }

  /** What lies between the begin and `last` is not known. */
  loseUpTo(last: number, term: number): void {
    this.#restart(last, term);
  }

  /** Entries that the log should have and has not, in order. */
  missing(): IndexRange[] {
    const ranges: IndexRange[] = [];
    if (this.#places.first > this.beginIndex + 1) ranges.push({ from: this.beginIndex + 1, to: this.#places.first - 1 });
    for (let index = this.#places.first; index <= this.lastIndex; index++) {
      if (this.#places.segmentOf(index) !== 0) continue;
      const last = ranges.at(-1);
      if (last?.to === index - 1) last.to = index;
      else ranges.push({ from: index, to: index });
    }
    return ranges;
  }

  /** The oldest segment that holds an entry; Infinity when there is none. */
  oldestSegment(): number {
    let oldest = Infinity;
    for (let index = this.#places.first; index <= this.lastIndex; index++) {
      const segment = this.#places.segmentOf(index);
      if (segment === 0) continue;
      oldest = Math.min(oldest, segment);
      if (!this.#scattered) break;
    }
    return oldest;
  }

  #restart(index: number, term: number): void {
    this.#places = new EntryPlaces(index + 1);
    this.#terms = new TermRuns(index, term, []);
    this.#scattered = false;
  }

  #begins(index: number, term: number, note: Uint8Array): void {
    this.beginIndex = index;
    this.beginTerm = term;
    this.note = note;
  }
}

const NO_STATE: HardState = { term: 0, vote: 0, commit: 0 };

/** Runs in which `index` has `term`, and everything else the one that it had. */
function withTerm(
  runs: readonly { index: number; term: number }[],
  index: number,
  term: number,
  last: number,
): { index: number; term: number }[] {
  const changed: { index: number; term: number }[] = [];
  const add = (from: number, of: number): void => {
    if (changed.at(-1)?.term !== of) changed.push({ index: from, term: of });
  };
  for (const [i, run] of runs.entries()) {
    const end = runs[i + 1]?.index ?? last + 1;
    if (index < run.index || index >= end) {
      add(run.index, run.term);
      continue;
    }
    if (run.index < index) add(run.index, run.term);
    add(index, term);
    if (index + 1 < end) add(index + 1, run.term);
  }
  return changed;
}
