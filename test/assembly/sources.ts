/**
 * What scan and merge tests read from: entries in memtables and in tables built by the page builder, with a page cache so small that pages
 * go and come, and tables whose indexes load when they are asked for.
 */
import {
  FRONT,
  KIND_DELETE,
  KIND_POINTER,
  KIND_PUT,
  NEEDS_PAGE,
  NEEDS_TABLE,
  NEED_FRAME,
  NEED_PAGE,
  NEED_TABLE_HEADER,
  PAGE_BYTES,
  PAGE_CACHE_BYTES,
  TABLE_FILE_ID,
  TABLE_LARGEST,
  TABLE_HEADER_BYTES,
  TABLE_LARGEST_BYTES,
  TABLE_MAX_SEQUENCE,
  TABLE_SMALLEST,
  TABLE_SMALLEST_BYTES,
  BUILDER_BYTES,
  BUILDER_INDEX_AT,
} from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { Memtable } from '../../engine/memtable/index.ts';
import type { RangeTombstone } from '../../engine/manifest/index.ts';
import { RangeTombstones } from '../../engine/range-tombstones.ts';

export interface Version {
  key: Uint8Array;
  sequence: number;
  kind: number;
  /** As it is stored. */
  value: Uint8Array;
  flags?: number;
}

export { KIND_DELETE, KIND_POINTER, KIND_PUT };

const encoder = new TextEncoder();
export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

export function put(key: string, sequence: number, value: string = `${key}@${sequence}`): Version {
  return { key: bytesOf(key), sequence, kind: KIND_PUT, value: bytesOf(value) };
}
export function del(key: string, sequence: number): Version {
  return { key: bytesOf(key), sequence, kind: KIND_DELETE, value: new Uint8Array(0) };
}
export function range(start: string, end: string, sequence: number): RangeTombstone {
  return { start: bytesOf(start), end: bytesOf(end), sequence };
}
/** A pointer to `bytes` bytes of a segment. */
export function pointer(key: string, sequence: number, segment: number, bytes: number, offset = 0): Version {
  const value = new Uint8Array(24);
  const view = new DataView(value.buffer);
  view.setUint32(0, segment, true);
  view.setUint32(4, bytes, true);
  view.setUint32(8, offset, true);
  return { key: bytesOf(key), sequence, kind: KIND_POINTER, value };
}

export function compareVersions(a: Version, b: Version): number {
  return Buffer.compare(a.key, b.key) || b.sequence - a.sequence;
}

export function showVersion({ key, sequence, kind, flags, value }: Version): string {
  const text = Buffer.from(key).toString('latin1');
  return `${text}@${sequence} ${kind}${flags ? ` flags ${flags}` : ''} ${kind === KIND_POINTER ? Buffer.from(value).toString('hex') : Buffer.from(value).toString('latin1')}`;
}

/** Decodes pages as docs/formats/table.md draws them. */
export function readPages(bytes: Uint8Array): Version[] {
  const versions: Version[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let page = 0; page < bytes.length; page += PAGE_BYTES) {
    const count = view.getUint16(page + 8, true);
    const prefixBytes = view.getUint16(page + 10, true);
    const slots = page + 16 + Math.ceil(count / 16) * 16;
    const prefix = bytes.subarray(slots + 4 * (count + 1), slots + 4 * (count + 1) + prefixBytes);
    for (let i = 0; i < count; i++) {
      const at = page + view.getUint16(slots + 4 * i, true);
      const suffixBytes = view.getUint16(slots + 4 * i + 2, true);
      const end = page + view.getUint16(slots + 4 * (i + 1), true);
      const word = view.getBigUint64(at + suffixBytes, true);
      versions.push({
        key: Uint8Array.from([...prefix, ...bytes.subarray(at, at + suffixBytes)]),
        sequence: Number(word & 0x1fffffffffffffn),
        kind: Number((word >> 56n) & 15n),
        ...(word >> 60n !== 0n && { flags: Number(word >> 60n) }),
        value: bytes.slice(at + suffixBytes + 8, end),
      });
    }
  }
  return versions;
}

/** Pages and index of a table, outside linear memory. */
export interface TableImage {
  fileId: number;
  versions: Version[];
  pages: Uint8Array;
  pageCount: number;
  index: Uint8Array;
}

/** Builds the pages of a table from versions in any order. */
export function buildTable(memory: LinearMemory, fileId: number, versions: readonly Version[]): TableImage {
  const sorted = versions.toSorted(compareVersions);
  const { kernel, u8, u32 } = memory;
  const bytes = sorted.reduce((sum, version) => sum + version.key.length + version.value.length + 64, 0);
  const windowBytes = Math.ceil((bytes * 4) / PAGE_BYTES + 8) * PAGE_BYTES;
  const indexBytes = 32768 + bytes * 2;
  const hashesBytes = sorted.length * 8 + 64;
  const builder = memory.allocateSmall(BUILDER_BYTES);
  const window = memory.allocate(windowBytes);
  const index = memory.allocate(indexBytes);
  const hashes = memory.allocate(hashesBytes);
  const scratch = memory.allocate(65536);
  kernel['builderBegin']!(builder, fileId, window, windowBytes, index, indexBytes, hashes, hashesBytes);
  for (const { key, sequence, kind, flags, value } of sorted) {
    u8.set(key, scratch);
    u8.set(value, scratch + 8192);
    const answer = kernel['builderPut']!(builder, scratch, key.length, sequence, kind, flags ?? 0, scratch + 8192, value.length);
    if (answer !== 0) throw new Error(`the builder answered ${answer}`);
  }
  const pageCount = kernel['builderFinish']!(builder);
  const indexEnd = u32[(builder + BUILDER_INDEX_AT) >>> 2]!;
  const image = {
    fileId,
    versions: sorted,
    pages: u8.slice(window, window + pageCount * PAGE_BYTES),
    pageCount,
    index: u8.slice(index, indexEnd),
  };
  memory.free(scratch, 65536);
  memory.free(hashes, hashesBytes);
  memory.free(index, indexBytes);
  memory.free(window, windowBytes);
  memory.freeSmall(builder, BUILDER_BYTES);
  return image;
}

/** A view over sources, in one linear memory. */
export class Sources {
  readonly memory: LinearMemory;
  readonly view: number;
  readonly cache: number;
  pageLoads = 0;
  readonly #headers = new Map<number, TableImage>();
  readonly #level0: number[] = [];
  readonly #levels: number[][] = [];
  readonly #memtables: Memtable[] = [];
  readonly #ranges: RangeTombstones;

  constructor(frames: number = 80, bytes: number = 256 * 1024 * 1024) {
    this.memory = new LinearMemory(bytes);
    this.view = this.memory.allocateSmall(64);
    this.cache = this.memory.allocateSmall(PAGE_CACHE_BYTES);
    this.#ranges = new RangeTombstones(this.memory);
    const { kernel } = this.memory;
    kernel['cacheInit']!(
      this.cache,
      this.memory.allocate(frames * PAGE_BYTES),
      this.memory.allocateCleared(kernel['cacheArrayBytes']!(frames)),
      frames,
    );
    kernel['cacheBind']!(FRONT, this.cache);
  }

  /** The first one is active, later ones are sealed. */
  addMemtable(versions: readonly Version[]): Memtable {
    const memtable = new Memtable(this.memory, 1);
    memtable.newestSnapshot = Number.MAX_SAFE_INTEGER;
    this.#memtables.push(memtable);
    for (const version of versions.toSorted((a, b) => a.sequence - b.sequence)) this.write(memtable, version);
    this.#writeView();
    return memtable;
  }

  write(memtable: Memtable, version: Version): void {
    const { memory } = this;
    for (;;) {
      const frame = memtable.reserve(24 + 16 + version.key.length + version.value.length + 16);
      memory.u8.set(version.key, frame + 40);
      memory.u8.set(version.value, frame + 40 + version.key.length);
      const top = memory.kernel['memtablePut']!(
        memtable.address,
        version.key.length,
        version.value.length,
        version.kind | ((version.flags ?? 0) << 8),
        version.sequence,
        0,
        0,
        1,
      );
      if (top !== 0) return;
      memtable.addNodeChunk();
    }
  }

  /** For reads of the present and at the `pinned` sequences. */
  setRanges(tombstones: readonly RangeTombstone[], pinned: readonly number[] = []): void {
    this.#ranges.reset(tombstones, pinned);
    this.#writeView();
  }

  addLevel0(fileId: number, versions: readonly Version[]): TableImage {
    const image = buildTable(this.memory, fileId, versions);
    this.#level0.unshift(this.#open(image));
    this.#writeView();
    return image;
  }

  /** Tables in key order; no two may share a key. */
  addLevel(firstFileId: number, tables: readonly (readonly Version[])[]): void {
    this.#levels.push(tables.map((versions, i) => this.#open(buildTable(this.memory, firstFileId + i, versions))));
    this.#writeView();
  }

  /** Meets a need of a kernel in the FRONT context. */
  satisfy(answer: number): void {
    const { u8, u32, kernel } = this.memory;
    const header = u32[(FRONT + NEED_TABLE_HEADER) >>> 2]!;
    const image = this.#headers.get(header)!;
    if (answer === NEEDS_TABLE) {
      const index = this.memory.allocate(image.index.length + 64);
      u8.set(image.index, index);
      const arrays = this.memory.allocate(kernel['tableArrayBytes']!(image.pageCount));
      if (kernel['tableOpen']!(header, image.pageCount, index, image.index.length, arrays) !== 1)
        throw new Error('the index does not open');
    } else if (answer === NEEDS_PAGE) {
      this.pageLoads++;
      const page = u32[(FRONT + NEED_PAGE) >>> 2]!;
      u8.set(image.pages.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES), u32[(FRONT + NEED_FRAME) >>> 2]!);
      if (kernel['pageLoaded']!(FRONT) !== 1) throw new Error('the page does not verify');
    } else throw new Error(`unexpected answer ${answer}`);
  }

  /** Forgets every cached page. */
  dropPages(): void {
    for (const header of this.#headers.keys()) this.memory.kernel['cacheDropTable']!(this.cache, header);
  }

  #open(image: TableImage): number {
    const { memory } = this;
    const header = memory.allocateSmall(TABLE_HEADER_BYTES);
    const [first, last] = [image.versions[0]!, image.versions.at(-1)!];
    const keys = memory.allocateSmall(first.key.length + last.key.length + 64);
    memory.u8.set(first.key, keys);
    memory.u8.set(last.key, keys + first.key.length);
    const set = (offset: number, value: number): void => void (memory.u32[(header + offset) >>> 2] = value);
    set(TABLE_FILE_ID, image.fileId);
    set(TABLE_SMALLEST, keys);
    set(TABLE_SMALLEST_BYTES, first.key.length);
    set(TABLE_LARGEST, keys + first.key.length);
    set(TABLE_LARGEST_BYTES, last.key.length);
    const newest = image.versions.reduce((most, { sequence }) => Math.max(most, sequence), 0);
    memory.view.setBigUint64(header + TABLE_MAX_SEQUENCE, BigInt(newest), true);
    this.#headers.set(header, image);
    return header;
  }

  #writeView(): void {
    const { memory } = this;
    const words = memory.u32.subarray(this.view >>> 2, (this.view >>> 2) + 16);
    const list = (values: readonly number[]): number => {
      const address = memory.allocate(values.length * 4 + 4);
      memory.u32.set(values, address >>> 2);
      return address;
    };
    words.fill(0);
    words[0] = this.#memtables[0]?.address ?? 0;
    words[1] = Math.max(this.#memtables.length - 1, 0);
    this.#memtables.slice(1).forEach((memtable, i) => (words[2 + i] = memtable.address));
    words[6] = this.#level0.length;
    words[7] = list(this.#level0);
    words[8] = this.#levels.length;
    words[10] = this.#ranges.address;
    words[9] = list(this.#levels.flatMap((headers) => [headers.length, list(headers)]));
  }
}
