/**
 * Writes one table file from a page builder that kernels fill (flush, merge, ingest):
 *
 *   const writer = new TableWriter(memory, fileSystem, directory, fileId);
 *   while (kernel.flushStep(..., writer.builder, ...) === WINDOW_FULL) writer.drain();
 *   const meta = writer.finish(references);          // or, when nothing was added or anything failed: writer.discard()
 *
 * Pages go to the file a window at a time; index and key hashes stay in memory until the end and their areas grow as needed.
 * When `finish` returns, the file's content is durable; its name is when the caller has synced the directory.
 */
import {
  BUILDER_BYTES,
  BUILDER_DENSE_PAGES,
  BUILDER_EARLIEST_EXPIRY,
  BUILDER_ENTRIES,
  BUILDER_EXPIRING_BYTES,
  BUILDER_EXPIRING_ENTRIES,
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
  PAGE_BYTES,
} from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { File, FileSystem } from '../../base/env.ts';
import type { Xxh64 } from '../../base/xxh64.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import {
  encodeFooter,
  encodeProperties,
  indexSectionBytes,
  SECTION_FILTER,
  SECTION_INDEX,
  SECTION_PROPERTIES,
  sectionCheck,
  tableFileName,
  tableLayout,
  tableMeta,
  type TableProperties,
} from './table-format.ts';
import type { SegmentReference, TableMeta } from './table-meta.ts';

/** Bytes of pages that are written at once; the builder needs two pages more. */
export const TABLE_WINDOW_BYTES: number = 1024 * 1024;
const AREA_BYTES_MIN = 64 * 1024;
const FILTER_BLOCK_BYTES = 32;
/** An area is exchanged when it is half full. */
const HASH_AREA_BYTES = 16;

/** Memory that the writer owns and may exchange for more. */
interface Area {
  address: number;
  bytes: number;
}

const NO_AREA: Area = { address: 0, bytes: 0 };

export class TableWriter {
  readonly fileId: number;
  readonly path: string;
  /** Address of the builder, for kernels. */
  readonly builder: number = 0;
  readonly #memory: LinearMemory;
  readonly #fileSystem: FileSystem;
  readonly #file: File;
  #window: Area = NO_AREA;
  #index: Area = NO_AREA;
  #hashes: Area = NO_AREA;
  #position = 0;
  #state: 'open' | 'finished' | 'discarded' = 'open';

  /**
   * Creates the file. `windowBytes`: a multiple of the page size. `keys`: about how many there will be; the area for their hashes then has
   * its size from the start, and no second one beside it while it grows.
   */
  constructor(
    memory: LinearMemory,
    fileSystem: FileSystem,
    directory: string,
    fileId: number,
    windowBytes: number = TABLE_WINDOW_BYTES,
    keys: number = 0,
  ) {
    assert(windowBytes % PAGE_BYTES === 0 && windowBytes > 0, 'a window holds whole pages');
    this.fileId = fileId;
    this.path = `${directory}/${tableFileName(fileId)}`;
    this.#memory = memory;
    this.#fileSystem = fileSystem;
    this.#file = fileSystem.openSync(this.path, 'create');
    try {
      this.builder = memory.allocateSmall(BUILDER_BYTES);
      this.#window = this.#allocate(windowBytes + 2 * PAGE_BYTES);
      this.#index = this.#allocate(AREA_BYTES_MIN);
      this.#hashes = this.#allocate(Math.max(AREA_BYTES_MIN, keys * HASH_AREA_BYTES));
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
    const properties = this.#properties(references, clearedTo);
    const encoded = encodeProperties(properties);
    const { fileId } = this;
    const indexBytes = this.#field(BUILDER_INDEX_AT) - this.#index.address;
    const indexCheck = this.#writeIndex(indexBytes);
    const { filterBytes, filterCheck } = this.#writeFilter(properties.distinctKeys);
    const sizes = { fileId, pages, indexBytes, filterBytes, propertiesBytes: encoded.length };
    const layout = tableLayout(sizes);
    assert(this.#position === layout.properties, 'sections follow one another');
    const footer = encodeFooter({ ...sizes, indexCheck, filterCheck, propertiesCheck: sectionCheck(encoded, fileId, SECTION_PROPERTIES) });
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
    const bytes = this.#field(BUILDER_OUT) - this.#window.address;
    if (bytes === 0) return;
    this.#write(this.#window.address, bytes);
    this.#memory.kernel['builderRewind']!(this.builder);
  }

  #writeIndex(indexBytes: number): Xxh64 {
    const bytes = indexSectionBytes(indexBytes);
    const { address } = this.#index;
    this.#memory.u8.fill(0, address + indexBytes, address + bytes);
    const check = this.#check(address, bytes, SECTION_INDEX);
    this.#write(address, bytes);
    return check;
  }

  #writeFilter(keys: number): { filterBytes: number; filterCheck: Xxh64 } {
    const { kernel } = this.#memory;
    const blocks = kernel['filterBlocks']!(keys);
    const filter = this.#allocate(blocks * FILTER_BLOCK_BYTES);
    try {
      kernel['filterBuild']!(filter.address, blocks, this.#hashes.address, keys);
      const filterCheck = this.#check(filter.address, filter.bytes, SECTION_FILTER);
      this.#write(filter.address, filter.bytes);
      return { filterBytes: filter.bytes, filterCheck };
    } finally {
      this.#release(filter);
    }
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

  #check(address: number, bytes: number, section: number): Xxh64 {
    const { kernel, u32 } = this.#memory;
    // The builder's last bytes held staged entries; there are none any more.
    const out = this.builder + BUILDER_BYTES - 8;
    kernel['checksumInto']!(address, bytes, section, this.fileId, out);
    return { low: u32[out >>> 2]!, high: u32[(out >>> 2) + 1]! };
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
    for (const area of [this.#window, this.#index, this.#hashes]) if (area !== NO_AREA) this.#release(area);
  }
}
