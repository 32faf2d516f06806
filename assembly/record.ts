/**
 * A record as the memtable holds it, which is the log's image of it. Format: docs/formats/log.md.
 *
 *   | value bytes u32 | key bytes u16 | kind u8 | flags u8 | sequence u64 |    header, 16 bytes
 *   | key | value | zero padding to 8 |
 *
 * Records lie one after another in frames; a frame is one atomic batch:
 *
 *   | check u64 | record bytes u32 | payload bytes u32 | synced to u32 | count u24, frame kind u8 |   header, 24 bytes
 *   | record x count |                                                     record bytes in all, a multiple of 8
 *   | payload |                                                            values at or over the threshold, in the log only, padded to 8
 *
 * check: XXH64 from `record bytes` to the end of the records, seed = segment id. A payload is covered by its pointer's checksum.
 *
 * With FLAG_EXPIRES the value is | expiry u64 | value |, a pointer likewise: the stored value. Only who looks at values takes the two apart.
 */
import { EXPIRY_BYTES, FLAG_EXPIRES } from './memory-map';

// @ts-ignore: decorator
@inline
export function recordValueBytes(record: usize): i32 {
  return load<i32>(record);
}
// @ts-ignore: decorator
@inline
export function recordKeyBytes(record: usize): i32 {
  return <i32>load<u16>(record, 4);
}
// @ts-ignore: decorator
@inline
export function recordKind(record: usize): i32 {
  return <i32>load<u8>(record, 6);
}
// @ts-ignore: decorator
@inline
export function recordFlags(record: usize): i32 {
  return <i32>load<u8>(record, 7);
}
// @ts-ignore: decorator
@inline
export function recordSequence(record: usize): u64 {
  return load<u64>(record, 8);
}
// @ts-ignore: decorator
@inline
export function recordKey(record: usize): usize {
  return record + 16;
}
// @ts-ignore: decorator
@inline
export function recordValue(record: usize): usize {
  return record + 16 + <usize>recordKeyBytes(record);
}
/** Whether the stored value at `value` has expired by `now` (ms since the epoch): then it counts as a delete. */
// @ts-ignore: decorator
@inline
export function hasExpired(flags: i32, value: usize, now: u64): bool {
  return (flags & FLAG_EXPIRES) != 0 && load<u64>(value) <= now;
}
/** Bytes of a stored value that precede the value. */
// @ts-ignore: decorator
@inline
export function expiryBytes(flags: i32): i32 {
  return flags & FLAG_EXPIRES ? EXPIRY_BYTES : 0;
}
/** Header, key, value and padding. */
// @ts-ignore: decorator
@inline
export function recordBytes(keyBytes: i32, valueBytes: i32): i32 {
  return (16 + keyBytes + valueBytes + 7) & ~7;
}
