/**
 * Reads the pages of a table file from front to back, blocks at a time, verified and unpacked, past the page cache: for compaction and whoever
 * else goes through whole tables. Pages say themselves whether they are packed, so the index is not needed.
 */
import { BLOCK_BYTES, PACKED_HEADER_BYTES, PACKED_MARK, PAGE_BYTES, STORED_UNIT_BYTES } from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { File, FileSystem, Zstd } from '../../base/env.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { unpackPage } from './page-compression.ts';
import { openTableFile, readFooter } from './read-table.ts';
import { corruptTable, tableFileName } from './table-format.ts';

const BLOCK_PAGES = BLOCK_BYTES / PAGE_BYTES;

/** Some of a table's pages: from `first` up to `end`; `position`: where the first begins in the file, bytes. */
export interface PageRange {
  readonly first: number;
  readonly end: number;
  readonly position: number;
}

export class PageStream {
  readonly #memory: LinearMemory;
  readonly #zstd: Zstd | undefined;
  readonly #fileId: number;
  readonly #path: string;
  readonly #file: File;
  /** The page to end before. */
  readonly #last: number;
  /** Where the pages of data end in the file. */
  readonly #end: number;
  /** BLOCK_BYTES for what the file has, between `#at` and `#filled`; 0 when no page is packed. */
  readonly #stored: number;
  #at = 0;
  #filled = 0;
  #page = 0;
  #position = 0;
  #bytesRead = 0;

  /** Opens the file, for all of its pages or some. Throws as `openTableFile` and `readFooter` do. */
  constructor(memory: LinearMemory, fileSystem: FileSystem, directory: string, fileId: number, zstd: Zstd | undefined, range?: PageRange) {
    this.#memory = memory;
    this.#zstd = zstd;
    this.#fileId = fileId;
    this.#path = `${directory}/${tableFileName(fileId)}`;
    this.#file = openTableFile(fileSystem, this.#path);
    try {
      const footer = readFooter(this.#file, this.#path, fileId);
      this.#page = range?.first ?? 0;
      this.#position = range?.position ?? 0;
      this.#last = range?.end ?? footer.pages;
      assert(this.#page <= this.#last && this.#last <= footer.pages, 'pages are those of the table');
      this.#end = footer.pageBytes;
      this.#stored = footer.packed ? memory.allocate(BLOCK_BYTES) : 0;
    } catch (error) {
      this.#file.closeSync();
      throw error;
    }
  }

  get done(): boolean {
    return this.#page === this.#last;
  }

  /** Bytes read from the file so far. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Brings the next pages, a block of them at most, to `address`. Returns how many. `corrupt/CORRUPT_TABLE`. */
  next(address: number): number {
    const pages = Math.min(BLOCK_PAGES, this.#last - this.#page);
    if (this.#stored === 0) this.#read(address, pages);
    else for (let i = 0; i < pages; i++) this.#unpack(address + i * PAGE_BYTES, this.#page + i);
    this.#page += pages;
    return pages;
  }

  /** Closes the file and gives its memory back. */
  close(): void {
    this.#file.closeSync();
    if (this.#stored !== 0) this.#memory.free(this.#stored, BLOCK_BYTES);
  }

  #read(address: number, pages: number): void {
    this.#readBytes(address, pages * PAGE_BYTES);
    const good = this.#memory.kernel['pagesVerify']!(address, pages, this.#fileId, this.#page);
    if (good !== pages) throw this.#corrupt((this.#page + good) * PAGE_BYTES, `page ${this.#page + good} does not match its checksum`);
  }

  #unpack(address: number, number: number): void {
    const { u8, u16, kernel } = this.#memory;
    if (this.#filled - this.#at < PAGE_BYTES) this.#refill();
    const from = this.#stored + this.#at;
    const left = this.#filled - this.#at;
    const packed = left >= PACKED_HEADER_BYTES && u16[(from + 10) >>> 1] === PACKED_MARK;
    const stored = packed ? Math.ceil(u16[(from + 8) >>> 1]! / STORED_UNIT_BYTES) * STORED_UNIT_BYTES : PAGE_BYTES;
    const position = this.#position - left;
    if (stored > left) throw this.#corrupt(position, `page ${number} is longer than what is left of the pages`);
    let good: boolean;
    if (packed) {
      good = unpackPage(this.#memory, this.#zstd, { address: from, stored }, { address, fileId: this.#fileId, number });
    } else {
      u8.copyWithin(address, from, from + PAGE_BYTES);
      good = kernel['pagesVerify']!(address, 1, this.#fileId, number) === 1;
    }
    if (!good) throw this.#corrupt(position, `page ${number} does not match its checksum`);
    this.#at += stored;
  }

  /** Fills the block again, what is left of it first. */
  #refill(): void {
    const { u8 } = this.#memory;
    const left = this.#filled - this.#at;
    u8.copyWithin(this.#stored, this.#stored + this.#at, this.#stored + this.#filled);
    const bytes = Math.min(BLOCK_BYTES - left, this.#end - this.#position);
    this.#readBytes(this.#stored + left, bytes);
    this.#at = 0;
    this.#filled = left + bytes;
  }

  #readBytes(address: number, bytes: number): void {
    const got = this.#file.readSync(this.#memory.u8, address, bytes, this.#position);
    if (got !== bytes) throw this.#corrupt(this.#position + got, 'the file ends there, within its pages');
    this.#position += bytes;
    this.#bytesRead += bytes;
  }

  #corrupt(offset: number, what: string): Error {
    return corruptTable(this.#path, offset, what);
  }
}
