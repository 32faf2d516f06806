/**
 * What the directory of a node's log holds, in one pass over its segments. Damage costs the groups whose frames are lost, and no other:
 *
 * - Frames carry an ordinal that counts those of their group. A group whose next frame has the ordinal that follows has lost nothing.
 * - Every segment begins with a summary: each group's ordinal, last entry and hard state. So all that is lost before it, a whole
 *   file too, is known there at the latest.
 * - Within the last segment each BATCH says how many frames the log has had. When the gaps of groups that were heard of after the damage add up to
 *   what is lost, the others have lost nothing; else each of them may have (`endLost`).
 *
 * A group with a gap keeps what cannot have been replaced in it: what it knew to be committed, and everything before an entry of the same term
 * as what follows the gap (a leader only appends, and terms never fall). The rest up to what follows is missing. What is missing may be committed:
 * nothing is truncated, the group's owner is told, and brings the entries back from the quorum (GroupLog.fill).
 *
 * Called by node-log.ts. Nothing is written here.
 */
import { join } from 'node:path';
import { SparrowError } from '../../../base/errors.ts';
import { newerFormat } from '../../../base/format-version.ts';
import {
  decodeGroup,
  decodeState,
  FLAG_FILL,
  FRAME_BATCH,
  FRAME_BEGIN,
  FRAME_END_KNOWN,
  FRAME_ENTRY,
  FRAME_GROUP,
  FRAME_REMOVE,
  FRAME_RESTORE,
  FRAME_RETIRE,
  FRAME_STATE,
  type GroupSummary,
  isEntry,
} from './frame-kinds.ts';
import { GroupState } from './group-state.ts';
import {
  decodeSegmentHeader,
  FIRST_ORDINAL,
  type Frame,
  LOG_FORMAT,
  nextOrdinal,
  sealOf,
  SEGMENT_HEADER_BYTES,
  segmentName,
  segmentOfName,
} from './log-format.ts';
import type { LogFiles, Segment } from './segment-files.ts';
import { readSegmentFile, scanSegment } from './segment-scan.ts';

/** A place in a file that does not hold what it held. */
export interface LogDamage {
  file: string;
  offset: number;
  what: string;
}

export interface RecoveredLog {
  segments: Segment[];
  /** Undefined when there is no segment. */
  salt: bigint | undefined;
  groups: Map<number, GroupState>;
  /** Frames of groups that the log has had. */
  frames: number;
  /** Of the last segment: what is known to be durable. */
  synced: number;
  damage: LogDamage[];
  /** The last segment is damaged: nothing is appended to it. */
  lastDamaged: boolean;
  /** There may have been groups of which nothing was found. */
  unlisted: boolean;
}

/** Throws `corrupt/CORRUPT_RAFT_LOG` when no segment has a valid header, and `invalid/FORMAT_NEWER`. */
export function recoverLog(files: LogFiles): RecoveredLog {
  return new Recovery(files).run();
}

/** What a gap leaves open about a group. */
interface Doubt {
  /** Up to here nothing can have been replaced. */
  keep: number;
  lostFrames: number;
  entries: boolean;
  state: boolean;
}

class Recovery {
  readonly #files: LogFiles;
  readonly #groups: Map<number, GroupState> = new Map();
  readonly #doubts: Map<GroupState, Doubt> = new Map();
  readonly #damage: LogDamage[] = [];
  #frames = 0;
  #synced = SEGMENT_HEADER_BYTES;
  /** Since the last segment began: frames lost by BATCHes, frames lost by groups, and groups heard of after the last damage. */
  #lost = 0;
  #explained = 0;
  #heard: Set<number> = new Set();
  /** Groups that the summary under way is to list, and those that it has listed. */
  #summary: { expected: number; listed: Set<number> } | undefined;
  #unlisted = false;
  #path = '';
  #offset = 0;

  constructor(files: LogFiles) {
    this.#files = files;
  }

  run(): RecoveredLog {
    const { fileSystem, directory } = this.#files;
    const numbers = fileSystem
      .listSync(directory)
      .map(segmentOfName)
      .filter((segment) => segment !== undefined)
      .sort((a, b) => a - b);
    const salt = this.#salt(numbers);
    const segments: Segment[] = [];
    let lastDamaged = false;
    for (const [i, number] of numbers.entries()) {
      this.#path = join(directory, segmentName(number));
      if (i > 0 && number !== numbers[i - 1]! + 1) this.#report(0, `segment ${number - 1} is missing`);
      const before = this.#damage.length;
      const bytes = this.#scan(number, salt!, i === numbers.length - 1);
      lastDamaged = this.#damage.length > before;
      segments.push({ number, bytes, readers: 0 });
    }
    this.#conclude();
    return {
      segments,
      salt,
      groups: this.#groups,
      frames: this.#frames,
      synced: this.#synced,
      damage: this.#damage,
      lastDamaged,
      unlisted: this.#unlisted,
    };
  }

  /** The salt of the first segment that tells it. */
  #salt(numbers: readonly number[]): bigint | undefined {
    const { fileSystem, directory, hash } = this.#files;
    for (const number of numbers) {
      const path = join(directory, segmentName(number));
      const header = decodeSegmentHeader(readHeader(fileSystem, path), hash);
      if (header === undefined) continue;
      if ('format' in header) throw newerFormat(path, header.format, LOG_FORMAT);
      return header.salt;
    }
    if (numbers.length === 0) return undefined;
    throw corruptLog(join(directory, segmentName(numbers[0]!)), 0, 'no segment of the log has a valid header');
  }

  #scan(number: number, salt: bigint, last: boolean): number {
    const { fileSystem, hash } = this.#files;
    const bytes = readSegmentFile(fileSystem, this.#path);
    const header = decodeSegmentHeader(bytes, hash);
    if (header === undefined) this.#report(0, 'the header is damaged');
    else if ('format' in header) throw newerFormat(this.#path, header.format, LOG_FORMAT);
    else if (header.segment !== number) this.#report(12, `the file holds segment ${header.segment}`);
    this.#synced = SEGMENT_HEADER_BYTES;
    this.#lost = this.#explained = 0;
    this.#heard = new Set();
    this.#summary = undefined;
    this.#unlisted = true;
    let begun = false;
    const frames = scanSegment(bytes, sealOf(salt, number, hash), last);
    for (;;) {
      const next = frames.next();
      if (next.done === true) return next.value;
      const { frame, offset, damagedFrom } = next.value;
      this.#offset = offset;
      if (damagedFrom !== undefined) {
        this.#report(damagedFrom, `${offset - damagedFrom} bytes do not verify`);
        this.#heard = new Set();
        this.#summary = undefined;
        begun = true;
      }
      if (frame.kind === FRAME_BATCH) {
        // Where a segment begins, whole groups may have been lost before it: their ordinals tell.
        if (begun) this.#lost += Math.max(0, frame.index - this.#frames);
        if (!begun) this.#summary = { expected: frame.term, listed: new Set() };
        begun = true;
        this.#frames = Math.max(this.#frames, frame.index);
        this.#synced = Math.max(this.#synced, frame.ordinal);
        this.#endSummary();
      } else this.#take(frame, number, offset);
    }
  }

  #take(frame: Frame, segment: number, offset: number): void {
    if (frame.kind === FRAME_GROUP) {
      this.#takeSummary(decodeGroup(frame));
      return;
    }
    this.#frames++;
    let state = this.#groups.get(frame.group);
    if (state === undefined || (frame.ordinal === FIRST_ORDINAL && state.ordinal !== 0 && state.ordinal !== 2 ** 32 - 1)) {
      const known = state !== undefined;
      state = new GroupState(frame.group);
      this.#groups.set(frame.group, state);
      if (frame.ordinal !== FIRST_ORDINAL) this.#beginLost(state, frame);
      else if (known) this.#report(offset, `group ${frame.group} begins again`);
    } else if (frame.ordinal !== nextOrdinal(state.ordinal)) this.#gap(state, frame.ordinal);
    state.ordinal = frame.ordinal;
    this.#heard.add(frame.group);
    if (isEntry(frame.kind)) this.#takeEntry(state, frame, segment, offset);
    else this.#takeMark(state, frame);
  }

  #takeEntry(state: GroupState, frame: Frame, segment: number, offset: number): void {
    const { index, term, kind } = frame;
    const place = { segment, offset, bytes: frame.data.length, plain: kind === FRAME_ENTRY };
    if ((frame.flags & FLAG_FILL) !== 0) {
      if (index > state.beginIndex && index <= state.lastIndex && !state.has(index)) state.fill(index, term, place);
      return;
    }
    const doubt = this.#doubts.get(state);
    if (doubt?.entries === true) {
      this.#resolve(state, doubt, index - 1, term);
      doubt.entries = false;
    }
    if (index <= state.beginIndex || index > state.lastIndex + 1) {
      this.#report(offset, `group ${state.id}: entry ${index} does not follow entry ${state.lastIndex}`);
      state.endLost = true;
      return;
    }
    state.put(index, term, place);
  }

  #takeMark(state: GroupState, frame: Frame): void {
    const { kind, index, term } = frame;
    const doubt = this.#doubts.get(state);
    const note = (): Uint8Array => Uint8Array.from(frame.data);
    if (kind === FRAME_STATE) {
      state.hardState = decodeState(frame);
      if (doubt !== undefined) doubt.state = false;
    } else if (kind === FRAME_RESTORE) {
      state.restore(index, term, note());
      if (doubt !== undefined) doubt.entries = false;
    } else if (kind === FRAME_BEGIN) {
      // Behind the end: entries before it are lost, and are not needed any more.
      if (index <= state.lastIndex) state.begin(index, term, note());
      else state.restore(index, term, note());
    } else if (kind === FRAME_END_KNOWN) {
      state.endLost = false;
      this.#doubts.delete(state);
    } else if (kind === FRAME_RETIRE) {
      state.retire();
      if (doubt !== undefined) doubt.entries = false;
    } else if (kind === FRAME_REMOVE) {
      this.#groups.delete(state.id);
      this.#doubts.delete(state);
    } else throw corruptLog(this.#path, this.#offset, `a frame is of kind ${kind}`);
  }

  /** All that was before this segment, in short. */
  #takeSummary(summary: GroupSummary): void {
    const { group, ordinal, lastIndex, lastTerm, beginIndex, beginTerm, note } = summary;
    let state = this.#groups.get(group);
    if (state === undefined) {
      state = new GroupState(group);
      this.#groups.set(group, state);
      state.restore(beginIndex, beginTerm, note);
      if (lastIndex > beginIndex) state.loseUpTo(lastIndex, lastTerm);
    } else if (state.ordinal !== ordinal) {
      this.#gap(state, ordinal, false);
      const doubt = this.#doubts.get(state)!;
      doubt.lostFrames++;
      if (beginIndex > state.lastIndex || beginIndex < state.beginIndex) state.restore(beginIndex, beginTerm, note);
      this.#resolve(state, doubt, lastIndex, lastTerm);
    }
    if (beginIndex > state.beginIndex) state.begin(beginIndex, beginTerm, note);
    this.#doubts.delete(state);
    state.ordinal = ordinal;
    state.hardState = summary.hardState;
    state.endLost ||= summary.endLost;
    state.retired = summary.retired;
    state.retiredIndex = summary.retiredIndex;
    state.retiredTerm = summary.retiredTerm;
    this.#summary?.listed.add(group);
    this.#endSummary();
  }

  /** Groups that a whole summary does not list have been removed. */
  #endSummary(): void {
    if (this.#summary === undefined || this.#summary.listed.size < this.#summary.expected) return;
    const { listed } = this.#summary;
    this.#summary = undefined;
    this.#unlisted = false;
    for (const group of this.#groups.keys()) if (!listed.has(group)) this.#groups.delete(group);
  }

  /** Frames of the group are lost between its last one and that with this ordinal. */
  #gap(state: GroupState, ordinal: number, counted = true): void {
    const lost = (ordinal - nextOrdinal(state.ordinal) + 2 ** 32) % 2 ** 32;
    const keep = Math.min(Math.max(state.beginIndex, state.hardState.commit), state.lastIndex);
    const doubt = this.#doubts.get(state) ?? { keep, lostFrames: 0, entries: true, state: true };
    doubt.lostFrames += lost;
    doubt.entries = doubt.state = true;
    doubt.keep = Math.max(doubt.keep, keep);
    this.#doubts.set(state, doubt);
    if (counted) this.#explained += lost;
    this.#report(this.#offset, `${lost} frames of group ${state.id} are lost`);
  }

  /** The first that is found of a group is not the first that it had. */
  #beginLost(state: GroupState, frame: Frame): void {
    this.#explained += frame.ordinal - FIRST_ORDINAL;
    this.#report(this.#offset, `the first ${frame.ordinal - FIRST_ORDINAL} frames of group ${state.id} are lost`);
    state.endLost = true;
    if (isEntry(frame.kind)) state.loseUpTo(frame.index - 1, 0);
  }

  /** After a gap: the log had entries up to `index`, and what follows has term `term`, or `index` itself has. */
  #resolve(state: GroupState, { keep, lostFrames }: Doubt, index: number, term: number): void {
    const common = Math.min(state.lastIndex, index);
    const confirmed = common >= state.beginIndex && state.termHint(common) === term ? common : Math.min(keep, common);
    if (confirmed < state.beginIndex || index - confirmed > lostFrames) {
      // More than was lost: a snapshot was installed in between.
      if (index > state.beginIndex) state.loseUpTo(index, term);
      return;
    }
    if (confirmed < state.lastIndex) this.#cut(state, confirmed);
    while (state.lastIndex < index) state.putMissing(term);
  }

  #cut(state: GroupState, last: number): void {
    const known = state.missing();
    // What lies before the first entry that is known cannot be cut: all of it is missing anyway.
    if (known[0]?.from === state.beginIndex + 1 && last < known[0].to) state.loseUpTo(last, state.termHint(last) ?? 0);
    else state.cut(last);
  }

  #conclude(): void {
    const suspected = this.#lost > this.#explained;
    for (const [id, state] of this.#groups) {
      const doubt = this.#doubts.get(state);
      if (doubt?.entries === true || doubt?.state === true) state.endLost = true;
      if (suspected && !this.#heard.has(id)) state.endLost = true;
      // A commit index may be found without the entries that came with it.
      state.hardState = { ...state.hardState, commit: Math.min(state.hardState.commit, state.lastIndex) };
      state.writtenState = state.hardState;
    }
  }

  #report(offset: number, what: string): void {
    this.#damage.push({ file: this.#path, offset, what });
  }
}

export function corruptLog(file: string, offset: number, what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_RAFT_LOG', `${file}: ${what} (at byte ${offset})`, { file, offset });
}

function readHeader(fileSystem: LogFiles['fileSystem'], path: string): Buffer {
  const file = fileSystem.openSync(path, 'read');
  try {
    const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
    return bytes.subarray(0, file.readSync(bytes, 0, bytes.length, 0));
  } finally {
    file.closeSync();
  }
}
