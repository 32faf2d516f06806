/**
 * What is in the files of a store, item after item: the edits of a manifest, the batches and records of a log segment, the pages and entries of
 * a table, the header of a block file. Damage is an item too, and the listing goes on behind it where that can be.
 */
import { KIND_DELETE, KIND_POINTER, KIND_PUT, KIND_RANGE_DELETE, POINTER_BYTES } from '../../assembly/memory-map.ts';
import type { FileSystem, Zstd } from '../../base/env.ts';
import type { UserKey } from '../files-api.ts';
import { SparrowError } from '../../base/errors.ts';
import { BLOCK_HEADER_BYTES, encodeBlockHeader } from '../compaction/index.ts';
import { findSyncedFrame, FRAMES_OFFSET, isSealed, LogWindow, readFrame, readHeader } from '../log/index.ts';
import { decodeCurrent, decodeEdit, decodeManifest, manifestName, parseFileName, type VersionEdit } from '../manifest/index.ts';
import { LinearMemory } from '../memory/linear-memory.ts';
import {
  decodeProperties,
  openTableFile,
  readFooter,
  readTableBytes,
  tableLayout,
  type TableFooter,
  type TableProperties,
} from '../table/index.ts';
import { isSystemError } from './findings.ts';
import { frameRecords, frameSequence } from './log-records.ts';
import { readPages, type TableEntry } from './table-pages.ts';
import { userKeyOf } from './user-key.ts';
import { decodePointer, type ValuePlace } from './value-check.ts';

const MEMORY_BYTES = 1024 * 1024 * 1024;

export interface DumpOptions {
  /** Records of batches and entries of pages too, not only the batches and pages. Default false. */
  entries?: boolean;
  /** At most so many edits, batches or pages of each file. Default: all. */
  limit?: number;
}

/** What a record or an entry says of its key. */
export interface DumpedRecord extends UserKey {
  sequence: number;
  operation: 'put' | 'delete' | 'deleteRange' | `kind ${number}`;
  flags: number;
  /** As stored; of a large value nothing: it is elsewhere; of a range delete the internal key behind the range. */
  value: Uint8Array | undefined;
  pointer: ValuePlace | undefined;
}

export type DumpItem =
  | { item: 'file'; file: string; kind: string; bytes: number }
  | { item: 'current'; manifest: string }
  | { item: 'edit'; offset: number; edit: VersionEdit }
  | { item: 'segment'; segment: number; previousSegment: number; previousBytes: number; sealed: boolean }
  | { item: 'batch'; offset: number; bytes: number; sequence: number; records: number; payloadBytes: number; syncedTo: number }
  | ({ item: 'record' } & DumpedRecord)
  | ({ item: 'footer' } & Omit<TableFooter, 'topCheck' | 'propertiesCheck'>)
  | ({ item: 'properties' } & TableProperties)
  | { item: 'page'; page: number; offset: number; entries: number; first: UserKey; last: UserKey }
  | ({ item: 'entry' } & DumpedRecord)
  | { item: 'block file'; segment: number; bytes: number }
  | { item: 'end'; offset: number; what: string }
  | { item: 'damage'; offset: number; what: string };

/** The items of one file, or of all files of a directory; `invalid/NOT_A_STORE` when the path is neither a store's file nor its directory. */
export function* dump(fileSystem: FileSystem, path: string, options: DumpOptions = {}, zstd?: Zstd): Generator<DumpItem, void, void> {
  const names = namesIn(fileSystem, path);
  if (names === undefined) {
    yield* dumpFile(fileSystem, path, options, zstd);
    return;
  }
  const ours = names.filter((name) => parseFileName(name) !== undefined);
  if (ours.length === 0) throw new SparrowError('invalid', 'NOT_A_STORE', `${path} holds no file of a store`, { path });
  for (const name of ours) yield* dumpFile(fileSystem, `${path}/${name}`, options, zstd);
}

function namesIn(fileSystem: FileSystem, path: string): string[] | undefined {
  try {
    return fileSystem.listSync(path);
  } catch (error) {
    if (isSystemError(error) && fileSystem.existsSync(path)) return undefined;
    throw new SparrowError('invalid', 'NOT_A_STORE', `${path} does not exist`, { path }, error);
  }
}

function* dumpFile(fileSystem: FileSystem, path: string, options: DumpOptions, zstd: Zstd | undefined): Generator<DumpItem, void, void> {
  const parsed = parseFileName(path.slice(path.lastIndexOf('/') + 1));
  if (parsed === undefined) throw new SparrowError('invalid', 'NOT_A_STORE', `${path} is not named like a file of a store`, { path });
  const file = fileSystem.openSync(path, 'read');
  let bytes: number;
  try {
    bytes = file.sizeSync();
  } finally {
    file.closeSync();
  }
  yield { item: 'file', file: path, kind: parsed.kind, bytes };
  const limited = { entries: options.entries ?? false, limit: options.limit ?? Infinity };
  try {
    if (parsed.kind === 'current' || parsed.kind === 'temporary') yield* dumpCurrent(fileSystem, path);
    else if (parsed.kind === 'manifest') yield* dumpManifest(fileSystem, path, parsed.id, limited.limit);
    else if (parsed.kind === 'log') yield* dumpLog(fileSystem, path, parsed.id, limited);
    else if (parsed.kind === 'table') yield* dumpTable(fileSystem, path, parsed.id, { ...limited, zstd });
    else if (parsed.kind === 'block') yield* dumpBlockFile(fileSystem, path, parsed.id, bytes);
  } catch (error) {
    if (!isSystemError(error) && !(error instanceof SparrowError && (error.kind === 'corrupt' || error.code.startsWith('FORMAT_'))))
      throw error;
    const offset = error instanceof SparrowError ? Number(error.details['offset'] ?? 0) : 0;
    yield { item: 'damage', offset, what: error.message };
  }
}

function* dumpCurrent(fileSystem: FileSystem, path: string): Generator<DumpItem, void, void> {
  yield { item: 'current', manifest: manifestName(decodeCurrent(readWhole(fileSystem, path), path)) };
}

function* dumpManifest(fileSystem: FileSystem, path: string, id: number, limit: number): Generator<DumpItem, void, void> {
  const bytes = readWhole(fileSystem, path);
  const { edits, bytes: end } = decodeManifest(bytes, id, path);
  for (const { offset, end: editEnd } of edits.slice(0, limit)) yield { item: 'edit', offset, edit: decodeEdit(bytes, offset, editEnd) };
  if (edits.length > limit) yield { item: 'end', offset: edits[limit]!.offset, what: `${edits.length - limit} more edits` };
  if (end < bytes.length) yield { item: 'end', offset: end, what: `${bytes.length - end} bytes that are no whole edit: the torn end` };
}

type Limits = { entries: boolean; limit: number };

function* dumpLog(fileSystem: FileSystem, path: string, segment: number, { entries, limit }: Limits): Generator<DumpItem, void, void> {
  const memory = new LinearMemory(MEMORY_BYTES);
  const window = new LogWindow(memory);
  const file = fileSystem.openSync(path, 'read');
  try {
    const header = readHeader(memory, file, segment, path);
    if (header === undefined) yield { item: 'damage', offset: 0, what: 'the header is not readable' };
    else yield { item: 'segment', ...header, sealed: isSealed(memory, file, header) };
    const fileBytes = file.sizeSync();
    let left = limit;
    for (let offset = FRAMES_OFFSET; offset < fileBytes;) {
      const frame = readFrame(window, file, path, segment, offset, fileBytes);
      if (frame === undefined) {
        // Any sound batch further on: what is in between is damage, or the leavings of an earlier crash.
        const next = findSyncedFrame(window, file, segment, offset, 0, fileBytes);
        yield {
          item: next === undefined ? 'end' : 'damage',
          offset,
          what: `${(next ?? fileBytes) - offset} bytes that are no whole batch`,
        };
        if (next === undefined) return;
        offset = next;
        continue;
      }
      if (left-- <= 0) {
        yield { item: 'end', offset, what: `${fileBytes - offset} more bytes` };
        return;
      }
      const { records, recordBytes, recordCount, payloadBytes, bytes, syncedTo } = frame;
      const kept = entries ? [...frameRecords(memory, records, recordBytes)] : [];
      yield { item: 'batch', offset, bytes, sequence: frameSequence(memory, records), records: recordCount, payloadBytes, syncedTo };
      for (const record of kept) yield { item: 'record', ...describeRecord(record) };
      offset += bytes;
    }
  } finally {
    file.closeSync();
  }
}

function* dumpTable(
  fileSystem: FileSystem,
  path: string,
  fileId: number,
  { entries, limit, zstd }: Limits & { zstd: Zstd | undefined },
): Generator<DumpItem, void, void> {
  const file = openTableFile(fileSystem, path);
  try {
    // Without a footer: as one reads that has packed pages, which plain ones pass for too. Such a page takes 24 bytes at least.
    let pages = Math.ceil(file.sizeSync() / 24);
    let packed = true;
    try {
      const footer = readFooter(file, path, fileId);
      pages = footer.pages;
      const { topCheck: _top, propertiesCheck: _properties, ...shown } = footer;
      packed = footer.packed;
      yield { item: 'footer', ...shown };
      const layout = tableLayout(footer);
      const bytes = new Uint8Array(footer.propertiesBytes);
      readTableBytes(file, path, bytes, 0, bytes.length, layout.properties);
      yield { item: 'properties', ...decodeProperties(bytes, footer, path, layout.properties) };
    } catch (error) {
      if (!(error instanceof SparrowError) || error.kind !== 'corrupt') throw error;
      yield { item: 'damage', offset: Number(error.details['offset'] ?? 0), what: error.message };
    }
    for (const { page, offset, entries: found, problem, behindData } of readPages(new LinearMemory(MEMORY_BYTES), file, fileId, pages, {
      packed,
      zstd,
    })) {
      if (behindData) return;
      if (page >= limit) {
        yield { item: 'end', offset, what: `${pages - page} more pages` };
        return;
      }
      if (found === undefined) yield { item: 'damage', offset, what: problem! };
      else {
        yield { item: 'page', page, offset, entries: found.length, first: userKeyOf(found[0]!.key), last: userKeyOf(found.at(-1)!.key) };
        if (entries) for (const entry of found) yield { item: 'entry', ...describeRecord(entry) };
      }
    }
  } finally {
    file.closeSync();
  }
}

function* dumpBlockFile(fileSystem: FileSystem, path: string, segment: number, bytes: number): Generator<DumpItem, void, void> {
  const expected = encodeBlockHeader(segment);
  const found = readWhole(fileSystem, path, BLOCK_HEADER_BYTES);
  if (Buffer.compare(found, expected) === 0) yield { item: 'block file', segment, bytes };
  else yield { item: 'damage', offset: 0, what: `it does not begin as block file ${segment}` };
}

const OPERATIONS: Readonly<Record<number, 'put' | 'delete' | 'deleteRange'>> = {
  [KIND_PUT]: 'put',
  [KIND_POINTER]: 'put',
  [KIND_DELETE]: 'delete',
  [KIND_RANGE_DELETE]: 'deleteRange',
};

function describeRecord({ key, sequence, kind, flags, value }: TableEntry): DumpedRecord {
  const isPointer = kind === KIND_POINTER && value.length >= POINTER_BYTES;
  const operation = OPERATIONS[kind] ?? (`kind ${kind}` as const);
  const pointer = isPointer ? decodePointer(value.subarray(value.length - POINTER_BYTES)) : undefined;
  return {
    ...userKeyOf(key),
    sequence,
    operation,
    flags,
    value: kind === KIND_PUT || kind === KIND_RANGE_DELETE ? value : undefined,
    pointer,
  };
}

function readWhole(fileSystem: FileSystem, path: string, atMost = Infinity): Uint8Array {
  const file = fileSystem.openSync(path, 'read');
  try {
    const bytes = new Uint8Array(Math.min(file.sizeSync(), atMost));
    return bytes.subarray(0, file.readSync(bytes, 0, bytes.length, 0));
  } finally {
    file.closeSync();
  }
}
