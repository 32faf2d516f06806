/**
 * Brings back entries that damage to its files has taken from a group's log, before its replica opens (mending.ts).
 *
 *   log   ... 6 7 . . 10 11 ...    missing: 8 and 9; anchor: 10 with its term
 *
 * Whoever has entry 10 of that term has the same 8 and 9 as this log had (Raft, log matching), committed or not, leader or not. They are filled in,
 * nothing is ever cut off: what is behind them may be committed.
 *
 * Where the last entries are missing, the last one is the anchor, which is known by its term. What may have been lost beyond it is nobody's to
 * tell (`endLost`): such a log is not mended.
 *
 * Others may have cut their logs at the front, or have other entries committed at the anchor, so that what is behind it here was never committed. They
 * say so, and when all have, only a snapshot will do: of this log's last entry at least, so that it covers all that this member ever acknowledged.
 *
 * Used by replica.ts. Answered by lending.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { LogEntry } from '../raft/index.ts';
import type { EntriesRequest, EntriesResponse, PeerMessage, SnapshotSink } from '../transport/index.ts';
import type { GroupLog, IndexRange } from './log/index.ts';
import { Mending, type MendingParts } from './mending.ts';

/** How it ended, and how many entries came back. */
export interface LogMended {
  readonly outcome: 'filled' | 'snapshot';
  readonly entries: number;
}

export class LogMending extends Mending<LogMended> {
  readonly #log: GroupLog;
  /** Those that have not what is asked for. */
  readonly #without: Set<number> = new Set();
  #filled = 0;
  #filling = false;

  /** `run` settles when nothing is missing any more, or when only a snapshot will do. */
  constructor(parts: MendingParts, log: GroupLog) {
    super(parts);
    this.#log = log;
  }

  accept(): Promise<SnapshotSink> {
    return Promise.reject(new SparrowError('unavailable', 'LOG_MENDING', `member ${this.id} gets back what its log has lost`));
  }

  protected override get busy(): boolean {
    return this.#filling;
  }

  protected override answered(message: PeerMessage): void {
    if (message.type === 'entries-response' && !this.#filling) this.#take(message);
  }

  protected question(to: number): EntriesRequest {
    const { range, anchorIndex, anchorTerm } = this.#hole();
    const { term } = this.#log.contents().hardState;
    return { type: 'entries-request', from: this.id, to, term, anchorIndex, anchorTerm, first: range.from, last: range.to };
  }

  /** The first hole, and what is behind it. */
  #hole(): { range: IndexRange; anchorIndex: number; anchorTerm: number } {
    const { damage, lastIndex, lastTerm } = this.#log.contents();
    const range = damage!.missing[0]!;
    const anchorIndex = Math.min(range.to + 1, lastIndex);
    return { range, anchorIndex, anchorTerm: this.#log.term(anchorIndex) ?? lastTerm };
  }

  #take(response: EntriesResponse): void {
    const { range, anchorIndex, anchorTerm } = this.#hole();
    if (response.anchorIndex !== anchorIndex || response.anchorTerm !== anchorTerm || response.previousIndex !== range.from - 1) return;
    const entries = response.entries.filter(({ index }) => index <= range.to);
    if (entries.length === 0) {
      this.#without.add(response.from);
      if (this.peers.every((peer) => this.#without.has(peer))) this.done({ outcome: 'snapshot', entries: this.#filled });
      return;
    }
    if (!this.#fits(entries, range, anchorTerm)) return;
    this.#filling = true;
    this.#log.fill(entries).then(
      () => {
        this.#filling = false;
        this.#without.clear();
        this.#filled += entries.length;
        if (this.#log.contents().damage === undefined) this.done({ outcome: 'filled', entries: this.#filled });
        else this.ask(response.from);
      },
      (error: unknown) => this.failed(error),
    );
  }

  /** Terms never fall in a log. */
  #fits(entries: readonly LogEntry[], range: IndexRange, anchorTerm: number): boolean {
    const before = this.#log.term(range.from - 1) ?? 0;
    return entries.every(
      ({ index, term }, i) => index === range.from + i && term >= (entries[i - 1]?.term ?? before) && term <= anchorTerm,
    );
  }
}
