/** Tables on a simulated disk: written entry by entry, and read by the lookup kernel through a view that holds one table in level 0. */
import {
  FOUND,
  FRONT,
  KEY_A,
  NEEDS_PAGE,
  NEEDS_TABLE,
  NEED_FRAME,
  NEED_PAGE,
  RESULT_KIND,
  RESULT_SEQUENCE,
  RESULT_VALUE,
  RESULT_VALUE_BYTES,
  VIEW_LEVEL0,
  VIEW_LEVEL0_COUNT,
  WINDOW_FULL,
} from '../../../assembly/memory-map.ts';
import type { FileSystem } from '../../../base/env.ts';
import { nodeZstd } from '../../../base/node/index.ts';
import { LinearMemory } from '../../../engine/memory/linear-memory.ts';
import {
  FILTER_BITS_PER_KEY,
  type IndexBudget,
  OpenTable,
  PageCache,
  type PageCompression,
  TableWriter,
  type SegmentReference,
  type TableForms,
  type TableMeta,
  type TableWriterOptions,
} from '../../../engine/table/index.ts';
import type { PageEntry } from '../../assembly/twins/page.ts';

export const DIRECTORY = '/store';

/** One form for all keyspaces. */
export function formsOf(compression: PageCompression = 'none', filterBitsPerKey: number = FILTER_BITS_PER_KEY): TableForms {
  return { own: { compression, filterBitsPerKey }, keyspaces: new Map() };
}

export interface Found {
  readonly kind: number;
  readonly sequence: number;
  readonly value: Uint8Array;
}

export class TableHarness {
  readonly memory: LinearMemory;
  readonly fileSystem: FileSystem;
  readonly cache: PageCache;
  readonly #source: number;
  readonly #view: number;
  readonly #level0: number;

  constructor(fileSystem: FileSystem) {
    this.fileSystem = fileSystem;
    fileSystem.makeDirectorySync(DIRECTORY);
    this.memory = new LinearMemory(128 * 1024 * 1024);
    this.cache = new PageCache(this.memory, 0);
    this.cache.bind(FRONT);
    this.#source = this.memory.allocate(16384);
    this.#view = this.memory.allocateSmall(64);
    this.#level0 = this.memory.allocateSmall(64);
    this.memory.u32[(this.#view + VIEW_LEVEL0_COUNT) >>> 2] = 1;
    this.memory.u32[(this.#view + VIEW_LEVEL0) >>> 2] = this.#level0;
  }

  add(writer: TableWriter, { key, sequence, kind, flags, value }: PageEntry): void {
    const { kernel, u8 } = this.memory;
    u8.set(key, this.#source);
    u8.set(value, this.#source + 8192);
    const answer = kernel['builderPut']!(
      writer.builder,
      this.#source,
      key.length,
      sequence,
      kind,
      flags,
      this.#source + 8192,
      value.length,
    );
    if (answer === WINDOW_FULL) writer.drain();
    else if (answer !== 0) throw new Error(`the builder answered ${answer}`);
  }

  write(
    fileId: number,
    entries: readonly PageEntry[],
    references: readonly SegmentReference[] = [],
    { compression, ...options }: TableWriterOptions & { compression?: PageCompression } = {},
  ): TableMeta {
    const all = { windowBytes: 8192, zstd: nodeZstd, forms: formsOf(compression), ...options };
    const writer = new TableWriter(this.memory, this.fileSystem, DIRECTORY, fileId, all);
    try {
      for (const entry of entries) this.add(writer, entry);
      return writer.finish(references);
    } catch (error) {
      writer.discard();
      throw error;
    }
  }

  /** With `indexBudget`: whole or paged, as that has room. */
  open(meta: TableMeta, indexBudget?: IndexBudget): OpenTable {
    const options = { zstd: nodeZstd, ...(indexBudget && { indexBudget }) };
    return new OpenTable(this.memory, this.fileSystem, DIRECTORY, meta, options);
  }

  /** The newest version at or below `sequence`, deletes included. */
  find(table: OpenTable, key: Uint8Array, sequence: number = Number.MAX_SAFE_INTEGER): Found | undefined {
    const { kernel, u8, u32, f64 } = this.memory;
    const cell = (offset: number): number => u32[(FRONT + offset) >>> 2]!;
    u32[this.#level0 >>> 2] = table.header;
    u8.set(key, FRONT + KEY_A);
    let answer = kernel['lookup']!(FRONT, this.#view, key.length, sequence);
    while (answer > FOUND) {
      if (answer === NEEDS_TABLE) table.loadIndex();
      else if (answer === NEEDS_PAGE) {
        table.loadPage(cell(NEED_PAGE), cell(NEED_FRAME));
      } else throw new Error(`unexpected answer ${answer}`);
      answer = kernel['lookupResume']!(FRONT);
    }
    const kind = cell(RESULT_KIND);
    if (kind === 0) return undefined;
    const value = u8.slice(cell(RESULT_VALUE), cell(RESULT_VALUE) + cell(RESULT_VALUE_BYTES));
    return { kind, sequence: f64[(FRONT + RESULT_SEQUENCE) >>> 3]!, value };
  }
}

export function entry(key: string, sequence: number, value = '', kind = 1): PageEntry {
  return { key: Buffer.from(key), sequence, kind, flags: 0, value: Buffer.from(value) };
}
