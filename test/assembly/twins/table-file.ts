/** The twin of what a table file has besides plain pages (assembly/page-pack.ts, filter.ts, index-pages.ts), written from docs/formats/table.md. */
import { xxh64 } from '../../../base/xxh64.ts';
import { buildFilter } from './filter.ts';
import { compressLz4 } from './lz4.ts';
import { type BuiltPages, buildPages } from './page-builder.ts';
import { encodePage, PAGE_BYTES } from './page.ts';
import { decodeIndex } from './table-index.ts';

const PACKED_BYTES_MAX = 7168;

/** What stands in the file for a page: itself, or packed by LZ4 when that is worth it. */
export function packPage(page: Uint8Array, fileId: number, number: number): Uint8Array {
  const block = compressLz4(page.subarray(8), PACKED_BYTES_MAX - 16);
  if (block === undefined) return page;
  const packed = new Uint8Array(Math.ceil((16 + block.length) / 8) * 8);
  const view = new DataView(packed.buffer);
  view.setUint16(8, 16 + block.length, true);
  view.setUint16(10, 0xffff, true);
  view.setUint32(12, 1, true);
  packed.set(block, 16);
  return withCheck(packed, fileId, number);
}

export function filterPages(filter: Uint8Array, fileId: number, firstPage: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(filter.length / 8160) }, (_, i) => {
    const blocks = filter.subarray(i * 8160, (i + 1) * 8160);
    const page = new Uint8Array(PAGE_BYTES);
    page.set(blocks, 32);
    return withCheck(page, fileId, firstPage + i).subarray(0, 32 + blocks.length);
  });
}

/** Pages of data, filter, index and top: all of a table that comes before the properties. */
export function encodeTable(built: BuiltPages, fileId: number, packed: boolean): Uint8Array {
  const pages = built.pages.map((page, number) => (packed ? packPage(page, fileId, number) : page));
  const filter = filterPages(buildFilter(built.hashes, 12), fileId, pages.length);
  let position = 0;
  const entries = decodeIndex(built.index).map(({ key, continues }, i) => {
    const units = pages[i]!.length === PAGE_BYTES ? 0 : pages[i]!.length / 8;
    const entry = {
      key,
      sequence: position + units * 2 ** 40,
      kind: units === 0 ? 1 : 2,
      flags: continues ? 8 : 0,
      value: new Uint8Array(0),
    };
    position += pages[i]!.length / 8;
    return entry;
  });
  const index = buildPages(entries, fileId);
  let first = 0;
  const firstPages: number[] = [];
  const indexPages = index.groups.map((group, i) => {
    firstPages.push(first);
    const page = encodePage(group, fileId, pages.length + filter.length + i, (first | 0x80000000) >>> 0);
    first += group.length;
    return page;
  });
  const last = indexPages.length - 1;
  indexPages[last] = indexPages[last]!.subarray(0, Math.ceil((indexPages[last]!.findLastIndex((byte) => byte !== 0) + 1) / 8) * 8);
  const top = Buffer.alloc(Math.ceil(index.index.length / 4) * 4 + 4 * firstPages.length);
  top.set(index.index);
  for (const [i, page] of firstPages.entries()) top.writeUInt32LE(page, top.length - 4 * (firstPages.length - i));
  return Buffer.concat([...pages, ...filter, ...indexPages, top]);
}

function withCheck(page: Uint8Array, fileId: number, number: number): Uint8Array {
  const check = xxh64(page, 8, page.length - 8, number, fileId);
  new DataView(page.buffer).setUint32(0, check.low, true);
  new DataView(page.buffer).setUint32(4, check.high, true);
  return page;
}
