/**
 * The engine: wires the parts and gives them the public face of api.ts. What a call does is in writer.ts (writes), reader.ts and scan.ts
 * (reads), maintenance/ (flush, compaction, versions); how it came to be is in open.ts.
 */
import type { DirectoryLock, FileSystem } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import type {
  BatchOperation,
  Bytes,
  CheckpointOptions,
  CheckpointResult,
  Durability,
  Engine,
  EngineStats,
  Entry,
  ReadOptions,
  ScanOptions,
  Snapshot,
  VersionedValue,
  WriteOptions,
  WriteResult,
} from './api.ts';
import { checkOptions, toKey, toValue } from './keys.ts';
import type { LogWriter } from './log/index.ts';
import type { Maintenance } from './maintenance/index.ts';
import type { LinearMemory } from './memory/linear-memory.ts';
import { NEWEST, type Reader } from './reader.ts';
import { scanRange } from './scan-range.ts';
import { SCAN_WINDOW_BYTES, ScanIterator, type ScanSource } from './scan.ts';
import { checkDurability, type EngineSettings } from './settings.ts';
import { PinnedSnapshot, type Snapshots } from './snapshots.ts';
import type { PageCache } from './table/index.ts';
import { imageOfEngine, makeCheckpoint, type StoreImage } from './upkeep/index.ts';
import type { ValueFiles } from './value-files.ts';
import type { View } from './view.ts';
import type { Writer } from './writer.ts';

const WRITE_OPTIONS: readonly string[] = ['durability', 'sequence'];
const CHECKPOINT_OPTIONS: readonly string[] = ['copy'];
const READ_OPTIONS: readonly string[] = ['snapshot'];
/** At closing, a memtable with more than this is flushed, so that the next opening has little to replay. */
const FLUSH_AT_CLOSE_BYTES = 1024 * 1024;

export interface EngineParts {
  fileSystem: FileSystem;
  path: string;
  settings: Readonly<EngineSettings>;
  memory: LinearMemory;
  cache: PageCache;
  view: View;
  log: LogWriter;
  writer: Writer;
  reader: Reader;
  values: ValueFiles;
  maintenance: Maintenance;
  snapshots: Snapshots;
  lock: DirectoryLock;
}

export class SparrowEngine implements Engine {
  readonly path: string;
  readonly #parts: EngineParts;
  readonly #settings: Readonly<EngineSettings>;
  readonly #writer: Writer;
  readonly #reader: Reader;
  readonly #snapshots: Snapshots;
  readonly #scanSource: ScanSource;
  readonly #scanWindow: number;
  /** Calls that use the files for a while: closing waits for them. */
  readonly #upkeep = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;
  #closed = false;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.path = parts.path;
    this.#settings = parts.settings;
    this.#writer = parts.writer;
    this.#reader = parts.reader;
    this.#snapshots = parts.snapshots;
    this.#scanWindow = parts.memory.allocate(SCAN_WINDOW_BYTES);
    const { reader, view, memory } = parts;
    const assertOpen = (): void => this.#assertOpen();
    this.#scanSource = {
      memory,
      get viewAddress() {
        assertOpen();
        return view.address;
      },
      satisfy: (answer) => reader.satisfy(answer),
      get nowMs() {
        return reader.nowMs;
      },
      readPointer: (pointer, key, sequence, expires) => {
        this.#assertOpen();
        return reader.readPointer(pointer, key, sequence, expires);
      },
    };
  }

  // ---- writes ----

  put(key: Bytes, value: Bytes, options?: WriteOptions): Promise<void> {
    try {
      this.#assertOpen();
      const { maxKeyBytes, maxValueBytes } = this.#settings;
      const keyBytes = toKey(key, maxKeyBytes);
      return this.#writer.one(keyBytes, toValue(value, maxValueBytes), this.#durability(options), options?.sequence);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  delete(key: Bytes, options?: WriteOptions): Promise<void> {
    try {
      this.#assertOpen();
      return this.#writer.one(toKey(key, this.#settings.maxKeyBytes), undefined, this.#durability(options), options?.sequence);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  async write(batch: readonly BatchOperation[], options?: WriteOptions): Promise<WriteResult> {
    this.#assertOpen();
    const settled = this.#writer.batch(batch, this.#durability(options), options?.sequence);
    const { sequence } = this.#writer;
    await settled;
    return { sequence };
  }

  // ---- reads ----

  getSync(key: Bytes, options?: ReadOptions): Uint8Array | undefined {
    this.#assertOpen();
    return this.#reader.get(toKey(key, this.#settings.maxKeyBytes), this.#sequenceOf(options));
  }

  get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined> {
    try {
      return Promise.resolve(this.getSync(key, options));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  getEntrySync(key: Bytes, options?: ReadOptions): VersionedValue | undefined {
    this.#assertOpen();
    return this.#reader.getEntry(toKey(key, this.#settings.maxKeyBytes), this.#sequenceOf(options));
  }

  getEntry(key: Bytes, options?: ReadOptions): Promise<VersionedValue | undefined> {
    try {
      return Promise.resolve(this.getEntrySync(key, options));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  multiGetSync(keys: readonly Bytes[], options?: ReadOptions): (Uint8Array | undefined)[] {
    this.#assertOpen();
    const sequence = this.#sequenceOf(options);
    const { maxKeyBytes } = this.#settings;
    return keys.map((key) => this.#reader.get(toKey(key, maxKeyBytes), sequence));
  }

  multiGet(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]> {
    try {
      return Promise.resolve(this.multiGetSync(keys, options));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  scanSync(options: ScanOptions = {}): IterableIterator<Entry> {
    this.#assertOpen();
    const range = scanRange(options, this.#settings.maxKeyBytes);
    const sequence = options.snapshot === undefined ? this.#writer.sequence : this.#sequenceOf(options);
    // With a snapshot too: it may be released while the iterator is still in use.
    const snapshots = this.#snapshots;
    snapshots.pin(sequence);
    return this.#scan(range, sequence, () => snapshots.unpin(sequence));
  }

  #scan(range: ReturnType<typeof scanRange>, sequence: number, release: () => void): ScanIterator {
    return new ScanIterator(this.#scanSource, range, sequence, this.#scanWindow, release);
  }

  async *scan(options: ScanOptions = {}): AsyncGenerator<Entry, void, undefined> {
    for (const entry of this.scanSync(options)) {
      yield entry;
      this.#assertOpen();
    }
  }

  snapshot(): Snapshot {
    this.#assertOpen();
    return new PinnedSnapshot(this.#snapshots, this.#writer.sequence);
  }

  // ---- upkeep ----

  async sync(): Promise<void> {
    this.#assertOpen();
    await this.#writer.sync();
  }

  async flush(): Promise<void> {
    this.#assertOpen();
    this.#writer.write();
    await this.#parts.maintenance.flush();
  }

  async settled(): Promise<void> {
    this.#assertOpen();
    await this.#parts.maintenance.settled();
  }

  async checkpoint(directory: string, options: CheckpointOptions = {}): Promise<CheckpointResult> {
    checkDirectory(directory);
    checkOptions(options, CHECKPOINT_OPTIONS);
    return this.#withFiles((image) =>
      makeCheckpoint(this.#parts.fileSystem, image, directory, options, {
        sync: () => this.#parts.log.sync(),
        assertOpen: () => this.#assertOpen(),
      }),
    );
  }

  /** Lends out the files of this moment. They are kept until the work has ended, and closing waits for it. */
  async #withFiles<T>(work: (image: StoreImage) => Promise<T>): Promise<T> {
    this.#assertOpen();
    const { fileSystem, maintenance, log } = this.#parts;
    this.#writer.write();
    const release = maintenance.holdFiles();
    const run = async (): Promise<T> => {
      try {
        const { version, nextFileId, closedSegments } = maintenance;
        const active = { segment: log.segment, bytes: log.nextOffset };
        return await work(imageOfEngine(fileSystem, this.path, { version, nextFileId, closedSegments, active }));
      } finally {
        release();
      }
    };
    const running = run();
    this.#upkeep.add(running);
    try {
      return await running;
    } finally {
      this.#upkeep.delete(running);
    }
  }

  stats(): EngineStats {
    this.#assertOpen();
    const { maintenance, log, cache, memory } = this.#parts;
    const { version } = maintenance;
    const levels = version.levels.map((tables) => ({ tables: tables.length, bytes: sum(tables, (table) => table.bytes) }));
    const used = levels.findLastIndex((level) => level.tables > 0);
    const logBytes = sum([...maintenance.closedSegments.values()], (bytes) => bytes) + log.nextOffset;
    const valueFileBytes = sum([...version.segments.values()], (file) => file.bytes);
    return {
      sequence: this.#writer.sequence,
      puts: this.#writer.puts,
      gets: this.#reader.gets,
      memtableBytes: maintenance.memtableBytes,
      sealedMemtables: maintenance.sealedCount,
      levels: levels.slice(0, used + 1),
      logSegments: maintenance.closedSegments.size + (log.segment === 0 ? 0 : 1),
      logBytes,
      liveValueBytes: sum([...version.referencedBytes.values()], (bytes) => bytes),
      valueFileBytes,
      pageCacheBytes: cache.usedBytes,
      pageReads: this.#reader.pageReads,
      flushes: maintenance.flushes,
      compactions: maintenance.compactions,
      userBytes: this.#writer.userBytes,
      bytesWritten: log.bytesWritten + maintenance.bytesWritten,
      diskBytes: logBytes + valueFileBytes + sum(levels, (level) => level.bytes),
      snapshots: this.#snapshots.count,
      linearMemoryBytes: memory.usedBytes,
    };
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const { maintenance, log, values, lock } = this.#parts;
    this.#closed = true;
    await Promise.allSettled(this.#upkeep);
    try {
      if (!log.failure && !maintenance.failure && maintenance.activeBytes > FLUSH_AT_CLOSE_BYTES) {
        // A convenience for the next opening: what does not get into a table now is in the log.
        await maintenance.flush().catch(() => undefined);
      }
      await maintenance.close();
    } finally {
      // Whatever failed: the log gets what it still has to write, and the directory is let go.
      try {
        await log.close();
      } finally {
        try {
          values.close();
        } finally {
          lock.release();
        }
      }
    }
  }

  #durability(options: WriteOptions | undefined): Durability {
    if (options === undefined) return this.#settings.durability;
    checkOptions(options, WRITE_OPTIONS);
    return options.durability === undefined ? this.#settings.durability : checkDurability(options.durability);
  }

  #sequenceOf(options: ReadOptions | undefined): number {
    if (options === undefined) return NEWEST;
    if (options.snapshot !== undefined) return PinnedSnapshot.sequenceFor(options.snapshot, this.#snapshots);
    checkOptions(options, READ_OPTIONS);
    return NEWEST;
  }

  #assertOpen(): void {
    if (this.#closed) throw new SparrowError('closed', 'ENGINE_CLOSED', `the engine at ${this.path} is closed`, { path: this.path });
  }
}

function checkDirectory(directory: string): void {
  if (typeof directory === 'string' && directory !== '') return;
  throw new SparrowError('invalid', 'TYPE', 'directory is the name of a directory', { field: 'directory' });
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}
