/**
 * The index of an open table (assembly/table.ts): one entry a page, in key order.
 *
 *   index entry: | key bytes u16 | flags u16 | key |            on disk: index-pages.ts
 *   flags: bit 0 CONTINUES; bits 1..2 codec of the page; bits 3..12 what it takes in the file, in STORED_UNIT_BYTES, when it is packed, else 0
 *
 * The index of a *paged* table is not in memory as a whole but only its top, the index of its index pages (index-pages.ts), in the same form; which
 * page of data has a key is then looked up in an index page, which comes through the page cache.
 *
 * Search is branch-free over the first 8 bytes of each key after what all keys share; only pages that tie there are compared in full.
 * Twin: test/assembly/twins/table-index.ts.
 */
import {
  CODEC_PLAIN,
  CODEC_ZSTD,
  KEY_BYTES_MAX,
  PACKED_BYTES_MAX,
  STORED_UNIT_BYTES,
  TABLE_COMMON_BYTES,
  TABLE_FILTER,
  TABLE_FILTER_BLOCKS,
  TABLE_FILTER_PAGE,
  TABLE_FRAMES,
  TABLE_INDEX,
  TABLE_INDEX_ENTRIES,
  TABLE_INDEX_PAGE,
  TABLE_KEY_OFFSETS,
  TABLE_PAGES,
  TABLE_POSITIONS,
  TABLE_PREFIXES,
} from './memory-map';
import { pageLowerBound } from './cursor';
import { indexContinues, storedUnits } from './index-pages';
import { pageCount, pagePrefix, pagePrefixBytes, pageSlots } from './page';
import { frameOf } from './page-cache';
import { pageEndsWith } from './page-search';
import { commonBytes, compareKeys, keyPrefix } from './key';
import { CONTINUES, INDEX_CODEC_MASK, INDEX_CODEC_SHIFT, INDEX_STORED_SHIFT } from './table';

/** Bytes of the arrays of a table with `pages` pages, of which some are packed or none is. */
export function tableArrayBytes(pages: u32, packed: bool): u32 {
  return pages * (packed ? 20 : 16);
}

/**
 * Opens a table whose index is in memory: builds the arrays at `arrays` (8-aligned, tableArrayBytes) from the raw entries at `index`, and
 * sets the header's fields of both, the page count last: from then on the table can be read. `packed`: whether a page may be. 1; or 0 when
 * the entries are not exactly `pages` well-formed ones in order (their checksum has been verified: a table of a format that this code does not know).
 */
export function tableOpen(table: usize, pages: u32, index: usize, indexBytes: u32, arrays: usize, packed: bool): i32 {
  if (!openIndex(table, pages, index, indexBytes, arrays, packed)) return 0;
  store<u32>(table, 0, TABLE_FILTER_PAGE);
  store<u32>(table, 0, TABLE_INDEX_PAGE);
  store<u32>(table, pages, TABLE_PAGES);
  return 1;
}

/**
 * Opens a paged table: `top` are the `indexPages` entries of its top, its filter of `filterBlocks` begins at page `filterPage`, its index at
 * `indexPage`. Otherwise as `tableOpen`.
 */
export function tableOpenPaged(
  table: usize,
  pages: u32,
  top: usize,
  topBytes: u32,
  indexPages: u32,
  arrays: usize,
  filterPage: u32,
  filterBlocks: u32,
  indexPage: u32,
): i32 {
  if (!openIndex(table, indexPages, top, topBytes, arrays, false)) return 0;
  store<u32>(table, 0, TABLE_FRAMES);
  store<u32>(table, 0, TABLE_FILTER);
  store<u32>(table, filterBlocks, TABLE_FILTER_BLOCKS);
  store<u32>(table, filterPage, TABLE_FILTER_PAGE);
  store<u32>(table, indexPage, TABLE_INDEX_PAGE);
  store<u32>(table, pages, TABLE_PAGES);
  return 1;
}

function openIndex(table: usize, pages: u32, index: usize, indexBytes: u32, arrays: usize, packed: bool): i32 {
  const prefixes = arrays;
  const offsets = prefixes + ((<usize>pages) << 3);
  const frames = offsets + ((<usize>pages) << 2);
  const positions = frames + ((<usize>pages) << 2);
  const end = index + indexBytes;
  let entry = index;
  let before: usize = 0;
  let position: u64 = 0;
  for (let page: u32 = 0; page < pages; page++) {
    if (entry + 4 > end) return 0;
    const keyBytes = entryKeyBytes(entry);
    const flags = <i32>load<u16>(entry, 2);
    const units = flags >> INDEX_STORED_SHIFT;
    const codec = (flags >> INDEX_CODEC_SHIFT) & INDEX_CODEC_MASK;
    if (keyBytes == 0 || keyBytes > KEY_BYTES_MAX || entry + 4 + keyBytes > end) return 0;
    if (codec > CODEC_ZSTD || (codec != CODEC_PLAIN) != (units != 0) || units > PACKED_BYTES_MAX / STORED_UNIT_BYTES || (units && !packed))
      return 0;
    if (before) {
      const order = compareKeys(before + 4, entryKeyBytes(before), entry + 4, keyBytes);
      if (order > 0 || (order == 0 && !(flags & CONTINUES))) return 0;
    } else if (flags & CONTINUES) return 0;
    store<u32>(offsets + ((<usize>page) << 2), <u32>entry);
    if (packed) store<u32>(positions + ((<usize>page) << 2), <u32>position);
    position += storedUnits(flags);
    before = entry;
    entry += 4 + keyBytes;
  }
  if (entry != end || !pages || (packed && position > <u64>u32.MAX_VALUE)) return 0;
  const common = commonBytes(index + 4, before + 4, min(entryKeyBytes(index), entryKeyBytes(before)));
  for (let page: usize = 0; page < <usize>pages; page++) {
    const at = <usize>load<u32>(offsets + (page << 2));
    store<u64>(prefixes + (page << 3), keyPrefix(at + 4 + common, entryKeyBytes(at) - common));
  }
  memory.fill(frames, 0, (<usize>pages) << 2);
  store<u32>(table, <u32>prefixes, TABLE_PREFIXES);
  store<u32>(table, <u32>offsets, TABLE_KEY_OFFSETS);
  store<u32>(table, <u32>index, TABLE_INDEX);
  store<u32>(table, <u32>frames, TABLE_FRAMES);
  store<u32>(table, <u32>common, TABLE_COMMON_BYTES);
  store<u32>(table, packed ? <u32>positions : 0, TABLE_POSITIONS);
  store<u32>(table, pages, TABLE_INDEX_ENTRIES);
  return 1;
}

/** Answers of `tableFindPage` that are no page. */
export const BEFORE_PAGES: i32 = -1;
export const NEEDS_INDEX_PAGE: i32 = -2;

/**
 * The first page that may hold the key, which is also where a scan from the key begins: the last page whose index key is at most the
 * key, stepping back over pages that begin with further versions of it. BEFORE_PAGES when the key is before the first page;
 * NEEDS_INDEX_PAGE when a page of the index must be loaded first, which the NEED cells name. The table is open.
 */
export function tableFindPage(context: usize, table: usize, key: usize, keyBytes: i32): i32 {
  const entry = findEntry(table, key, keyBytes);
  const indexPage = load<u32>(table, TABLE_INDEX_PAGE);
  if (!indexPage || entry < 0) return entry;
  const frame = frameOf(context, table, indexPage + entry);
  if (!frame) return NEEDS_INDEX_PAGE;
  const first = load<i32>(frame, 12) & 0x7fffffff;
  const at = pageLowerBound(frame, key, keyBytes);
  const count = pageCount(frame);
  if (at == count) return first + at - 1;
  // The page whose index key the key is, unless it goes on there from the page before.
  const slot = load<u32>(pageSlots(frame, count) + ((<usize>at) << 2));
  const suffix = frame + (slot & 0xffff);
  const suffixBytes = <i32>(slot >> 16);
  const prefixBytes = pagePrefixBytes(frame);
  const same =
    prefixBytes + suffixBytes == keyBytes &&
    commonBytes(pagePrefix(frame, count), key, prefixBytes) == prefixBytes &&
    commonBytes(suffix, key + prefixBytes, suffixBytes) == suffixBytes;
  return same && !indexContinues(load<u64>(suffix + suffixBytes)) ? first + at : first + at - 1;
}

/** tableFindPage over the entries in memory: of an index, or of a top. */
function findEntry(table: usize, key: usize, keyBytes: i32): i32 {
  const common = load<i32>(table, TABLE_COMMON_BYTES);
  const pages = load<i32>(table, TABLE_INDEX_ENTRIES);
  if (common) {
    const first = <usize>load<u32>(table, TABLE_INDEX) + 4;
    const shared = commonBytes(first, key, min(common, keyBytes));
    if (shared < common) return shared < keyBytes && load<u8>(key + shared) > load<u8>(first + shared) ? pages - 1 : -1;
  }
  const prefixes = <usize>load<u32>(table, TABLE_PREFIXES);
  const prefix = keyPrefix(key + common, keyBytes - common);
  let at = prefixes;
  let left = pages;
  while (left > 1) {
    const half = <usize>left >> 1;
    const middle = at + (half << 3);
    at = select<usize>(middle, at, load<u64>(middle) <= prefix);
    left -= <i32>half;
  }
  let page = <i32>((at - prefixes) >> 3);
  const found = load<u64>(at);
  if (found < prefix) return page;
  if (found > prefix) return -1; // only the first page is left when none is at most the prefix
  // The prefix ties: the full keys decide among the pages that have it.
  const offsets = <usize>load<u32>(table, TABLE_KEY_OFFSETS);
  if (comparePageKey(offsets, page, common, key, keyBytes) > 0) {
    let low = 0;
    let high = page;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (load<u64>(prefixes + ((<usize>middle) << 3)) < prefix) low = middle + 1;
      else high = middle;
    }
    // The last page of low - 1 .. page - 1 whose key is at most the searched one; the one before `low` is, where there is one.
    let below = low - 1;
    let above = page;
    while (above - below > 1) {
      const middle = (below + above) >> 1;
      if (comparePageKey(offsets, middle, common, key, keyBytes) <= 0) below = middle;
      else above = middle;
    }
    page = below;
  }
  while (page > 0 && pageContinuesKey(offsets, page, key, keyBytes)) page--;
  return page;
}

/** Whether page `page` of the table may begin with further versions of the key; `before` is the frame of the page before it. */
// @ts-ignore: decorator
@inline
export function tableKeyContinues(table: usize, page: i32, before: usize, key: usize, keyBytes: i32): bool {
  if (page >= load<i32>(table, TABLE_PAGES)) return false;
  if (load<u32>(table, TABLE_INDEX_PAGE)) return pageEndsWith(before, key, keyBytes);
  return pageContinuesKey(<usize>load<u32>(table, TABLE_KEY_OFFSETS), page, key, keyBytes);
}

// @ts-ignore: decorator
@inline
function pageContinuesKey(offsets: usize, page: i32, key: usize, keyBytes: i32): bool {
  const entry = <usize>load<u32>(offsets + ((<usize>page) << 2));
  return (load<u16>(entry, 2) & CONTINUES) != 0 && entryKeyBytes(entry) == keyBytes && commonBytes(entry + 4, key, keyBytes) == keyBytes;
}

/** Compares an index key with a key, both known to begin with the same `common` bytes. */
// @ts-ignore: decorator
@inline
function comparePageKey(offsets: usize, page: i32, common: i32, key: usize, keyBytes: i32): i32 {
  const entry = <usize>load<u32>(offsets + ((<usize>page) << 2));
  return compareKeys(entry + 4 + common, entryKeyBytes(entry) - common, key + common, keyBytes - common);
}

// @ts-ignore: decorator
@inline
function entryKeyBytes(entry: usize): i32 {
  return <i32>load<u16>(entry);
}
