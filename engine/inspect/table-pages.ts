/**
 * The pages of a table file one after another, each with its entries or with what is wrong with it. For inspection and repair: nothing but the
 * page's own checksum is trusted, neither index nor footer is needed to find pages that are sound, and a page is taken apart with every length checked.
 */
import { BLOCK_BYTES, PACKED_HEADER_BYTES, PACKED_MARK, PAGE_BYTES, STORED_UNIT_BYTES } from '../../assembly/memory-map.ts';
import type { File, Zstd } from '../../base/env.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { isSystemError } from './findings.ts';
import { unpackPage } from '../table/index.ts';

const HEADER_BYTES = 16;
const BODY_BYTES = 8;
const BLOCK_PAGES = BLOCK_BYTES / PAGE_BYTES;
const END_OF_FILE = -1;
/** So many packed pages in a row may be damaged without an index, and those behind them are found. */
const DAMAGED_PAGES_MAX = 4;

/** One version of a key, as a page holds it. */
export interface TableEntry {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly kind: number;
  readonly flags: number;
  /** As stored: of a pointer its 24 bytes. */
  readonly value: Uint8Array;
}

export interface TablePage {
  readonly page: number;
  readonly offset: number;
  readonly bytes: number;
  /** Where it lies in linear memory until the next one is asked for. */
  readonly address: number;
  /** In order; undefined: the page is damaged. */
  readonly entries: readonly TableEntry[] | undefined;
  /** It is sound and none of data: filter or index begin here. */
  readonly behindData?: boolean;
  /** What is wrong with it. */
  readonly problem: string | undefined;
}

/** What is known of a table's pages beside their number. */
export interface PagesKnown {
  /** Some may be packed. */
  readonly packed: boolean;
  readonly zstd: Zstd | undefined;
  /** Bytes that a page takes in the file, where the index says so. */
  readonly storedBytes?: (page: number) => number | undefined;
}

/** Reads `pages` pages from the file's start, fewer when it ends before. */
export function* readPages(
  memory: LinearMemory,
  file: Pick<File, 'readSync'>,
  fileId: number,
  pages: number,
  known: PagesKnown,
): Generator<TablePage, void, void> {
  if (known.packed) yield* readPackedPages(memory, file, fileId, pages, known);
  else yield* readPlainPages(memory, file, fileId, pages);
}

function* readPlainPages(
  memory: LinearMemory,
  file: Pick<File, 'readSync'>,
  fileId: number,
  pages: number,
): Generator<TablePage, void, void> {
  const buffer = memory.allocate(BLOCK_BYTES);
  const { kernel, u8 } = memory;
  try {
    for (let first = 0; first < pages; first += BLOCK_PAGES) {
      const wanted = Math.min(BLOCK_PAGES, pages - first);
      const { got, error } = readBlock(file, u8, buffer, wanted * PAGE_BYTES, first * PAGE_BYTES);
      for (let i = 0; i < wanted; i++) {
        const page = first + i;
        const address = buffer + i * PAGE_BYTES;
        const place = { page, offset: page * PAGE_BYTES, bytes: PAGE_BYTES, address };
        if (error !== undefined) {
          yield { ...place, entries: undefined, problem: `page ${page} cannot be read: ${error}` };
          continue;
        }
        if (got < (i + 1) * PAGE_BYTES) {
          yield { ...place, entries: undefined, problem: `the file ends before page ${page} does` };
          return;
        }
        if (kernel['pagesVerify']!(address, 1, fileId, page) === 1) yield decoded(memory, place);
        else yield { ...place, entries: undefined, problem: `page ${page} does not match its checksum` };
      }
    }
  } finally {
    memory.free(buffer, BLOCK_BYTES);
  }
}

/** A block that the disk does not give is damage like any other: the pages behind it may still be there. */
function readBlock(
  file: Pick<File, 'readSync'>,
  target: Uint8Array,
  at: number,
  bytes: number,
  position: number,
): { got: number; error: string | undefined } {
  try {
    return { got: file.readSync(target, at, bytes, position), error: undefined };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return { got: 0, error: error.message };
  }
}

/** Each page says how long it is. Behind a damaged one the next is where the index says, or else where a sound one is found. */
function* readPackedPages(
  memory: LinearMemory,
  file: Pick<File, 'readSync'>,
  fileId: number,
  pages: number,
  { zstd, storedBytes }: PagesKnown,
): Generator<TablePage, void, void> {
  const stored = memory.allocate(PAGE_BYTES);
  const address = memory.allocate(PAGE_BYTES);
  /** Puts the page at `address`. Returns its bytes in the file; 0: there is no sound page of this number; END_OF_FILE. */
  const load = (offset: number, page: number): number => {
    const { kernel, u8, u16 } = memory;
    const { got } = readBlock(file, u8, stored, PAGE_BYTES, offset);
    const packed = got >= PACKED_HEADER_BYTES && u16[(stored + 10) >>> 1] === PACKED_MARK;
    const bytes = packed ? Math.ceil(u16[(stored + 8) >>> 1]! / STORED_UNIT_BYTES) * STORED_UNIT_BYTES : PAGE_BYTES;
    if (got === 0) return END_OF_FILE;
    if (bytes > got) return 0;
    if (packed) return unpackPage(memory, zstd, { address: stored, stored: bytes }, { address, fileId, number: page }) ? bytes : 0;
    u8.copyWithin(address, stored, stored + PAGE_BYTES);
    return kernel['pagesVerify']!(address, 1, fileId, page) === 1 ? bytes : 0;
  };
  try {
    for (let page = 0, offset = 0; page < pages; page++) {
      const bytes = load(offset, page);
      if (bytes > 0) {
        yield decoded(memory, { page, offset, bytes, address });
        offset += bytes;
        continue;
      }
      const behind = storedBytes?.(page);
      const next = behind === undefined ? nextPage(load, offset, page, pages) : { page: page + 1, offset: offset + behind };
      const problem = `page ${page} does not match its checksum`;
      if (next === undefined) {
        yield { page, offset, bytes: 0, address, entries: undefined, problem: `${problem}, and no page behind it is found` };
        return;
      }
      // Damaged pages that are not told apart count as one after another, each with its part of what they take.
      const bytesEach = (next.offset - offset) / (next.page - page);
      for (; page < next.page; page++, offset += bytesEach) {
        yield {
          page,
          offset: Math.floor(offset),
          bytes: bytesEach,
          address,
          entries: undefined,
          problem: `page ${page} does not match its checksum`,
        };
      }
      page--;
      offset = next.offset;
    }
  } finally {
    memory.free(stored, PAGE_BYTES);
    memory.free(address, PAGE_BYTES);
  }
}

/**
 * The next sound page behind the damaged one at `offset`: the one after it, wherever it begins within a page's length; or, as in a table without
 * packed pages, any that is as many whole pages further on; or one of the few after it, wherever it begins.
 */
function nextPage(
  load: (offset: number, page: number) => number,
  offset: number,
  page: number,
  pages: number,
): { page: number; offset: number } | undefined {
  let ended = false;
  const find = (ahead: number, step: number, from: number): { page: number; offset: number } | undefined => {
    for (let bytes = from; bytes <= ahead * PAGE_BYTES; bytes += step) {
      const loaded = load(offset + bytes, page + ahead);
      if (loaded > 0) return { page: page + ahead, offset: offset + bytes };
      ended = loaded === END_OF_FILE;
      if (ended) break;
    }
    return undefined;
  };
  const near = Math.min(DAMAGED_PAGES_MAX, pages - 1 - page);
  let found = near > 0 ? find(1, STORED_UNIT_BYTES, STORED_UNIT_BYTES) : undefined;
  for (let ahead = 2; !found && !ended && page + ahead < pages; ahead++) found = find(ahead, PAGE_BYTES, ahead * PAGE_BYTES);
  for (let ahead = 2; !found && ahead <= near; ahead++) found = find(ahead, STORED_UNIT_BYTES, STORED_UNIT_BYTES);
  return found;
}

function decoded(memory: LinearMemory, place: { page: number; offset: number; bytes: number; address: number }): TablePage {
  const page = memory.u8.subarray(place.address, place.address + PAGE_BYTES);
  // Filter pages have no entries, index pages a word of their own.
  if ((page[8] === 0 && page[9] === 0) || page.subarray(12, 16).some((byte) => byte !== 0)) {
    return { ...place, entries: undefined, behindData: true, problem: `page ${place.page} is none of data` };
  }
  const entries = decodePage(page);
  return entries ? { ...place, entries, problem: undefined } : { ...place, entries, problem: `page ${place.page} is not well-formed` };
}

/** The entries of a page (docs/formats/table.md), copied out; undefined when lengths and offsets do not add up. */
export function decodePage(page: Uint8Array): TableEntry[] | undefined {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const count = view.getUint16(8, true);
  const prefixBytes = view.getUint16(10, true);
  const slots = HEADER_BYTES + Math.ceil(count / 16) * 16;
  const prefixAt = slots + (count + 1) * 4;
  let at = prefixAt + prefixBytes;
  if (count === 0 || at > page.length) return undefined;
  const entries: TableEntry[] = [];
  for (let slot = slots; entries.length < count; slot += 4) {
    const suffixBytes = view.getUint16(slot + 2, true);
    const body = at + suffixBytes;
    const end = view.getUint16(slot + 4, true);
    if (view.getUint16(slot, true) !== at || body + BODY_BYTES > end || end > page.length) return undefined;
    const key = new Uint8Array(prefixBytes + suffixBytes);
    key.set(page.subarray(prefixAt, prefixAt + prefixBytes));
    key.set(page.subarray(at, body), prefixBytes);
    const high = view.getUint32(body + 4, true);
    entries.push({
      key,
      sequence: (high & 0x1fffff) * 2 ** 32 + view.getUint32(body, true),
      kind: (high >>> 24) & 15,
      flags: high >>> 28,
      value: page.slice(body + BODY_BYTES, end),
    });
    at = end;
  }
  return entries;
}
