/**
 * Brings what stands behind the pages of data of a table file into linear memory, verified: the filter as blocks, the index as a row of
 * entries (assembly/table-index.ts), and the top of the index. Damage is `corrupt/CORRUPT_TABLE` with file and offset.
 */
import { PAGE_BYTES, STORED_UNIT_BYTES } from '../../assembly/memory-map.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { ReadableFile } from '../open-files.ts';
import { readTableBytes } from './read-table.ts';
import {
  corruptTable,
  filterBlocksIn,
  sameCheck,
  SECTION_TOP,
  sectionCheck,
  sectionPages,
  tableLayout,
  type TableFooter,
} from './table-format.ts';

export interface SectionSource {
  readonly memory: LinearMemory;
  readonly file: ReadableFile;
  readonly path: string;
  readonly footer: TableFooter;
}

/** The blocks of the filter, `filterBlocksIn(footer.filterBytes)` of them, at `address`. */
export function readFilter(source: SectionSource, address: number): void {
  const { footer, memory } = source;
  const section = { at: tableLayout(footer).filter, bytes: footer.filterBytes, first: footer.pages, name: 'filter' };
  withPages(source, section, (pages) => memory.kernel['filterUnpack']!(pages, address, filterBlocksIn(footer.filterBytes)));
}

/** The row of index entries, `footer.indexEntryBytes` of them, at `address`. Whether they are those of `footer.pages` pages is not looked at. */
export function readIndex(source: SectionSource, address: number): void {
  const { footer, memory, path } = source;
  const { index: at } = tableLayout(footer);
  const end = address + footer.indexEntryBytes;
  const section = { at, bytes: footer.indexBytes, first: footer.pages + sectionPages(footer.filterBytes), name: 'index' };
  withPages(source, section, (pages) => {
    if (memory.kernel['indexUnpack']!(pages, sectionPages(footer.indexBytes), address, end) === end) return;
    throw corruptTable(path, at, 'the index is not well-formed');
  });
}

/** The index of the index pages, as it stands in the file. */
export function readTop({ file, path, footer }: SectionSource): Uint8Array {
  const { top } = tableLayout(footer);
  const bytes = new Uint8Array(footer.topBytes);
  readTableBytes(file, path, bytes, 0, bytes.length, top);
  if (!sameCheck(footer.topCheck, sectionCheck(bytes, footer.fileId, SECTION_TOP))) {
    throw corruptTable(path, top, 'the top of the index does not match its checksum');
  }
  return bytes;
}

/** The top of an index, taken apart. */
export interface TableTop {
  /** A row of entries (assembly/table-index.ts), one for each index page. */
  readonly keys: Uint8Array;
  /** The page of data that the first entry of each index page is for. */
  readonly firstPages: Uint32Array;
}

export function decodeTop(bytes: Uint8Array, footer: TableFooter, path: string): TableTop {
  const count = sectionPages(footer.indexBytes);
  const keysEnd = bytes.length - 4 * count;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = 0;
  for (let i = 0; i < count && end + 2 <= keysEnd; i++) end += 4 + view.getUint16(end, true);
  const firstPages = Uint32Array.from({ length: count }, (_, i) => (keysEnd < end ? 0 : view.getUint32(keysEnd + 4 * i, true)));
  const ascending = firstPages.every((page, i) => page < footer.pages && (i === 0 ? page === 0 : page > firstPages[i - 1]!));
  if (count === 0 || end === 0 || Math.ceil(end / 4) * 4 !== keysEnd || !ascending) {
    throw corruptTable(path, tableLayout(footer).top, 'the top of the index is not well-formed');
  }
  return { keys: bytes.subarray(0, end), firstPages };
}

/** What the entry of an index page at `address` says of where its page of data is. */
export function readPlace({ view }: LinearMemory, address: number, entry: number): { position: number; stored: number } {
  const count = view.getUint16(address + 8, true);
  const slot = address + 16 + Math.ceil(count / 16) * 16 + 4 * entry;
  const body = address + view.getUint16(slot, true) + view.getUint16(slot + 2, true);
  const high = view.getUint32(body + 4, true);
  const units = view.getUint32(body, true) + (high & 0xff) * 2 ** 32;
  return { position: units * STORED_UNIT_BYTES, stored: ((high >>> 8) & 0x1fff) * STORED_UNIT_BYTES };
}

/** Reads and verifies the pages of a section, numbered from `first` on, into memory that is there for `use`. */
function withPages(
  { memory, file, path, footer }: SectionSource,
  { at, bytes, first, name }: { at: number; bytes: number; first: number; name: string },
  use: (pages: number) => void,
): void {
  const pages = sectionPages(bytes);
  const address = memory.allocate(pages * PAGE_BYTES);
  try {
    readTableBytes(file, path, memory.u8, address, bytes, at);
    // The end of the last one is zeros that are not stored.
    memory.u8.fill(0, address + bytes, address + pages * PAGE_BYTES);
    const good = memory.kernel['pagesVerify']!(address, pages, footer.fileId, first);
    if (good !== pages) throw corruptTable(path, at + good * PAGE_BYTES, `the ${name} does not match its checksum`);
    use(address);
  } finally {
    memory.free(address, pages * PAGE_BYTES);
  }
}
