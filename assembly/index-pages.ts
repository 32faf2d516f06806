/**
 * The index in a table file: its entries in pages like those of data (assembly/page.ts), which come behind the pages of data and are
 * numbered on. So an index that is not in memory is read, verified and cached a page at a time, and searched where it lies.
 *
 *   entry: key: the index key of a page of data; no value; body: where that page is
 *   body:  bits 0..39 position, 40..52 stored bytes, both in STORED_UNIT_BYTES; 56..59 codec + 1; bit 63 CONTINUES
 *          stored bytes: 0 for a page that is stored as it is
 *   page:  header's u32 at 12: INDEX_PAGE_MARK and the number of the page of data that its first entry is for
 *
 * In memory an index is a row of entries | key bytes u16 | flags u16 | key |, flags as drawn in table-index.ts: what the builder makes, and what
 * `indexUnpack` restores.
 */
import { INDEX_PAGE_MARK, PAGE_BYTES, STORED_UNIT_BYTES } from './memory-map';
import { BODY_HEADER_BYTES, bodyFlags, bodyKind, bodySequence, packBody, pageCount, pagePrefix, pagePrefixBytes, pageSlots } from './page';
import { builderAdd } from './page-builder';
import { CONTINUES, INDEX_CODEC_MASK, INDEX_CODEC_SHIFT, INDEX_STORED_SHIFT } from './table';

const PAGE_UNITS: u64 = <u64>(PAGE_BYTES / STORED_UNIT_BYTES);
const POSITION_BITS: u64 = 40;
/** CONTINUES among the flags of a body, apart from those that entries of data have. */
const BODY_CONTINUES_SHIFT: i32 = 3;

/** Stored units of the page that an index entry with these flags is for. */
// @ts-ignore: decorator
@inline
export function storedUnits(flags: i32): u64 {
  const units = <u64>(flags >> INDEX_STORED_SHIFT);
  return units ? units : PAGE_UNITS;
}

/** Whether an index page's entry with this body has CONTINUES. */
// @ts-ignore: decorator
@inline
export function indexContinues(body: u64): bool {
  return <i64>body < 0;
}

/**
 * Adds index entries to the builder of index pages until it is full or none is left.
 *   walk: | entry u32: the next one | reserved u32 | position u64: where its page is, in units |      the caller's: 0 but for the first entry
 * 0: all up to `end` are added; WINDOW_FULL: take the window and call again; negative: an index key fits no page, a bug.
 */
export function indexPack(builder: usize, walk: usize, end: usize): i32 {
  let entry = <usize>load<u32>(walk);
  let position = load<u64>(walk, 8);
  let answer = 0;
  while (entry < end && !answer) {
    const keyBytes = <i32>load<u16>(entry);
    const flags = <i32>load<u16>(entry, 2);
    const units = flags >> INDEX_STORED_SHIFT;
    const codec = (flags >> INDEX_CODEC_SHIFT) & INDEX_CODEC_MASK;
    const body = packBody(position | ((<u64>units) << POSITION_BITS), codec + 1, (flags & CONTINUES) << BODY_CONTINUES_SHIFT);
    answer = builderAdd(builder, entry + 4, keyBytes, body, 0, 0);
    position += storedUnits(flags);
    entry += 4 + keyBytes;
  }
  store<u32>(walk, <u32>entry);
  store<u64>(walk, position, 8);
  return answer;
}

/**
 * Restores the row of entries from `pages` verified index pages at `address`, to `index` and at most up to `end`. Returns where it ends, or
 * 0 when the pages are not an index: entries for one page of data after another, each where the one before ends.
 */
export function indexUnpack(address: usize, pages: u32, index: usize, end: usize): usize {
  let position: u64 = 0;
  let number: u32 = 0;
  let out = index;
  for (let i: u32 = 0; i < pages; i++) {
    const page = address + <usize>i * PAGE_BYTES;
    const count = pageCount(page);
    const prefixBytes = pagePrefixBytes(page);
    if (load<u32>(page, 12) != (INDEX_PAGE_MARK | number)) return 0;
    const prefix = pagePrefix(page, count);
    for (let slot = pageSlots(page, count), slots = slot + ((<usize>count) << 2); slot < slots; slot += 4) {
      const word = load<u32>(slot);
      const suffix = page + (word & 0xffff);
      const suffixBytes = <i32>(word >> 16);
      const body = load<u64>(suffix + suffixBytes);
      const units = <i32>(bodySequence(body) >> POSITION_BITS);
      const codec = bodyKind(body) - 1;
      const flags = ((bodyFlags(body) >> BODY_CONTINUES_SHIFT) & CONTINUES) | (codec << INDEX_CODEC_SHIFT) | (units << INDEX_STORED_SHIFT);
      if (out + 4 + prefixBytes + suffixBytes > end || <usize>load<u16>(slot, 4) != (word & 0xffff) + suffixBytes + BODY_HEADER_BYTES)
        return 0;
      if ((bodySequence(body) & (((<u64>1) << POSITION_BITS) - 1)) != position || codec < 0 || codec > INDEX_CODEC_MASK) return 0;
      store<u16>(out, <u16>(prefixBytes + suffixBytes));
      store<u16>(out, <u16>flags, 2);
      memory.copy(out + 4, prefix, prefixBytes);
      memory.copy(out + 4 + prefixBytes, suffix, suffixBytes);
      out += 4 + prefixBytes + suffixBytes;
      position += storedUnits(flags);
      number++;
    }
  }
  return out;
}
