/**
 * Writes tables and block files outside of any engine, from entries in order, for `engine.ingest`. Tables hold keys of one keyspace each; large
 * values go to block files whose ids are random and above all that engines give, so that an engine can take the files as they are.
 *
 *   INCOMPLETE | tables, block files | their names | INGEST | INCOMPLETE goes          each on disk before the next
 *
 * Where INCOMPLETE stands nobody takes anything: a writer that died, by a crash or by power loss, leaves a directory that is removed, and the work is begun
 * anew.
 */
import { EXPIRY_BYTES, FLAG_EXPIRES, HEAP, KIND_POINTER, KIND_PUT, POINTER_BYTES } from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { File, FileSystem, Random, Zstd } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { Bytes } from '../api.ts';
import { BLOCK_HEADER_BYTES, blockFileName, encodeBlockHeader } from '../compaction/index.ts';
import { expiryOf, NEVER } from '../expiry.ts';
import type { TableFilesInfo, TableFilesSettings, TableFileEntryOptions } from '../files-api.ts';
import { EntryWriter } from '../inspect/index.ts';
import { internalKey } from '../keyspace-key.ts';
import { checkKeyspaceName } from '../keyspace-settings.ts';
import { checkOptions, toKey, toValue } from '../keys.ts';
import { makeDirectory } from '../make-directory.ts';
import { EXTERNAL_ID_FROM, INCOMPLETE_NAME } from '../manifest/index.ts';
import { LinearMemory } from '../memory/linear-memory.ts';
import { checkPageCompression } from '../settings.ts';
import { PLAIN_FORMS, requireZstd } from '../table/index.ts';
import { encodeIngest, INGEST_NAME, type IngestTable } from './ingest-format.ts';

const KEY_BYTES_MAX = 4096;
const VALUE_BYTES_MAX = 256 * 1024 * 1024;
/** Key and stored value of an entry that lies in a page together take at most this. */
const ENTRY_BYTES_MAX = 8000;
const MEMORY_BYTES: number = HEAP + 768 * 1024 * 1024;
/** Offsets in pointers have 32 bits. */
const BLOCK_FILE_BYTES_MAX = 2 ** 31;
const SETTINGS: readonly string[] = ['inlineThreshold', 'tableBytes', 'compression'];
const ENTRY_OPTIONS: readonly string[] = ['keyspace', 'expiresAtMs'];

export class TableFiles {
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #random: Random;
  readonly #inlineThreshold: number;
  readonly #memory = new LinearMemory(MEMORY_BYTES);
  readonly #entriesOut: EntryWriter;
  readonly #tables: IngestTable[] = [];
  readonly #segments: { segment: number; bytes: number }[] = [];
  /** Keyspaces seen, in order; the current one last. */
  readonly #keyspaces: (string | null)[] = [];
  #nextFileId = 1;
  #lastKey: Uint8Array | undefined;
  #block: { segment: number; file: File; bytes: number } | undefined;
  #entries = 0;
  #state: 'open' | 'finished' | 'discarded' = 'open';

  /** `conflict/NOT_EMPTY` when the directory holds anything; `invalid/ZSTD_MISSING`. */
  constructor(fileSystem: FileSystem, directory: string, random: Random, settings: TableFilesSettings, zstd: Zstd | undefined) {
    checkOptions(settings, SETTINGS);
    const compression = checkPageCompression(settings.compression ?? 'none');
    if (compression === 'zstd') requireZstd(zstd, 'what the setting compression asks for');
    this.#fs = fileSystem;
    this.#directory = directory;
    this.#random = random;
    this.#inlineThreshold = range('inlineThreshold', settings.inlineThreshold ?? 1024, 64, 4096);
    const tableBytes = range('tableBytes', settings.tableBytes ?? 32 * 1024 * 1024, 64 * 1024, 256 * 1024 * 1024);
    makeDirectory(fileSystem, directory);
    assertEmpty(directory, fileSystem.listSync(directory));
    fileSystem.openSync(`${directory}/${INCOMPLETE_NAME}`, 'create').closeSync();
    fileSystem.syncDirectorySync(directory);
    const takeFileId = (): number => this.#nextFileId++;
    const forms = { own: { ...PLAIN_FORMS.own, compression }, keyspaces: new Map() };
    this.#entriesOut = new EntryWriter({ memory: this.#memory, fileSystem, directory, takeFileId, tableBytes, zstd }, forms);
  }

  /**
   * Adds an entry. Keys ascend within a keyspace, and each keyspace comes once: `invalid/ORDER` otherwise. `invalid/*` for what no engine takes.
   * After any other error nothing more can be added.
   */
  put(key: Bytes, value: Bytes, options: TableFileEntryOptions = {}): void {
    this.#assertOpen();
    checkOptions(options, ENTRY_OPTIONS);
    const { expiresAtMs, keyspace = null } = options;
    const internal = internalKey(this.#keyspaceId(keyspace), toKey(key, KEY_BYTES_MAX));
    if (this.#lastKey !== undefined && Buffer.compare(this.#lastKey, internal) >= 0) {
      throw new SparrowError('invalid', 'ORDER', 'keys are given in ascending order, each once', { field: 'key' });
    }
    const bytes = toValue(value, VALUE_BYTES_MAX);
    const expiry = expiryOf(expiresAtMs === undefined ? {} : { expiresAtMs }, 0, () => NEVER);
    const large = bytes.length >= this.#inlineThreshold || internal.length + bytes.length + EXPIRY_BYTES > ENTRY_BYTES_MAX;
    const kept = large ? this.#putLarge(bytes) : bytes;
    const stored = expiry === NEVER ? kept : withExpiry(kept, expiry);
    // The engine gives the sequence number.
    this.#entriesOut.add({
      key: internal,
      sequence: 1,
      kind: large ? KIND_POINTER : KIND_PUT,
      flags: expiry === NEVER ? 0 : FLAG_EXPIRES,
      value: stored,
    });
    this.#lastKey = internal;
    this.#entries++;
  }

  /** Completes the files; on disk when it returns. `invalid/NO_ENTRIES` when there are none. */
  finish(): TableFilesInfo {
    this.#assertOpen();
    if (this.#entries === 0) throw new SparrowError('invalid', 'NO_ENTRIES', 'there is no entry to make tables of');
    this.#closeKeyspace();
    this.#closeBlock();
    this.#fs.syncDirectorySync(this.#directory);
    const manifest = encodeIngest({ entries: this.#entries, tables: this.#tables, segments: this.#segments });
    const file = this.#fs.openSync(`${this.#directory}/${INGEST_NAME}`, 'create');
    try {
      file.writeSync(manifest, 0, manifest.length, 0);
      file.datasyncSync();
    } finally {
      file.closeSync();
    }
    this.#fs.syncDirectorySync(this.#directory);
    this.#fs.unlinkSync(`${this.#directory}/${INCOMPLETE_NAME}`);
    this.#fs.syncDirectorySync(this.#directory);
    this.#state = 'finished';
    const bytes = [...this.#tables, ...this.#segments].reduce((sum, each) => sum + each.bytes, 0);
    return { directory: this.#directory, entries: this.#entries, tables: this.#tables.length, blockFiles: this.#segments.length, bytes };
  }

  /** Gives up and empties the directory. Idempotent; does nothing once finished. */
  discard(): void {
    if (this.#state !== 'open') return;
    this.#state = 'discarded';
    this.#block?.file.closeSync();
    this.#entriesOut.discard();
    const names = this.#fs.listSync(this.#directory);
    for (const name of names) if (name !== INCOMPLETE_NAME) this.#fs.unlinkSync(`${this.#directory}/${name}`);
    // It is gone when the last sync of `finish` has failed.
    if (names.includes(INCOMPLETE_NAME)) this.#fs.unlinkSync(`${this.#directory}/${INCOMPLETE_NAME}`);
  }

  [Symbol.dispose](): void {
    this.discard();
  }

  #keyspaceId(name: string | null): number {
    const current = this.#keyspaces.length - 1;
    if (current >= 0 && this.#keyspaces[current] === name) return current;
    if (name !== null) checkKeyspaceName(name);
    if (this.#keyspaces.includes(name)) {
      throw new SparrowError(
        'invalid',
        'ORDER',
        `the entries of a keyspace are given one after another; '${name ?? 'the default one'}' comes again`,
        {
          field: 'keyspace',
        },
      );
    }
    if (current >= 0) this.#closeKeyspace();
    this.#keyspaces.push(name);
    return current + 1;
  }

  #closeKeyspace(): void {
    const keyspace = this.#keyspaces.at(-1) ?? null;
    for (const { fileId, bytes } of this.#entriesOut.finish()) this.#tables.push({ fileId, bytes, keyspace });
  }

  /** Appends a value to the block file; its pointer. */
  #putLarge(value: Uint8Array): Uint8Array {
    if (this.#block && this.#block.bytes + value.length > BLOCK_FILE_BYTES_MAX) this.#closeBlock();
    this.#block ??= this.#beginBlock();
    const { segment, file, bytes } = this.#block;
    const { u8, kernel } = this.#memory;
    const at = this.#memory.allocate(value.length + 64);
    try {
      u8.set(value, at + 64);
      kernel['sealPointer']!(at, segment, at + 64, value.length, bytes);
      file.writeSync(u8, at + 64, value.length, bytes);
      this.#block.bytes += value.length;
      return u8.slice(at, at + POINTER_BYTES);
    } finally {
      this.#memory.free(at, value.length + 64);
    }
  }

  #beginBlock(): { segment: number; file: File; bytes: number } {
    const segment = EXTERNAL_ID_FROM + (this.#random.u32() % EXTERNAL_ID_FROM);
    const file = this.#fs.openSync(`${this.#directory}/${blockFileName(segment)}`, 'create');
    try {
      file.writeSync(encodeBlockHeader(segment), 0, BLOCK_HEADER_BYTES, 0);
    } catch (error) {
      file.closeSync();
      throw error;
    }
    return { segment, file, bytes: BLOCK_HEADER_BYTES };
  }

  #closeBlock(): void {
    if (!this.#block) return;
    const { segment, file, bytes } = this.#block;
    file.datasyncSync();
    file.closeSync();
    this.#segments.push({ segment, bytes });
    this.#block = undefined;
  }

  #assertOpen(): void {
    if (this.#state !== 'open')
      throw new SparrowError('closed', 'WRITER_FINISHED', `the table writer of ${this.#directory} is ${this.#state}`);
  }
}

/** There is no lock: whether somebody is at work where INCOMPLETE stands, or has died at it, only the caller knows. */
function assertEmpty(directory: string, names: readonly string[]): void {
  const name = names.includes(INCOMPLETE_NAME) ? INCOMPLETE_NAME : names[0];
  if (name === undefined) return;
  const why = name === INCOMPLETE_NAME ? '; a table writer is at work there, or has died: then remove the directory and begin anew' : '';
  throw new SparrowError('conflict', 'NOT_EMPTY', `${directory} is not empty: it holds '${name}'${why}`, { directory, name });
}

function withExpiry(value: Uint8Array, expiresAtMs: number): Uint8Array {
  const stored = new Uint8Array(EXPIRY_BYTES + value.length);
  new DataView(stored.buffer).setBigUint64(0, BigInt(expiresAtMs), true);
  stored.set(value, EXPIRY_BYTES);
  return stored;
}

function range(field: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new SparrowError('invalid', 'OPTION_RANGE', `${field} is a whole number from ${min} to ${max}, not ${String(value)}`, {
    field,
    min,
    max,
  });
}

assert(EXTERNAL_ID_FROM * 2 <= 2 ** 31, 'ids have 31 bits');
