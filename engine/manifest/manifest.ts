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
 *
 * Order of a switch: new file, its sync, the directory's sync, CURRENT.tmp, its sync, rename over CURRENT, the directory's sync. A crash
 * between any two finds either the old manifest or the new one, both whole and equal.
 */
import { assert } from '../../base/assert.ts';
import type { File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { CURRENT_NAME, CURRENT_TEMPORARY_NAME, highestFileId, INCOMPLETE_NAME, manifestName, parseFileName } from './file-names.ts';
import {
  corruptManifest,
  type DecodedManifest,
  decodeCurrent,
  decodeManifest,
  encodeCurrent,
  encodeManifestFrame,
  encodeManifestHeader,
  soundFrames,
} from './manifest-format.ts';
import { applyEdit, VersionBuilder } from './version-builder.ts';
import { EMPTY_VERSION, obsoleteFiles, snapshotEdit, type Version } from './version.ts';
import { decodeEdit, encodeEdit, FORMAT_VERSION, type VersionEdit } from './version-edit.ts';

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
    let next: Opened;
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

interface Opened {
  readonly id: number;
  readonly file: File;
  readonly bytes: number;
  readonly version: Version;
  /** The last frame, when it may not be on disk. */
  readonly unsynced?: Uint8Array;
}

/** `corrupt/INCOMPLETE`: who was to make the directory out of another store has not finished. */
function assertComplete(directory: string, listing: readonly string[]): void {
  if (!listing.includes(INCOMPLETE_NAME)) return;
  throw new SparrowError(
    'corrupt',
    'INCOMPLETE',
    `${directory} is not whole: the checkpoint, restore or other copy that was to make it has not finished; make it again, or remove the directory`,
    { directory },
  );
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

/** The version that a directory's manifest says, changing nothing. */
export interface FoundVersion {
  readonly version: Version;
  readonly manifestId: number;
  /** Where the torn end of edits begins that were never acknowledged, if there is one. */
  readonly tornAt: number | undefined;
}

/** `corrupt/CORRUPT_MANIFEST` with file and offset, `corrupt/INCOMPLETE`; `invalid/FORMAT_*` for another version's. */
export function readVersion(fs: FileSystem, directory: string): FoundVersion {
  const listing = fs.listSync(directory);
  assertComplete(directory, listing);
  if (!listing.includes(CURRENT_NAME)) throw corruptManifest(`${directory}/${CURRENT_NAME}`, 0, 'it is missing');
  const { version, manifestId, bytes, decoded } = readManifest(fs, directory, listing);
  return { version, manifestId, tornAt: decoded.bytes < bytes.length ? decoded.bytes : undefined };
}

function readManifest(
  fs: FileSystem,
  directory: string,
  listing: readonly string[],
): { manifestId: number; path: string; bytes: Uint8Array; decoded: DecodedManifest; version: Version } {
  const manifestId = decodeCurrent(readWhole(fs, `${directory}/${CURRENT_NAME}`), `${directory}/${CURRENT_NAME}`);
  const path = `${directory}/${manifestName(manifestId)}`;
  if (!listing.includes(manifestName(manifestId))) throw corruptManifest(path, 0, 'CURRENT names it, but it is missing');
  const bytes = readWhole(fs, path);
  const decoded = decodeManifest(bytes, manifestId, path);
  return { manifestId, path, bytes, decoded, version: replayAll(decoded, bytes, path) };
}

/** The version that the bytes of a manifest say. `corrupt/CORRUPT_MANIFEST`. */
export function versionOf(bytes: Uint8Array, manifestId: number, path: string): Version {
  return replayAll(decodeManifest(bytes, manifestId, path), bytes, path);
}

/** What can be told of a manifest that may be damaged: the edits of all its sound frames, in order. */
export function soundEdits(bytes: Uint8Array, manifestId: number, path: string): VersionEdit[] {
  return soundFrames(bytes, manifestId, path).map(({ offset, end }) => decodeEdit(bytes, offset, end));
}

function replayAll({ edits }: DecodedManifest, bytes: Uint8Array, path: string): Version {
  const builder = new VersionBuilder(EMPTY_VERSION);
  for (const { offset, end } of edits) replay(path, offset, () => builder.apply(decodeEdit(bytes, offset, end)));
  return replay(path, edits.at(-1)!.offset, () => builder.version());
}

function replay<T>(path: string, offset: number, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof SparrowError && cause.kind === 'invalid') throw cause;
    throw corruptManifest(path, offset, `a version edit cannot be applied: ${(cause as Error).message}`, cause);
  }
}

/** Writes `version` to a manifest that the directory does not have yet, and makes it the current one. */
function switchTo(fs: FileSystem, directory: string, listing: readonly string[], version: Version): Opened {
  const ids = listing.map((name) => parseFileName(name)).filter((parsed) => parsed?.kind === 'manifest');
  const opened = atOnce(writeManifest(fs, directory, Math.max(0, ...ids.map((parsed) => parsed!.id)) + 1, version));
  try {
    atOnce(makeCurrent(fs, directory, opened.id));
  } catch (error) {
    opened.file.closeSync();
    throw error;
  }
  return opened;
}

/** What must be on disk before the next step: an opening waits for that at once, an engine at work does not hold its thread for it. */
type Sync = { readonly sync: () => void; readonly begin: () => Promise<void> };

function atOnce<T>(steps: Generator<Sync, T>): T {
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return step.value;
    try {
      step.value.sync();
    } catch (error) {
      steps.throw(error);
    }
  }
}

async function inTurns<T>(steps: Generator<Sync, T>): Promise<T> {
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return step.value;
    try {
      await step.value.begin();
    } catch (error) {
      steps.throw(error);
    }
  }
}

function content(file: File): Sync {
  return { sync: () => file.datasyncSync(), begin: () => file.datasync() };
}

function names(fs: FileSystem, directory: string): Sync {
  return { sync: () => fs.syncDirectorySync(directory), begin: () => fs.syncDirectory(directory) };
}

/** A new manifest file with one edit, on disk when it is over. What is left of it when it throws belongs to nothing. */
function* writeManifest(fs: FileSystem, directory: string, id: number, version: Version): Generator<Sync, Opened> {
  const path = `${directory}/${manifestName(id)}`;
  const parts = [encodeManifestHeader(id), encodeManifestFrame([encodeEdit(snapshotEdit(version))], id)];
  const file = replaceFile(fs, path);
  try {
    file.writevSync(parts, 0);
    yield content(file);
    yield names(fs, directory);
  } catch (error) {
    file.closeSync();
    throw error;
  }
  return { id, file, bytes: parts[0]!.length + parts[1]!.length, version };
}

function* makeCurrent(fs: FileSystem, directory: string, id: number): Generator<Sync, void> {
  const temporary = `${directory}/${CURRENT_TEMPORARY_NAME}`;
  const current = encodeCurrent(id);
  const file = replaceFile(fs, temporary);
  try {
    file.writeSync(current, 0, current.length, 0);
    yield content(file);
  } finally {
    file.closeSync();
  }
  fs.renameSync(temporary, `${directory}/${CURRENT_NAME}`);
  yield names(fs, directory);
}

/** A new file; one of that name was left by an attempt that failed. */
function replaceFile(fs: FileSystem, path: string): File {
  if (fs.existsSync(path)) fs.unlinkSync(path);
  return fs.openSync(path, 'create');
}

function readWhole(fs: FileSystem, path: string): Uint8Array {
  const file = fs.openSync(path, 'read');
  try {
    const bytes = new Uint8Array(file.sizeSync());
    return bytes.subarray(0, file.readSync(bytes, 0, bytes.length, 0));
  } finally {
    file.closeSync();
  }
}
