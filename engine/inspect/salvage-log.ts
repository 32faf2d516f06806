/**
 * What can be read of a damaged log: every sound batch, whatever is between. Batches that the segment behind took the place of (leavings of a life
 * that ended in a torn batch) are not taken: they are beyond the length that it states, or have its sequence numbers.
 */
import { KIND_RANGE_DELETE } from '../../assembly/memory-map.ts';
import type { File } from '../../base/env.ts';
import {
  findSyncedFrame,
  FRAMES_OFFSET,
  type Frame,
  logFileName,
  LogWindow,
  readFrame,
  readHeader,
  type SegmentHeader,
} from '../log/index.ts';
import { Findings } from './findings.ts';
import { frameRecords, frameSequence } from './log-records.ts';
import { type SalvagedEntry, type SalvageParts, withValue } from './salvage-table.ts';

export interface SalvagedBatch {
  readonly sequence: number;
  readonly records: readonly SalvagedEntry[];
  /** Header, records and payload. */
  readonly bytes: number;
}

interface Opened {
  readonly segment: number;
  readonly path: string;
  readonly file: File;
  header: SegmentHeader | undefined;
  /** Of its first sound batch; Infinity when it has none. */
  firstSequence: number;
}

/**
 * Batches above `skipTo`, in order; of older ones, where `olderRanges` says so, the range deletes: no table has those, and applying one again hides
 * nothing that was not hidden. `segments`: ascending.
 */
export function* salvageLog(
  parts: SalvageParts,
  segments: readonly number[],
  skipTo: number,
  olderRanges: boolean,
): Generator<SalvagedBatch, void, void> {
  const { memory, fileSystem, directory } = parts;
  const window = new LogWindow(memory);
  const opened: Opened[] = [];
  try {
    for (const segment of segments) {
      const path = `${directory}/${logFileName(segment)}`;
      const file = fileSystem.openSync(path, 'read');
      const each: Opened = { segment, path, file, header: undefined, firstSequence: Infinity };
      opened.push(each);
      each.header = readHeader(memory, file, segment, path);
      const first = frames(window, each, file.sizeSync(), true).next();
      if (!first.done && first.value.frame) each.firstSequence = frameSequence(memory, first.value.frame.records);
    }
    let last = olderRanges ? 0 : skipTo;
    for (const [i, each] of opened.entries()) {
      const next = opened[i + 1];
      const follows = next?.header?.previousSegment === each.segment;
      const end = Math.min(follows ? next!.header!.previousBytes : Infinity, each.file.sizeSync());
      const before = Math.min(...opened.slice(i + 1).map(({ firstSequence }) => firstSequence), Infinity);
      for (const { offset, frame, lostBytes, torn } of frames(window, each, end, next !== undefined)) {
        if (frame === undefined) {
          // At the end of the last segment it may as well be the torn end of writes that were never synced.
          parts.losses.add({ file: each.path, offset, bytes: lostBytes, what: torn ? 'torn end' : 'batches' });
          continue;
        }
        const sequence = frameSequence(memory, frame.records);
        if (sequence <= last || sequence >= before) continue;
        last = sequence;
        const records = [...frameRecords(memory, frame.records, frame.recordBytes)];
        if (sequence <= skipTo) {
          const ranges = records.filter(({ kind }) => kind === KIND_RANGE_DELETE).map((record) => ({ ...record, lost: false }));
          if (ranges.length > 0) yield { sequence, records: ranges, bytes: frame.bytes };
          continue;
        }
        yield { sequence, records: records.map((record) => withValue(parts.values, parts.losses, record)), bytes: frame.bytes };
      }
    }
  } finally {
    window.free();
    for (const { file } of opened) file.closeSync();
  }
}

interface Place {
  readonly offset: number;
  readonly frame: Frame | undefined;
  /** Without a frame: how many bytes hold none. */
  readonly lostBytes: number;
  /** Nothing sound follows. */
  readonly torn: boolean;
}

/** Sound frames, and what is between them, unless it is zeros. `more`: other segments follow. */
function* frames(window: LogWindow, { segment, path, file }: Opened, end: number, more: boolean): Generator<Place, void, void> {
  for (let offset = FRAMES_OFFSET; offset < end;) {
    let frame = frameAt(window, file, path, segment, offset, end, 'checked');
    if (frame === undefined) {
      const next = findSyncedFrame(window, file, segment, offset, 0, end);
      // A batch whose records are sound and whose large values are not was written whole, if anything was written behind it.
      if (next !== undefined || more) frame = frameAt(window, file, path, segment, offset, end, 'unchecked');
      if (frame === undefined) {
        const until = next ?? end;
        if (next !== undefined || !isZero(window, file, offset, end)) {
          yield { offset, frame: undefined, lostBytes: until - offset, torn: next === undefined && !more };
        }
        offset = until;
        continue;
      }
    }
    const { bytes } = frame;
    yield { offset, frame, lostBytes: 0, torn: false };
    offset += bytes;
  }
}

function frameAt(
  window: LogWindow,
  file: File,
  path: string,
  segment: number,
  offset: number,
  end: number,
  payload: 'checked' | 'unchecked',
): Frame | undefined {
  try {
    return readFrame(window, file, path, segment, offset, end, payload);
  } catch (error) {
    // A frame that makes no sense is lost like one that does not match its checksum.
    new Findings().caught(error, path);
    return undefined;
  }
}

function isZero(window: LogWindow, file: File, from: number, end: number): boolean {
  const piece = 1024 * 1024;
  for (let at = from; at < end;) {
    const bytes = Math.min(window.read(file, at, Math.min(piece, end - at), end), piece, end - at);
    if (bytes === 0) return true;
    const address = window.at(at);
    if (window.memory.u8.subarray(address, address + bytes).some((byte) => byte !== 0)) return false;
    at += bytes;
  }
  return true;
}
