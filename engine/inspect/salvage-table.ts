/**
 * What can be read of a table file: the entries of its sound pages, in order. A pointer whose value is lost becomes a delete: what is older under
 * that key must not come back in its place.
 */
import { KIND_DELETE, KIND_POINTER, POINTER_BYTES } from '../../assembly/memory-map.ts';
import type { File, FileSystem, Zstd } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { openTableFile, readFooter, tableFileName } from '../table/index.ts';
import { isSystemError } from './findings.ts';
import type { Losses } from './losses.ts';
import { readPages, type TableEntry } from './table-pages.ts';
import { decodePointer, type ValueCheck } from './value-check.ts';

export interface SalvagedEntry extends TableEntry {
  /** Its value is lost. */
  readonly lost: boolean;
}

export interface SalvageParts {
  readonly memory: LinearMemory;
  readonly fileSystem: FileSystem;
  readonly zstd: Zstd | undefined;
  readonly directory: string;
  readonly values: ValueCheck;
  readonly losses: Losses;
}

/** What is known of a damaged table. */
export interface DamagedTable {
  readonly fileId: number;
  /** At most so many. */
  readonly pages: number;
  /** Entries in all, and the keys at its ends, where somebody knows them. */
  readonly entries?: number | undefined;
  readonly smallest?: Uint8Array | undefined;
  readonly largest?: Uint8Array | undefined;
}

/** The entries that are left. Reports pages and values that are lost when it comes to them, so it is to be run to its end. */
export function* salvageTable(parts: SalvageParts, table: DamagedTable): Generator<SalvagedEntry, void, void> {
  const { memory, fileSystem, zstd, directory, values, losses } = parts;
  const file = `${directory}/${tableFileName(table.fileId)}`;
  let found = 0;
  /** Damaged pages, those in a row together, with the last key before them. */
  const gaps: { offset: number; bytes: number; smallest: Uint8Array | undefined; largest: Uint8Array | undefined; open: boolean }[] = [];
  let last: Uint8Array | undefined;
  const known = { packed: mayBePacked(fileSystem, file, table.fileId), zstd };
  for (const page of readPages(memory, new BriefFile(fileSystem, file), table.fileId, table.pages, known)) {
    if (page.behindData) break;
    const gap = gaps.at(-1);
    if (page.entries === undefined) {
      if (gap?.open) gap.bytes += page.bytes;
      else gaps.push({ offset: page.offset, bytes: page.bytes, smallest: last ?? table.smallest, largest: table.largest, open: true });
      continue;
    }
    if (gap?.open) {
      gap.open = false;
      gap.largest = page.entries[0]!.key;
    }
    for (const entry of page.entries) {
      found++;
      yield withValue(values, losses, entry);
    }
    last = page.entries.at(-1)!.key;
  }
  // How many entries the pages had is known for all of them together.
  const missing = table.entries === undefined ? undefined : table.entries - found;
  for (const { open: _open, ...gap } of gaps) losses.add({ file, what: 'pages', ...gap, entries: gaps.length === 1 ? missing : undefined });
  if (gaps.length !== 1) losses.addEntries(missing ?? 0);
}

/** As the footer says; without a sound one, yes. */
function mayBePacked(fileSystem: FileSystem, path: string, fileId: number): boolean {
  let file: File | undefined;
  try {
    file = openTableFile(fileSystem, path);
    return readFooter(file, path, fileId).packed;
  } catch (error) {
    if (error instanceof SparrowError ? error.kind !== 'corrupt' : !isSystemError(error)) throw error;
    return true;
  } finally {
    file?.closeSync();
  }
}

/** The entry, or the delete that takes its place. */
export function withValue(values: ValueCheck, losses: Losses, entry: TableEntry): SalvagedEntry {
  if (entry.kind !== KIND_POINTER) return { ...entry, lost: false };
  const pointer = entry.value.subarray(entry.value.length - POINTER_BYTES);
  if (values.check(pointer) === undefined) return { ...entry, lost: false };
  const { segment, bytes, offset } = decodePointer(pointer);
  losses.add({ file: values.pathOf(segment), offset, bytes, what: 'value', smallest: entry.key, largest: entry.key, entries: 1 });
  return { key: entry.key, sequence: entry.sequence, kind: KIND_DELETE, flags: 0, value: new Uint8Array(0), lost: true };
}

/** Open only while it is read: a repair may go through thousands of tables side by side. */
class BriefFile implements Pick<File, 'readSync'> {
  readonly #fileSystem: FileSystem;
  readonly #path: string;

  constructor(fileSystem: FileSystem, path: string) {
    this.#fileSystem = fileSystem;
    this.#path = path;
  }

  readSync(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    const file = this.#fileSystem.openSync(this.#path, 'read');
    try {
      return file.readSync(target, targetOffset, length, position);
    } finally {
      file.closeSync();
    }
  }
}
