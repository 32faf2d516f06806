/**
 * Writes one table file from a page builder that kernels fill (flush, merge, ingest):
 *
 *   const writer = new TableWriter(memory, fileSystem, directory, fileId);
 *   while (kernel.flushStep(..., writer.builder, ...) === WINDOW_FULL) writer.drain();
 *   const meta = writer.finish(references);          // or, when nothing was added or anything failed: writer.discard()
 *
 * Pages go to the file a window at a time, packed if they are to be; index and key hashes stay in memory until the end, when the filter is
 * made of the hashes and the index cut into pages (table-format.ts), and their areas grow as needed.
 * When `finish` returns, the file's content is durable; its name is when the caller has synced the directory.
 */
import {
  BUILDER_BYTES,
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
  FILTER_BLOCK_BYTES,
  FILTER_PAGE_BLOCKS,
  INDEX_PAGE_MARK,
  PAGE_BYTES,
  STORED_UNIT_BYTES,
  WINDOW_FULL,
} from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { File, FileSystem, Zstd } from '../../base/env.ts';
import type { Xxh64 } from '../../base/xxh64.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { PagePacker } from './page-packer.ts';
import {
  encodeFooter,
  encodeProperties,
  SECTION_PROPERTIES,
  SECTION_TOP,
  sectionCheck,
  tableFileName,
  tableLayout,
  tableMeta,
  type TableProperties,
} from './table-format.ts';
import { filterBitsOf, PLAIN_FORMS, type TableForms } from './table-form.ts';
import type { SegmentReference, TableMeta } from './table-meta.ts';

/** Bytes of pages that are written at once; the builder needs two pages more. */
export const TABLE_WINDOW_BYTES: number = 1024 * 1024;
const AREA_BYTES_MIN = 64 * 1024;
/** An area is exchanged when it is half full. */
const HASH_AREA_BYTES = 16;
/** What `indexPack` keeps its place in. */
const INDEX_WALK_BYTES = 16;

/** Memory that the writer owns and may exchange for more. */
interface Area {
  address: number;
  bytes: number;
}

const NO_AREA: Area = { address: 0, bytes: 0 };

export interface TableWriterOptions {
  /** Bytes of pages that are written at once, a multiple of the page size. */
  readonly windowBytes?: number;
  /** About how many keys there will be; the area for their hashes then has its size from the start, and no second one beside it while it grows. */
  readonly keys?: number;
  /** Default: pages as they are, and filters of 12 bits a key. */
  readonly forms?: TableForms;
  readonly zstd?: Zstd | undefined;
}

export class TableWriter {
  readonly fileId: number;
  readonly path: string;
  /** Address of the builder, for kernels. */
  readonly builder: number = 0;
  readonly #memory: LinearMemory;
  readonly #fileSystem: FileSystem;
  readonly #file: File;
  readonly #forms: TableForms;
  #window: Area = NO_AREA;
  #index: Area = NO_AREA;
  #hashes: Area = NO_AREA;
  #packer: PagePacker | undefined;
  #position = 0;
  #state: 'open' | 'finished' | 'discarded' = 'open';

  /** Creates the file. `invalid/ZSTD_MISSING` when it is to be compressed by what there is not. */
  constructor(memory: LinearMemory, fileSystem: FileSystem, directory: string, fileId: number, options: TableWriterOptions = {}) {
    const { windowBytes = TABLE_WINDOW_BYTES, keys = 0, forms = PLAIN_FORMS, zstd } = options;
    assert(windowBytes % PAGE_BYTES === 0 && windowBytes > 0, 'a window holds whole pages');
    this.fileId = fileId;
    this.path = `${directory}/${tableFileName(fileId)}`;
    this.#memory = memory;
    this.#fileSystem = fileSystem;
    this.#forms = forms;
    this.#file = fileSystem.openSync(this.path, 'create');
    try {
      this.builder = memory.allocateSmall(BUILDER_BYTES);
      this.#window = this.#allocate(windowBytes + 2 * PAGE_BYTES);
      this.#index = this.#allocate(AREA_BYTES_MIN);
      this.#hashes = this.#allocate(Math.max(AREA_BYTES_MIN, keys * HASH_AREA_BYTES));
      this.#packer = PagePacker.of(memory, fileId, forms, zstd);
    } catch (error) {
      this.discard();
      throw error;
    }
    memory.kernel['builderBegin']!(
      this.builder,
      fileId,
      this.#window.address,
      this.#window.bytes,
      this.#index.address,
      this.#index.bytes,
      this.#hashes.address,
      this.#hashes.bytes,
    );
  }

  /** Entries added so far. */
  get entries(): number {
    return this.#field(BUILDER_ENTRIES);
  }

  /** Bytes of the pages that are complete. */
  get pageBytes(): number {
    return this.#field(BUILDER_PAGES) * PAGE_BYTES;
  }

  /** Writes the complete pages and makes room: what WINDOW_FULL asks for. */
  drain(): void {
    assert(this.#state === 'open', 'a table is drained while it is written');
    this.#writePages();
    const index = this.#grown(this.#index, this.#field(BUILDER_INDEX_AT));
    const hashes = this.#grown(this.#hashes, this.#field(BUILDER_HASHES_AT));
    if (index === this.#index && hashes === this.#hashes) return;
    this.#memory.kernel['builderMove']!(this.builder, index.address, index.bytes, hashes.address, hashes.bytes);
    if (index !== this.#index) this.#release(this.#index);
    if (hashes !== this.#hashes) this.#release(this.#hashes);
    this.#index = index;
    this.#hashes = hashes;
  }

  /**
   * Completes the file, makes its content durable and closes it. There is at least one entry. `references`: what its pointers
   * lead to; `clearedTo`: as in TableMeta.
   */
  finish(references: readonly SegmentReference[], clearedTo: number = 0): TableMeta {
    assert(this.#state === 'open' && this.entries > 0, 'a table is finished once and has entries');
    const pages = this.#memory.kernel['builderFinish']!(this.builder);
    this.#writePages();
    const pageBytes = this.#position;
    const properties = this.#properties(references, clearedTo);
    const encoded = encodeProperties(properties);
    const { fileId } = this;
    const filterBytes = this.#writeFilter(properties, pages);
    const indexEntryBytes = this.#field(BUILDER_INDEX_AT) - this.#index.address;
    const { indexBytes, topBytes, topCheck } = this.#writeIndex(indexEntryBytes, pages + Math.ceil(filterBytes / PAGE_BYTES));
    const sizes = { fileId, pages, pageBytes, filterBytes, indexBytes, indexEntryBytes, topBytes, propertiesBytes: encoded.length };
    const layout = tableLayout(sizes);
    assert(this.#position === layout.properties, 'sections follow one another');
    const footer = encodeFooter({
      ...sizes,
      packed: this.#packer?.packedAny ?? false,
      topCheck,
      propertiesCheck: sectionCheck(encoded, fileId, SECTION_PROPERTIES),
    });
    this.#file.writevSync([encoded, footer], layout.properties);
    this.#file.datasyncSync();
    this.#file.closeSync();
    this.#state = 'finished';
    this.#freeAll();
    return tableMeta(fileId, layout.fileBytes, pages, properties);
  }

  /** Gives the table up and removes its file. Does nothing to one that is finished or discarded. */
  discard(): void {
    if (this.#state !== 'open') return;
    this.#state = 'discarded';
    this.#freeAll();
    try {
      this.#file.closeSync();
    } finally {
      this.#fileSystem.unlinkSync(this.path);
    }
  }

  #writePages(): void {
    const { address } = this.#window;
    const bytes = this.#field(BUILDER_OUT) - address;
    if (bytes === 0) return;
    this.#write(address, this.#packer?.pack(address, bytes, this.#index.address) ?? bytes);
    this.#memory.kernel['builderRewind']!(this.builder);
  }

  /** Makes the filter and writes its pages, which are numbered from `firstPage` on. Returns their bytes. */
  #writeFilter({ distinctKeys: keys, smallest, largest }: TableProperties, firstPage: number): number {
    const { kernel } = this.#memory;
    const blocks = kernel['filterBlocks']!(keys, filterBitsOf(this.#forms, smallest, largest));
    const filter = this.#allocate(blocks * FILTER_BLOCK_BYTES);
    try {
      kernel['filterBuild']!(filter.address, blocks, this.#hashes.address, keys);
      const before = this.#position;
      let pending = 0;
      for (let first = 0, page = firstPage; first < blocks; first += FILTER_PAGE_BLOCKS, page++) {
        if (pending + PAGE_BYTES > this.#window.bytes) {
          this.#write(this.#window.address, pending);
          pending = 0;
        }
        pending += kernel['filterPage']!(this.#window.address + pending, filter.address, blocks, first, this.fileId, page);
      }
      this.#write(this.#window.address, pending);
      return this.#position - before;
    } finally {
      this.#release(filter);
    }
  }

  /**
   * Cuts the index into pages, numbered from `firstPage` on, and writes them and the top. The builder, its window and the area of the hashes are
   * free for it: all else of the table has been taken from them.
   */
  #writeIndex(entryBytes: number, firstPage: number): { indexBytes: number; topBytes: number; topCheck: Xxh64 } {
    const { kernel, u32 } = this.#memory;
    const { address: window, bytes: windowBytes } = this.#window;
    const entries = this.#index;
    let top = this.#allocate(AREA_BYTES_MIN);
    const walk = this.#memory.allocateSmall(INDEX_WALK_BYTES);
    try {
      kernel['builderBegin']!(
        this.builder,
        this.fileId,
        window,
        windowBytes,
        top.address,
        top.bytes,
        this.#hashes.address,
        this.#hashes.bytes,
      );
      u32[(this.builder + BUILDER_FIRST_PAGE) >>> 2] = firstPage;
      u32[walk >>> 2] = entries.address;
      const before = this.#position;
      const firstPages: number[] = [];
      const write = (last: boolean): void => {
        const end = this.#field(BUILDER_OUT);
        for (let page = window; page < end; page += PAGE_BYTES) firstPages.push((u32[(page + 12) >>> 2]! & ~INDEX_PAGE_MARK) >>> 0);
        if (last) this.#write(window, usedEnd(this.#memory, end - PAGE_BYTES) - window);
        else if (end > window) this.#write(window, end - window);
        kernel['builderRewind']!(this.builder);
      };
      while (kernel['indexPack']!(this.builder, walk, entries.address + entryBytes) === WINDOW_FULL) {
        write(false);
        const grown = this.#grown(top, this.#field(BUILDER_INDEX_AT));
        if (grown === top) continue;
        // No key comes twice to the index: the hashes have room in what the keys had.
        kernel['builderMove']!(this.builder, grown.address, grown.bytes, this.#hashes.address, this.#hashes.bytes);
        this.#release(top);
        top = grown;
      }
      kernel['builderFinish']!(this.builder);
      write(true);
      const indexBytes = this.#position - before;
      const topBytes = this.#writeTop(top.address, this.#field(BUILDER_INDEX_AT), firstPages);
      return { indexBytes, ...topBytes };
    } finally {
      this.#memory.freeSmall(walk, INDEX_WALK_BYTES);
      this.#release(top);
    }
  }

  #writeTop(address: number, end: number, firstPages: readonly number[]): { topBytes: number; topCheck: Xxh64 } {
    const keysEnd = Math.ceil((end - address) / 4) * 4;
    const top = new Uint8Array(keysEnd + 4 * firstPages.length);
    top.set(this.#memory.u8.subarray(address, end));
    const view = new DataView(top.buffer);
    for (const [i, page] of firstPages.entries()) view.setUint32(keysEnd + 4 * i, page, true);
    this.#file.writeSync(top, 0, top.length, this.#position);
    this.#position += top.length;
    return { topBytes: top.length, topCheck: sectionCheck(top, this.fileId, SECTION_TOP) };
  }

  #properties(references: readonly SegmentReference[], clearedTo: number): TableProperties {
    const { view, u8 } = this.#memory;
    const at = this.builder;
    const wide = (field: number): number => Number(view.getBigUint64(at + field, true));
    const key = (field: number, bytes: number): Uint8Array => Uint8Array.from(u8.subarray(at + field, at + field + this.#field(bytes)));
    const expiring = {
      entries: this.#field(BUILDER_EXPIRING_ENTRIES),
      bytes: wide(BUILDER_EXPIRING_BYTES),
      earliestMs: wide(BUILDER_EARLIEST_EXPIRY),
      latestMs: wide(BUILDER_LATEST_EXPIRY),
    };
    return {
      entries: this.entries,
      tombstones: this.#field(BUILDER_TOMBSTONES),
      distinctKeys: (this.#field(BUILDER_HASHES_AT) - this.#hashes.address) / 8,
      minSequence: wide(BUILDER_SEQUENCE_MIN),
      maxSequence: wide(BUILDER_SEQUENCE_MAX),
      keyBytes: wide(BUILDER_KEY_BYTES),
      valueBytes: wide(BUILDER_VALUE_BYTES),
      smallest: key(BUILDER_SMALLEST, BUILDER_SMALLEST_BYTES),
      largest: key(BUILDER_LARGEST, BUILDER_LARGEST_BYTES),
      densePages: this.#field(BUILDER_DENSE_PAGES),
      pinnedBytes: wide(BUILDER_PINNED_BYTES),
      clearedTo,
      ...(expiring.entries > 0 && { expiring }),
      references,
    };
  }

  #write(address: number, bytes: number): void {
    this.#file.writeSync(this.#memory.u8, address, bytes, this.#position);
    this.#position += bytes;
  }

  #field(offset: number): number {
    return this.#memory.u32[(this.builder + offset) >>> 2]!;
  }

  /** An area twice as large when less than half of this one is left, else the area itself. */
  #grown(area: Area, end: number): Area {
    return end - area.address > area.bytes / 2 ? this.#allocate(area.bytes * 2) : area;
  }

  #allocate(bytes: number): Area {
    return { address: this.#memory.allocate(bytes), bytes };
  }

  #release(area: Area): void {
    this.#memory.free(area.address, area.bytes);
  }

  #freeAll(): void {
    if (this.builder !== 0) this.#memory.freeSmall(this.builder, BUILDER_BYTES);
    this.#packer?.free();
    for (const area of [this.#window, this.#index, this.#hashes]) if (area !== NO_AREA) this.#release(area);
  }
}

/** Where what is used of an index page ends, in whole units. */
function usedEnd({ u16 }: LinearMemory, page: number): number {
  const count = u16[(page + 8) >>> 1]!;
  const slots = page + 16 + Math.ceil(count / 16) * 16;
  return page + Math.ceil(u16[(slots + 4 * count) >>> 1]! / STORED_UNIT_BYTES) * STORED_UNIT_BYTES;
}
