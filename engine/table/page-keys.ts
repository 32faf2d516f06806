/** Where the pages of a table begin, by its index: read from the file past everything that reads share, for whoever plans work on whole tables. */
import { PAGE_BYTES, STORED_UNIT_BYTES } from '../../assembly/memory-map.ts';
import type { FileSystem } from '../../base/env.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { openTableFile, readFooter } from './read-table.ts';
import { corruptTable, tableFileName, tableLayout } from './table-format.ts';
import { readIndex } from './table-sections.ts';

const ENTRY_BYTES = 4;
/** Of an index entry's flags (assembly/table-index.ts). */
const STORED_SHIFT = 3;

export class PageKeys {
  readonly count: number;
  readonly #entries: Uint8Array;
  /** Of each page: where its entry begins, and where it begins in the file; one more for the end. */
  readonly #at: Uint32Array;
  readonly #positions: Float64Array;

  /** `corrupt`: what to throw when the entries are not those of so many pages. */
  private constructor(entries: Uint8Array, pages: number, corrupt: () => Error) {
    const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
    this.count = pages;
    this.#entries = entries;
    this.#at = new Uint32Array(pages + 1);
    this.#positions = new Float64Array(pages + 1);
    let at = 0;
    for (let page = 0; page < pages; page++) {
      if (at + ENTRY_BYTES > entries.length) throw corrupt();
      const stored = view.getUint16(at + 2, true) >>> STORED_SHIFT;
      this.#positions[page + 1] = this.#positions[page]! + (stored === 0 ? PAGE_BYTES : stored * STORED_UNIT_BYTES);
      at += ENTRY_BYTES + view.getUint16(at, true);
      this.#at[page + 1] = at;
    }
    if (at !== entries.length) throw corrupt();
  }

  /** Errors as of `openTableFile` and `readFooter`; `corrupt/CORRUPT_TABLE` for an index that does not match its checksum. The memory is free again afterwards. */
  static read(memory: LinearMemory, fileSystem: FileSystem, directory: string, fileId: number): PageKeys {
    const path = `${directory}/${tableFileName(fileId)}`;
    const file = openTableFile(fileSystem, path);
    try {
      const footer = readFooter(file, path, fileId);
      const address = memory.allocate(footer.indexEntryBytes);
      try {
        readIndex({ memory, file, path, footer }, address);
        const corrupt = (): Error => corruptTable(path, tableLayout(footer).index, 'the index is not that of its pages');
        const keys = new PageKeys(memory.u8.slice(address, address + footer.indexEntryBytes), footer.pages, corrupt);
        if (keys.position(footer.pages) !== footer.pageBytes) throw corrupt();
        return keys;
      } finally {
        memory.free(address, footer.indexEntryBytes);
      }
    } finally {
      file.closeSync();
    }
  }

  /** The index key of a page: at or below its first key, above the keys of the page before unless the first is the last of those. Not to be changed. */
  key(page: number): Uint8Array {
    return this.#entries.subarray(this.#at[page]! + ENTRY_BYTES, this.#at[page + 1]);
  }

  /** Where a page begins in the file, bytes; of `count`: where the pages end. */
  position(page: number): number {
    return this.#positions[page]!;
  }
}
