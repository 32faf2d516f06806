/**
 * What a Raft log directory holds: segments checked one by one, and joined into the log's terms, its last entry and the hard state.
 * Entries themselves are not kept: LogStore.read goes over the files once more for those that are still to be applied.
 */
import { join } from 'node:path';
import type { FileSystem } from '../../base/env.ts';
import type { HardState } from '../raft/index.ts';
import { type Frame, type Hash64, SEGMENT_HEADER_BYTES, segmentName, segmentOfName } from './log-format.ts';
import { corrupt, parseSegment, readSegmentFile } from './log-segment.ts';

export interface RecoveredSegment {
  segment: number;
  /** The last entry before this segment, and its term. */
  previousIndex: number;
  previousTerm: number;
  /** End of its frames. */
  bytes: number;
  /** What is known to be durable: what came before its last batch. Of the last segment; others were synced when the next one began. */
  synced: number;
}

export interface RecoveredLog {
  segments: RecoveredSegment[];
  /** The last entry that is not in the log any more. */
  compactedIndex: number;
  compactedTerm: number;
  lastIndex: number;
  terms: { index: number; term: number }[];
  hardState: HardState;
}

/** Throws `corrupt/CORRUPT_RAFT_LOG` with file and offset. A last segment that was being created is removed. */
export function recoverLog(fileSystem: FileSystem, directory: string, hash: Hash64): RecoveredLog {
  const numbers = fileSystem
    .listSync(directory)
    .map(segmentOfName)
    .filter((segment) => segment !== undefined)
    .sort((a, b) => a - b);
  const log: RecoveredLog = {
    segments: [],
    compactedIndex: 0,
    compactedTerm: 0,
    lastIndex: 0,
    terms: [],
    hardState: { term: 0, vote: 0, commit: 0 },
  };
  for (const [i, segment] of numbers.entries()) {
    const path = join(directory, segmentName(segment));
    if (segment !== numbers[0]! + i) throw corrupt(path, 0, `segment ${segment - 1} is missing`);
    const last = i === numbers.length - 1;
    const content = parseSegment(readSegmentFile(fileSystem, path), path, segment, last, hash);
    if (content === undefined) {
      fileSystem.unlinkSync(path);
      fileSystem.syncDirectorySync(directory);
      break;
    }
    const { header, frames, end } = content;
    if (i === 0) {
      log.compactedIndex = log.lastIndex = header.previousIndex;
      log.compactedTerm = header.previousTerm;
    } else {
      continueAt(log, header.previousIndex, header.previousTerm, path);
    }
    log.segments.push({
      segment,
      previousIndex: header.previousIndex,
      previousTerm: header.previousTerm,
      bytes: end,
      synced: syncedOf(frames),
    });
    takeState(log, header.hardState);
    for (const frame of frames) {
      if (frame.kind === 'state') {
        takeState(log, frame.hardState);
        continue;
      }
      const { index, term } = frame.entry;
      if (index > log.lastIndex + 1 || index <= log.compactedIndex) throw corrupt(path, 0, `entry ${index} follows entry ${log.lastIndex}`);
      while (log.terms.length > 0 && log.terms.at(-1)!.index >= index) log.terms.pop();
      if (term < lastTerm(log)) throw corrupt(path, 0, `entry ${index} has a lower term than the one before it`);
      if (log.terms.length === 0 || lastTerm(log) !== term) log.terms.push({ index, term });
      log.lastIndex = index;
    }
  }
  // A commit index travels ahead of nothing, but a batch that was cut off may have held the entries that it covers.
  log.hardState.commit = Math.min(log.hardState.commit, log.lastIndex);
  return log;
}

/** Each batch begins with how much was durable before it. */
function syncedOf(frames: readonly Frame[]): number {
  const batch = frames.findLast(({ kind }) => kind === 'state');
  return batch?.kind === 'state' ? batch.synced : SEGMENT_HEADER_BYTES;
}

/** A further segment begins: after the last entry, or earlier when it begins with entries that replace some. */
function continueAt(log: RecoveredLog, index: number, term: number, path: string): void {
  if (index > log.lastIndex)
    throw corrupt(path, 16, `the log ends at entry ${log.lastIndex} before a segment that begins after entry ${index}`);
  while (log.terms.length > 0 && log.terms.at(-1)!.index > index) log.terms.pop();
  log.lastIndex = index;
  if (index < log.compactedIndex) {
    // What was replaced reaches back to segments that are gone: nothing before this one is left.
    log.compactedIndex = index;
    log.compactedTerm = term;
  } else if (lastTerm(log) !== term) {
    throw corrupt(path, 24, `entry ${index} has term ${lastTerm(log)}, and term ${term} in the segment that follows it`);
  }
}

/** The last entry before everything that the segments hold, and its term. */
export function logBegin(segments: readonly RecoveredSegment[]): { index: number; term: number } {
  const first = segments.reduce((a, b) => (b.previousIndex < a.previousIndex ? b : a));
  return { index: first.previousIndex, term: first.previousTerm };
}

function lastTerm(log: RecoveredLog): number {
  return log.terms.at(-1)?.term ?? log.compactedTerm;
}

function takeState(log: RecoveredLog, state: HardState): void {
  log.hardState = { ...state, commit: Math.max(state.commit, log.hardState.commit) };
}
