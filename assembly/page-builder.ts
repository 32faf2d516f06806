/**
 * Builds the pages of one table (assembly/page.ts) from entries in order (key ascending, sequence descending), its index entries
 * (assembly/table.ts) and the key hashes that its filter is made of. All state is in a struct in linear memory, so that any number of
 * builders run at once, in any context and any memory.
 *
 *   builder, BUILDER_BYTES:
 *     0 window u32              pages are written from here        4 window mark u32      a builder is full once `out` is here
 *     8 out u32                 where the next page goes          12 pages u32            begun pages whose bytes are in the window or written
 *    16 file id u32             seed of the checksums             20 page entries u32     the page under construction from here
 *    24 prefix bytes u32        common to all its keys            28 page key bytes u32   sum over its keys
 *    32 page body bytes u32     sum of body headers and values    36 staged u32           end of the staged entries
 *    40 first key bytes u32                                       44 first page u32       0: pages of data; else of index entries, from this number on
 *    48 index u32, 52 its end u32, 56 its mark u32                60 hashes u32, 64 their end u32, 68 their mark u32
 *    72 last hash u64                                             80 entries u32, 84 tombstones u32
 *    88 smallest sequence u64                                     96 largest sequence u64
 *   104 key bytes u64                                            112 value bytes u64
 *   120 smallest key bytes u32                                   124 largest key bytes u32 (the last key of the last page written)
 *   128 expiring entries u32                                     132 dense pages u32
 *   136 expiring bytes u64          keys and stored values       144 earliest expiry u64, 152 latest u64
 *   160 pinned bytes u64            see builderPinned            168 page deletes u32, 172 reserved 20
 *   192 smallest key | largest key | first key of the page | tags u8 | slots u32 | prefixes u16 | staged entries |
 *
 * An entry is copied when it is added, so that the caller's bytes may move at once: { suffix after the prefix that the page had then,
 * body } one after another, as they will stand in the page. The prefix only ever shrinks, and mostly settles at the second entry; then a
 * page is written with one copy, otherwise the bytes that the prefix lost are put back from the first key.
 * The first entry is staged without its key, because its own suffix is known last.
 *
 * Protocol: after WINDOW_FULL the host takes the window (`builderRewind`) and makes room for index and hashes (`builderMove`) before the
 * next entry. The marks leave room for what one more entry and `builderFinish` write. Twin: test/assembly/twins/page-builder.ts.
 */
import {
  BUILDER_DENSE_PAGES,
  BUILDER_EARLIEST_EXPIRY,
  BUILDER_ENTRIES,
  BUILDER_EXPIRING_BYTES,
  BUILDER_EXPIRING_ENTRIES,
  BUILDER_FIRST_PAGE,
  BUILDER_HASHES_AT,
  BUILDER_INDEX_AT,
  BUILDER_KEY_BYTES,
  BUILDER_LARGEST,
  BUILDER_LARGEST_BYTES,
  BUILDER_LATEST_EXPIRY,
  BUILDER_OUT,
  BUILDER_PAGES,
  BUILDER_PINNED_BYTES,
  BUILDER_SEQUENCE_MAX,
  BUILDER_SEQUENCE_MIN,
  BUILDER_SMALLEST,
  BUILDER_SMALLEST_BYTES,
  BUILDER_TOMBSTONES,
  BUILDER_VALUE_BYTES,
  FLAG_EXPIRES,
  INDEX_PAGE_MARK,
  KEY_BYTES_MAX,
  KEY_WINDOW_BYTES,
  KIND_DELETE,
  PAGE_BYTES,
  SLACK_BYTES,
  WINDOW_FULL,
} from './memory-map';
import { commonBytes, copy, hashKey, hashTag } from './key';
import {
  BODY_HEADER_BYTES,
  PAGE_HEADER_BYTES,
  bodyFlags,
  bodyKind,
  bodySequence,
  packBody,
  pageChecksum,
  pagePrefix,
  pageSeed,
  pageSlots,
  tagBytes,
} from './page';
import { CONTINUES } from './table';

const WINDOW: usize = 0;
const WINDOW_MARK: usize = 4;
const FILE_ID: usize = 16;
const PAGE_ENTRIES: usize = 20;
const PREFIX: usize = 24;
const PAGE_KEY_BYTES: usize = 28;
const PAGE_BODY_BYTES: usize = 32;
const STAGED: usize = 36;
const FIRST_BYTES: usize = 40;
const INDEX: usize = 48;
const INDEX_MARK: usize = 56;
const HASHES: usize = 60;
const HASHES_MARK: usize = 68;
const LAST_HASH: usize = 72;
const PAGE_DELETES: usize = 168;
/** A page is dense when at least this many of its entries, or half of them, are deletes: a scan passes it for little. */
const DENSE_DELETES: u32 = 100;
/** An entry takes 13 bytes of a page at least: tag, slot, body header. */
const PAGE_ENTRIES_MAX: usize = 640;
const FIRST: usize = BUILDER_LARGEST + KEY_WINDOW_BYTES;
const TAGS: usize = FIRST + KEY_WINDOW_BYTES;
const SLOTS: usize = TAGS + PAGE_ENTRIES_MAX + 16;
const PREFIXES: usize = SLOTS + ((PAGE_ENTRIES_MAX + 1) << 2);
const STAGE: usize = PREFIXES + ((PAGE_ENTRIES_MAX + 2) << 1);
const INDEX_ENTRY_BYTES_MAX: usize = 4 + <usize>KEY_BYTES_MAX + SLACK_BYTES;

/** What `builderAdd` says when key and value cannot fit in a page: the caller's bug. */
export const ENTRY_TOO_LARGE: i32 = -1;

/** The fewest bytes of window, index and hash areas that a builder works in. The window holds its bytes less two pages when it is full. */
export const BUILDER_WINDOW_BYTES_MIN: i32 = 3 * PAGE_BYTES;
export const BUILDER_INDEX_BYTES_MIN: i32 = 2 * <i32>INDEX_ENTRY_BYTES_MAX;

/** An area must be followed by SLACK_BYTES. */
export function builderBegin(
  builder: usize,
  fileId: u32,
  window: usize,
  windowBytes: u32,
  index: usize,
  indexBytes: u32,
  hashes: usize,
  hashesBytes: u32,
): void {
  memory.fill(builder, 0, BUILDER_SMALLEST);
  store<u32>(builder, <u32>window, WINDOW);
  store<u32>(builder, <u32>window + windowBytes - 2 * PAGE_BYTES, WINDOW_MARK);
  store<u32>(builder, <u32>window, BUILDER_OUT);
  store<u32>(builder, fileId, FILE_ID);
  store<u64>(builder, ~(<u64>0), BUILDER_SEQUENCE_MIN);
  store<u64>(builder, ~(<u64>0), BUILDER_EARLIEST_EXPIRY);
  store<u32>(builder, <u32>index, INDEX);
  store<u32>(builder, <u32>index, BUILDER_INDEX_AT);
  store<u32>(builder, <u32>hashes, HASHES);
  store<u32>(builder, <u32>hashes, BUILDER_HASHES_AT);
  setMarks(builder, indexBytes, hashesBytes);
}

/** The window has been written to the file: pages go to its beginning again. */
export function builderRewind(builder: usize): void {
  store<u32>(builder, load<u32>(builder, WINDOW), BUILDER_OUT);
}

/** Moves index and hashes to other, larger areas (or leaves one where it is: same address). */
export function builderMove(builder: usize, index: usize, indexBytes: u32, hashes: usize, hashesBytes: u32): void {
  moveArea(builder, INDEX, BUILDER_INDEX_AT, index);
  moveArea(builder, HASHES, BUILDER_HASHES_AT, hashes);
  setMarks(builder, indexBytes, hashesBytes);
}

function moveArea(builder: usize, area: usize, end: usize, to: usize): void {
  const from = load<u32>(builder + area);
  if (from == <u32>to) return;
  const bytes = load<u32>(builder + end) - from;
  memory.copy(to, from, bytes);
  store<u32>(builder + area, <u32>to);
  store<u32>(builder + end, <u32>to + bytes);
}

function setMarks(builder: usize, indexBytes: u32, hashesBytes: u32): void {
  store<u32>(builder, load<u32>(builder, INDEX) + indexBytes - <u32>INDEX_ENTRY_BYTES_MAX, INDEX_MARK);
  store<u32>(builder, load<u32>(builder, HASHES) + hashesBytes - 8, HASHES_MARK);
}

/** True when the host must take the window or make room before the next entry. */
// @ts-ignore: decorator
@inline
export function builderFull(builder: usize): bool {
  return (
    load<u32>(builder, BUILDER_OUT) >= load<u32>(builder, WINDOW_MARK) ||
    load<u32>(builder, BUILDER_INDEX_AT) > load<u32>(builder, INDEX_MARK) ||
    load<u32>(builder, BUILDER_HASHES_AT) > load<u32>(builder, HASHES_MARK)
  );
}

/** Pages begun so far: what a driver compares with the size that it wants its tables to have. */
// @ts-ignore: decorator
@inline
export function builderPages(builder: usize): u32 {
  return load<u32>(builder, BUILDER_PAGES) + (load<u32>(builder, PAGE_ENTRIES) ? 1 : 0);
}

/**
 * Adds an entry; `body` is packBody's word. 0; or WINDOW_FULL: it was added, make room before the next; or ENTRY_TOO_LARGE.
 * Key and value are copied. Cost: about 40 ns with 16-byte keys and 100-byte values, checksum of the page included.
 */
export function builderAdd(builder: usize, key: usize, keyBytes: i32, body: u64, value: usize, valueBytes: i32): i32 {
  let count = load<i32>(builder, PAGE_ENTRIES);
  let prefix = 0;
  if (count) {
    prefix = commonBytes(builder + FIRST, key, min(load<i32>(builder, PREFIX), keyBytes));
    const bytes =
      pageOverhead(count + 1) +
      load<i32>(builder, PAGE_KEY_BYTES) +
      keyBytes -
      count * prefix +
      load<i32>(builder, PAGE_BODY_BYTES) +
      BODY_HEADER_BYTES +
      valueBytes;
    if (bytes > PAGE_BYTES) {
      emitPage(builder, count);
      count = 0;
    }
  }
  const hash = hashKey(key, keyBytes);
  let suffix = 0;
  if (!count) {
    if (pageOverhead(1) + keyBytes + BODY_HEADER_BYTES + valueBytes > PAGE_BYTES) return ENTRY_TOO_LARGE;
    beginPage(builder, key, keyBytes);
    prefix = keyBytes;
  } else suffix = keyBytes - prefix;

  const staged = load<u32>(builder, STAGED);
  let at = builder + STAGE + staged;
  if (suffix) {
    copy(at, key + prefix, suffix);
    at += suffix;
  }
  store<u64>(at, body);
  copy(at + BODY_HEADER_BYTES, value, valueBytes);
  at += BODY_HEADER_BYTES + valueBytes;
  store<u8>(builder + TAGS + count, hashTag(hash));
  store<u32>(builder + SLOTS + ((<usize>count) << 2), staged | ((<u32>suffix) << 16));
  store<u16>(builder + PREFIXES + ((<usize>count) << 1), <u16>prefix);
  store<i32>(builder, count + 1, PAGE_ENTRIES);
  store<i32>(builder, prefix, PREFIX);
  store<i32>(builder, load<i32>(builder, PAGE_KEY_BYTES) + keyBytes, PAGE_KEY_BYTES);
  store<i32>(builder, load<i32>(builder, PAGE_BODY_BYTES) + BODY_HEADER_BYTES + valueBytes, PAGE_BODY_BYTES);
  store<u32>(builder, <u32>(at - builder - STAGE), STAGED);

  tally(builder, keyBytes, body, value, valueBytes);
  const hashesAt = load<u32>(builder, BUILDER_HASHES_AT);
  // Versions of one key follow each other: the filter wants their hash once.
  if (hash != load<u64>(builder, LAST_HASH) || hashesAt == load<u32>(builder, HASHES)) {
    store<u64>(<usize>hashesAt, hash);
    store<u32>(builder, hashesAt + 8, BUILDER_HASHES_AT);
    store<u64>(builder, hash, LAST_HASH);
  }
  return builderFull(builder) ? WINDOW_FULL : 0;
}

/** builderAdd for the host, whose numbers are f64: tables that are built outside of flush and merge. */
export function builderPut(
  builder: usize,
  key: usize,
  keyBytes: i32,
  sequence: f64,
  kind: u32,
  flags: u32,
  value: usize,
  valueBytes: i32,
): i32 {
  return builderAdd(builder, key, keyBytes, packBody(<u64>sequence, kind, flags), value, valueBytes);
}

/** Writes the last page. Returns the number of pages; index, hashes, counters and the largest key are complete. */
export function builderFinish(builder: usize): i32 {
  const count = load<i32>(builder, PAGE_ENTRIES);
  if (count) emitPage(builder, count);
  return load<i32>(builder, BUILDER_PAGES);
}

/** Bytes of a page with `count` entries before its prefix. */
// @ts-ignore: decorator
@inline
function pageOverhead(count: i32): i32 {
  return PAGE_HEADER_BYTES + <i32>tagBytes(count) + ((count + 1) << 2);
}

// @ts-ignore: decorator
@inline
function tally(builder: usize, keyBytes: i32, body: u64, value: usize, valueBytes: i32): void {
  const sequence = bodySequence(body);
  store<u32>(builder, load<u32>(builder, BUILDER_ENTRIES) + 1, BUILDER_ENTRIES);
  if (bodyKind(body) == KIND_DELETE) {
    store<u32>(builder, load<u32>(builder, BUILDER_TOMBSTONES) + 1, BUILDER_TOMBSTONES);
    store<u32>(builder, load<u32>(builder, PAGE_DELETES) + 1, PAGE_DELETES);
  }
  if (bodyFlags(body) & FLAG_EXPIRES) tallyExpiry(builder, load<u64>(value), keyBytes + valueBytes);
  if (sequence < load<u64>(builder, BUILDER_SEQUENCE_MIN)) store<u64>(builder, sequence, BUILDER_SEQUENCE_MIN);
  if (sequence > load<u64>(builder, BUILDER_SEQUENCE_MAX)) store<u64>(builder, sequence, BUILDER_SEQUENCE_MAX);
  store<u64>(builder, load<u64>(builder, BUILDER_KEY_BYTES) + keyBytes, BUILDER_KEY_BYTES);
  store<u64>(builder, load<u64>(builder, BUILDER_VALUE_BYTES) + valueBytes, BUILDER_VALUE_BYTES);
}

function tallyExpiry(builder: usize, expiry: u64, bytes: i32): void {
  store<u32>(builder, load<u32>(builder, BUILDER_EXPIRING_ENTRIES) + 1, BUILDER_EXPIRING_ENTRIES);
  store<u64>(builder, load<u64>(builder, BUILDER_EXPIRING_BYTES) + bytes, BUILDER_EXPIRING_BYTES);
  if (expiry < load<u64>(builder, BUILDER_EARLIEST_EXPIRY)) store<u64>(builder, expiry, BUILDER_EARLIEST_EXPIRY);
  if (expiry > load<u64>(builder, BUILDER_LATEST_EXPIRY)) store<u64>(builder, expiry, BUILDER_LATEST_EXPIRY);
}

/** Says of the entry added last that only snapshots keep it: `bytes` of key, stored value and large value would go with the last of them. */
// @ts-ignore: decorator
@inline
export function builderPinned(builder: usize, bytes: i32): void {
  store<u64>(builder, load<u64>(builder, BUILDER_PINNED_BYTES) + bytes, BUILDER_PINNED_BYTES);
}

/** Starts a page with `key` as its first, and writes its index entry. */
function beginPage(builder: usize, key: usize, keyBytes: i32): void {
  copy(builder + FIRST, key, keyBytes);
  store<i32>(builder, keyBytes, FIRST_BYTES);
  store<i32>(builder, 0, PAGE_KEY_BYTES);
  store<i32>(builder, 0, PAGE_BODY_BYTES);
  store<u32>(builder, 0, STAGED);
  let flags = 0;
  let separatorBytes = keyBytes;
  if (!load<u32>(builder, BUILDER_PAGES)) {
    copy(builder + BUILDER_SMALLEST, key, keyBytes);
    store<i32>(builder, keyBytes, BUILDER_SMALLEST_BYTES);
  } else {
    const lastBytes = load<i32>(builder, BUILDER_LARGEST_BYTES);
    const common = commonBytes(builder + BUILDER_LARGEST, key, min(lastBytes, keyBytes));
    if (common == keyBytes) flags = CONTINUES;
    else separatorBytes = common + 1;
  }
  const entry = <usize>load<u32>(builder, BUILDER_INDEX_AT);
  store<u16>(entry, <u16>separatorBytes);
  store<u16>(entry, <u16>flags, 2);
  copy(entry + 4, key, separatorBytes);
  store<u32>(builder, <u32>entry + 4 + separatorBytes, BUILDER_INDEX_AT);
}

/** Writes the page under construction to the window. Leaves its last key as the largest. */
function emitPage(builder: usize, count: i32): void {
  const page = <usize>load<u32>(builder, BUILDER_OUT);
  const prefix = load<i32>(builder, PREFIX);
  const first = builder + FIRST;
  const stage = builder + STAGE;
  const stagedSlots = builder + SLOTS;
  const prefixes = builder + PREFIXES;
  const staged = load<u32>(builder, STAGED);
  store<u32>(stagedSlots + ((<usize>count) << 2), staged);
  rebuildLastKey(builder, count);

  store<u32>(page, <u32>count | ((<u32>prefix) << 16), 8);
  // An index page says which page its first entry is for: there is one entry for each.
  const firstPage = load<u32>(builder, BUILDER_FIRST_PAGE);
  store<u32>(page, firstPage ? INDEX_PAGE_MARK | (load<u32>(builder, BUILDER_ENTRIES) - <u32>count) : 0, 12);
  const tags = builder + TAGS;
  v128.store(tags + count, i64x2.splat(0));
  const tagsEnd = tagBytes(count);
  for (let i: usize = 0; i < tagsEnd; i += 16) v128.store(page + PAGE_HEADER_BYTES + i, v128.load(tags + i));
  let slot = pageSlots(page, count);
  let at = pagePrefix(page, count);
  copy(at, first, prefix);
  at += prefix;

  const firstSuffix = load<i32>(builder, FIRST_BYTES) - prefix;
  const firstBody = load<u32>(stagedSlots, 4) & 0xffff;
  store<u32>(slot, <u32>(at - page) | ((<u32>firstSuffix) << 16));
  copy(at, first + prefix, firstSuffix);
  at += firstSuffix;
  copy(at, stage, firstBody);
  at += firstBody;
  slot += 4;

  const slotsEnd = pageSlots(page, count) + ((<usize>count) << 2);
  if (count == 1 || <i32>load<u16>(prefixes, 2) == prefix) {
    const delta = <u32>(at - page) - firstBody;
    for (let from = stagedSlots + 4; slot < slotsEnd; slot += 4, from += 4) store<u32>(slot, load<u32>(from) + delta);
    copy(at, stage + firstBody, staged - firstBody);
    at += staged - firstBody;
  } else {
    for (let i: usize = 1; slot < slotsEnd; slot += 4, i++) {
      const word = load<u32>(stagedSlots + (i << 2));
      const lost = <i32>load<u16>(prefixes + (i << 1)) - prefix;
      const from = word & 0xffff;
      const bytes = (load<u32>(stagedSlots + (i << 2), 4) & 0xffff) - from;
      store<u32>(slot, <u32>(at - page) | (((word >> 16) + lost) << 16));
      copy(at, first + prefix, lost);
      at += lost;
      copy(at, stage + from, bytes);
      at += bytes;
    }
  }
  store<u32>(slot, <u32>(at - page));
  memory.fill(at, 0, page + PAGE_BYTES - at);
  const number = load<u32>(builder, BUILDER_PAGES);
  store<u64>(page, pageChecksum(page, pageSeed(load<u32>(builder, FILE_ID), firstPage + number)));
  store<u32>(builder, number + 1, BUILDER_PAGES);
  const deletes = load<u32>(builder, PAGE_DELETES);
  if (deletes >= DENSE_DELETES || deletes * 2 >= <u32>count)
    store<u32>(builder, load<u32>(builder, BUILDER_DENSE_PAGES) + 1, BUILDER_DENSE_PAGES);
  store<u32>(builder, 0, PAGE_DELETES);
  store<u32>(builder, <u32>page + PAGE_BYTES, BUILDER_OUT);
  store<i32>(builder, 0, PAGE_ENTRIES);
}

/** From the first key and the last entry's staged suffix. */
function rebuildLastKey(builder: usize, count: i32): void {
  const last = <usize>count - 1;
  const word = load<u32>(builder + SLOTS + (last << 2));
  const shared = <i32>load<u16>(builder + PREFIXES + (last << 1));
  const suffix = <i32>(word >> 16);
  copy(builder + BUILDER_LARGEST, builder + FIRST, shared);
  copy(builder + BUILDER_LARGEST + shared, builder + STAGE + (word & 0xffff), suffix);
  store<i32>(builder, shared + suffix, BUILDER_LARGEST_BYTES);
}
