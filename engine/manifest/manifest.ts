/**
 * The manifest of one directory: keeps the current version and makes the next one durable. Format: docs/formats/manifest.md.
 *
 * `append` is a group commit: edits that arrive while a sync is under way are written together as the next frame. `version` moves on
 * only when an edit is on disk, so that nothing ever depends on one that is not (a file may be deleted as soon as `version` is without it).
 *
 * Failure model: a failed sync, or a failed write that cannot be taken back, is final; every later append answers
 * `closed/WRITER_FAILED`. A full disk refuses the edit with `exhausted/DISK_FULL` and nothing has changed. A new manifest that cannot be
 * written leaves the old one in place, and is tried again when that has grown further.
 *
 * What `open` reads may be the system's cache only: of a process that died before its sync, or whose sync failed (then the system holds the
 * pages for clean, and only writing them again brings them to the disk). `makeDurable` does that, before anything depends on it: before the
 * first append, and before the opener removes files by what it read. Opening alone waits for no disk.
 */
import { assert } from '../../base/assert.ts';
import type { File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { CURRENT_NAME, highestFileId, manifestName } from './file-names.ts';
import { corruptManifest, encodeManifestFrame } from './manifest-format.ts';
import { inTurns, makeCurrent, type NewManifest, switchTo, writeManifest } from './new-manifest.ts';
import { assertComplete, readManifest } from './read-manifest.ts';
import { applyEdit } from './version-builder.ts';
import { EMPTY_VERSION, obsoleteFiles, type Version } from './version.ts';
import { encodeEdit, FORMAT_VERSION, type VersionEdit } from './version-edit.ts';

const ROLL_BYTES = 1024 * 1024;

export interface ManifestOptions {
  /** Settings that are fixed at creation, asked for then; an existing store keeps its own. */
  readonly settings?: () => Readonly<Record<string, number>>;
  /** A manifest larger than this is replaced by one edit in a new file. Default 1 MiB. */
  readonly rollBytes?: number;
}

interface Waiting {
  readonly bytes: Uint8Array;
  /** The version that this edit leads to. */
  readonly version: Version;
  readonly resolve: (version: Version) => void;
  readonly reject: (error: unknown) => void;
}

export class Manifest {
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #rollBytes: number;
  #id: number;
  /** Open while it is written: an engine at rest holds no descriptor for it. */
  #file: File | undefined;
  /** Where the sound frames end. */
  #bytes: number;
  #rollAt: number;
  #version: Version;
  /** With the edits that wait. */
  #latest: Version;
  #waiting: Waiting[] = [];
  #busy = false;
  #writing: Promise<void> = Promise.resolve();
  #failure: SparrowError | undefined;
  #rollFailure: unknown;
  #closed = false;
  #bytesWritten = 0;
  /** The last frame that was read, until it is known to be on disk. */
  #unsynced: Uint8Array | undefined;

  private constructor(fs: FileSystem, directory: string, opened: Opened, rollBytes: number) {
    this.#fs = fs;
    this.#directory = directory;
    this.#rollBytes = rollBytes;
    this.#id = opened.id;
    this.#file = opened.file;
    this.#bytes = opened.bytes;
    this.#rollAt = rollBytes;
    this.#version = this.#latest = opened.version;
    this.#unsynced = opened.unsynced;
  }

  /**
   * Opens the manifest of `directory`, which the caller has locked; makes one when the directory holds no store. A torn last frame is
   * left behind by moving on to a new manifest. `corrupt/CORRUPT_MANIFEST` with file and offset when something that was durable is damaged.
   */
  static open(
    fs: FileSystem,
    directory: string,
    options: ManifestOptions = {},
  ): { manifest: Manifest; version: Version; created: boolean } {
    const listing = fs.listSync(directory);
    assertComplete(directory, listing);
    const created = !listing.includes(CURRENT_NAME);
    const opened = created ? create(fs, directory, listing, options.settings?.() ?? {}) : load(fs, directory, listing);
    const manifest = new Manifest(fs, directory, opened, options.rollBytes ?? ROLL_BYTES);
    manifest.#rest();
    return { manifest, version: manifest.version, created };
  }

  /** Makes `version` the current one of a directory, whatever was; on disk when it returns, with the manifest's id. For who makes a store out of files. */
  static write(fs: FileSystem, directory: string, version: Version): number {
    const { id, file } = switchTo(fs, directory, fs.listSync(directory), version);
    file.closeSync();
    return id;
  }

  /** The newest version that is on disk. */
  get version(): Version {
    return this.#version;
  }

  /** The version with all edits that wait: what the next edit must fit. */
  get latest(): Version {
    return this.#latest;
  }

  get id(): number {
    return this.#id;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Why the last attempt to begin a new manifest failed, until one succeeds. The old one goes on. */
  get rollFailure(): unknown {
    return this.#rollFailure;
  }

  /** Sees to it that the version is on disk, whatever the process before died of. Before anything is done that it must not take back. */
  makeDurable(): void {
    if (this.#failure) throw this.#failure;
    if (this.#unsynced === undefined) return;
    try {
      this.#open().writeSync(this.#unsynced, 0, this.#unsynced.length, this.#bytes - this.#unsynced.length);
    } catch (cause) {
      // The same bytes as there were, or a part of them: nothing to take back.
      if ((cause as NodeJS.ErrnoException).code === 'ENOSPC') throw this.#diskFull(cause);
      throw this.#fail('write', cause);
    }
    try {
      this.#open().datasyncSync();
      this.#fs.syncDirectorySync(this.#directory);
    } catch (cause) {
      throw this.#fail('sync', cause);
    }
    this.#unsynced = undefined;
    if (!this.#busy) this.#rest();
  }

  /**
   * Settles with the version when the edit is on disk. `internal/ASSERTION` when it does not fit: nothing has changed then. `after`: the version that it
   * makes of the one that all edits before have made, when that is known: with thousands of tables it takes a millisecond to make.
   */
  async append(edit: VersionEdit, after?: Version): Promise<Version> {
    if (this.#failure) throw this.#failure;
    assert(!this.#closed, 'a closed manifest is not appended to');
    const version = after ?? applyEdit(this.#latest, edit);
    const { promise, resolve, reject } = Promise.withResolvers<Version>();
    this.#waiting.push({ bytes: encodeEdit(edit), version, resolve, reject });
    this.#latest = version;
    if (!this.#busy) {
      this.#busy = true;
      this.#writing = this.#write();
    }
    return promise;
  }

  /** Names in the directory that belong to nothing. `inUse`: ids of files being written, or held by a reader. */
  obsoleteFiles(listing: readonly string[], inUse?: ReadonlySet<number>): string[] {
    return obsoleteFiles(this.#version, listing, this.#id, inUse);
  }

  /** Settles when no edit is under way, and no new manifest. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  /** Waits for the edits under way. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing;
    this.#rest();
  }

  #open(): File {
    this.#file ??= this.#fs.openSync(`${this.#directory}/${manifestName(this.#id)}`, 'write');
    return this.#file;
  }

  /** What was written is on disk, or the manifest has failed: nothing depends on how this ends. */
  #rest(): void {
    const file = this.#file;
    this.#file = undefined;
    try {
      file?.closeSync();
    } catch {
      // Said above.
    }
  }

  /** Writes all that waits, frame by frame. Never rejects: each edit's caller learns of its own. */
  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#writeFrame(group);
      } catch (error) {
        // What waits builds on what has failed: it fails with it.
        const failed = [...group, ...this.#waiting];
        this.#waiting = [];
        this.#latest = this.#version;
        for (const { reject } of failed) reject(error);
        continue;
      }
      this.#version = group.at(-1)!.version;
      for (const { resolve, version } of group) resolve(version);
      if (this.#bytes > this.#rollAt) await this.#roll();
    }
    this.#rest();
    // Here and not when the promise has settled: an edit that comes in between would wait for ever.
    this.#busy = false;
  }

  async #writeFrame(group: readonly Waiting[]): Promise<void> {
    this.makeDurable();
    const frame = encodeManifestFrame(
      group.map((each) => each.bytes),
      this.#id,
    );
    try {
      this.#open().writeSync(frame, 0, frame.length, this.#bytes);
    } catch (cause) {
      throw this.#takeBack(cause);
    }
    try {
      await this.#open().datasync();
    } catch (cause) {
      throw this.#fail('sync', cause);
    }
    this.#bytes += frame.length;
    this.#bytesWritten += frame.length;
  }

  /** A part of a frame may have arrived: it must not stand before the next one. */
  #takeBack(cause: unknown): SparrowError {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') return this.#fail('write', cause);
    try {
      this.#open().truncateSync(this.#bytes);
    } catch (second) {
      return this.#fail('truncate', second);
    }
    return this.#diskFull(cause);
  }

  #diskFull(cause: unknown): SparrowError {
    const directory = this.#directory;
    return new SparrowError('exhausted', 'DISK_FULL', `${directory}: no space left for the manifest`, { directory }, cause);
  }

  /** Edits that come meanwhile wait. */
  async #roll(): Promise<void> {
    let next: NewManifest;
    try {
      next = await inTurns(writeManifest(this.#fs, this.#directory, this.#id + 1, this.#version));
    } catch (cause) {
      this.#rollFailure = cause;
      this.#rollAt = this.#bytes + this.#rollBytes;
      return;
    }
    try {
      await inTurns(makeCurrent(this.#fs, this.#directory, next.id));
    } catch (cause) {
      // Either of the two may be current now: neither may be written.
      next.file.closeSync();
      this.#fail('switch', cause);
      return;
    }
    const oldId = this.#id;
    this.#rest();
    this.#id = next.id;
    this.#file = next.file;
    this.#bytes = next.bytes;
    this.#bytesWritten += next.bytes;
    this.#rollAt = Math.max(this.#rollBytes, next.bytes * 2);
    this.#rollFailure = undefined;
    try {
      this.#fs.unlinkSync(`${this.#directory}/${manifestName(oldId)}`);
    } catch (cause) {
      // Nothing refers to it; the next opening finds it among the obsolete files.
      this.#rollFailure = cause;
    }
  }

  #fail(operation: string, cause: unknown): SparrowError {
    this.#failure ??= new SparrowError(
      'closed',
      'WRITER_FAILED',
      `the manifest's ${operation} failed (${String((cause as Error).message ?? cause)}); nothing is written until the engine is opened again`,
      { operation, directory: this.#directory, code: String((cause as NodeJS.ErrnoException).code ?? '') },
      cause,
    );
    return this.#failure;
  }
}

interface Opened extends NewManifest {
  /** The last frame, when it may not be on disk. */
  readonly unsynced?: Uint8Array;
}

function create(fs: FileSystem, directory: string, listing: readonly string[], settings: Readonly<Record<string, number>>): Opened {
  // The manifest is made before anything else. Logs or tables without it are a store that has lost its CURRENT.
  if (highestFileId(listing) > 0) {
    throw corruptManifest(`${directory}/${CURRENT_NAME}`, 0, 'it is missing, but the directory holds logs or tables');
  }
  const version = applyEdit(EMPTY_VERSION, { formatVersion: FORMAT_VERSION, settings });
  return switchTo(fs, directory, listing, version);
}

function load(fs: FileSystem, directory: string, listing: readonly string[]): Opened {
  const { manifestId: id, path, bytes, decoded, version: found } = readManifest(fs, directory, listing);
  // An id that a file has had is never given again, though no edit may have recorded it.
  const version = applyEdit(found, { nextFileId: Math.max(found.nextFileId, highestFileId(listing) + 1) });
  if (decoded.bytes < bytes.length) return switchTo(fs, directory, listing, version);
  return { id, file: fs.openSync(path, 'write'), bytes: decoded.bytes, version, unsynced: bytes.slice(decoded.lastFrame) };
}
