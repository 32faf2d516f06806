/**
 * What the frames of a node's log say.
 *
 *   kind         index             term                 ordinal           data
 *   1 BATCH      frames of groups  groups listed next   synced position   -
 *                in the log before
 *   2 GROUP      its last entry    of that entry        of its last frame | term u64 | commit u64 | begin u64 | begin's term u64 |
 *                                                                         | vote u32 | marks u32 | note |      marks: 1 end lost, 2 retired,
 *                                                                         4 before the note: | retired index u64 | of that term u64 |
 *   3 STATE      commit            term                 its own           | vote u32 |
 *   4 ENTRY      index             term                 its own           a command
 *   5 CHANGE     index             term                 its own           a change of the configuration (raft/configuration-codec.ts)
 *   6 WITHHELD   index             term                 its own           | bytes u32 | at a witness: the data is elsewhere
 *   7 BEGIN      last entry gone   of that entry        its own           note
 *   8 RESTORE    of a snapshot     of that entry        its own           note
 *   9 END KNOWN  0                 0                    its own           -
 *  10 REMOVE     0                 0                    its own           -
 *  11 RETIRE     0                 0                    its own           -
 *
 * BATCH begins whatever is written with one call. A segment begins with a BATCH and a GROUP for every group that there is: what was
 * before it in short, so that older segments can go, and so that damage in them shows.
 * ENTRY, CHANGE, WITHHELD: an index that the group has already replaces that entry and all after it, but not with flag FILL (1), which
 * brings back a single entry that was lost. BEGIN: everything up to `index` is gone. RESTORE: the same, and everything after it.
 * END KNOWN: the group has again all that it had before damage. The note is the host's: bytes that it wants kept with the log's begin.
 * REMOVE: nothing is known of the group any more. RETIRE: its replica was destroyed; all is gone but term and vote, which it must not break should it come
 * back, and which entry was the last: who has less must not get its vote. A group stays retired, whatever is appended later: this node has had it before.
 *
 * Used by the writer, by recovery.ts and by what reads entries again.
 */
import { assert } from '../../../base/assert.ts';
import { decodeConfigurationChange, encodeConfigurationChange, type HardState, type LogEntry } from '../../raft/index.ts';
import { finishFrame, type Frame, FRAME_HEADER_BYTES, frameBytes, readU64, type Seal, writeU64 } from './log-format.ts';

export const FRAME_BATCH = 1;
export const FRAME_GROUP = 2;
export const FRAME_STATE = 3;
export const FRAME_ENTRY = 4;
export const FRAME_CHANGE = 5;
export const FRAME_WITHHELD = 6;
export const FRAME_BEGIN = 7;
export const FRAME_RESTORE = 8;
export const FRAME_END_KNOWN = 9;
export const FRAME_REMOVE = 10;
export const FRAME_RETIRE = 11;
export const FLAG_FILL = 1;

export const BATCH_FRAME_BYTES: number = FRAME_HEADER_BYTES;
export const STATE_FRAME_BYTES: number = frameBytes(4);
const GROUP_FIXED_BYTES = 40;
const WITHHELD_BYTES = 4;
const MARK_END_LOST = 1;
const MARK_RETIRED = 2;
const MARK_RETIRED_LOG = 4;
const RETIRED_LOG_BYTES = 16;

/** What a segment says at its beginning about a group. */
export interface GroupSummary {
  group: number;
  ordinal: number;
  lastIndex: number;
  lastTerm: number;
  hardState: HardState;
  beginIndex: number;
  beginTerm: number;
  endLost: boolean;
  retired: boolean;
  retiredIndex: number;
  retiredTerm: number;
  note: Uint8Array;
}

export function isEntry(kind: number): boolean {
  return kind === FRAME_ENTRY || kind === FRAME_CHANGE || kind === FRAME_WITHHELD;
}

/** Bytes of an entry's frame; an upper bound for one without data of its own. */
export function entryFrameBytesMax(entry: LogEntry): number {
  const changeBytes = entry.change === undefined ? WITHHELD_BYTES : encodeConfigurationChange(entry.change).length;
  return frameBytes(Math.max(entry.data.length, changeBytes));
}

export function groupFrameBytes({ retiredIndex, note }: Pick<GroupSummary, 'retiredIndex' | 'note'>): number {
  return frameBytes(GROUP_FIXED_BYTES + (retiredIndex > 0 ? RETIRED_LOG_BYTES : 0) + note.length);
}

/** Writes an entry; returns the position after it. */
export function writeEntry(target: Buffer, at: number, group: number, ordinal: number, entry: LogEntry, fill: boolean, seal: Seal): number {
  const { index, term, data, change, withheldBytes } = entry;
  const header = { kind: FRAME_ENTRY, flags: fill ? FLAG_FILL : 0, group, ordinal, index, term };
  let bytes = data.length;
  if (change !== undefined) {
    assert(data.length === 0 && withheldBytes === undefined, 'a change of the configuration has no other data');
    header.kind = FRAME_CHANGE;
    const encoded = encodeConfigurationChange(change);
    target.set(encoded, at + FRAME_HEADER_BYTES);
    bytes = encoded.length;
  } else if (withheldBytes !== undefined) {
    assert(data.length === 0, 'data is withheld or there');
    header.kind = FRAME_WITHHELD;
    target.writeUInt32LE(withheldBytes, at + FRAME_HEADER_BYTES);
    bytes = WITHHELD_BYTES;
  } else target.set(data, at + FRAME_HEADER_BYTES);
  return finishFrame(target, at, header, bytes, seal);
}

export function decodeEntry({ kind, index, term, data }: Frame): LogEntry {
  if (kind === FRAME_CHANGE) return { index, term, data: NO_DATA, change: decodeConfigurationChange(data) };
  if (kind === FRAME_WITHHELD) return { index, term, data: NO_DATA, withheldBytes: data.readUInt32LE(0) };
  return { index, term, data };
}

export function writeBatch(target: Buffer, at: number, synced: number, frames: number, groups: number, seal: Seal): number {
  return finishFrame(target, at, { kind: FRAME_BATCH, flags: 0, group: 0, ordinal: synced, index: frames, term: groups }, 0, seal);
}

export function writeState(target: Buffer, at: number, group: number, ordinal: number, state: HardState, seal: Seal): number {
  target.writeUInt32LE(state.vote, at + FRAME_HEADER_BYTES);
  return finishFrame(target, at, { kind: FRAME_STATE, flags: 0, group, ordinal, index: state.commit, term: state.term }, 4, seal);
}

export function decodeState({ index, term, data }: Frame): HardState {
  return { term, vote: data.readUInt32LE(0), commit: index };
}

/** BEGIN, RESTORE, END KNOWN, REMOVE and RETIRE. */
export function writeMark(
  target: Buffer,
  at: number,
  mark: { kind: number; group: number; ordinal: number; index: number; term: number; note: Uint8Array },
  seal: Seal,
): number {
  const { note, ...header } = mark;
  target.set(note, at + FRAME_HEADER_BYTES);
  return finishFrame(target, at, { flags: 0, ...header }, note.length, seal);
}

export function writeGroup(target: Buffer, at: number, summary: GroupSummary, seal: Seal): number {
  const { group, ordinal, lastIndex, lastTerm, hardState, beginIndex, beginTerm, endLost, retired, retiredIndex, retiredTerm, note } =
    summary;
  const data = at + FRAME_HEADER_BYTES;
  writeU64(target, data, hardState.term);
  writeU64(target, data + 8, hardState.commit);
  writeU64(target, data + 16, beginIndex);
  writeU64(target, data + 24, beginTerm);
  target.writeUInt32LE(hardState.vote, data + 32);
  const marks = (endLost ? MARK_END_LOST : 0) | (retired ? MARK_RETIRED : 0) | (retiredIndex > 0 ? MARK_RETIRED_LOG : 0);
  target.writeUInt32LE(marks, data + 36);
  let noteAt = GROUP_FIXED_BYTES;
  if (retiredIndex > 0) {
    writeU64(target, data + noteAt, retiredIndex);
    writeU64(target, data + noteAt + 8, retiredTerm);
    noteAt += RETIRED_LOG_BYTES;
  }
  target.set(note, data + noteAt);
  const header = { kind: FRAME_GROUP, flags: 0, group, ordinal, index: lastIndex, term: lastTerm };
  return finishFrame(target, at, header, noteAt + note.length, seal);
}

export function decodeGroup({ group, ordinal, index, term, data }: Frame): GroupSummary {
  const marks = data.readUInt32LE(36);
  const retiredLog = (marks & MARK_RETIRED_LOG) !== 0;
  return {
    group,
    ordinal,
    lastIndex: index,
    lastTerm: term,
    hardState: { term: readU64(data, 0), vote: data.readUInt32LE(32), commit: readU64(data, 8) },
    beginIndex: readU64(data, 16),
    beginTerm: readU64(data, 24),
    endLost: (marks & MARK_END_LOST) !== 0,
    retired: (marks & MARK_RETIRED) !== 0,
    retiredIndex: retiredLog ? readU64(data, GROUP_FIXED_BYTES) : 0,
    retiredTerm: retiredLog ? readU64(data, GROUP_FIXED_BYTES + 8) : 0,
    note: Uint8Array.from(data.subarray(GROUP_FIXED_BYTES + (retiredLog ? RETIRED_LOG_BYTES : 0))),
  };
}

export const NO_DATA: Uint8Array = new Uint8Array(0);
