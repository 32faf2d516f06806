/**
 * The pages of a table file one after another, each with its entries or with what is wrong with it. For inspection and repair: nothing but the
 * page's own checksum is trusted, neither index nor footer is needed, and a page is taken apart with every length checked.
 */
import { BLOCK_BYTES, PAGE_BYTES } from '../../assembly/memory-map.ts';
import type { File } from '../../base/env.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { isSystemError } from './findings.ts';

const HEADER_BYTES = 16;
const BODY_BYTES = 8;
const BLOCK_PAGES = BLOCK_BYTES / PAGE_BYTES;

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
  /** What is wrong with it. */
  readonly problem: string | undefined;
}

/** Reads `pages` pages from the file's start, fewer when it ends before. */
export function* readPages(
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
        if (kernel['pagesVerify']!(address, 1, fileId, page) !== 1) {
          yield { ...place, entries: undefined, problem: `page ${page} does not match its checksum` };
          continue;
        }
        const entries = decodePage(u8.subarray(address, address + PAGE_BYTES));
        yield entries ? { ...place, entries, problem: undefined } : { ...place, entries, problem: `page ${page} is not well-formed` };
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
