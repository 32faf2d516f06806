/**
 * The filter of a table: a split-block Bloom filter (Putze, Sanders, Singler 2007; the variant of Apache Impala and Parquet).
 *
 *   | block, 32 bytes: u32 x 8 | x blocks
 *
 * In a file it is cut into pages of FILTER_PAGE_BLOCKS blocks, each with a check of its own, behind the pages of data and numbered on:
 *
 *   page: | check u64 | reserved 24 | block x 255 |     the last one is stored without what is not used of it
 *
 * so that a filter that is not in memory is read, verified and cached a page at a time: a probe needs one.
 *
 * The upper 32 bits of a key's hash choose the block (multiply-shift), the lower 32 set one bit in each of its eight words:
 * bit (low * SALT[word]) >> 27. On disk, so blocks for a count, salts and hash are part of the format (docs/formats/table.md).
 * With 12 bits a key about 0.5 % false; a probe touches one cache line, about 5 ns. With 0 bits it is one block, which soon has all bits set: readers
 * need not know that there is no filter. Twin: test/assembly/twins/filter.ts.
 */
import { FILTER_BLOCK_BYTES, FILTER_PAGE_BLOCKS, FILTER_PAGE_HEADER_BYTES, PAGE_BYTES } from './memory-map';
import { pageChecksum, pageSeed } from './page';

/** Blocks of a filter for `keys` keys; at least one. */
export function filterBlocks(keys: u32, bitsPerKey: u32): u32 {
  return max<u32>(1, <u32>((<u64>keys * bitsPerKey + 255) >> 8));
}

/** Fills `blocks` blocks at `filter` from `keys` hashes (u64 each). */
export function filterBuild(filter: usize, blocks: u32, hashes: usize, keys: u32): void {
  memory.fill(filter, 0, (<usize>blocks) << 5);
  const end = hashes + ((<usize>keys) << 3);
  for (let at = hashes; at < end; at += 8) {
    const hash = load<u64>(at);
    const block = blockOf(filter, blocks, hash);
    const low = i32x4.splat(<i32>hash);
    v128.store(block, v128.or(v128.load(block), bits(low, i32x4(0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d))));
    v128.store(block, v128.or(v128.load(block, 16), bits(low, i32x4(0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31))), 16);
  }
}

/** Lays out at `page` the filter page that begins with block `first`; its number in the file is `number`. Returns the bytes to store. */
export function filterPage(page: usize, filter: usize, blocks: u32, first: u32, fileId: u32, number: u32): i32 {
  const bytes = <usize>min<u32>(blocks - first, FILTER_PAGE_BLOCKS) * FILTER_BLOCK_BYTES;
  memory.fill(page, 0, FILTER_PAGE_HEADER_BYTES);
  memory.copy(page + FILTER_PAGE_HEADER_BYTES, filter + <usize>first * FILTER_BLOCK_BYTES, bytes);
  memory.fill(page + FILTER_PAGE_HEADER_BYTES + bytes, 0, <usize>(PAGE_BYTES - FILTER_PAGE_HEADER_BYTES) - bytes);
  store<u64>(page, pageChecksum(page, pageSeed(fileId, number)));
  return FILTER_PAGE_HEADER_BYTES + <i32>bytes;
}

/** Puts the blocks of the verified filter pages at `pages` together at `filter`, `blocks` of them. */
export function filterUnpack(pages: usize, filter: usize, blocks: u32): void {
  for (let first: u32 = 0; first < blocks; first += FILTER_PAGE_BLOCKS, pages += PAGE_BYTES) {
    const bytes = <usize>min<u32>(blocks - first, FILTER_PAGE_BLOCKS) * FILTER_BLOCK_BYTES;
    memory.copy(filter + <usize>first * FILTER_BLOCK_BYTES, pages + FILTER_PAGE_HEADER_BYTES, bytes);
  }
}

/** False: no key of this hash was added. */
// @ts-ignore: decorator
@inline
export function filterMayHold(filter: usize, blocks: u32, hash: u64): bool {
  const block = blockOf(filter, blocks, hash);
  const low = i32x4.splat(<i32>hash);
  const missing = v128.or(
    v128.andnot(bits(low, i32x4(0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d)), v128.load(block)),
    v128.andnot(bits(low, i32x4(0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31)), v128.load(block, 16)),
  );
  return !v128.any_true(missing);
}

/** Which page of a filter in a file has the block of this hash. */
// @ts-ignore: decorator
@inline
export function filterPageOf(blocks: u32, hash: u64): u32 {
  return <u32>(((hash >> 32) * <u64>blocks) >> 32) / FILTER_PAGE_BLOCKS;
}

/** filterMayHold over the filter page `number` of a filter of `blocks`, the one that `filterPageOf` says. */
export function filterPageMayHold(page: usize, number: u32, blocks: u32, hash: u64): bool {
  return filterMayHold(page + FILTER_PAGE_HEADER_BYTES - <usize>number * FILTER_PAGE_BLOCKS * FILTER_BLOCK_BYTES, blocks, hash);
}

/** How many of `keys` hashes the filter may hold: for tests and benchmarks. */
export function filterCount(filter: usize, blocks: u32, hashes: usize, keys: u32): u32 {
  let held: u32 = 0;
  const end = hashes + ((<usize>keys) << 3);
  for (let at = hashes; at < end; at += 8) if (filterMayHold(filter, blocks, load<u64>(at))) held++;
  return held;
}

// @ts-ignore: decorator
@inline
function blockOf(filter: usize, blocks: u32, hash: u64): usize {
  return filter + ((<usize>(((hash >> 32) * <u64>blocks) >> 32)) << 5);
}

/** In each 32-bit lane, 1 << (low * salt >> 27). WebAssembly has no shift by lane, so a table of powers is swizzled into the right byte. */
// @ts-ignore: decorator
@inline
function bits(low: v128, salts: v128): v128 {
  const bit = i32x4.shr_u(i32x4.mul(low, salts), 27);
  const spread = i8x16.shuffle(bit, bit, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
  // 0..7 in the byte that holds the bit, out of the table's range in the other three
  const inByte = i8x16.sub(spread, i8x16(0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24));
  return i8x16.swizzle(i8x16(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0), inByte);
}
