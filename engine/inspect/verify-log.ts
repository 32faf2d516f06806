/**
 * Reads log segments as opening would, and changes nothing: every frame, record and large value against its checksum; where the frames end,
 * whether that is the torn end of unsynced writes or damage (docs/formats/log.md, "Where the log ends"); sequence numbers that only grow.
 *
 * A segment below the log's floor is a block file by now: its frames are nobody's, what is wrong with them is a notice; the values in it that count
 * are checked where tables refer to them.
 */
import type { File, FileSystem } from '../../base/env.ts';
import {
  findSyncedFrame,
  FRAMES_OFFSET,
  isSealed,
  LogWindow,
  logFileName,
  readFrame,
  readHeader,
  type SegmentHeader,
} from '../log/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { Findings } from './findings.ts';
import { frameKeyspaces, frameSequence } from './log-records.ts';
import { STEP_BYTES, type Steps } from './steps.ts';

export interface LogToVerify {
  readonly memory: LinearMemory;
  readonly fileSystem: FileSystem;
  readonly directory: string;
  /** The log from its floor on, ascending, and how many bytes of each count. */
  readonly segments: readonly { readonly segment: number; readonly bytes: number }[];
  /** The oldest segment that must be there, if the log ever had it. */
  readonly floor: number;
  /** Whether all the bytes that count are frames: no end may be torn. */
  readonly isWhole: boolean;
  readonly findings: Findings;
}

export interface LogTotals {
  frames: number;
  records: number;
  lastSequence: number;
  /** Ids of the keyspaces that there are keys of, with where the first one is. */
  readonly keyspaces: Map<number, { readonly file: string; readonly offset: number }>;
}

interface Opened {
  readonly segment: number;
  readonly path: string;
  readonly file: File;
  readonly bytes: number;
  readonly header: SegmentHeader | undefined;
  readonly sealed: boolean;
}

export function* verifyLog(parts: LogToVerify): Steps<LogTotals> {
  const { memory, findings } = parts;
  const totals = newTotals();
  const opened = openSegments(parts);
  const window = new LogWindow(memory);
  try {
    const lastSealed = parts.isWhole ? opened.length : opened.findLastIndex(({ sealed }) => sealed);
    for (const [i, segment] of opened.entries()) {
      const { path, header, bytes } = segment;
      const mustBeWhole = i < lastSealed;
      if (header === undefined) {
        if (mustBeWhole) {
          findings.problem(path, 0, 'the header is not readable, and a later segment says that this one is whole');
          continue;
        }
        cutOff(window, findings, opened.slice(i));
        break;
      }
      if (i === 0 && header.previousSegment >= parts.floor && header.previousSegment !== 0) {
        const missing = `${logFileName(header.previousSegment)}, which it follows, is missing`;
        if (lastSealed < 0) {
          findings.notice(path, 0, `${missing}: they were never synced`);
          cutOff(window, findings, opened);
          break;
        }
        findings.problem(path, 0, missing);
      }
      const next = opened[i + 1];
      const follows = next?.header?.previousSegment === segment.segment;
      const limit = follows ? next.header!.previousBytes : undefined;
      const end = yield* walk(window, segment, Math.min(limit ?? bytes, bytes), totals, findings);
      if (limit === undefined && end < bytes) {
        if (parts.isWhole) findings.problem(path, end, `its batches end here, ${bytes - end} bytes early`);
        else checkEnd(window, findings, segment, end);
      }
      if (next === undefined || end === limit) continue;
      if (mustBeWhole) {
        const stated = follows
          ? `the next segment states ${limit!} bytes`
          : `what follows, in front of segment ${next.segment}, is missing`;
        findings.problem(path, end, `its frames end here, but ${stated}`);
        continue;
      }
      if (limit !== undefined)
        findings.notice(path, end, `its frames end here, of ${limit} bytes that were written: they were never synced`);
      cutOff(window, findings, opened.slice(i + 1));
      break;
    }
  } finally {
    window.free();
    for (const { file } of opened) file.closeSync();
  }
  return totals;
}

/** What is wrong where keys are of a keyspace that the manifest has never given an id: its end is gone. */
export function unknownKeyspace(id: number): string {
  return `it has keys of keyspace ${id}, which the manifest does not know`;
}

function newTotals(): LogTotals {
  return { frames: 0, records: 0, lastSequence: 0, keyspaces: new Map() };
}

/** The frames of a segment that lives on as a block file. */
export function* verifyPassedSegment(
  parts: Omit<LogToVerify, 'segments' | 'floor' | 'isWhole'>,
  segment: number,
  bytes: number,
): Steps<void> {
  const { memory, fileSystem, directory, findings } = parts;
  const path = `${directory}/${logFileName(segment)}`;
  const file = fileSystem.openSync(path, 'read');
  const window = new LogWindow(memory);
  try {
    const header = headerOf(parts, path, file, segment);
    if (header === undefined) findings.notice(path, 0, 'the header of this block file is damaged; nobody reads it any more');
    const end = Math.min(bytes, file.sizeSync());
    if (end < bytes) findings.problem(path, end, `it has ${end} bytes of ${bytes}`);
    const totals = newTotals();
    const opened = { segment, path, file, bytes: end, header, sealed: false };
    const stopped = yield* walk(window, opened, end, totals, findings);
    if (stopped < end)
      findings.notice(
        path,
        stopped,
        'a batch in this block file is damaged; its records are in tables, its large values are checked there',
      );
  } finally {
    window.free();
    file.closeSync();
  }
}

function openSegments(parts: LogToVerify): Opened[] {
  const { memory, fileSystem, directory, findings } = parts;
  const opened: Opened[] = [];
  for (const { segment, bytes } of parts.segments) {
    const path = `${directory}/${logFileName(segment)}`;
    let file: File | undefined;
    try {
      file = fileSystem.openSync(path, 'read');
      const header = headerOf(parts, path, file, segment);
      const sealed = header !== undefined && isSealed(memory, file, header);
      opened.push({ segment, path, file, bytes: Math.min(bytes, file.sizeSync()), header, sealed });
    } catch (error) {
      file?.closeSync();
      findings.caught(error, path);
    }
  }
  return opened;
}

function headerOf(parts: Pick<LogToVerify, 'memory' | 'findings'>, path: string, file: File, segment: number): SegmentHeader | undefined {
  try {
    return readHeader(parts.memory, file, segment, path);
  } catch (error) {
    parts.findings.caught(error, path);
    return undefined;
  }
}

/** Goes over sound frames up to `end`; returns where they end. */
function* walk(window: LogWindow, { segment, path, file }: Opened, end: number, totals: LogTotals, findings: Findings): Steps<number> {
  let offset = FRAMES_OFFSET;
  let yielded = offset;
  while (offset < end) {
    let frame;
    try {
      frame = readFrame(window, file, path, segment, offset, end);
    } catch (error) {
      findings.caught(error, path);
      break;
    }
    if (frame === undefined) break;
    const sequence = frameSequence(window.memory, frame.records);
    if (sequence <= totals.lastSequence) {
      findings.problem(path, offset, `a batch has sequence number ${sequence}, the one before it ${totals.lastSequence}`);
    }
    for (const id of frameKeyspaces(window.memory, frame.records, frame.recordBytes)) {
      if (!totals.keyspaces.has(id)) totals.keyspaces.set(id, { file: path, offset });
    }
    totals.lastSequence = sequence;
    totals.frames++;
    totals.records += frame.recordCount;
    offset += frame.bytes;
    if (offset - yielded < STEP_BYTES) continue;
    yield offset - yielded;
    yielded = offset;
  }
  yield offset - yielded;
  return offset;
}

/** What follows the last sound frame of the log: nothing, zeros that were written ahead, the torn end of unsynced writes, or damage. */
function checkEnd(window: LogWindow, findings: Findings, { segment, path, file, bytes }: Opened, end: number): void {
  const vouching = findSyncedFrame(window, file, segment, end, end, bytes);
  if (vouching !== undefined) {
    findings.problem(path, end, `a batch is damaged that was on disk once (a later one at ${vouching} says so)`);
    return;
  }
  if (!isZero(window, file, end, bytes))
    findings.notice(path, end, `${bytes - end} bytes behind the last whole batch: the torn end of writes that were never synced`);
}

/** Segments that opening would drop: nothing in them may say that it was synced. */
function cutOff(window: LogWindow, findings: Findings, segments: readonly Opened[]): void {
  for (const { segment, path, file, bytes } of segments) {
    const vouching = findSyncedFrame(window, file, segment, FRAMES_OFFSET - 8, FRAMES_OFFSET, bytes);
    if (vouching !== undefined)
      findings.problem(path, 0, `it does not follow what is in front of it, but was synced (a batch at ${vouching} says so)`);
    else findings.notice(path, 0, 'opening drops this segment: it does not follow a whole one and was never synced');
  }
}

function isZero(window: LogWindow, file: File, from: number, end: number): boolean {
  for (let at = from; at < end;) {
    const bytes = Math.min(window.read(file, at, Math.min(STEP_BYTES, end - at), end), STEP_BYTES, end - at);
    const address = window.at(at);
    if (window.memory.u8.subarray(address, address + bytes).some((byte) => byte !== 0)) return false;
    at += bytes;
  }
  return true;
}
