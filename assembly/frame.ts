/**
 * Frames: the batches of the log (layout: record.ts, docs/formats/log.md). A frame is written whole and found whole or not at all:
 * its check covers its header and its records, and each pointer record among them carries the check of its payload.
 */
import {
  FLAG_EXPIRES,
  FRAME_HEADER_BYTES,
  KEY_BYTES_MAX,
  KIND_DELETE,
  KIND_POINTER,
  KIND_PUT,
  KIND_RANGE_DELETE,
  POINTER_BYTES,
  RECORD_HEADER_BYTES,
} from './memory-map';
import { xxh64 } from './checksum';
import { compareKeys } from './key';
import { expiryBytes, recordBytes, recordFlags, recordKey, recordKeyBytes, recordKind, recordSequence, recordValue } from './record';

/** What a number of the host holds exactly. The newest read is as of that sequence: none has it. */
const EXPIRY_MAX: u64 = 0x1fffffffffffff;
const SEQUENCE_MAX: u64 = EXPIRY_MAX - 1;

/** Fills in the header of the frame whose records lie behind it, checksum last. */
export function sealFrame(frame: usize, bytes: u32, payloadBytes: u32, syncedTo: u32, count: u32, segment: u32): void {
  store<u32>(frame, bytes, 8);
  store<u32>(frame, payloadBytes, 12);
  store<u32>(frame, syncedTo, 16);
  store<u32>(frame, count, 20);
  store<u64>(frame, xxh64(frame + 8, <i32>bytes + 16, <u64>segment));
}

/**
 * Whether a whole, sound frame lies at `frame` with `available` bytes in memory from there: 1 yes; 0 no (torn, stale, foreign or zero);
 * -1: it claims to be longer than what is available, so look again with more. Never reads past `available`.
 */
export function checkFrame(frame: usize, available: u32, segment: u32): i32 {
  if (available < <u32>FRAME_HEADER_BYTES) return -1;
  const bytes = load<u32>(frame, 8);
  if (bytes == 0 || bytes & 7 || bytes > 0x3fffffff) return 0;
  if (bytes + <u32>FRAME_HEADER_BYTES > available) return -1;
  if (load<u64>(frame) != xxh64(frame + 8, <i32>bytes + 16, <u64>segment)) return 0;
  return 1;
}

/**
 * Walks the records of a frame whose check held, so that later kernels need not mistrust lengths: every record within the frame, kinds
 * and key lengths in range, count as stated. Returns 1, or 0 for a frame that no writer of ours made.
 */
export function checkRecords(frame: usize): i32 {
  return recordKinds(frame) ? 1 : 0;
}

/** As `checkRecords`; of a sound frame's records, bit k is set where there is one of kind k. */
export function recordKinds(frame: usize): i32 {
  const end = frame + FRAME_HEADER_BYTES + load<u32>(frame, 8);
  let at = frame + FRAME_HEADER_BYTES;
  let count = load<u32>(frame, 20) & 0xffffff;
  let kinds = 0;
  while (at < end) {
    if (end - at < <usize>RECORD_HEADER_BYTES || count == 0) return 0;
    const keyBytes = recordKeyBytes(at);
    const valueBytes = load<u32>(at);
    const kind = recordKind(at);
    if (keyBytes < 1 || keyBytes > KEY_BYTES_MAX || valueBytes > 0x3fffffff) return 0;
    if (kind < KIND_PUT || kind > KIND_RANGE_DELETE) return 0;
    const sequence = recordSequence(at);
    if (!sequence || sequence > SEQUENCE_MAX) return 0;
    const flags = recordFlags(at);
    if (flags & ~FLAG_EXPIRES) return 0;
    const expiry = <u32>expiryBytes(flags);
    if (kind == KIND_PUT && valueBytes < expiry) return 0;
    if (kind == KIND_POINTER && valueBytes != <u32>POINTER_BYTES + expiry) return 0;
    if (kind == KIND_DELETE && (valueBytes != 0 || flags)) return 0;
    if (kind == KIND_RANGE_DELETE && (valueBytes < 1 || valueBytes > <u32>KEY_BYTES_MAX || flags)) return 0;
    const size = <usize>recordBytes(keyBytes, <i32>valueBytes);
    if (size > end - at) return 0;
    if (expiry && load<u64>(recordValue(at)) > EXPIRY_MAX) return 0;
    if (kind == KIND_RANGE_DELETE && compareKeys(recordKey(at), keyBytes, recordValue(at), <i32>valueBytes) >= 0) return 0;
    at += size;
    count--;
    kinds |= 1 << kind;
  }
  return count == 0 ? kinds : 0;
}

/** Fills in a 24-byte pointer for a value that lies in memory at `value`: the checksum is seeded with the segment. */
export function sealPointer(pointer: usize, segment: u32, value: usize, valueBytes: u32, offset: u32): void {
  store<u32>(pointer, segment);
  store<u32>(pointer, valueBytes, 4);
  store<u32>(pointer, offset, 8);
  store<u32>(pointer, 0, 12);
  store<u64>(pointer, xxh64(value, <i32>valueBytes, <u64>segment), 16);
}

/** Whether the bytes at `value` are what the pointer refers to. */
export function checkPointer(pointer: usize, value: usize): i32 {
  return load<u64>(pointer, 16) == xxh64(value, load<i32>(pointer, 4), <u64>load<u32>(pointer)) ? 1 : 0;
}

/** The next pointer record of a frame at or after `at` (0: from the start), or 0: address of its 24-byte value. For recovery. */
export function nextPointer(frame: usize, after: usize): usize {
  const end = frame + FRAME_HEADER_BYTES + load<u32>(frame, 8);
  let at = after ? after : frame + FRAME_HEADER_BYTES;
  while (at < end) {
    if (recordKind(at) == KIND_POINTER) return recordValue(at) + expiryBytes(recordFlags(at));
    at += recordBytes(recordKeyBytes(at), load<i32>(at));
  }
  return 0;
}

/**
 * Whether a frame at offset `offset` of its segment could begin at `at`, judged by its header and first record alone: cheap enough to ask
 * at every 8 bytes, strict enough that values rarely pass.
 */
// @ts-ignore: decorator
@inline
function plausibleFrame(at: usize, end: usize, offset: u32): bool {
  const bytes = load<u32>(at, 8);
  const count = load<u32>(at, 20);
  if (bytes == 0 || bytes & 7 || <usize>bytes > end - at - FRAME_HEADER_BYTES) return false;
  if (count == 0 || count > bytes / 24 || load<u32>(at, 16) > offset) return false;
  const record = at + FRAME_HEADER_BYTES;
  const keyBytes = recordKeyBytes(record);
  if (keyBytes < 1 || keyBytes > KEY_BYTES_MAX || recordKind(record) < KIND_PUT || recordKind(record) > KIND_RANGE_DELETE) return false;
  return load<u32>(record) <= bytes && <u32>recordBytes(keyBytes, load<i32>(record)) <= bytes;
}

/**
 * After a frame that is not sound at offset `broken`: whether a later one in [from, end) is sound and was written when the log was
 * already synced past `broken`. Then the broken one was on disk once, and this is corruption, not the torn end of the log.
 * `offset` is the file offset of `from`; both are multiples of 8. Returns the address of that frame, or 0.
 */
export function findSyncedFrame(from: usize, end: usize, offset: u32, broken: u32, segment: u32): usize {
  if (end < from + FRAME_HEADER_BYTES + RECORD_HEADER_BYTES) return 0;
  const last = end - FRAME_HEADER_BYTES - RECORD_HEADER_BYTES;
  for (let at = from; at <= last; at += 8) {
    if (!plausibleFrame(at, end, offset + <u32>(at - from))) continue;
    if (load<u32>(at, 16) <= broken) continue;
    if (checkFrame(at, <u32>(end - at), segment) == 1) return at;
  }
  return 0;
}
