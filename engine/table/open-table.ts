/**
 * A table that reads may reach: its header in linear memory (assembly/table.ts), which a view refers to, its file and, once a read wanted
 * them, its index and filter: in memory as a whole, or paged (index-budget.ts).
 *
 * Kernels say what they miss: on the table whose `header` stands in NEED_TABLE_HEADER, NEEDS_TABLE is answered with `loadIndex`,
 * NEEDS_PAGE with `loadPage`. Nothing is searched before it is verified; what
 * does not verify is `corrupt/CORRUPT_TABLE` with file and offset. Tables are read in the FRONT context, through its page cache.
 */
import {
  FILTER_BLOCK_BYTES,
  FRONT,
  NEED_FRAME,
  NEED_PAGE,
  PAGE_BYTES,
  PAGE_CACHE,
  SCRATCH,
  TABLE_FILE_ID,
  TABLE_FILTER,
  TABLE_FILTER_BLOCKS,
  TABLE_FRAMES,
  TABLE_HEADER_BYTES,
  TABLE_KEY_OFFSETS,
  TABLE_LARGEST,
  TABLE_LARGEST_BYTES,
  TABLE_MAX_SEQUENCE,
  TABLE_PAGES,
  TABLE_POSITIONS,
  TABLE_SMALLEST,
  STORED_UNIT_BYTES,
  TABLE_SMALLEST_BYTES,
  TABLE_USED,
} from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { FileSystem, Zstd } from '../../base/env.ts';
import type { SparrowError } from '../../base/errors.ts';
import { COLD, type ColdReads } from '../cold-reads/index.ts';
import { LEFT_BYTES, SMALL_BYTES_MAX, type LinearMemory } from '../memory/linear-memory.ts';
import type { IndexBudget, WholeTable } from './index-budget.ts';
import { OpenFiles, type PooledFile } from '../open-files.ts';
import { openTableFile, readFooter, readTableBytes } from './read-table.ts';
import { unpackPage } from './page-compression.ts';
import { corruptTable, filterBlocksIn, sectionPages, tableFileName, type TableFooter, tableLayout } from './table-format.ts';
import type { TableMeta } from './table-meta.ts';
import { decodeTop, readFilter, readIndex, readPlace, readTop, type SectionSource, type TableTop } from './table-sections.ts';

/** Kernels may read this far past a key. */
const KEY_SLACK_BYTES = 64;
/** Where packed pages are read to: they are on their way to a frame. */
const PACKED = FRONT + SCRATCH;
/** Of an index entry's flags (assembly/table-index.ts). */
const STORED_SHIFT = 3;
/** Where an index page is read to that is not in the cache. */
const INDEX_SCRATCH = PACKED + 2 * PAGE_BYTES;
/** Answer of `tableFindPage`. */
const NEEDS_INDEX_PAGE = -2;
/** A paged table asks to be whole when it has read so many times what that takes. */
const WHOLE_AFTER = 2;

export class OpenTable implements WholeTable {
  readonly meta: TableMeta;
  readonly path: string;
  /** Address of the header, for views. */
  readonly header: number;
  readonly #memory: LinearMemory;
  readonly #file: PooledFile;
  readonly #zstd: Zstd | undefined;
  readonly #budget: IndexBudget | undefined;
  /** While it is loaded: what its file is made of. */
  #footer: TableFooter | undefined;
  #top: TableTop | undefined;
  /** Whole: filter, index entries and the kernel's arrays, in one piece. Otherwise the top of the index and its arrays. */
  #index: { address: number; bytes: number; whole: boolean } | undefined;
  /** Pages of filter and index that were read since it is paged, or asked to be whole. */
  #sectionReads = 0;
  #closed = false;

  /**
   * Touches no file. Without `files` its own stays open once it was read; without a budget its index is always whole; with `coldReads` its reads
   * can be stopped.
   */
  constructor(
    memory: LinearMemory,
    fileSystem: FileSystem,
    directory: string,
    meta: TableMeta,
    options: {
      readonly files?: OpenFiles;
      readonly zstd?: Zstd | undefined;
      readonly indexBudget?: IndexBudget;
      readonly coldReads?: ColdReads;
    } = {},
  ) {
    this.meta = meta;
    this.path = `${directory}/${tableFileName(meta.fileId)}`;
    this.#memory = memory;
    const { files = new OpenFiles(1), coldReads } = options;
    this.#file = files.add(() => {
      const file = openTableFile(fileSystem, this.path);
      return coldReads?.tableFile(file, this.path) ?? file;
    });
    this.#zstd = options.zstd;
    this.#budget = options.indexBudget;
    this.header = memory.allocateSmall(headerBytes(meta));
    const smallest = this.header + TABLE_HEADER_BYTES;
    const largest = smallest + meta.smallest.length;
    memory.u8.set(meta.smallest, smallest);
    memory.u8.set(meta.largest, largest);
    this.#set(TABLE_FILE_ID, meta.fileId);
    this.#set(TABLE_SMALLEST, smallest);
    this.#set(TABLE_SMALLEST_BYTES, meta.smallest.length);
    this.#set(TABLE_LARGEST, largest);
    this.#set(TABLE_LARGEST_BYTES, meta.largest.length);
    memory.view.setBigUint64(this.header + TABLE_MAX_SEQUENCE, BigInt(meta.maxSequence), true);
  }

  /** Whether it can be searched: its index is in memory, or the top of it. */
  get loaded(): boolean {
    return this.#index !== undefined;
  }

  /** Whether only the top of its index is in memory, and index and filter are read page by page. */
  get paged(): boolean {
    return this.#index?.whole === false;
  }

  /** Bytes of linear memory that the table takes besides its frames. */
  get memoryBytes(): number {
    return headerBytes(this.meta) + this.indexBytes;
  }

  /** Of them, those for index and filter. */
  get indexBytes(): number {
    return this.#index?.bytes ?? 0;
  }

  takeUsed(): boolean {
    const used = this.#memory.u32[(this.header + TABLE_USED) >>> 2] !== 0;
    this.#set(TABLE_USED, 0);
    return used;
  }

  /** Opens the file and brings index and filter into memory, or the top of the index when there is no room for more, unless they are there. */
  loadIndex(): void {
    assert(!this.#closed, 'a closed table is not read');
    if (this.#index) return;
    const { meta, path } = this;
    const file = this.#file.use();
    const footer = readFooter(file, path, meta.fileId);
    const layout = tableLayout(footer);
    if (layout.fileBytes !== meta.bytes || footer.pages !== meta.pages) {
      throw corruptTable(path, layout.footer, `the manifest knows it with ${meta.pages} pages and ${meta.bytes} bytes`);
    }
    this.#footer = footer;
    this.#top = decodeTop(readTop(this.#source()), footer, path);
    if (this.#budget?.hasRoom(this.#wholeBytes()) === false || !this.#openWhole()) this.#openPaged();
  }

  /** Gives up index and filter in memory, but for the top of the index. Frames stay, so a kernel call may be under way. */
  becomePaged(): void {
    assert(this.#index?.whole === true, 'a whole table becomes paged');
    const { kernel } = this.#memory;
    const cache = this.#cache;
    if (cache !== 0) kernel['cacheToBuckets']!(cache, this.header);
    // Should there be no memory for the top, the next read loads the table anew.
    this.#set(TABLE_PAGES, 0);
    this.#freeIndex();
    this.#openPaged();
  }

  /** The pages that hold the keys between two keys, up to but without `to`; a page of which only a part is counts when there is no other. Brings the index into memory. */
  pagesBetween(start: Uint8Array, end: Uint8Array): { from: number; to: number } {
    this.loadIndex();
    const { kernel, u8, u32 } = this.#memory;
    const pageFor = (key: Uint8Array): number => {
      const bytes = key.length + KEY_SLACK_BYTES;
      const address = this.#memory.allocateSmall(bytes);
      u8.set(key, address);
      try {
        for (;;) {
          const page = kernel['tableFindPage']!(FRONT, this.header, address, key.length);
          if (page !== NEEDS_INDEX_PAGE) return Math.max(0, page);
          this.loadPage(u32[(FRONT + NEED_PAGE) >>> 2]!, u32[(FRONT + NEED_FRAME) >>> 2]!);
        }
      } finally {
        this.#memory.freeSmall(address, bytes);
      }
    };
    const from = pageFor(start);
    return { from, to: Math.max(from + 1, Buffer.compare(end, this.meta.largest) > 0 ? this.meta.pages : pageFor(end)) };
  }

  /**
   * Brings the page that a kernel named in NEED_PAGE into its NEED_FRAME, at `frame`. The table is loaded. A paged table may become whole
   * instead when the page is one of its filter or index: then the kernel finds those in memory when it goes on.
   */
  loadPage(page: number, frame: number): void {
    if (page >= this.meta.pages) {
      this.#loadSectionPage(page, frame);
      return;
    }
    const { kernel, u8 } = this.#memory;
    const { position, stored } = this.#placeOf(page);
    if (stored === 0) {
      readTableBytes(this.#file.use(), this.path, u8, frame, PAGE_BYTES, position);
      if (kernel['pageLoaded']!(FRONT) !== 1) throw this.#corruptPage(page, position);
      return;
    }
    readTableBytes(this.#file.use(), this.path, u8, PACKED, stored, position);
    const { fileId } = this.meta;
    if (!unpackPage(this.#memory, this.#zstd, { address: PACKED, stored }, { address: frame, fileId, number: page })) {
      throw this.#corruptPage(page, position);
    }
    kernel['pageLink']!(FRONT);
  }

  /** Forgets pages, index and filter, which are loaded again when a read wants them. No kernel call is under way. */
  unload(): void {
    if (!this.#index) return;
    const cache = this.#cache;
    if (cache !== 0) this.#memory.kernel['cacheDropTable']!(cache, this.header);
    this.#set(TABLE_PAGES, 0);
    this.#freeIndex();
    this.#footer = undefined;
    this.#top = undefined;
  }

  /** Frees everything and closes the file. No view refers to the table any more. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.unload();
    this.#memory.freeSmall(this.header, headerBytes(this.meta));
    this.#file.close();
  }

  #source(): SectionSource {
    return { memory: this.#memory, file: this.#file.use(), path: this.path, footer: this.#footer! };
  }

  /** Bytes of linear memory that index and filter take as a whole. */
  #wholeBytes(): number {
    const footer = this.#footer!;
    return this.#arraysAt() + this.#memory.kernel['tableArrayBytes']!(footer.pages, footer.packed ? 1 : 0);
  }

  /** Where, behind filter and index entries, the arrays begin. */
  #arraysAt(): number {
    const { filterBytes, indexEntryBytes } = this.#footer!;
    return Math.ceil((filterBlocksIn(filterBytes) * FILTER_BLOCK_BYTES + indexEntryBytes + KEY_SLACK_BYTES) / 8) * 8;
  }

  /** Brings index and filter into memory. False when the memory, as opposed to the budget, has no room. */
  #openWhole(): boolean {
    const memory = this.#memory;
    const { kernel, u32 } = memory;
    const source = this.#source();
    const { footer } = source;
    const bytes = this.#wholeBytes();
    let address: number;
    try {
      address = memory.allocate(bytes, LEFT_BYTES);
    } catch {
      return false;
    }
    const blocks = filterBlocksIn(footer.filterBytes);
    const index = address + blocks * FILTER_BLOCK_BYTES;
    try {
      readFilter(source, address);
      readIndex(source, index);
      const arrays = address + this.#arraysAt();
      if (kernel['tableOpen']!(this.header, footer.pages, index, footer.indexEntryBytes, arrays, footer.packed ? 1 : 0) !== 1) {
        throw corruptTable(this.path, tableLayout(footer).index, 'the index is not well-formed');
      }
    } catch (error) {
      memory.free(address, bytes);
      if ((error as { code?: unknown }).code === 'MEMORY_BUDGET') return false;
      throw error;
    }
    // It may have been paged: its frames, which the buckets know, come to the array.
    const frames = u32[(this.header + TABLE_FRAMES) >>> 2]!;
    const cache = this.#cache;
    if (cache !== 0) {
      this.#set(TABLE_FRAMES, 0);
      kernel['cacheToArray']!(cache, this.header, frames, footer.pages);
      this.#set(TABLE_FRAMES, frames);
    }
    this.#set(TABLE_FILTER, address);
    this.#set(TABLE_FILTER_BLOCKS, blocks);
    this.#freeIndex();
    this.#index = { address, bytes, whole: true };
    this.#budget?.enter(this);
    return true;
  }

  /** Brings the top of the index into memory. */
  #openPaged(): void {
    const memory = this.#memory;
    const footer = this.#footer!;
    const { keys, firstPages } = this.#top!;
    const arraysAt = Math.ceil((keys.length + KEY_SLACK_BYTES) / 8) * 8;
    const bytes = arraysAt + memory.kernel['tableArrayBytes']!(firstPages.length, 0);
    const address = bytes <= SMALL_BYTES_MAX ? memory.allocateSmall(bytes) : memory.allocate(bytes);
    memory.u8.set(keys, address);
    const filterPages = sectionPages(footer.filterBytes);
    const opened = memory.kernel['tableOpenPaged']!(
      this.header,
      footer.pages,
      address,
      keys.length,
      firstPages.length,
      address + arraysAt,
      footer.pages,
      filterBlocksIn(footer.filterBytes),
      footer.pages + filterPages,
    );
    this.#index = { address, bytes, whole: false };
    this.#budget?.countPaged(1);
    this.#sectionReads = 0;
    if (opened !== 1) {
      this.unload();
      throw corruptTable(this.path, tableLayout(footer).top, 'the top of the index is not well-formed');
    }
  }

  #freeIndex(): void {
    const index = this.#index;
    if (!index) return;
    if (index.whole) this.#budget?.leave(this);
    else this.#budget?.countPaged(-1);
    if (!index.whole && index.bytes <= SMALL_BYTES_MAX) this.#memory.freeSmall(index.address, index.bytes);
    else this.#memory.free(index.address, index.bytes);
    this.#index = undefined;
  }

  /** A page of the filter or the index. */
  #loadSectionPage(page: number, frame: number): void {
    const { u8, kernel } = this.#memory;
    const footer = this.#footer!;
    const { filter, index, top } = tableLayout(footer);
    const filterPages = sectionPages(footer.filterBytes);
    const sections = filterPages + sectionPages(footer.indexBytes);
    assert(page < footer.pages + sections, 'a page that is read is one of the table');
    if (this.#budget && ++this.#sectionReads >= WHOLE_AFTER * sections) {
      const bytes = this.#wholeBytes();
      try {
        if ((this.#budget.hasRoom(bytes) || this.#budget.makeRoom(bytes)) && this.#openWhole()) return;
      } catch (error) {
        // Its filter or index is on its way: it is asked for again then.
        if (error !== COLD) this.#sectionReads = 0;
        throw error;
      }
      this.#sectionReads = 0;
    }
    const inFilter = page - footer.pages < filterPages;
    const at = inFilter ? filter + (page - footer.pages) * PAGE_BYTES : index + (page - footer.pages - filterPages) * PAGE_BYTES;
    const bytes = Math.min(PAGE_BYTES, (inFilter ? index : top) - at);
    readTableBytes(this.#file.use(), this.path, u8, frame, bytes, at);
    // The end of the last one is zeros that are not stored.
    u8.fill(0, frame + bytes, frame + PAGE_BYTES);
    if (kernel['pageLoaded']!(FRONT) !== 1) {
      throw corruptTable(this.path, at, `the ${inFilter ? 'filter' : 'index'} does not match its checksum`);
    }
  }

  /** Where a page of data is in the file, and what a packed one takes there (else 0). */
  #placeOf(page: number): { position: number; stored: number } {
    const { u8, u32 } = this.#memory;
    if (!this.#footer!.packed) return { position: page * PAGE_BYTES, stored: 0 };
    if (!this.#index!.whole) return this.#placeInIndexPage(page);
    const positions = u32[(this.header + TABLE_POSITIONS) >>> 2]!;
    const entry = u32[(u32[(this.header + TABLE_KEY_OFFSETS) >>> 2]! >>> 2) + page]!;
    const flags = u8[entry + 2]! | (u8[entry + 3]! << 8);
    return { position: u32[(positions >>> 2) + page]! * STORED_UNIT_BYTES, stored: (flags >>> STORED_SHIFT) * STORED_UNIT_BYTES };
  }

  /** The index page that has the place was mostly just searched, and is in the cache; otherwise it is read past it. */
  #placeInIndexPage(page: number): { position: number; stored: number } {
    const memory = this.#memory;
    const footer = this.#footer!;
    const { firstPages } = this.#top!;
    const number = firstPages.findLastIndex((first) => first <= page);
    const indexPage = footer.pages + sectionPages(footer.filterBytes) + number;
    let address = this.#cache === 0 ? 0 : memory.kernel['cachedFrame']!(this.#cache, this.header, indexPage) >>> 0;
    if (address === 0) {
      address = INDEX_SCRATCH;
      const { index, top } = tableLayout(footer);
      const at = index + number * PAGE_BYTES;
      const bytes = Math.min(PAGE_BYTES, top - at);
      readTableBytes(this.#file.use(), this.path, memory.u8, address, bytes, at);
      memory.u8.fill(0, address + bytes, address + PAGE_BYTES);
      if (memory.kernel['pagesVerify']!(address, 1, footer.fileId, indexPage) !== 1) {
        throw corruptTable(this.path, at, 'the index does not match its checksum');
      }
    }
    return readPlace(memory, address, page - firstPages[number]!);
  }

  get #cache(): number {
    return this.#memory.u32[(FRONT + PAGE_CACHE) >>> 2]!;
  }

  #corruptPage(page: number, position: number): SparrowError {
    return corruptTable(this.path, position, `page ${page} does not match its checksum`);
  }

  #set(offset: number, value: number): void {
    this.#memory.u32[(this.header + offset) >>> 2] = value;
  }
}

function headerBytes(meta: TableMeta): number {
  return TABLE_HEADER_BYTES + meta.smallest.length + meta.largest.length + KEY_SLACK_BYTES;
}
