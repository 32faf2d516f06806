/**
 * Reads a segment frame by frame, over damage too, and tells a torn end from damage.
 *
 * Where a frame does not verify:
 *
 *   in the last segment  the end of what was being written when the machine stopped: never acknowledged, cut off. But when a BATCH further on
 *                        says that this place was durable before it, what was durable is damaged.
 *   in any other one     its unused end when no valid frame follows, else damage. (Damage at the very end shows in the next segment, which
 *                        begins with how far every group was.)
 *
 * After damage it goes on at the next frame that verifies. The last durable batch of the log has no later one to vouch for it: damage there
 * cannot be told from a torn end. A log that was closed ends with a BATCH, which vouches for everything.
 */
import type { FileSystem } from '../../../base/env.ts';
import { decodeFrame, type Frame, FRAME_HEADER_BYTES, type Seal, SEGMENT_HEADER_BYTES } from './log-format.ts';
import { FRAME_BATCH } from './frame-kinds.ts';

export interface ScannedFrame {
  frame: Frame;
  offset: number;
  /** Bytes before it are damaged, from here on; undefined when none are. */
  damagedFrom: number | undefined;
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

/** The valid frames in order. Returns where they end. */
export function* scanSegment(bytes: Buffer, seal: Seal, last: boolean): Generator<ScannedFrame, number, undefined> {
  let at = SEGMENT_HEADER_BYTES;
  let damagedFrom: number | undefined;
  for (;;) {
    const frame = decodeFrame(bytes, at, seal);
    if (frame !== undefined) {
      yield { frame, offset: at, damagedFrom };
      damagedFrom = undefined;
      at += frame.bytes;
      continue;
    }
    const next = last && !vouchedFor(bytes, at, seal) ? undefined : nextFrame(bytes, at, seal);
    if (next === undefined) return Math.min(at, bytes.length);
    damagedFrom = at;
    at = next;
  }
}

/** Whether a BATCH after `at` says that this place was durable. */
function vouchedFor(bytes: Buffer, at: number, seal: Seal): boolean {
  for (let next = nextFrame(bytes, at, seal); next !== undefined;) {
    const frame = decodeFrame(bytes, next, seal)!;
    if (frame.kind === FRAME_BATCH && frame.ordinal > at) return true;
    next = nextFrame(bytes, next + frame.bytes - 8, seal);
  }
  return false;
}

/** The next multiple of 8 after `at` at which a valid frame begins. */
function nextFrame(bytes: Buffer, at: number, seal: Seal): number | undefined {
  for (let next = at + 8; next + FRAME_HEADER_BYTES <= bytes.length; next += 8) {
    if (bytes[next + 10] !== 0 && decodeFrame(bytes, next, seal) !== undefined) return next;
  }
  return undefined;
}
