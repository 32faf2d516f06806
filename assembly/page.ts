/**
 * A page of a table file, 8 KiB: the unit of caching and checksum. Sixteen make a 128 KiB block, the unit of background I/O.
 * Format: docs/formats/table.md.
 *
 *   | check u64 | count u16 | prefix bytes u16 | u32, 0 |                   header, 16 bytes; index pages: see index-pages.ts
 *   | tag u8 x count, padded to 16 |                                     hashTag of each entry's whole key
 *   | slot x count: offset u16, suffix bytes u16 | end u16, reserved u16 |
 *   | prefix |                                                           common to every key of the page
 *   | entry x count: key suffix, body |
 *   body: | sequence and kind u64 | value |       low 53 bits sequence, bits 56..59 kind, bits 60..63 flags, as a record's (record.ts)
 *
 * check: XXH64 of what follows it to the end of the page, seed (file id << 32 | page number).
 * Entries are ordered by key, then newest sequence first. Offsets are from the page's start.
 */
import { PAGE_BYTES } from './memory-map';
import { xxh64 } from './checksum';

export const PAGE_HEADER_BYTES: i32 = 16;
export const SLOT_BYTES: i32 = 4;
export const BODY_HEADER_BYTES: i32 = 8;

// @ts-ignore: decorator
@inline
export function pageCount(page: usize): i32 {
  return <i32>load<u16>(page, 8);
}
// @ts-ignore: decorator
@inline
export function pagePrefixBytes(page: usize): i32 {
  return <i32>load<u16>(page, 10);
}
/** Bytes of the tag array of a page with `count` entries. */
// @ts-ignore: decorator
@inline
export function tagBytes(count: i32): usize {
  return <usize>((count + 15) & ~15);
}
// @ts-ignore: decorator
@inline
export function pageTags(page: usize): usize {
  return page + PAGE_HEADER_BYTES;
}
// @ts-ignore: decorator
@inline
export function pageSlots(page: usize, count: i32): usize {
  return page + PAGE_HEADER_BYTES + tagBytes(count);
}
// @ts-ignore: decorator
@inline
export function pagePrefix(page: usize, count: i32): usize {
  return pageSlots(page, count) + ((<usize>count + 1) << 2);
}
/** The 8-byte word before a value: sequence, kind and flags in one. */
// @ts-ignore: decorator
@inline
export function packBody(sequence: u64, kind: u32, flags: u32): u64 {
  return sequence | ((<u64>kind) << 56) | ((<u64>flags) << 60);
}
// @ts-ignore: decorator
@inline
export function bodySequence(word: u64): u64 {
  return word & 0x1fffffffffffff;
}
// @ts-ignore: decorator
@inline
export function bodyKind(word: u64): i32 {
  return <i32>(word >> 56) & 15;
}
// @ts-ignore: decorator
@inline
export function bodyFlags(word: u64): i32 {
  return <i32>(word >> 60);
}
// @ts-ignore: decorator
@inline
export function pageSeed(fileId: u32, page: u32): u64 {
  return ((<u64>fileId) << 32) | <u64>page;
}
// @ts-ignore: decorator
@inline
export function pageChecksum(page: usize, seed: u64): u64 {
  return xxh64(page + 8, PAGE_BYTES - 8, seed);
}
