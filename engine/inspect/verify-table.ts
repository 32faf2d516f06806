/**
 * Compares a table file with itself and with what the manifest says of it: every byte against its checksum, every entry against its place in
 * the order, its tag, the index and the filter, the properties against the entries, and every value that its pointers lead to.
 */
import {
  EXPIRY_BYTES,
  FILTER_BLOCK_BYTES,
  FLAG_EXPIRES,
  KEY_BYTES_MAX,
  KIND_DELETE,
  KIND_POINTER,
  KIND_PUT,
  PAGE_BYTES,
  POINTER_BYTES,
  STORED_UNIT_BYTES,
} from '../../assembly/memory-map.ts';
import type { File, FileSystem, Zstd } from '../../base/env.ts';
import { keyspaceOf } from '../keyspace-key.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import {
  corruptTable,
  decodeProperties,
  filterBlocksIn,
  openTableFile,
  readFilter,
  readFooter,
  readIndex,
  readTableBytes,
  readTop,
  tableFileName,
  tableLayout,
  type TableFooter,
  type TableMeta,
  type TableProperties,
} from '../table/index.ts';
import type { Findings } from './findings.ts';
import { STEP_BYTES, type Steps } from './steps.ts';
import { readPages, type TableEntry, type TablePage } from './table-pages.ts';
import { decodePointer, type ValueCheck } from './value-check.ts';

const CONTINUES = 1;
/** Of an index entry's flags (assembly/table-index.ts). */
const STORED_SHIFT = 3;
/** So many deletes make a page dense, or half of its entries. */
const DENSE_DELETES = 100;
/** At most so many entries fit a page. */
const PAGE_ENTRIES_MAX = 640;

export interface TableTotals {
  entries: number;
  values: number;
  valueBytes: number;
  /** Ids of the keyspaces that entries are in. */
  readonly keyspaces: Set<number>;
}

export interface TableToVerify {
  readonly memory: LinearMemory;
  readonly fileSystem: FileSystem;
  readonly zstd: Zstd | undefined;
  readonly directory: string;
  readonly table: TableMeta;
  readonly values: ValueCheck;
  readonly findings: Findings;
}

export function* verifyTable(parts: TableToVerify): Steps<TableTotals> {
  const { memory, fileSystem, directory, table, findings } = parts;
  const path = `${directory}/${tableFileName(table.fileId)}`;
  const totals = { entries: 0, values: 0, valueBytes: 0, keyspaces: new Set<number>() };
  let file: File;
  try {
    file = openTableFile(fileSystem, path);
  } catch (error) {
    findings.caught(error, path);
    return totals;
  }
  const sections = new Sections(memory, path, table, findings);
  try {
    sections.load(file);
    const walk = new PageWalk(parts, path, sections, totals);
    let looked = sections.bytes;
    const known = { packed: sections.packed, zstd: parts.zstd, storedBytes: sections.storedBytes };
    for (const page of readPages(memory, file, table.fileId, table.pages, known)) {
      looked += page.bytes + walk.page(page);
      if (looked < STEP_BYTES) continue;
      yield looked;
      looked = 0;
    }
    walk.end();
    yield looked;
  } catch (error) {
    findings.caught(error, path);
  } finally {
    sections.free();
    file.closeSync();
  }
  return totals;
}

/** What stands behind the pages. Each part that is sound is used to check the pages; the others have been reported. */
class Sections {
  readonly #memory: LinearMemory;
  readonly #path: string;
  readonly #table: TableMeta;
  readonly #findings: Findings;
  #address = 0;
  #capacity = 0;
  packed = false;
  /** Address of the next index entry, and where they end; 0: there is no index to compare with. */
  #indexAt = 0;
  #indexEnd = 0;
  filter = 0;
  filterBlocks = 0;
  properties: TableProperties | undefined;
  bytes = 0;

  constructor(memory: LinearMemory, path: string, table: TableMeta, findings: Findings) {
    this.#memory = memory;
    this.#path = path;
    this.#table = table;
    this.#findings = findings;
  }

  get indexLeft(): boolean {
    return this.#indexAt !== this.#indexEnd;
  }

  load(file: File): void {
    const path = this.#path;
    let footer: TableFooter;
    try {
      footer = readFooter(file, path, this.#table.fileId);
    } catch (error) {
      this.#findings.caught(error, path);
      return;
    }
    const layout = tableLayout(footer);
    if (layout.fileBytes !== this.#table.bytes || footer.pages !== this.#table.pages) {
      const { pages, bytes } = this.#table;
      this.#findings.problem(path, layout.footer, `the manifest knows it with ${pages} pages and ${bytes} bytes`);
    }
    this.bytes = layout.fileBytes - layout.filter;
    this.packed = footer.packed;
    const blocks = filterBlocksIn(footer.filterBytes);
    const indexAt = blocks * FILTER_BLOCK_BYTES;
    this.#capacity = indexAt + footer.indexEntryBytes;
    this.#address = this.#memory.allocate(this.#capacity);
    const source = { memory: this.#memory, file, path, footer };
    this.#attempt(() => {
      readFilter(source, this.#address);
      this.filter = this.#address;
      this.filterBlocks = blocks;
    });
    this.#attempt(() => {
      readIndex(source, this.#address + indexAt);
      this.#indexAt = this.#address + indexAt;
      this.#indexEnd = this.#indexAt + footer.indexEntryBytes;
    });
    this.#attempt(() => void readTop(source));
    this.#attempt(() => {
      const bytes = new Uint8Array(footer.propertiesBytes);
      readTableBytes(file, path, bytes, 0, bytes.length, layout.properties);
      this.properties = decodeProperties(bytes, footer, path, layout.properties);
    });
  }

  /** Bytes in the file of the page whose index entry is the next; undefined when there is no index. */
  readonly storedBytes = (): number | undefined => {
    const at = this.#indexAt;
    if (at === 0 || at + 4 > this.#indexEnd) return undefined;
    return (this.#memory.view.getUint16(at + 2, true) >>> STORED_SHIFT) * STORED_UNIT_BYTES || PAGE_BYTES;
  };

  /** The index entry of the next page. */
  nextKey(page: number): { key: Uint8Array; continues: boolean } | undefined {
    if (this.#indexAt === 0) return undefined;
    const { u8, view } = this.#memory;
    const at = this.#indexAt;
    const keyBytes = at + 4 <= this.#indexEnd ? view.getUint16(at, true) : 0;
    if (keyBytes === 0 || at + 4 + keyBytes > this.#indexEnd)
      throw corruptTable(this.#path, page * PAGE_BYTES, `the index has no entry for page ${page}`);
    this.#indexAt = at + 4 + keyBytes;
    return { key: u8.slice(at + 4, at + 4 + keyBytes), continues: (view.getUint16(at + 2, true) & CONTINUES) !== 0 };
  }

  free(): void {
    if (this.#capacity > 0) this.#memory.free(this.#address, this.#capacity);
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#findings.caught(error, this.#path);
    }
  }
}

/** Goes through the pages in order and remembers what the next one must follow. */
class PageWalk {
  readonly #parts: TableToVerify;
  readonly #path: string;
  readonly #sections: Sections;
  readonly #totals: TableTotals;
  /** Room to put keys together, and for their hashes. */
  readonly #key: number;
  readonly #hashes: number;
  readonly #references = new Map<number, number>();
  #last: TableEntry | undefined;
  /** The last key is not known: the page before is damaged. */
  #gap = false;
  #damaged = false;
  #tombstones = 0;
  #distinctKeys = 0;
  #keyBytes = 0;
  #valueBytes = 0;
  #minSequence = Infinity;
  #maxSequence = 0;
  #smallest: Uint8Array | undefined;
  #densePages = 0;
  readonly #expiring = { entries: 0, bytes: 0, earliestMs: Infinity, latestMs: 0 };

  constructor(parts: TableToVerify, path: string, sections: Sections, totals: TableTotals) {
    this.#parts = parts;
    this.#path = path;
    this.#sections = sections;
    this.#totals = totals;
    this.#key = parts.memory.allocateSmall(KEY_BYTES_MAX + 128);
    this.#hashes = parts.memory.allocateSmall(PAGE_ENTRIES_MAX * 8);
  }

  /** Returns how many bytes of values it has read. */
  page(page: TablePage): number {
    const index = this.#sections.nextKey(page.page);
    if (page.entries === undefined) {
      this.#problem(page.offset, page.problem!);
      this.#gap = this.#damaged = true;
      return 0;
    }
    this.#checkIndex(page, index);
    this.#checkHashes(page);
    noteKeyspaces(this.#totals.keyspaces, page.entries);
    let valueBytes = 0;
    for (const entry of page.entries) valueBytes += this.#entry(page, entry);
    const deletes = page.entries.filter(({ kind }) => kind === KIND_DELETE).length;
    if (deletes >= DENSE_DELETES || deletes * 2 >= page.entries.length) this.#densePages++;
    return valueBytes;
  }

  end(): void {
    const { table, memory } = this.#parts;
    memory.freeSmall(this.#key, KEY_BYTES_MAX + 128);
    memory.freeSmall(this.#hashes, PAGE_ENTRIES_MAX * 8);
    if (this.#damaged) return;
    if (this.#sections.indexLeft) this.#problem(table.pages * PAGE_BYTES, 'the index has more entries than there are pages');
    const found = {
      entries: this.#totals.entries,
      tombstones: this.#tombstones,
      minSequence: this.#minSequence,
      maxSequence: this.#maxSequence,
      smallest: hex(this.#smallest),
      largest: hex(this.#last?.key),
      densePages: this.#densePages,
      expiring: expiringText(this.#expiring.entries > 0 ? this.#expiring : undefined),
      references: [...this.#references]
        .toSorted(([a], [b]) => a - b)
        .map(([segment, bytes]) => `${segment}:${bytes}`)
        .join(' '),
    };
    this.#compare('the manifest', stated(table), found);
    const { properties } = this.#sections;
    if (!properties) return;
    const { distinctKeys, keyBytes, valueBytes, pinnedBytes, clearedTo } = properties;
    const sums = { distinctKeys: this.#distinctKeys, keyBytes: this.#keyBytes, valueBytes: this.#valueBytes };
    this.#compare('its properties', { ...stated(properties), distinctKeys, keyBytes, valueBytes }, { ...found, ...sums });
    if (table.pinnedBytes !== pinnedBytes || table.clearedTo !== clearedTo) {
      this.#problem(
        0,
        'the manifest and its properties differ in the bytes that only snapshots keep, or in the range deletes that were applied',
      );
    }
  }

  #checkIndex(page: TablePage, index: { key: Uint8Array; continues: boolean } | undefined): void {
    if (index === undefined) return;
    const first = page.entries![0]!.key;
    const last = this.#gap ? undefined : this.#last?.key;
    const above = Buffer.compare(index.key, first) > 0;
    const within = last !== undefined && (index.continues ? Buffer.compare(index.key, last) !== 0 : Buffer.compare(index.key, last) <= 0);
    if (above || within || (index.continues && Buffer.compare(index.key, first) !== 0)) {
      this.#problem(page.offset, `the index's key for page ${page.page} does not part it from the page before`);
    }
  }

  #checkHashes({ page, offset, address }: TablePage): void {
    const { kernel, u8 } = this.#parts.memory;
    const count = kernel['pageHashes']!(address, this.#key, this.#hashes);
    for (let i = 0; i < count; i++) {
      // Bits 40 to 47 of a hash.
      if (u8[address + 16 + i] !== u8[this.#hashes + 8 * i + 5]) {
        this.#problem(offset, `a tag of page ${page} is not its key's`);
        break;
      }
    }
    const { filter, filterBlocks } = this.#sections;
    if (filter !== 0 && kernel['filterCount']!(filter, filterBlocks, this.#hashes, count) !== count) {
      this.#problem(offset, `the filter lacks a key of page ${page}`);
    }
  }

  #entry({ page, offset }: TablePage, entry: TableEntry): number {
    const last = this.#last;
    const order = last === undefined ? -1 : Buffer.compare(last.key, entry.key);
    if (order > 0 || (order === 0 && last!.sequence <= entry.sequence)) this.#problem(offset, `entries of page ${page} are out of order`);
    if (order !== 0) this.#distinctKeys++;
    this.#last = entry;
    this.#gap = false;
    this.#smallest ??= entry.key;
    this.#totals.entries++;
    this.#keyBytes += entry.key.length;
    this.#valueBytes += entry.value.length;
    this.#minSequence = Math.min(this.#minSequence, entry.sequence);
    this.#maxSequence = Math.max(this.#maxSequence, entry.sequence);
    if (entry.flags & ~FLAG_EXPIRES) this.#problem(offset, `page ${page} holds a record with unknown flags ${entry.flags}`);
    if (entry.flags & FLAG_EXPIRES && !this.#expires(entry))
      this.#problem(offset, `page ${page} holds a record that expires and does not say when`);
    if (entry.kind === KIND_DELETE) this.#tombstones++;
    else if (entry.kind === KIND_POINTER) return this.#pointer(offset, entry);
    else if (entry.kind !== KIND_PUT) this.#problem(offset, `page ${page} holds a record of unknown kind ${entry.kind}`);
    return 0;
  }

  #expires({ key, value }: TableEntry): boolean {
    if (value.length < EXPIRY_BYTES) return false;
    const expiring = this.#expiring;
    const atMs = Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
    expiring.entries++;
    expiring.bytes += key.length + value.length;
    expiring.earliestMs = Math.min(expiring.earliestMs, atMs);
    expiring.latestMs = Math.max(expiring.latestMs, atMs);
    return true;
  }

  #pointer(offset: number, { value }: TableEntry): number {
    const { values, findings } = this.#parts;
    if (value.length < POINTER_BYTES) {
      this.#problem(offset, `a pointer has ${value.length} bytes`);
      return 0;
    }
    const place = decodePointer(value.subarray(value.length - POINTER_BYTES));
    this.#references.set(place.segment, (this.#references.get(place.segment) ?? 0) + place.bytes);
    this.#totals.values++;
    this.#totals.valueBytes += place.bytes;
    const wrong = values.check(value.subarray(value.length - POINTER_BYTES));
    if (wrong !== undefined) findings.problem(values.pathOf(place.segment), place.offset, `a value of ${place.bytes} bytes: ${wrong}`);
    return place.bytes;
  }

  #compare(whose: string, stated: Readonly<Record<string, unknown>>, found: Readonly<Record<string, unknown>>): void {
    for (const [field, value] of Object.entries(found)) {
      if (stated[field] !== value) this.#problem(0, `${whose} states ${field} ${String(stated[field])}, its entries have ${String(value)}`);
    }
  }

  #problem(offset: number, what: string): void {
    this.#parts.findings.problem(this.#path, offset, what);
  }
}

/** Entries are in order: where the first and the last are of one keyspace, all are. */
function noteKeyspaces(keyspaces: Set<number>, entries: readonly TableEntry[]): void {
  const [first, last] = [keyspaceOf(entries[0]!.key), keyspaceOf(entries.at(-1)!.key)];
  keyspaces.add(first);
  if (first !== last) for (const { key } of entries) keyspaces.add(keyspaceOf(key));
}

/** What the manifest and the properties both state of a table's entries. */
type Stated = Omit<TableMeta, 'fileId' | 'bytes' | 'pages' | 'pinnedBytes' | 'clearedTo'>;

function stated(facts: Stated): Record<string, unknown> {
  const { entries, tombstones, minSequence, maxSequence, smallest, largest, densePages, expiring, references } = facts;
  return {
    entries,
    tombstones,
    minSequence,
    maxSequence,
    smallest: hex(smallest),
    largest: hex(largest),
    densePages,
    expiring: expiringText(expiring),
    references: references.map(({ segment, bytes }) => `${segment}:${bytes}`).join(' '),
  };
}

function expiringText(expiring: TableMeta['expiring']): string {
  if (expiring === undefined) return 'nothing';
  return `${expiring.entries} entries, ${expiring.bytes} bytes, ${expiring.earliestMs} to ${expiring.latestMs} ms`;
}

function hex(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : Buffer.from(bytes).toString('hex');
}
