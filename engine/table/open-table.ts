/**
 * A table that reads may reach: its header in linear memory (assembly/table.ts), which a view refers to, its file and, once a read wanted
 * them, its index and filter.
 *
 * Kernels say what they miss: on the table whose `header` stands in NEED_TABLE_HEADER, NEEDS_TABLE is answered with `loadIndex`,
 * NEEDS_PAGE with `loadPage`. Nothing is searched before it is verified; what
 * does not verify is `corrupt/CORRUPT_TABLE` with file and offset. Tables are read in the FRONT context, through its page cache.
 */
import {
  FILTER_BLOCK_BYTES,
  FRONT,
  PAGE_BYTES,
  PAGE_CACHE,
  SCRATCH,
  TABLE_FILE_ID,
  TABLE_FILTER,
  TABLE_FILTER_BLOCKS,
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
} from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { File, FileSystem, Zstd } from '../../base/env.ts';
import type { SparrowError } from '../../base/errors.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { openTableFile, readFooter, readTableBytes } from './read-table.ts';
import { unpackPage } from './page-compression.ts';
import { corruptTable, filterBlocksIn, tableFileName, tableLayout } from './table-format.ts';
import type { TableMeta } from './table-meta.ts';
import { readFilter, readIndex, readTop } from './table-sections.ts';

/** Kernels may read this far past a key. */
const KEY_SLACK_BYTES = 64;
/** Where packed pages are read to: they are on their way to a frame. */
const PACKED = FRONT + SCRATCH;
/** Of an index entry's flags (assembly/table-index.ts). */
const STORED_SHIFT = 3;

export class OpenTable {
  readonly meta: TableMeta;
  readonly path: string;
  /** Address of the header, for views. */
  readonly header: number;
  readonly #memory: LinearMemory;
  readonly #fileSystem: FileSystem;
  #file: File | undefined;
  readonly #zstd: Zstd | undefined;
  /** Index entries, filter and the kernel's arrays, in one piece. */
  #sections: { address: number; bytes: number } | undefined;
  #closed = false;

  /** Touches no file. */
  constructor(memory: LinearMemory, fileSystem: FileSystem, directory: string, meta: TableMeta, zstd?: Zstd) {
    this.meta = meta;
    this.path = `${directory}/${tableFileName(meta.fileId)}`;
    this.#memory = memory;
    this.#fileSystem = fileSystem;
    this.#zstd = zstd;
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

  /** Whether index and filter are in memory. */
  get loaded(): boolean {
    return this.#sections !== undefined;
  }

  /** Bytes of linear memory that the table takes besides its frames. */
  get memoryBytes(): number {
    return headerBytes(this.meta) + (this.#sections?.bytes ?? 0);
  }

  /** Opens the file and brings index and filter into memory, unless they are there. */
  loadIndex(): void {
    assert(!this.#closed, 'a closed table is not read');
    if (this.#sections) return;
    const { meta, path } = this;
    const memory = this.#memory;
    const { kernel } = memory;
    const file = this.#open();
    const footer = readFooter(file, path, meta.fileId);
    const layout = tableLayout(footer);
    if (layout.fileBytes !== meta.bytes || footer.pages !== meta.pages) {
      throw corruptTable(path, layout.footer, `the manifest knows it with ${meta.pages} pages and ${meta.bytes} bytes`);
    }
    const blocks = filterBlocksIn(footer.filterBytes);
    const indexAt = blocks * FILTER_BLOCK_BYTES;
    const arraysAt = Math.ceil((indexAt + footer.indexEntryBytes + KEY_SLACK_BYTES) / 8) * 8;
    const bytes = arraysAt + kernel['tableArrayBytes']!(footer.pages, footer.packed ? 1 : 0);
    const address = memory.allocate(bytes);
    try {
      const source = { memory, file, path, footer };
      readFilter(source, address);
      readIndex(source, address + indexAt);
      readTop(source);
      const opened = kernel['tableOpen']!(
        this.header,
        footer.pages,
        address + indexAt,
        footer.indexEntryBytes,
        address + arraysAt,
        footer.packed ? 1 : 0,
      );
      if (opened !== 1) throw corruptTable(path, layout.index, 'the index is not well-formed');
    } catch (error) {
      memory.free(address, bytes);
      throw error;
    }
    this.#set(TABLE_FILTER, address);
    this.#set(TABLE_FILTER_BLOCKS, blocks);
    this.#sections = { address, bytes };
  }

  /** The pages that hold the keys between two keys, up to but without `to`; a page of which only a part is counts when there is no other. Brings the index into memory. */
  pagesBetween(start: Uint8Array, end: Uint8Array): { from: number; to: number } {
    this.loadIndex();
    const { kernel, u8 } = this.#memory;
    const pageFor = (key: Uint8Array): number => {
      const bytes = key.length + KEY_SLACK_BYTES;
      const address = this.#memory.allocateSmall(bytes);
      u8.set(key, address);
      const page = kernel['tableFindPage']!(this.header, address, key.length);
      this.#memory.freeSmall(address, bytes);
      return Math.max(0, page);
    };
    const from = pageFor(start);
    return { from, to: Math.max(from + 1, Buffer.compare(end, this.meta.largest) > 0 ? this.meta.pages : pageFor(end)) };
  }

  /** Brings the page that a kernel named in NEED_PAGE into its NEED_FRAME, at `frame`. The index is loaded. */
  loadPage(page: number, frame: number): void {
    assert(page < this.meta.pages, 'a page that is read is one of the table');
    const { kernel, u8, u32 } = this.#memory;
    const positions = u32[(this.header + TABLE_POSITIONS) >>> 2]!;
    let position = page * PAGE_BYTES;
    if (positions !== 0) {
      position = u32[(positions >>> 2) + page]! * STORED_UNIT_BYTES;
      const entry = u32[(u32[(this.header + TABLE_KEY_OFFSETS) >>> 2]! >>> 2) + page]!;
      const flags = u8[entry + 2]! | (u8[entry + 3]! << 8);
      const stored = (flags >>> STORED_SHIFT) * STORED_UNIT_BYTES;
      if (stored !== 0) {
        readTableBytes(this.#open(), this.path, u8, PACKED, stored, position);
        const { fileId } = this.meta;
        if (!unpackPage(this.#memory, this.#zstd, { address: PACKED, stored }, { address: frame, fileId, number: page })) {
          throw this.#corruptPage(page, position);
        }
        kernel['pageLink']!(FRONT);
        return;
      }
    }
    readTableBytes(this.#open(), this.path, u8, frame, PAGE_BYTES, position);
    if (kernel['pageLoaded']!(FRONT) !== 1) throw this.#corruptPage(page, position);
  }

  /** Forgets pages, index and filter, which are loaded again when a read wants them. No kernel call is under way. */
  unload(): void {
    if (!this.#sections) return;
    const { kernel, u32 } = this.#memory;
    const cache = u32[(FRONT + PAGE_CACHE) >>> 2]!;
    if (cache !== 0) kernel['cacheDropTable']!(cache, this.header);
    this.#set(TABLE_PAGES, 0);
    this.#memory.free(this.#sections.address, this.#sections.bytes);
    this.#sections = undefined;
  }

  /** Frees everything and closes the file. No view refers to the table any more. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.unload();
    this.#memory.freeSmall(this.header, headerBytes(this.meta));
    this.#file?.closeSync();
    this.#file = undefined;
  }

  #open(): File {
    this.#file ??= openTableFile(this.#fileSystem, this.path);
    return this.#file;
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
