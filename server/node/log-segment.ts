/**
 * Reads one segment of the Raft log and tells a torn end from damage.
 *
 * Frames are read until one does not verify. What that means:
 *
 *   in the last segment   a batch that was being written when the machine stopped: everything from there on was never acknowledged and
 *                         is cut off. But if a batch further on says that this place was durable when it was written, a durable
 *                         frame has been damaged: an error.
 *   in any other segment  its unused end, provided that nothing valid follows and that the next segment goes on where it stops
 *                         (log-store.ts compares). Otherwise an error.
 *
 * The last durable batch of the log has no later one to vouch for it: damage there cannot be told from a torn end.
 */
import type { FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import {
  decodeFrame,
  decodeSegmentHeader,
  type Frame,
  FRAME_STATE,
  type Hash64,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  STATE_FRAME_BYTES,
} from './log-format.ts';

export interface SegmentContent {
  header: SegmentHeader;
  frames: Frame[];
  /** Where the valid frames end. */
  end: number;
  fileBytes: number;
}

/** All of a segment's file. */
export function readSegmentFile(fileSystem: FileSystem, path: string): Buffer {
  const file = fileSystem.openSync(path, 'read');
  try {
    const bytes = Buffer.allocUnsafe(file.sizeSync());
    const read = file.readSync(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, read);
  } finally {
    file.closeSync();
  }
}

/**
 * What a segment holds, or undefined when the file was not begun (only a `last` one may be). Throws `corrupt/CORRUPT_RAFT_LOG` with file
 * and offset, and `invalid/FORMAT_NEWER` for a newer format.
 */
export function parseSegment(bytes: Buffer, path: string, segment: number, last: boolean, hash: Hash64): SegmentContent | undefined {
  const seed = BigInt(segment);
  const header = decodeSegmentHeader(bytes, hash);
  if (header === 'format') {
    throw new SparrowError('invalid', 'FORMAT_NEWER', `${path} was written by a newer release`, { file: path });
  }
  if (header === undefined) {
    // The header is durable before the first frame is written: without any frame, the file was being created.
    if (last && !hasStateFrame(bytes, SEGMENT_HEADER_BYTES, seed, hash, () => true)) return undefined;
    throw corrupt(path, 0, 'the segment header is damaged');
  }
  if (header.segment !== segment) throw corrupt(path, 12, `the file holds segment ${header.segment}`);

  const frames: Frame[] = [];
  let end = SEGMENT_HEADER_BYTES;
  for (;;) {
    const frame = decodeFrame(bytes, end, seed, hash);
    if (frame === undefined) break;
    frames.push(frame);
    end += frame.bytes;
  }
  const damaged = last
    ? hasStateFrame(bytes, end, seed, hash, (synced) => synced > end)
    : hasStateFrame(bytes, end, seed, hash, () => true);
  if (damaged) throw corrupt(path, end, 'a frame that was durable does not verify');
  return { header, frames, end: Math.min(end, bytes.length), fileBytes: bytes.length };
}

export function corrupt(file: string, offset: number, what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_RAFT_LOG', `${file}: ${what} (at byte ${offset})`, { file, offset });
}

/** Whether a valid STATE frame that fits `test` begins at any multiple of 8 from `from` on. */
function hasStateFrame(bytes: Buffer, from: number, seed: bigint, hash: Hash64, test: (synced: number) => boolean): boolean {
  for (let at = (from + 7) & ~7; at + STATE_FRAME_BYTES <= bytes.length; at += 8) {
    // Cheap first: the checksum is computed only where a STATE frame may be.
    if (bytes.readUInt32LE(at + 12) !== FRAME_STATE || bytes.readUInt32LE(at + 8) !== 8) continue;
    const frame = decodeFrame(bytes, at, seed, hash);
    if (frame?.kind === 'state' && test(frame.synced)) return true;
  }
  return false;
}
