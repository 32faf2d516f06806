/**
 * A table file, `NNNNNN.table`: an immutable sorted run. Little-endian. Format and a worked example: docs/formats/table.md.
 *
 *   | page x pages | filter page x f | index page x i | top | properties | footer |
 *
 *   page:        8 KiB (assembly/page.ts), or packed (assembly/page-pack.ts), one behind another
 *   filter page: 8 KiB, the last one without what is not used of it    (assembly/filter.ts)
 *   index page:  8 KiB, the last one without the zeros at its end      (assembly/index-pages.ts)
 *   top:         | key bytes u16 | flags u16 | key | x i, zeros to a multiple of 4 | first page u32 x i |    the index of the index pages, and the
 *                page of data that the first entry of each is for
 *   properties:  | entries u32 | tombstones u32 | distinct keys u32 | reserved u32 |
 *                | smallest sequence u64 | largest sequence u64 | key bytes u64 | value bytes u64 |
 *                | smallest key bytes u16 | largest key bytes u16 | segments u32 | expiring entries u32 | dense pages u32 |
 *                | expiring bytes u64 | earliest expiry u64 | latest expiry u64 | pinned bytes u64 | cleared to u64 |
 *                | smallest key | largest key |
 *                | segment id u32 | bytes u64 | x segments              large values that the table's pointers lead to
 *   footer:      | version u16 | flags u16 | file id u32 | pages u32 | filter kind u32 |
 *                | bytes of all pages u64 | filter bytes u32 | index bytes u32 | top bytes u32 | properties bytes u32 |
 *                | bytes of index entries in memory u32 | reserved u32 | top check u64 | properties check u64 | footer check u64 | magic "SPKVTBL1" |
 *                flags: bit 0 PACKED: some page of data is packed
 *
 * Pages are numbered through: those of data from 0, then those of the filter, then those of the index; each has a check of its own, whose seed
 * is (file id << 32 | number). Of the other checks the seed's lower half names the section (SECTION_*). So neither a table under another name
 * nor a part in another's place passes. All are XXH64; the footer's is of all before it.
 * Reserved fields and flags are 0; a reader refuses a version, flag or filter kind that it does not know.
 */
import {
  FILTER_BLOCK_BYTES,
  FILTER_PAGE_BLOCKS,
  FILTER_PAGE_HEADER_BYTES,
  PAGE_BYTES,
  STORED_UNIT_BYTES,
} from '../../assembly/memory-map.ts';
import { SparrowError } from '../../base/errors.ts';
import { newerFormat, olderFormat } from '../../base/format-version.ts';
import { xxh64, type Xxh64 } from '../../base/xxh64.ts';
import type { Expiring, SegmentReference, TableMeta } from './table-meta.ts';

export const TABLE_VERSION = 2;
export const FOOTER_BYTES = 80;
export const SECTION_TOP = 0xffffffff;
export const SECTION_PROPERTIES = 0xfffffffd;
export const SECTION_FOOTER = 0xfffffffc;
/** Split-block Bloom. */
export const FILTER_SPLIT_BLOCK = 1;
const PROPERTIES_HEADER_BYTES = 104;
const REFERENCE_BYTES = 12;
const FLAG_PACKED = 1;
const MAGIC: Uint8Array = new TextEncoder().encode('SPKVTBL1');

export interface TableFooter {
  readonly fileId: number;
  /** Pages of data. */
  readonly pages: number;
  /** Whether some of them are packed. */
  readonly packed: boolean;
  /** What they take in the file. */
  readonly pageBytes: number;
  readonly filterBytes: number;
  readonly indexBytes: number;
  /** What the index takes in memory as a row of entries. */
  readonly indexEntryBytes: number;
  readonly topBytes: number;
  readonly propertiesBytes: number;
  readonly topCheck: Xxh64;
  readonly propertiesCheck: Xxh64;
}

export interface TableProperties {
  readonly entries: number;
  readonly tombstones: number;
  readonly distinctKeys: number;
  readonly minSequence: number;
  readonly maxSequence: number;
  /** Sums over all entries, uncompressed. */
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly densePages: number;
  readonly pinnedBytes: number;
  readonly clearedTo: number;
  readonly expiring?: Expiring;
  readonly smallest: Uint8Array;
  readonly largest: Uint8Array;
  readonly references: readonly SegmentReference[];
}

/** Where the sections of a table lie in its file. */
export interface TableLayout {
  readonly filter: number;
  readonly index: number;
  readonly top: number;
  readonly properties: number;
  readonly footer: number;
  readonly fileBytes: number;
}

export function tableFileName(fileId: number): string {
  return `${String(fileId).padStart(6, '0')}.table`;
}

/** How many pages a section of pages has whose last one may be shorter. */
export function sectionPages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}

/** Blocks of a filter whose pages take `filterBytes`. */
export function filterBlocksIn(filterBytes: number): number {
  return (filterBytes - sectionPages(filterBytes) * FILTER_PAGE_HEADER_BYTES) / FILTER_BLOCK_BYTES;
}

export function tableLayout(
  sizes: Pick<TableFooter, 'pageBytes' | 'filterBytes' | 'indexBytes' | 'topBytes' | 'propertiesBytes'>,
): TableLayout {
  const filter = sizes.pageBytes;
  const index = filter + sizes.filterBytes;
  const top = index + sizes.indexBytes;
  const properties = top + sizes.topBytes;
  const footer = properties + sizes.propertiesBytes;
  return { filter, index, top, properties, footer, fileBytes: footer + FOOTER_BYTES };
}

export function encodeFooter(footer: TableFooter): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, TABLE_VERSION, true);
  view.setUint16(2, footer.packed ? FLAG_PACKED : 0, true);
  view.setUint32(4, footer.fileId, true);
  view.setUint32(8, footer.pages, true);
  view.setUint32(12, FILTER_SPLIT_BLOCK, true);
  view.setBigUint64(16, BigInt(footer.pageBytes), true);
  view.setUint32(24, footer.filterBytes, true);
  view.setUint32(28, footer.indexBytes, true);
  view.setUint32(32, footer.topBytes, true);
  view.setUint32(36, footer.propertiesBytes, true);
  view.setUint32(40, footer.indexEntryBytes, true);
  putCheck(view, 48, footer.topCheck);
  putCheck(view, 56, footer.propertiesCheck);
  putCheck(view, 64, xxh64(bytes, 0, 64, SECTION_FOOTER, footer.fileId));
  bytes.set(MAGIC, 72);
  return bytes;
}

/**
 * Decodes the last FOOTER_BYTES of `path`, whose size is `fileBytes`. `corrupt/CORRUPT_TABLE` when they are not what was written there,
 * `invalid/FORMAT_OLDER` or `invalid/FORMAT_NEWER` for another version.
 */
export function decodeFooter(bytes: Uint8Array, fileId: number, path: string, fileBytes: number): TableFooter {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = fileBytes - FOOTER_BYTES;
  if (bytes.length !== FOOTER_BYTES || MAGIC.some((byte, i) => bytes[72 + i] !== byte))
    throw corruptTable(path, at, 'it does not end as a table does');
  if (!sameCheck(getCheck(view, 64), xxh64(bytes, 0, 64, SECTION_FOOTER, fileId))) {
    throw corruptTable(path, at, 'the footer does not match its checksum, or is that of another table');
  }
  const version = view.getUint16(0, true);
  if (version < TABLE_VERSION) throw olderFormat(path, version, TABLE_VERSION);
  if (version > TABLE_VERSION) throw newerFormat(path, version, TABLE_VERSION);
  const flags = view.getUint16(2, true);
  if ((flags & ~FLAG_PACKED) !== 0 || view.getUint32(12, true) !== FILTER_SPLIT_BLOCK || view.getUint32(44, true) !== 0) {
    throw corruptTable(path, at, 'it has a flag or a filter that is not known to this program');
  }
  const footer: TableFooter = {
    fileId: view.getUint32(4, true),
    pages: view.getUint32(8, true),
    packed: (flags & FLAG_PACKED) !== 0,
    pageBytes: Number(view.getBigUint64(16, true)),
    filterBytes: view.getUint32(24, true),
    indexBytes: view.getUint32(28, true),
    topBytes: view.getUint32(32, true),
    propertiesBytes: view.getUint32(36, true),
    indexEntryBytes: view.getUint32(40, true),
    topCheck: getCheck(view, 48),
    propertiesCheck: getCheck(view, 56),
  };
  const { pages, packed, pageBytes, filterBytes } = footer;
  const plainBytes = pages * PAGE_BYTES;
  if (
    footer.fileId !== fileId ||
    tableLayout(footer).fileBytes !== fileBytes ||
    (packed ? pageBytes >= plainBytes || pageBytes % STORED_UNIT_BYTES !== 0 : pageBytes !== plainBytes) ||
    !Number.isInteger(filterBlocksIn(filterBytes)) ||
    (sectionPages(filterBytes) - 1) * FILTER_PAGE_BLOCKS >= filterBlocksIn(filterBytes)
  ) {
    throw corruptTable(path, at, 'the footer does not fit the file');
  }
  return footer;
}

export function encodeProperties(properties: TableProperties): Uint8Array {
  const { smallest, largest, references, expiring } = properties;
  const keysEnd = PROPERTIES_HEADER_BYTES + smallest.length + largest.length;
  const bytes = new Uint8Array(keysEnd + references.length * REFERENCE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, properties.entries, true);
  view.setUint32(4, properties.tombstones, true);
  view.setUint32(8, properties.distinctKeys, true);
  view.setBigUint64(16, BigInt(properties.minSequence), true);
  view.setBigUint64(24, BigInt(properties.maxSequence), true);
  view.setBigUint64(32, BigInt(properties.keyBytes), true);
  view.setBigUint64(40, BigInt(properties.valueBytes), true);
  view.setUint16(48, smallest.length, true);
  view.setUint16(50, largest.length, true);
  view.setUint32(52, references.length, true);
  view.setUint32(56, expiring?.entries ?? 0, true);
  view.setUint32(60, properties.densePages, true);
  view.setBigUint64(64, BigInt(expiring?.bytes ?? 0), true);
  view.setBigUint64(72, BigInt(expiring?.earliestMs ?? 0), true);
  view.setBigUint64(80, BigInt(expiring?.latestMs ?? 0), true);
  view.setBigUint64(88, BigInt(properties.pinnedBytes), true);
  view.setBigUint64(96, BigInt(properties.clearedTo), true);
  bytes.set(smallest, PROPERTIES_HEADER_BYTES);
  bytes.set(largest, PROPERTIES_HEADER_BYTES + smallest.length);
  for (const [i, reference] of references.entries()) {
    view.setUint32(keysEnd + i * REFERENCE_BYTES, reference.segment, true);
    view.setBigUint64(keysEnd + i * REFERENCE_BYTES + 4, BigInt(reference.bytes), true);
  }
  return bytes;
}

/** Decodes the properties section of `path`, which begins at `offset`. `corrupt/CORRUPT_TABLE` when its checksum does not match. */
export function decodeProperties(bytes: Uint8Array, footer: TableFooter, path: string, offset: number): TableProperties {
  if (
    !sameCheck(footer.propertiesCheck, sectionCheck(bytes, footer.fileId, SECTION_PROPERTIES)) ||
    bytes.length < PROPERTIES_HEADER_BYTES
  ) {
    throw corruptTable(path, offset, 'the properties do not match their checksum');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const smallestEnd = PROPERTIES_HEADER_BYTES + view.getUint16(48, true);
  const largestEnd = smallestEnd + view.getUint16(50, true);
  const referenceCount = view.getUint32(52, true);
  if (largestEnd + referenceCount * REFERENCE_BYTES !== bytes.length)
    throw corruptTable(path, offset, 'the properties are not of the size that they state');
  const wide = (at: number): number => Number(view.getBigUint64(at, true));
  const expiring = { entries: view.getUint32(56, true), bytes: wide(64), earliestMs: wide(72), latestMs: wide(80) };
  return {
    entries: view.getUint32(0, true),
    tombstones: view.getUint32(4, true),
    distinctKeys: view.getUint32(8, true),
    minSequence: wide(16),
    maxSequence: wide(24),
    keyBytes: wide(32),
    valueBytes: wide(40),
    densePages: view.getUint32(60, true),
    pinnedBytes: wide(88),
    clearedTo: wide(96),
    ...(expiring.entries > 0 && { expiring }),
    smallest: bytes.slice(PROPERTIES_HEADER_BYTES, smallestEnd),
    largest: bytes.slice(smallestEnd, largestEnd),
    references: Array.from({ length: referenceCount }, (_, i) => ({
      segment: view.getUint32(largestEnd + i * REFERENCE_BYTES, true),
      bytes: wide(largestEnd + i * REFERENCE_BYTES + 4),
    })),
  };
}

/** What the manifest is to know of a table with these properties. */
export function tableMeta(fileId: number, bytes: number, pages: number, properties: TableProperties): TableMeta {
  const { distinctKeys: _distinct, keyBytes: _keys, valueBytes: _values, ...facts } = properties;
  return { fileId, bytes, pages, ...facts };
}

/** For small sections; large ones are checked by the kernel where they lie. */
export function sectionCheck(bytes: Uint8Array, fileId: number, section: number): Xxh64 {
  return xxh64(bytes, 0, bytes.length, section, fileId);
}

export function sameCheck(a: Xxh64, b: Xxh64): boolean {
  return a.low === b.low && a.high === b.high;
}

export function corruptTable(path: string, offset: number, what: string, cause?: unknown): SparrowError {
  return new SparrowError(
    'corrupt',
    'CORRUPT_TABLE',
    `table ${path} is damaged at offset ${offset}: ${what}`,
    { file: path, offset },
    cause,
  );
}

function getCheck(view: DataView, at: number): Xxh64 {
  return { low: view.getUint32(at, true), high: view.getUint32(at + 4, true) };
}

function putCheck(view: DataView, at: number, check: Xxh64): void {
  view.setUint32(at, check.low, true);
  view.setUint32(at + 4, check.high, true);
}
