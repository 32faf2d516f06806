/**
 * One sorted input of a compaction: a table of level 0, or the chosen tables of a level one behind another. Pages come in blocks of 128 KiB
 * into a buffer that the merge reads in place; every page's checksum is verified before the merge sees it.
 */
import { BLOCK_BYTES, PAGE_BYTES, WORK } from '../../assembly/memory-map.ts';
import type { File, FileSystem } from '../../base/env.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { corruptTable, openTableFile, tableFileName, type TableMeta } from '../table/index.ts';

const BLOCK_PAGES = BLOCK_BYTES / PAGE_BYTES;

export class InputStream {
  /** The merge's number for this input. */
  readonly #input: number;
  readonly #memory: LinearMemory;
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #tables: readonly TableMeta[];
  readonly #buffer: number;
  #table = 0;
  #page = 0;
  #file: File | undefined;

  /** `sharedBytes`: leading bytes that all keys of all inputs have in common. */
  constructor(
    input: number,
    memory: LinearMemory,
    fileSystem: FileSystem,
    directory: string,
    tables: readonly TableMeta[],
    sharedBytes: number,
  ) {
    this.#input = input;
    this.#memory = memory;
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#tables = tables;
    this.#buffer = memory.allocate(BLOCK_BYTES);
    memory.kernel['mergeInput']!(WORK, input, sharedBytes);
  }

  /** Gives the merge the next block. Returns its bytes. */
  feed(): number {
    const { kernel, u8 } = this.#memory;
    const table = this.#tables[this.#table]!;
    const path = `${this.#directory}/${tableFileName(table.fileId)}`;
    this.#file ??= openTableFile(this.#fileSystem, path);
    const pages = Math.min(BLOCK_PAGES, table.pages - this.#page);
    const offset = this.#page * PAGE_BYTES;
    const got = this.#file.readSync(u8, this.#buffer, pages * PAGE_BYTES, offset);
    if (got !== pages * PAGE_BYTES) throw corruptTable(path, offset + got, 'the file ends there, within its pages');
    const good = kernel['pagesVerify']!(this.#buffer, pages, table.fileId, this.#page);
    if (good !== pages) throw corruptTable(path, offset + good * PAGE_BYTES, 'a page does not match its checksum');
    this.#page += pages;
    if (this.#page === table.pages) {
      this.#file.closeSync();
      this.#file = undefined;
      this.#table++;
      this.#page = 0;
    }
    kernel['mergeFeed']!(WORK, this.#input, this.#buffer, pages, this.#table === this.#tables.length ? 1 : 0);
    return pages * PAGE_BYTES;
  }

  close(): void {
    this.#file?.closeSync();
    this.#file = undefined;
  }
}
