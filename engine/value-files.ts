/**
 * Large values where the log wrote them: reads a value by its pointer from its segment. A segment is open from the moment that the log
 * opens it, or on its first read after the engine was opened, until it is removed.
 *
 * Every value is compared with the checksum in its pointer; a mismatch is `corrupt/CORRUPT_VALUE` with file and offset.
 */
import type { File, FileSystem } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { assert } from '../base/assert.ts';
import type { ColdReads, PreparedFile } from './cold-reads/index.ts';
import type { LinearMemory } from './memory/linear-memory.ts';
import type { Reserve } from './memory/reserve.ts';
import { openValueFile, valueFilePath } from './compaction/index.ts';
import type { OpenFiles, PooledFile } from './open-files.ts';
import type { ValueCache } from './value-cache.ts';

export class ValueFiles {
  readonly #memory: LinearMemory;
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #pool: OpenFiles;
  /** Files that the log holds, and others that were read from. */
  readonly #held = new Map<number, PreparedFile>();
  readonly #files = new Map<number, PooledFile<PreparedFile>>();
  readonly #cache: ValueCache;
  readonly #window: Reserve;
  readonly #coldReads: ColdReads;
  /** This engine's number in the cache. */
  readonly #owner: number;
  #hits = 0;
  #misses = 0;

  /** `window`: where values that the cache does not take are read to. */
  constructor(
    memory: LinearMemory,
    cache: ValueCache,
    window: Reserve,
    fileSystem: FileSystem,
    files: OpenFiles,
    directory: string,
    coldReads: ColdReads,
  ) {
    this.#coldReads = coldReads;
    this.#memory = memory;
    this.#window = window;
    this.#pool = files;
    this.#cache = cache;
    this.#owner = cache.takeOwner();
    this.#fs = fileSystem;
    this.#directory = directory;
  }

  /** Values that the cache had, and had not. */
  get hits(): number {
    return this.#hits;
  }
  get misses(): number {
    return this.#misses;
  }

  /** A file of the log, which holds it until `release`. */
  add(segment: number, file: File): void {
    assert(!this.#held.has(segment), 'a segment is held once');
    this.#files.get(segment)?.close();
    this.#files.delete(segment);
    this.#held.set(segment, this.#coldReads.valueFile(file, this.#path(segment), true));
    this.#pool.hold();
  }

  /** The log is done with the file: it is on disk and takes no more. It is opened again when a value is read from it. */
  release(segment: number): void {
    const file = this.#held.get(segment);
    if (file === undefined) return;
    this.#held.delete(segment);
    file.closeSync();
    this.#pool.letGo();
  }

  /** Whether the segment is there: not removed. */
  has(segment: number): boolean {
    return this.#held.has(segment) || this.#files.has(segment) || this.#fs.existsSync(this.#path(segment));
  }

  /** Closes the segment's file, which is to be removed. Returns its path. */
  forget(segment: number): string {
    this.release(segment);
    this.#files.get(segment)?.close();
    this.#files.delete(segment);
    return this.#path(segment);
  }

  /**
   * Brings the value of the 24-byte pointer at `pointer` into linear memory and verifies it, unless the cache has it. Returns its address,
   * valid until the next read; its length is `bytesOf(pointer)`.
   */
  read(pointer: number): number {
    const cache = this.#cache;
    const found = cache.find(this.#owner, pointer);
    if (found !== 0) {
      this.#hits++;
      return found;
    }
    const view = this.#memory.view;
    const segment = view.getUint32(pointer, true);
    const bytes = view.getUint32(pointer + 4, true);
    const offset = view.getUint32(pointer + 8, true);
    const opened = this.#open(segment);
    opened.prepare(bytes, offset);
    const kept = cache.reserve(bytes);
    const window = kept === 0 ? this.#window.window(bytes) : kept;
    const got = opened.readSync(this.#memory.u8, window, bytes, offset);
    if (got !== bytes || this.#memory.kernel['checkPointer']!(pointer, window) !== 1) {
      const file = this.#path(segment);
      throw new SparrowError('corrupt', 'CORRUPT_VALUE', `the value of ${bytes} bytes at ${file}@${offset} does not match its checksum`, {
        file,
        offset,
        bytes,
      });
    }
    this.#misses++;
    if (kept !== 0) cache.commit(this.#owner, pointer, kept);
    return window;
  }

  bytesOf(pointer: number): number {
    return this.#memory.view.getUint32(pointer + 4, true);
  }

  close(): void {
    for (const segment of [...this.#held.keys()]) this.release(segment);
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
    this.#cache.drop(this.#owner);
  }

  #open(segment: number): PreparedFile {
    const held = this.#held.get(segment);
    if (held) return held;
    let file = this.#files.get(segment);
    if (file === undefined) this.#files.set(segment, (file = this.#pool.add(() => this.#openFile(segment))));
    return file.use();
  }

  #openFile(segment: number): PreparedFile {
    try {
      const { file, path } = openValueFile(this.#fs, this.#directory, segment);
      return this.#coldReads.valueFile(file, path, false);
    } catch (cause) {
      // A disk that cannot be read now says nothing of what is on it.
      if ((cause as { code?: unknown }).code !== 'ENOENT') throw cause;
      const path = this.#path(segment);
      throw new SparrowError('corrupt', 'CORRUPT_VALUE', `${path}, which holds large values, is missing`, { file: path }, cause);
    }
  }

  #path(segment: number): string {
    return valueFilePath(this.#fs, this.#directory, segment);
  }
}
