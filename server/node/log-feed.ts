/**
 * What the core wants durable, on its way into the group's log.
 *
 * Entries that replace others go in two steps when a commit index comes with them, both in one write and one sync:
 *
 *   log ... 7 8 9 10      output: commit 12, entries 8' 9' 10' 11' 12'
 *   first 8' with commit 7, then 9' 10' 11' 12' with commit 12
 *
 * A write that is torn behind the commit index and before the entries would otherwise leave a log that calls 8, 9 and 10 committed. Behind 8' there
 * is nothing of the old log left that it could be about: a commit index beyond the log's end is about no more than its end.
 *
 * Used by replica-state.ts. Calls log/.
 */
import type { HardState, Output } from '../raft/index.ts';
import type { GroupLog } from './log/index.ts';

export class LogFeed {
  readonly #log: GroupLog;
  /** The last entry that was handed over. */
  #last: number;
  #commit: number;

  constructor(log: GroupLog, last: number, commit: number) {
    this.#log = log;
    this.#last = last;
    this.#commit = commit;
  }

  /** Settles when this and everything before it is durable; `onWritten` is called when the end of this process would lose nothing of it. */
  append({ hardState, entries, mustSync }: Pick<Output, 'hardState' | 'entries' | 'mustSync'>, onWritten?: () => void): Promise<void> {
    const [first] = entries;
    this.#commit = hardState?.commit ?? this.#commit;
    if (first === undefined) return this.#log.append(hardState, entries, mustSync, onWritten);
    const replaces = first.index <= this.#last;
    this.#last = entries.at(-1)!.index;
    if (!replaces || hardState === undefined || hardState.commit < first.index)
      return this.#log.append(hardState, entries, mustSync, onWritten);
    const replaced = this.#log.append({ ...hardState, commit: first.index - 1 }, [first], mustSync);
    // It settles before what follows, and fails with it.
    replaced.catch(() => undefined);
    return this.#log.append(hardState, entries.slice(1), true, onWritten);
  }

  /** Before a snapshot is installed: what its commit index is about is not in the log. Settles as `append`. */
  appendTerm(hardState: HardState): Promise<void> {
    return this.#log.append({ ...hardState, commit: this.#commit }, [], true);
  }

  /** A snapshot takes the place of the log. Settles as `append`. */
  restore(index: number, term: number): Promise<void> {
    this.#last = index;
    return this.#log.restore(index, term);
  }
}
