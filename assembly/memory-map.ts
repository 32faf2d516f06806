/**
 * The plan of the linear memory: one file for the kernels and for the host.
 *
 *   0         | never written: address 0 means "none"
 *   FRONT     | cells and windows of the caller's thread
 *   WORK      | the same shapes for each background thread, one behind another (the first one: for background jobs that run inline)
 *   HEAP      | everything with a size of its own: arenas, page cache, indexes, filters (engine/memory/linear-memory.ts hands it out)
 *
 * FRONT and WORK are contexts of one shape; kernels take the context's address, never a global. Offsets below are from its start.
 *
 *   | CELLS 1 KiB | KEY_A 4 KiB+ | KEY_B 4 KiB+ | STACKS | CURSORS | CURSOR_KEYS |
 */
/** Of an internal key: up to 3 bytes of keyspace and the caller's 4096 (engine/keyspace-key.ts). */
export const KEY_BYTES_MAX: i32 = 4099;
/** Kernels copy by 16 bytes and may touch up to this many past the end of what they copy. */
export const SLACK_BYTES: usize = 64;

// ---- a context ----
/** Result cells: how a kernel returns more than one value. u32 or f64 at the offsets named RESULT_*. */
export const CELLS: usize = 0;
export const CELLS_BYTES: usize = 1024;
/** Window for a key that the host passes in (point reads; lower bound of a scan). */
export const KEY_A: usize = CELLS + CELLS_BYTES;
export const KEY_WINDOW_BYTES: usize = 4096 + 128;
/** Second key window (upper bound of a scan). */
export const KEY_B: usize = KEY_A + KEY_WINDOW_BYTES;
/** Descent stacks of memtable iterators: one for each memtable of a scan. 8 bytes a level, keys to 4 KiB plus header. */
export const STACKS: usize = KEY_B + KEY_WINDOW_BYTES;
export const STACK_BYTES: usize = 8 * 4160;
export const STACKS_MAX: usize = 6;
/** Cursors of a merge, one per source. */
export const CURSORS: usize = STACKS + STACK_BYTES * STACKS_MAX;
export const CURSOR_BYTES: usize = 256;
export const CURSORS_MAX: usize = 64;
/** The key that each cursor stands on, rebuilt from its page. */
export const CURSOR_KEYS: usize = CURSORS + CURSOR_BYTES * CURSORS_MAX;
/** Free for the kernels that run in this context (tournament trees, last keys, page under construction). */
export const SCRATCH: usize = CURSOR_KEYS + KEY_WINDOW_BYTES * CURSORS_MAX;
export const SCRATCH_BYTES: usize = 256 * 1024;
export const CONTEXT_BYTES: usize = 1024 * 1024;

export const FRONT: usize = 4096;
export const WORK: usize = FRONT + CONTEXT_BYTES;
/** Background threads at most. */
export const THREADS_MAX: i32 = 4;
export const HEAP: usize = 8 * 1024 * 1024;

// ---- result cells, from the start of a context ----
/** Point read and scan: what was found. u32 each, sequence f64. */
export const RESULT_VALUE: usize = CELLS + 0;
export const RESULT_VALUE_BYTES: usize = CELLS + 4;
export const RESULT_KIND: usize = CELLS + 8;
export const RESULT_FLAGS: usize = CELLS + 12;
export const RESULT_SEQUENCE: usize = CELLS + 16;
/** What the kernel needs before it can go on: table header address, page number, frame address. u32 each. */
export const NEED_TABLE_HEADER: usize = CELLS + 24;
export const NEED_PAGE: usize = CELLS + 28;
export const NEED_FRAME: usize = CELLS + 32;
/** Scan: entries in the window, bytes of the window used. u32 each. */
export const RESULT_ENTRIES: usize = CELLS + 36;
export const RESULT_BYTES: usize = CELLS + 40;
/** From here on each kernel file documents cells of its own. */
export const CELLS_FREE: usize = CELLS + 128;

// ---- answers of kernels that read ----
export const ABSENT: i32 = 0;
export const FOUND: i32 = 1;
/** The page named in the NEED cells must be loaded into NEED_FRAME; then `pageLoaded`, then resume. */
export const NEEDS_PAGE: i32 = 2;
/** The table in NEED_TABLE_HEADER has no index in memory yet; load it, then resume. */
export const NEEDS_TABLE: i32 = 3;
/** The output window is full; take it and call again. */
export const WINDOW_FULL: i32 = 4;
/** A page's checksum does not match: corrupt. */
export const BAD_PAGE: i32 = 5;

// ---- record kinds (docs/formats/log.md); 0 is no record, so that zeroed bytes are never one ----
export const KIND_PUT: i32 = 1;
export const KIND_POINTER: i32 = 2;
export const KIND_DELETE: i32 = 3;
/** Hides all older versions of the keys from the record's key to its value, which is excluded. In the log; never in a page. */
export const KIND_RANGE_DELETE: i32 = 4;

// ---- record flags, which a page's body has too ----
/** The value is preceded by the time at which it ends: ms since the epoch, u64. What copies values takes it for a part of them. */
export const FLAG_EXPIRES: i32 = 1;
export const EXPIRY_BYTES: i32 = 8;

// ---- sizes that formats share ----
export const PAGE_BYTES: i32 = 8192;
export const BLOCK_BYTES: i32 = 128 * 1024;
/** What is stored in a table file begins and ends at multiples of this. */
export const STORED_UNIT_BYTES: i32 = 8;
export const FRAME_HEADER_BYTES: i32 = 24;
export const RECORD_HEADER_BYTES: i32 = 16;
export const POINTER_BYTES: i32 = 24;

// ---- scan (assembly/scan.ts) ----
/** Flags of `scanOpen`. Bounds are inclusive below and exclusive above unless these say otherwise. */
export const SCAN_LOWER_EXCLUSIVE: i32 = 1;
export const SCAN_UPPER_INCLUSIVE: i32 = 2;
export const SCAN_REVERSE: i32 = 4;
export const SCAN_KEYS_ONLY: i32 = 8;
/** Before the key of each entry in a scan's window: key bytes u16, kind u8, flags u8, value bytes u32, sequence f64. */
export const SCAN_ENTRY_BYTES: i32 = 16;
export const SCAN_WINDOW_BYTES_MIN: i32 = 64 * 1024;
/** Cell, f64: the time in ms since the epoch, which the host writes before `scanOpen`. What expires at or before it is not there. */
export const SCAN_NOW: usize = CELLS + 336;
/** Cell, u32: how many keys that are not there a forward scan has walked over before the first entry of its window. */
export const SCAN_WALKED: usize = CELLS + 352;

// ---- merge (assembly/merge.ts) ----
/** Answers of `mergeStep`. */
export const MERGE_DONE: i32 = 0;
/** The input named in MERGE_INPUT has no pages left in its buffer: `mergeFeed`, then go on. */
export const MERGE_NEEDS_INPUT: i32 = 1;
/** Finished pages wait in the builder's output window: write them, rewind, go on. */
export const MERGE_OUTPUT_READY: i32 = 2;
/** The output has reached its size at a boundary between keys: finish this table, begin the next, go on. */
export const MERGE_SPLIT: i32 = 3;
/** The pointer at MERGE_POINTER leads into a segment under relocation: move the value, then `mergeRelocated`, then go on. */
export const MERGE_RELOCATE: i32 = 4;
/** An entry that fits no page, or more segments than the segment table holds: a bug. */
export const MERGE_BROKEN: i32 = -1;
/** Flag of `mergeBegin`: nothing below the output can hold a key of the inputs. */
export const MERGE_DROP_DELETES: i32 = 1;
/** u32 cells of the above. */
export const MERGE_INPUT: usize = CELLS + 768;
export const MERGE_POINTER: usize = CELLS + 772;
/** An entry of a segment table (assembly/segment-table.ts): | segment id u32 | flags u32 | dead bytes f64 | live bytes f64 | reserved u64 |. */
export const SEGMENT_ENTRY_BYTES: i32 = 32;
export const SEGMENT_RELOCATE: i32 = 1;

// ---- flush (assembly/flush.ts): answers of `flushStep` besides WINDOW_FULL ----
/** Every version has been added; `builderFinish` is next. */
export const FLUSH_DONE: i32 = 1;
/** The segment table is full, or an entry cannot fit in a page: the caller's bug. */
export const FLUSH_FAILED: i32 = -1;

// ---- packed pages (assembly/page-pack.ts) ----
export const CODEC_PLAIN: i32 = 0;
export const CODEC_LZ4: i32 = 1;
export const CODEC_ZSTD: i32 = 2;
export const PACKED_HEADER_BYTES: i32 = 16;
/** Stands where a page that is stored as it is has the bytes of its prefix. */
export const PACKED_MARK: i32 = 0xffff;
/** A page that would take more is stored as it is: it is not worth the decompression. */
export const PACKED_BYTES_MAX: i32 = 7168;
/** Answers of `pageUnpack`. */
export const UNPACKED: i32 = 1;
export const UNPACK_ZSTD: i32 = 2;

/** In the word at 12 of an index page (assembly/index-pages.ts). */
export const INDEX_PAGE_MARK: u32 = 0x80000000;

// ---- filter pages (assembly/filter.ts) ----
export const FILTER_BLOCK_BYTES: i32 = 32;
export const FILTER_PAGE_HEADER_BYTES: i32 = 32;
export const FILTER_PAGE_BLOCKS: i32 = 255;

// ---- fields of a table header and of a view (drawn in assembly/table.ts), from its start ----
export const TABLE_PAGES: usize = 0;
export const TABLE_PREFIXES: usize = 4;
export const TABLE_KEY_OFFSETS: usize = 8;
export const TABLE_INDEX: usize = 12;
export const TABLE_FRAMES: usize = 16;
export const TABLE_FILTER: usize = 20;
export const TABLE_FILTER_BLOCKS: usize = 24;
export const TABLE_COMMON_BYTES: usize = 28;
export const TABLE_FILE_ID: usize = 32;
export const TABLE_SMALLEST: usize = 36;
export const TABLE_SMALLEST_BYTES: usize = 40;
export const TABLE_LARGEST: usize = 44;
export const TABLE_LARGEST_BYTES: usize = 48;
export const TABLE_NUMBER: usize = 52;
export const TABLE_SCRATCH: usize = 56;
/** u64. */
export const TABLE_MAX_SEQUENCE: usize = 64;
export const TABLE_POSITIONS: usize = 72;
export const TABLE_INDEX_ENTRIES: usize = 76;
export const TABLE_FILTER_PAGE: usize = 80;
export const TABLE_INDEX_PAGE: usize = 84;
/** u32. */
export const TABLE_USED: usize = 88;
export const TABLE_BUCKETED: usize = 92;
export const TABLE_HEADER_BYTES: i32 = 128;
export const VIEW_ACTIVE: usize = 0;
export const VIEW_SEALED_COUNT: usize = 4;
export const VIEW_SEALED: usize = 8;
export const VIEW_LEVEL0_COUNT: usize = 24;
export const VIEW_LEVEL0: usize = 28;
export const VIEW_LEVEL_COUNT: usize = 32;
export const VIEW_LEVELS: usize = 36;
export const VIEW_RANGES: usize = 40;
/** f64. */
export const VIEW_PROBES: usize = 48;
/** What a scan's seek in a table of level 0 counts there, where a look into it counts 1. */
export const SCAN_PROBES: i32 = 12;

// ---- a page builder (drawn in assembly/page-builder.ts): its size and the fields that the host reads ----
export const BUILDER_BYTES: i32 = 26 * 1024;
export const BUILDER_OUT: usize = 8;
export const BUILDER_PAGES: usize = 12;
export const BUILDER_FIRST_PAGE: usize = 44;
export const BUILDER_INDEX_AT: usize = 52;
export const BUILDER_HASHES_AT: usize = 64;
export const BUILDER_ENTRIES: usize = 80;
export const BUILDER_TOMBSTONES: usize = 84;
export const BUILDER_SEQUENCE_MIN: usize = 88;
export const BUILDER_SEQUENCE_MAX: usize = 96;
export const BUILDER_KEY_BYTES: usize = 104;
export const BUILDER_VALUE_BYTES: usize = 112;
export const BUILDER_SMALLEST_BYTES: usize = 120;
export const BUILDER_LARGEST_BYTES: usize = 124;
export const BUILDER_EXPIRING_ENTRIES: usize = 128;
export const BUILDER_DENSE_PAGES: usize = 132;
export const BUILDER_EXPIRING_BYTES: usize = 136;
export const BUILDER_EARLIEST_EXPIRY: usize = 144;
export const BUILDER_LATEST_EXPIRY: usize = 152;
export const BUILDER_PINNED_BYTES: usize = 160;
export const BUILDER_SMALLEST: usize = 192;
export const BUILDER_LARGEST: usize = BUILDER_SMALLEST + KEY_WINDOW_BYTES;

// ---- the page cache (drawn in assembly/page-cache.ts) ----
/** Context cell, u32: the cache that the context reads through (`cacheBind`). */
export const PAGE_CACHE: usize = CELLS_FREE + 4;
export const PAGE_CACHE_BYTES: i32 = 128;
/** Fewer frames than cursors can pin would leave none to load into. */
export const PAGE_CACHE_FRAMES_MIN: usize = CURSORS_MAX + 16;

// ---- the value cache (drawn in assembly/value-cache.ts) ----
export const VALUE_CACHE_BYTES: i32 = 64;
export const VALUE_CACHE_ENTRIES: usize = 20;
export const VALUE_CACHE_USED: usize = 24;
