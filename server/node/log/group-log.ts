/**
 * One group's part of a node's log: what a replica appends to and reads from. Everything goes through the node's one writer, so the
 * groups of a node share its syncs.
 *
 * Made by node-log.ts. Calls log-writer.ts and entry-reader.ts.
 */
import { assert } from '../../../base/assert.ts';
import type { HardState, LogEntry } from '../../raft/index.ts';
import type { EntryCache } from './entry-cache.ts';
import { readEntries } from './entry-reader.ts';
import { NO_DATA } from './frame-kinds.ts';
import type { GroupState, IndexRange } from './group-state.ts';
import { FRAME_HEADER_BYTES } from './log-format.ts';
import type { LogWriter } from './log-writer.ts';
import type { SegmentFiles } from './segment-files.ts';

/** What damage to the log's files has cost a group. Its entries may be committed, so nothing was truncated. */
export interface GroupDamage {
  /** Entries that the log had and has not: they are to be fetched from the quorum and given to `fill`. In order. */
  missing: readonly IndexRange[];
  /**
   * The group may have had entries after the last one and a newer hard state: a member that has lost them must neither vote nor count
   * for a quorum until it has been brought up to what the quorum has; then `endKnown`.
   */
  endLost: boolean;
}

/** A group as its log has it now. */
export interface GroupContents {
  /** The last entry that is not in the log any more. */
  compactedIndex: number;
  compactedTerm: number;
  lastIndex: number;
  /** Of the last entry, also where it is missing. 0: not known. */
  lastTerm: number;
  /** Where each run of entries of one term begins, in order. Of missing entries it is a guess. */
  terms: readonly { index: number; term: number }[];
  hardState: HardState;
  /** What `compact` or `restore` was given last. */
  note: Uint8Array;
  damage: GroupDamage | undefined;
  /** A replica of the group was destroyed on this node once (`retire`): term and vote may be of then. */
  retired: boolean;
  /** The last entry that the log had then, 0 and 0 when it had none: this node has said that it has it. */
  retiredIndex: number;
  retiredTerm: number;
}

/** Where an entry's data lies on the disk. */
export interface DataPlace {
  /** Number of the segment: `NodeLog.segmentPath` has its file. */
  segment: number;
  offset: number;
  bytes: number;
}

export class GroupLog {
  readonly #state: GroupState;
  readonly #writer: LogWriter;
  readonly #segments: SegmentFiles;
  readonly #cache: EntryCache;

  constructor(state: GroupState, writer: LogWriter, segments: SegmentFiles, cache: EntryCache) {
    this.#state = state;
    this.#writer = writer;
    this.#segments = segments;
    this.#cache = cache;
  }

  get id(): number {
    return this.#state.id;
  }

  /** Not so after the group was removed: one of the same id is another one. */
  isOf(state: GroupState): boolean {
    return this.#state === state;
  }

  /** As of what is written: right after opening, what was found. */
  contents(): GroupContents {
    const { beginIndex, beginTerm, lastIndex, runs, hardState, note, endLost, retired, retiredIndex, retiredTerm } = this.#state;
    const missing = this.#state.missing();
    return {
      compactedIndex: beginIndex,
      compactedTerm: beginTerm,
      lastIndex,
      lastTerm: this.#state.termHint(lastIndex) ?? 0,
      terms: runs,
      hardState,
      note,
      damage: missing.length > 0 || endLost ? { missing, endLost } : undefined,
      retired,
      retiredIndex,
      retiredTerm,
    };
  }

  /**
   * Settles when this and everything before it is durable. Entries replace what the log has from the first one's index on. A hard state
   * without `mustSync` is written with a later batch. The entries are not changed afterwards. Rejects with `closed/LOG_FAILED`. While the disk is
   * full it does not settle, and goes on when there is room. `onWritten`: see LogWriter.write.
   */
  append(hardState: HardState | undefined, entries: readonly LogEntry[], mustSync: boolean, onWritten?: () => void): Promise<void> {
    return this.#writer.write(this.#state, { kind: 'append', hardState, entries, mustSync }, onWritten);
  }

  /** A snapshot takes the place of the whole log, which goes on after `index`. Settles as `append`. `note` is kept with the log's begin. */
  restore(index: number, term: number, note: Uint8Array = NO_DATA): Promise<void> {
    return this.#writer.write(this.#state, { kind: 'restore', index, term, note });
  }

  /** Brings back entries that damage has taken. Settles as `append`. */
  fill(entries: readonly LogEntry[]): Promise<void> {
    return this.#writer.write(this.#state, { kind: 'fill', entries });
  }

  /** The group has again all that it had: `endLost` is over. Settles as `append`. */
  endKnown(): Promise<void> {
    return this.#writer.write(this.#state, { kind: 'end-known' });
  }

  /** Everything of the group is gone, its hard state too. Settles as `append`; then one of this id may begin anew, with another object. */
  remove(): Promise<void> {
    this.#state.removing = true;
    return this.#writer.write(this.#state, { kind: 'remove' });
  }

  /**
   * The group's replica is destroyed: entries are gone, term and vote stay, and with them that there was one. Settles as `append`. A replica of the same group
   * that comes back begins with them.
   */
  retire(): Promise<void> {
    return this.#writer.write(this.#state, { kind: 'retire' });
  }

  /** Everything up to `index` is no longer needed. It goes from memory now; its disk space when no group needs the segment. */
  compact(index: number, note: Uint8Array = NO_DATA): void {
    if (index <= this.#state.beginIndex) return;
    const term = this.#state.termHint(index);
    assert(term !== undefined, 'what is compacted is in the log');
    const { beginIndex } = this.#state;
    this.#state.begin(index, term, note);
    this.#cache.drop(this.id, beginIndex + 1, index);
    this.#writer.begins(this.#state);
  }

  /**
   * Entries from `from` to `to`, in order, as many as fit in `bytesMax`, at least one; none when the first is compacted away or missing. Throws
   * `corrupt/CORRUPT_RAFT_LOG` with file and offset.
   */
  read(from: number, to: number, bytesMax: number): Promise<LogEntry[]> {
    return readEntries(this.#state, from, to, bytesMax, this.#cache, this.#segments);
  }

  /** The term of an entry, or undefined when it is not in the log. */
  term(index: number): number | undefined {
    return this.#state.term(index);
  }

  /** Where the data of an entry lies; undefined when it is not in the log, or is not a command. It stays there until it is compacted away. */
  place(index: number): DataPlace | undefined {
    if (!this.#state.has(index)) return undefined;
    const { segment, offset, bytes, plain } = this.#state.place(index);
    return plain ? { segment, offset: offset + FRAME_HEADER_BYTES, bytes } : undefined;
  }
}
