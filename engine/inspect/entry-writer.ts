/** Writes entries in order into new tables, each with keys of one keyspace, or only counts them: for repair, and for tables from outside. */
import { KIND_POINTER, PAGE_BYTES, POINTER_BYTES, WINDOW_FULL } from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { FileSystem, Zstd } from '../../base/env.ts';
import { keyspaceOf } from '../keyspace-key.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { tableFileName, type TableForms, type TableMeta, TableWriter } from '../table/index.ts';
import type { TableEntry } from './table-pages.ts';
import { decodePointer } from './value-check.ts';

export const TABLE_BYTES: number = 32 * 1024 * 1024;
/** A key and, behind it, a value as a page holds them. */
const SCRATCH_BYTES = 32 * 1024;
const VALUE_AT = 16 * 1024;

export interface EntryWriterParts {
  readonly memory: LinearMemory;
  readonly fileSystem: FileSystem;
  readonly directory: string;
  /** Ids for the tables; undefined: nothing is written. */
  readonly takeFileId: (() => number) | undefined;
  readonly tableBytes?: number;
  readonly zstd: Zstd | undefined;
}

export class EntryWriter {
  readonly #parts: EntryWriterParts;
  readonly #memory: LinearMemory;
  readonly #tableBytes: number;
  #forms: TableForms;
  readonly #scratch: number;
  readonly #tables: TableMeta[] = [];
  #writer: TableWriter | undefined;
  #references = new Map<number, number>();
  #lastKey: Uint8Array | undefined;
  #entries = 0;

  constructor(parts: EntryWriterParts, forms: TableForms) {
    this.#parts = parts;
    this.#memory = parts.memory;
    this.#tableBytes = parts.tableBytes ?? TABLE_BYTES;
    this.#forms = forms;
    this.#scratch = parts.memory.allocateSmall(SCRATCH_BYTES);
  }

  /** How tables are written from the next one on. */
  set forms(forms: TableForms) {
    this.#forms = forms;
  }

  get entries(): number {
    return this.#entries;
  }

  add(entry: TableEntry): void {
    this.#entries++;
    if (this.#parts.takeFileId === undefined) return;
    if (this.#writer && this.#isBoundary(this.#lastKey!, entry.key)) this.#finishTable();
    this.#writer ??= this.#begin(this.#parts.takeFileId());
    const { u8, kernel } = this.#memory;
    u8.set(entry.key, this.#scratch);
    u8.set(entry.value, this.#scratch + VALUE_AT);
    const { key, sequence, kind, flags, value } = entry;
    const { builder } = this.#writer;
    const answer = kernel['builderPut']!(builder, this.#scratch, key.length, sequence, kind, flags, this.#scratch + VALUE_AT, value.length);
    assert(answer >= 0, 'what a page or a frame held fits a page');
    if (answer === WINDOW_FULL) this.#writer.drain();
    if (kind === KIND_POINTER) {
      const { segment, bytes } = decodePointer(value.subarray(value.length - POINTER_BYTES));
      this.#references.set(segment, (this.#references.get(segment) ?? 0) + bytes);
    }
    this.#lastKey = key;
  }

  /** The tables, on disk but for their names, in order; the writer may go on with others. */
  finish(): TableMeta[] {
    if (this.#writer) this.#finishTable();
    return this.#tables.splice(0);
  }

  /** Gives up: removes the table under way, and those that `finish` has not given yet. */
  discard(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    try {
      writer?.discard();
    } finally {
      const { fileSystem, directory } = this.#parts;
      for (const { fileId } of this.#tables.splice(0)) fileSystem.unlinkSync(`${directory}/${tableFileName(fileId)}`);
    }
  }

  #begin(fileId: number): TableWriter {
    const { memory, fileSystem, directory, zstd } = this.#parts;
    return new TableWriter(memory, fileSystem, directory, fileId, { forms: this.#forms, zstd });
  }

  /** Whether a table may end between the two: at its size, and wherever a keyspace ends. */
  #isBoundary(last: Uint8Array, next: Uint8Array): boolean {
    if (keyspaceOf(last) !== keyspaceOf(next)) return true;
    return this.#writer!.pageBytes >= this.#tableBytes - PAGE_BYTES && Buffer.compare(last, next) !== 0;
  }

  #finishTable(): void {
    const references = [...this.#references].toSorted(([a], [b]) => a - b).map(([segment, bytes]) => ({ segment, bytes }));
    this.#tables.push(this.#writer!.finish(references));
    this.#writer = undefined;
    this.#references = new Map();
    this.#lastKey = undefined;
  }
}
