/**
 * The verbs that an engine and a keyspace share, for one keyspace: checks what the caller gave and hands it to writer.ts, reader.ts or
 * scan.ts. engine.ts and keyspaces.ts extend it.
 */
import type { Bytes, Durability, Entry, KeyValues, ReadOptions, ScanOptions, VersionedValue, WriteOptions } from './api.ts';
import { checkOptions, toKey, toValue } from './keys.ts';
import type { OpenKeyspace } from './open-keyspace.ts';
import { NEWEST, type Reader } from './reader.ts';
import { internalRange, scanRange } from './scan-range.ts';
import { ScanIterator, type ScanSource } from './scan.ts';
import { checkDurability, type EngineSettings } from './settings.ts';
import { PinnedSnapshot, type Snapshots } from './snapshots.ts';
import type { Writer } from './writer.ts';

const WRITE_OPTIONS: readonly string[] = ['durability', 'sequence'];
const READ_OPTIONS: readonly string[] = ['snapshot'];

/** What all keyspaces of an engine have in common. */
export interface KeyValueParts {
  readonly settings: Readonly<EngineSettings>;
  readonly writer: Writer;
  readonly reader: Reader;
  readonly snapshots: Snapshots;
  readonly scanSource: ScanSource;
  /** Address of SCAN_WINDOW_BYTES. */
  readonly scanWindow: number;
}

export class StoredKeyValues implements KeyValues {
  readonly #parts: KeyValueParts;
  readonly #keyspace: OpenKeyspace;
  readonly #writer: Writer;
  readonly #reader: Reader;
  readonly #maxKeyBytes: number;
  readonly #maxValueBytes: number;
  readonly #durability: Durability;

  constructor(parts: KeyValueParts, keyspace: OpenKeyspace) {
    this.#parts = parts;
    this.#keyspace = keyspace;
    this.#writer = parts.writer;
    this.#reader = parts.reader;
    this.#maxKeyBytes = parts.settings.maxKeyBytes;
    this.#maxValueBytes = parts.settings.maxValueBytes;
    this.#durability = parts.settings.durability;
  }

  put(key: Bytes, value: Bytes, options?: WriteOptions): Promise<void> {
    try {
      this.#keyspace.assertOpen();
      const keyBytes = toKey(key, this.#maxKeyBytes);
      const valueBytes = toValue(value, this.#maxValueBytes);
      return this.#writer.one(this.#keyspace, keyBytes, valueBytes, this.durabilityOf(options), options?.sequence);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  delete(key: Bytes, options?: WriteOptions): Promise<void> {
    try {
      this.#keyspace.assertOpen();
      const keyBytes = toKey(key, this.#maxKeyBytes);
      return this.#writer.one(this.#keyspace, keyBytes, undefined, this.durabilityOf(options), options?.sequence);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  getSync(key: Bytes, options?: ReadOptions): Uint8Array | undefined {
    this.#keyspace.assertOpen();
    return this.#reader.get(this.#keyspace.id, toKey(key, this.#maxKeyBytes), this.#sequenceOf(options));
  }

  get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined> {
    try {
      return Promise.resolve(this.getSync(key, options));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  getEntrySync(key: Bytes, options?: ReadOptions): VersionedValue | undefined {
    this.#keyspace.assertOpen();
    return this.#reader.getEntry(this.#keyspace.id, toKey(key, this.#maxKeyBytes), this.#sequenceOf(options));
  }

  getEntry(key: Bytes, options?: ReadOptions): Promise<VersionedValue | undefined> {
    try {
      return Promise.resolve(this.getEntrySync(key, options));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  multiGetSync(keys: readonly Bytes[], options?: ReadOptions): (Uint8Array | undefined)[] {
    this.#keyspace.assertOpen();
    const sequence = this.#sequenceOf(options);
    return keys.map((key) => this.#reader.get(this.#keyspace.id, toKey(key, this.#maxKeyBytes), sequence));
  }

  multiGet(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]> {
    try {
      return Promise.resolve(this.multiGetSync(keys, options));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  scanSync(options: ScanOptions = {}): IterableIterator<Entry> {
    this.#keyspace.assertOpen();
    const { snapshots, scanSource, scanWindow } = this.#parts;
    const range = internalRange(scanRange(options, this.#maxKeyBytes), this.#keyspace.id);
    const sequence = options.snapshot === undefined ? this.#writer.sequence : this.#sequenceOf(options);
    // With a snapshot too: it may be released while the iterator is still in use.
    snapshots.pin(sequence);
    return new ScanIterator(scanSource, range, sequence, scanWindow, () => snapshots.unpin(sequence));
  }

  async *scan(options: ScanOptions = {}): AsyncGenerator<Entry, void, undefined> {
    for (const entry of this.scanSync(options)) {
      yield entry;
      this.#keyspace.assertOpen();
    }
  }

  protected durabilityOf(options: WriteOptions | undefined): Durability {
    if (options === undefined) return this.#durability;
    checkOptions(options, WRITE_OPTIONS);
    return options.durability === undefined ? this.#durability : checkDurability(options.durability);
  }

  #sequenceOf(options: ReadOptions | undefined): number {
    if (options === undefined) return NEWEST;
    if (options.snapshot !== undefined) return PinnedSnapshot.sequenceFor(options.snapshot, this.#parts.snapshots);
    checkOptions(options, READ_OPTIONS);
    return NEWEST;
  }
}
