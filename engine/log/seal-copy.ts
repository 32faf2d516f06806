/** Closes the copy of a log segment that was cut out of a log in use: states in it that the segment before is whole on disk. */
import type { File } from '../../base/env.ts';
import { xxh64 } from '../../base/xxh64.ts';
import { decodeHeader, encodeSeal, SEAL_BYTES, SEAL_OFFSET, SEGMENT_HEADER_BYTES } from './log-format.ts';

/** `file` at `path`: begins with a sound header. The caller syncs it; what it says must be true by then. */
export function sealCopiedSegment(file: File, path: string, segment: number): void {
  const header = new Uint8Array(SEGMENT_HEADER_BYTES);
  file.readSync(header, 0, header.length, 0);
  const decoded = decodeHeader(new DataView(header.buffer), 0, path);
  // The first segment of all has nothing before it.
  if (decoded === undefined || decoded.previousSegment === 0) return;
  const seal = new Uint8Array(SEAL_BYTES);
  const view = new DataView(seal.buffer);
  encodeSeal(view, 0, decoded.previousSegment, decoded.previousBytes);
  const { low, high } = xxh64(seal, 0, SEAL_BYTES - 8, segment);
  view.setUint32(SEAL_BYTES - 8, low, true);
  view.setUint32(SEAL_BYTES - 4, high, true);
  file.writeSync(seal, 0, SEAL_BYTES, SEAL_OFFSET);
}
