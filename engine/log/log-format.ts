/**
 * The log: segment files NNNNNN.log, written from front to back. Format: docs/formats/log.md.
 *
 *   | header, 64 bytes at 0 | seal of the previous segment, 32 bytes at 512 | frames from 1024 |
 *
 *   header: | magic u64 | version u32 | segment u32 | previous segment u32 | previous bytes u32 | reserved 32 | check u64 |
 *   seal:   | magic u64 | previous segment u32 | previous bytes u32 | reserved u64 | check u64 |
 *   checks: XXH64 of what is before them in the structure, seed = segment
 *
 * Frames are in assembly/record.ts. `previous bytes` is where the frames of the previous segment end. The seal is written once those are
 * on disk and before anything in this segment is acknowledged as synced: with a seal, a previous segment that ends earlier is corrupt;
 * without one, it was torn by a power failure and this segment is dropped with it (nothing in it was acknowledged as synced).
 * The seal lies in a sector of its own, so that writing it cannot tear the header.
 */
import { newerFormat, olderFormat } from '../../base/format-version.ts';

export const LOG_MAGIC: bigint = 0x31474f4c_564b5053n; // "SPKVLOG1"
export const SEAL_MAGIC: bigint = 0x4c414553_564b5053n; // "SPKVSEAL"
export const LOG_VERSION = 2;
export const SEGMENT_HEADER_BYTES = 64;
export const SEAL_OFFSET = 512;
export const SEAL_BYTES = 32;
export const FRAMES_OFFSET = 1024;

export interface SegmentHeader {
  segment: number;
  /** 0: the first of all. */
  previousSegment: number;
  previousBytes: number;
}

/** Writes a header at `view[offset..offset+56]`; the caller adds the check behind it. */
export function encodeHeader(view: DataView, offset: number, header: SegmentHeader): void {
  view.setBigUint64(offset, LOG_MAGIC, true);
  view.setUint32(offset + 8, LOG_VERSION, true);
  view.setUint32(offset + 12, header.segment, true);
  view.setUint32(offset + 16, header.previousSegment, true);
  view.setUint32(offset + 20, header.previousBytes, true);
  for (let i = 24; i < 56; i += 8) view.setBigUint64(offset + i, 0n, true);
}

/** The header, or undefined when the magic is not ours. The caller has compared the check. `invalid/FORMAT_OLDER`, `invalid/FORMAT_NEWER`. */
export function decodeHeader(view: DataView, offset: number, file: string): SegmentHeader | undefined {
  if (view.getBigUint64(offset, true) !== LOG_MAGIC) return undefined;
  const version = view.getUint32(offset + 8, true);
  if (version > LOG_VERSION) throw newerFormat(file, version, LOG_VERSION);
  if (version < LOG_VERSION) throw olderFormat(file, version, LOG_VERSION);
  return {
    segment: view.getUint32(offset + 12, true),
    previousSegment: view.getUint32(offset + 16, true),
    previousBytes: view.getUint32(offset + 20, true),
  };
}

/** Writes a seal at `view[offset..offset+24]`; the caller adds the check behind it. */
export function encodeSeal(view: DataView, offset: number, previousSegment: number, previousBytes: number): void {
  view.setBigUint64(offset, SEAL_MAGIC, true);
  view.setUint32(offset + 8, previousSegment, true);
  view.setUint32(offset + 12, previousBytes, true);
  view.setBigUint64(offset + 16, 0n, true);
}

/** Whether a seal for this previous segment and length stands at `offset`. The caller has compared the check. */
export function isSealOf(view: DataView, offset: number, previousSegment: number, previousBytes: number): boolean {
  return (
    view.getBigUint64(offset, true) === SEAL_MAGIC &&
    view.getUint32(offset + 8, true) === previousSegment &&
    view.getUint32(offset + 12, true) === previousBytes
  );
}

/** `000042.log` */
export function logFileName(segment: number): string {
  return `${String(segment).padStart(6, '0')}.log`;
}

/** The segment of a log file's name, or undefined. */
export function logFileSegment(name: string): number | undefined {
  const match = /^(\d{6,10})\.log$/.exec(name);
  return match ? Number(match[1]) : undefined;
}
