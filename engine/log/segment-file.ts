/**
 * What a segment has besides frames (log-format.ts): its header and the seal of the segment before it.
 * Written by log-writer.ts.
 */
import type { File } from '../../base/env.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { encodeHeader, encodeSeal, SEAL_BYTES, SEAL_OFFSET, SEGMENT_HEADER_BYTES, type SegmentHeader } from './log-format.ts';
import { segmentChecksum } from './segment-checksum.ts';

export function writeHeader(memory: LinearMemory, file: File, header: SegmentHeader): void {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  encodeHeader(new DataView(bytes.buffer), 0, header);
  writeChecked(memory, file, bytes, header.segment, 0);
}

/** States, in a sector of its own, that the segment before this one is whole on disk. */
export function writeSeal(memory: LinearMemory, file: File, header: SegmentHeader): void {
  const bytes = new Uint8Array(SEAL_BYTES);
  encodeSeal(new DataView(bytes.buffer), 0, header.previousSegment, header.previousBytes);
  writeChecked(memory, file, bytes, header.segment, SEAL_OFFSET);
}

/** The last 8 bytes are the checksum of those before. */
function writeChecked(memory: LinearMemory, file: File, bytes: Uint8Array, segment: number, offset: number): void {
  bytes.set(segmentChecksum(memory, bytes.subarray(0, bytes.length - 8), segment), bytes.length - 8);
  file.writeSync(bytes, 0, bytes.length, offset);
}
