/**
 * What groups bring to a node's log, as frames: a batch of their changes is laid out, written by whoever asked for it, and then taken over in memory.
 *
 *   layOut -> BATCH, BEGIN of what was compacted, then for each change RESTORE, STATE, ENTRY ... -> written | notWritten
 *   summary -> BATCH, GROUP for every group: what the next segment begins with -> summaryWritten | summaryLost
 *
 * Counts the frames: those of all groups together, which a BATCH tells, and each group's own ordinals. What is not written has not been counted.
 *
 * Used by log-writer.ts: one batch or summary at a time. Calls frame-kinds.ts, group-state.ts, entry-cache.ts.
 */
import { assert } from '../../../base/assert.ts';
import type { HardState, LogEntry } from '../../raft/index.ts';
import type { EntryCache } from './entry-cache.ts';
import {
  BATCH_FRAME_BYTES,
  entryFrameBytesMax,
  FRAME_BEGIN,
  FRAME_END_KNOWN,
  FRAME_REMOVE,
  FRAME_RESTORE,
  FRAME_RETIRE,
  groupFrameBytes,
  NO_DATA,
  STATE_FRAME_BYTES,
  writeBatch,
  writeEntry,
  writeGroup,
  writeMark,
  writeState,
} from './frame-kinds.ts';
import type { GroupState } from './group-state.ts';
import { frameBytes, nextOrdinal, type Seal, SEGMENT_BYTES_LIMIT, SEGMENT_HEADER_BYTES } from './log-format.ts';

/** What one call brings. */
export type Change =
  | { kind: 'append'; hardState: HardState | undefined; entries: readonly LogEntry[]; mustSync: boolean }
  | { kind: 'fill'; entries: readonly LogEntry[] }
  | { kind: 'restore'; index: number; term: number; note: Uint8Array }
  | { kind: 'end-known' }
  | { kind: 'remove' }
  | { kind: 'retire' };

/** A change of a group. Both undefined: nothing but what is due anyway. */
export interface GroupChange {
  readonly state: GroupState | undefined;
  readonly change: Change | undefined;
}

/** Where what is laid out will be. */
export interface BatchPlace {
  readonly segment: number;
  readonly at: number;
  readonly seal: Seal;
  /** The segment is durable up to here. */
  readonly synced: number;
}

/** Batches are cut at about this size: a larger write would hold up the event loop. */
export const BATCH_BYTES: number = 4 * 1024 * 1024;

const MARKS = { restore: FRAME_RESTORE, remove: FRAME_REMOVE, retire: FRAME_RETIRE, 'end-known': FRAME_END_KNOWN } as const;

export class BatchFrames {
  readonly #groups: Map<number, GroupState>;
  readonly #cache: EntryCache;
  /** Of all groups. */
  #frames: number;
  /** Groups whose log begins later than the log has it. */
  readonly #begins: Set<GroupState> = new Set();
  /** Something was written that no later BATCH vouches for. */
  #unvouched = false;
  #buffer: Buffer = Buffer.allocUnsafe(64 * 1024);
  /** The batch that is laid out: where its entries lie, and what to set back when it is not written. */
  #laidOut: Buffer = this.#buffer;
  #offsets: number[] = [];
  #framesBefore: number;
  readonly #ordinals: Map<GroupState, number> = new Map();
  #counted: GroupState | undefined;
  /** Of the summary that is laid out. */
  #listed: GroupState[] = [];
  #listedBegins: GroupState[] = [];

  /** `frames`: those that the log has. */
  constructor(groups: Map<number, GroupState>, cache: EntryCache, frames: number) {
    this.#groups = groups;
    this.#cache = cache;
    this.#frames = this.#framesBefore = frames;
  }

  /** A batch with nothing of its own would bring something. */
  get due(): boolean {
    return this.#unvouched || this.#begins.size > 0 || this.#unwritten().length > 0;
  }

  /** The group's log begins later: kept with the next batch. */
  begins(state: GroupState): void {
    this.#begins.add(state);
  }

  /** The bytes of a batch, valid until the next one is laid out. Followed by `written` or `notWritten`. */
  layOut(batch: readonly GroupChange[], { at: begin, seal, synced }: BatchPlace): Buffer {
    this.#framesBefore = this.#frames;
    const bytesMax = this.#bytesMax(batch);
    assert(begin + bytesMax < SEGMENT_BYTES_LIMIT, 'a place in a segment fits its 32 bits');
    const target = (this.#laidOut = this.#room(bytesMax));
    this.#offsets = [];
    let at = writeBatch(target, 0, synced, this.#frames, 0, seal);
    for (const state of this.#begins) {
      const mark = { kind: FRAME_BEGIN, group: state.id, ordinal: this.#ordinal(state), index: state.beginIndex, term: state.beginTerm };
      at = writeMark(target, at, { ...mark, note: state.note }, seal);
    }
    const states = new Map<GroupState, HardState>();
    for (const { state, change } of batch) {
      if (change === undefined) {
        for (const unwritten of this.#unwritten())
          if (!states.has(unwritten)) at = this.#putState(unwritten, unwritten.hardState, states, at, seal);
      } else if (change.kind === 'append' || change.kind === 'fill') {
        const hardState = (change.kind === 'append' ? change.hardState : undefined) ?? states.get(state!) ?? state!.hardState;
        if (!same(hardState, states.get(state!) ?? state!.writtenState)) at = this.#putState(state!, hardState, states, at, seal);
        for (const entry of change.entries) {
          this.#offsets.push(at);
          at = writeEntry(target, at, state!.id, this.#ordinal(state!), entry, change.kind === 'fill', seal);
        }
      } else {
        // Term and vote outlive it: the log has them as they are now.
        const hardState = states.get(state!) ?? state!.hardState;
        if (change.kind === 'retire' && !same(hardState, states.get(state!) ?? state!.writtenState))
          at = this.#putState(state!, hardState, states, at, seal);
        const kind = MARKS[change.kind];
        const { index, term, note } = change.kind === 'restore' ? change : { index: 0, term: 0, note: NO_DATA };
        at = writeMark(target, at, { kind, group: state!.id, ordinal: this.#ordinal(state!), index, term, note }, seal);
      }
    }
    return target.subarray(0, at);
  }

  /** The batch that was laid out is written: what is in memory follows. Returns whether older segments may be needed no more. */
  written(batch: readonly GroupChange[], { segment, at }: BatchPlace): boolean {
    let next = 0;
    let frees = false;
    this.#begins.clear();
    this.#unvouched = batch.some(({ change }) => change !== undefined);
    for (const { state, change } of batch) {
      if (change === undefined) {
        for (const unwritten of this.#unwritten()) unwritten.writtenState = unwritten.hardState;
        continue;
      }
      assert(state !== undefined, 'a change is one of a group');
      if (change.kind === 'append' || change.kind === 'fill') {
        if (change.kind === 'append' && change.hardState !== undefined) state.hardState = change.hardState;
        state.writtenState = state.hardState;
        const first = change.entries[0]?.index ?? Infinity;
        if (change.kind === 'append' && first <= state.lastIndex) {
          this.#cache.drop(state.id, first, state.lastIndex);
          frees = true;
        }
        for (const entry of change.entries) {
          const plain = entry.change === undefined && entry.withheldBytes === undefined;
          const offset = this.#offsets[next++]!;
          const bytes = plain ? entry.data.length : this.#dataBytes(offset);
          const place = { segment, offset: at + offset, bytes, plain };
          if (change.kind === 'fill') state.fill(entry.index, entry.term, place);
          else state.put(entry.index, entry.term, place);
          this.#cache.put(state.id, entry);
        }
      } else if (change.kind === 'end-known') state.endLost = false;
      else {
        frees = true;
        this.#cache.drop(state.id, 0, Infinity);
        if (change.kind === 'restore') state.restore(change.index, change.term, change.note);
        else if (change.kind === 'remove') this.#groups.delete(state.id);
        else {
          state.retire();
          state.writtenState = state.hardState;
        }
      }
    }
    this.#ended();
    return frees;
  }

  /** The batch that was laid out, as far as it was, is not in the log. */
  notWritten(): void {
    this.#frames = this.#framesBefore;
    for (const [state, ordinal] of this.#ordinals) state.ordinal = ordinal;
    this.#ended();
  }

  /** Changes that need not be written at once, hard states that may be lost: they go out with a later batch. */
  note(batch: readonly GroupChange[]): void {
    for (const { state, change } of batch)
      if (change?.kind === 'append' && change.hardState !== undefined) state!.hardState = change.hardState;
  }

  /** All groups, as the next segment begins with them. Followed by `summaryWritten` or `summaryLost`. */
  summary(seal: Seal): Buffer {
    const listed = [...this.#groups.values()].filter(({ ordinal, endLost }) => ordinal > 0 || endLost);
    const bytes = listed.reduce((sum, state) => sum + groupFrameBytes(state), BATCH_FRAME_BYTES);
    const target = Buffer.allocUnsafe(bytes);
    let at = writeBatch(target, 0, SEGMENT_HEADER_BYTES, this.#frames, listed.length, seal);
    for (const state of listed) at = writeGroup(target, at, state.summary, seal);
    this.#listed = listed;
    // The summary has them; what is compacted from here on is not in it.
    this.#listedBegins = [...this.#begins];
    this.#begins.clear();
    return target;
  }

  summaryWritten(): void {
    for (const state of this.#listed) state.writtenState = state.hardState;
    this.#listed = this.#listedBegins = [];
  }

  summaryLost(): void {
    for (const state of this.#listedBegins) this.#begins.add(state);
    this.#listed = this.#listedBegins = [];
  }

  /** Groups whose hard state the log does not have. */
  #unwritten(): GroupState[] {
    return [...this.#groups.values()].filter(({ hardState, writtenState }) => !same(hardState, writtenState));
  }

  #bytesMax(batch: readonly GroupChange[]): number {
    let bytes = BATCH_FRAME_BYTES;
    for (const { change } of batch) bytes += changeBytesMax(change);
    for (const { note } of this.#begins) bytes += frameBytes(note.length);
    if (batch.some(({ change }) => change === undefined)) bytes += this.#unwritten().length * STATE_FRAME_BYTES;
    return bytes;
  }

  /** The buffer, or one of its own for what is too large to keep. */
  #room(bytes: number): Buffer {
    if (bytes > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(Math.min(Math.max(bytes, this.#buffer.length * 2), 2 * BATCH_BYTES));
    return bytes > this.#buffer.length ? Buffer.allocUnsafe(bytes) : this.#buffer;
  }

  #putState(state: GroupState, hardState: HardState, states: Map<GroupState, HardState>, at: number, seal: Seal): number {
    states.set(state, hardState);
    return writeState(this.#laidOut, at, state.id, this.#ordinal(state), hardState, seal);
  }

  /** Counts a frame of the group. */
  #ordinal(state: GroupState): number {
    if (state !== this.#counted && !this.#ordinals.has(state)) this.#ordinals.set(state, state.ordinal);
    this.#counted = state;
    this.#frames++;
    return (state.ordinal = nextOrdinal(state.ordinal));
  }

  /** Bytes of data of a frame in the buffer that was laid out last. */
  #dataBytes(offset: number): number {
    return this.#laidOut.readUInt32LE(offset + 12);
  }

  #ended(): void {
    this.#ordinals.clear();
    this.#counted = undefined;
  }
}

/** It is to be durable before it is answered: all but hard states that may be lost. */
export function mustSync({ change }: GroupChange): boolean {
  return change?.kind !== 'append' || change.mustSync || change.entries.length > 0;
}

/** Of its frames. */
export function changeBytesMax(change: Change | undefined): number {
  if (change === undefined) return 0;
  if (change.kind === 'restore') return frameBytes(change.note.length);
  if (change.kind === 'end-known' || change.kind === 'remove') return frameBytes(0);
  if (change.kind === 'retire') return STATE_FRAME_BYTES + frameBytes(0);
  return change.entries.reduce((sum, entry) => sum + entryFrameBytesMax(entry), STATE_FRAME_BYTES);
}

function same(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}
