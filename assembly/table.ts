/**
 * The header of an open table in linear memory, and of the view (memtables and tables) that a read sees.
 *
 *   table header, TABLE_HEADER_BYTES:
 *   0 page count u32      of data (0: index not loaded, reads answer NEEDS_TABLE)
 *   4 prefixes            u64 x index entries: keyPrefix of each index key after the common prefix, for branch-free binary search
 *   8 key offsets         u32 x index entries: address of each | key bytes u16 | flags u16 | key |
 *  12 index               address of the first index entry
 *  16 frames              u32 x pages: address of the page's frame in the cache, 0 when it is not there; 0: the cache's buckets know
 *  20 filter              address, 24 filter blocks u32 (32 bytes each; 0: no filter, every key may be there)
 *  28 common prefix bytes u32 of all index keys
 *  32 file id u32
 *  36 smallest key address, 40 its bytes
 *  44 largest key address, 48 its bytes          (36..51 are set from the manifest and valid before the index is loaded)
 *  52 host's number for the table u32
 *  56 scratch u64 of the host (a checksum while the table is loaded)
 *  64 max sequence u64        the newest version in it
 *  72 positions           u32 x pages: where each page is stored, in STORED_UNIT_BYTES; 0: no page is packed, each is at its number * PAGE_BYTES
 *  76 index entries u32     as many as pages; of a paged table, as many as index pages: then they are those of the top
 *  80 first filter page u32, 84 first index page u32      of a paged table: numbers of pages in the file; 0: filter and index are in memory
 *  92 bucketed u32          frames that the cache's buckets know
 *  88 used u32              1: a read has looked into it since the host last cleared this
 *
 *   view, 64 bytes:
 *   0 active memtable u32 (0: none)
 *   4 sealed count u32, 8.. sealed memtables u32 x 4, newest first
 *  24 level-0 count u32, 28 address of u32 x count table headers, newest first
 *  32 level count u32 (levels 1..n), 36 address of n x { table count u32, address of u32 x count table headers ordered by key }
 *  40 range tombstones u32: address of their set (assembly/range-tombstones.ts), 0 when there are none
 *  48 probes f64: how often reads have looked into a table of level 0, in looks of a point read; only ever grows
 *
 *  An index entry's flag bit 0 (CONTINUES): the page's first user key is also the last of the page before.
 *  Index keys are separators: at most the page's first key, greater than every key of the page before (unless CONTINUES).
 */
export const VIEW_BYTES: i32 = 64;
export const VIEW_SEALED_MAX: i32 = 4;
export const CONTINUES: i32 = 1;
/** Of an index entry's flags: the codec of its page, and from here up what a packed one takes, in STORED_UNIT_BYTES. */
export const INDEX_CODEC_SHIFT: i32 = 1;
export const INDEX_CODEC_MASK: i32 = 3;
export const INDEX_STORED_SHIFT: i32 = 3;
