/**
 * A table that reads may reach: its header in linear memory (assembly/table.ts), which a view refers to, its file and, once a read wanted
 * them, its index and filter.
 *
 * Kernels say what they miss: on the table whose `header` stands in NEED_TABLE_HEADER, NEEDS_TABLE is answered with `loadIndex`,
 * NEEDS_PAGE with `readPage` and the kernel `pageLoaded` (1, or else throw `corruptPage`). Nothing is searched before it is verified; what
 * does not verify is `corrupt/CORRUPT_TABLE` with file and offset. Tables are read in the FRONT context, through its page cache.
 */
import {
  FRONT,
  PAGE_BYTES,
  PAGE_CACHE,
  TABLE_FILE_ID,
  TABLE_FILTER,
  TABLE_FILTER_BLOCKS,
  TABLE_HEADER_BYTES,
  TABLE_LARGEST,
  TABLE_LARGEST_BYTES,
  TABLE_MAX_SEQUENCE,
  TABLE_PAGES,
  TABLE_SMALLEST,
  TABLE_SMALLEST_BYTES,
} from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { File, FileSystem } from '../../base/env.ts';
import type { SparrowError } from '../../base/errors.ts';
import type { Xxh64 } from '../../base/xxh64.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { openTableFile, readFooter, readTableBytes } from './read-table.ts';
import { corruptTable, indexSectionBytes, sameCheck, SECTION_FILTER, SECTION_INDEX, tableFileName, tableLayout } from './table-format.ts';
import type { TableMeta } from './table-meta.ts';

const FILTER_BLOCK_BYTES = 32;
/** Kernels may read this far past a key. */
const KEY_SLACK_BYTES = 64;

export class OpenTable {
  readonly meta: TableMeta;
  readonly path: string;
  /** Address of the header, for views. */
  readonly header: number;
  readonly #memory: LinearMemory;
  readonly #fileSystem: FileSystem;
  #file: File | undefined;
  /** Index section, filter and the kernel's arrays, in one piece. */
  #sections: { address: number; bytes: number } | undefined;
  #closed = false;

  /** Touches no file. */
  constructor(memory: LinearMemory, fileSystem: FileSystem, directory: string, meta: TableMeta) {
    this.meta = meta;
    this.path = `${directory}/${tableFileName(meta.fileId)}`;
    this.#memory = memory;
    this.#fileSystem = fileSystem;
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
    const indexBytes = indexSectionBytes(footer.indexBytes);
    const arraysAt = indexBytes + footer.filterBytes;
    const bytes = arraysAt + kernel['tableArrayBytes']!(footer.pages);
    const address = memory.allocate(bytes);
    try {
      readTableBytes(file, path, memory.u8, address, arraysAt, layout.index);
      this.#verify(address, indexBytes, SECTION_INDEX, footer.indexCheck, layout.index);
      this.#verify(address + indexBytes, footer.filterBytes, SECTION_FILTER, footer.filterCheck, layout.filter);
      if (footer.filterBytes % FILTER_BLOCK_BYTES !== 0) throw corruptTable(path, layout.filter, 'the filter is not made of whole blocks');
      this.#set(TABLE_FILTER, address + indexBytes);
      this.#set(TABLE_FILTER_BLOCKS, footer.filterBytes / FILTER_BLOCK_BYTES);
      if (kernel['tableOpen']!(this.header, footer.pages, address, footer.indexBytes, address + arraysAt) !== 1) {
        throw corruptTable(path, layout.index, 'the index is not well-formed');
      }
    } catch (error) {
      memory.free(address, bytes);
      throw error;
    }
    this.#sections = { address, bytes };
  }

  /** Reads a page to `address` in linear memory. It is not verified yet. */
  readPage(page: number, address: number): void {
    assert(page < this.meta.pages, 'a page that is read is one of the table');
    readTableBytes(this.#open(), this.path, this.#memory.u8, address, PAGE_BYTES, page * PAGE_BYTES);
  }

  /** The error for a page that does not match its checksum. */
  corruptPage(page: number): SparrowError {
    return corruptTable(this.path, page * PAGE_BYTES, `page ${page} does not match its checksum`);
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

  #verify(address: number, bytes: number, section: number, check: Xxh64, offset: number): void {
    const { kernel, u32 } = this.#memory;
    // The scratch word of the header (assembly/table.ts).
    const out = this.header + 56;
    kernel['checksumInto']!(address, bytes, section, this.meta.fileId, out);
    if (!sameCheck(check, { low: u32[out >>> 2]!, high: u32[(out >>> 2) + 1]! })) {
      throw corruptTable(this.path, offset, `the ${section === SECTION_INDEX ? 'index' : 'filter'} does not match its checksum`);
    }
  }

  #set(offset: number, value: number): void {
    this.#memory.u32[(this.header + offset) >>> 2] = value;
  }
}

function headerBytes(meta: TableMeta): number {
  return TABLE_HEADER_BYTES + meta.smallest.length + meta.largest.length + KEY_SLACK_BYTES;
}
