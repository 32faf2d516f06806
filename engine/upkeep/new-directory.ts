/**
 * A directory that becomes a store whole or not at all. From the first step to the last it is locked, and holds a file INCOMPLETE, with which
 * it is refused by whoever would open it after a crash, and which lets the same work begin anew in it.
 *
 *   make the directory | INCOMPLETE | files | manifest, all names | CURRENT | INCOMPLETE goes          each on disk before the next
 *
 * FileSystem cannot remove directories: one that is given up is left with nothing but `LOCK`.
 */
import type { DirectoryLock, File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { makeDirectory } from '../make-directory.ts';
import { INCOMPLETE_NAME, Manifest, parseFileName, type Version } from '../manifest/index.ts';

/** `LOCK` stays where a directory was ever locked. */
const LOCK_FILES: ReadonlySet<string> = new Set(['LOCK', 'LOCK.pid']);

export class NewDirectory {
  readonly path: string;
  readonly #fs: FileSystem;
  readonly #lock: DirectoryLock;

  /**
   * Makes the directory where it is not there. `conflict/NOT_EMPTY` when it holds anything but what an attempt that died has left,
   * `unavailable/LOCKED` when somebody is at it, `invalid/NO_DIRECTORY`.
   */
  constructor(fileSystem: FileSystem, path: string) {
    this.path = path;
    this.#fs = fileSystem;
    makeDirectory(fileSystem, path);
    assertEmpty(path, this.#names());
    this.#lock = fileSystem.lockDirectory(path);
    try {
      const names = this.#names();
      assertEmpty(path, names);
      if (!names.includes(INCOMPLETE_NAME)) fileSystem.openSync(`${path}/${INCOMPLETE_NAME}`, 'create').closeSync();
      for (const name of names) if (name !== INCOMPLETE_NAME) fileSystem.unlinkSync(`${path}/${name}`);
      fileSystem.syncDirectorySync(path);
    } catch (error) {
      this.#lock.release();
      throw error;
    }
  }

  /** A new file, which the caller writes, syncs and closes. */
  create(name: string): File {
    return this.#fs.openSync(`${this.path}/${name}`, 'create');
  }

  /** A second name for a file that never changes. Errors are the operating system's. */
  link(existing: string, name: string): void {
    this.#fs.linkSync(existing, `${this.path}/${name}`);
  }

  /** The content of all files is on disk: makes their names so, with that of the manifest, before CURRENT names it; and the store count. */
  finish(version: Version): void {
    Manifest.write(this.#fs, this.path, version);
    this.#fs.unlinkSync(`${this.path}/${INCOMPLETE_NAME}`);
    this.#fs.syncDirectorySync(this.path);
    this.#lock.release();
  }

  /** After a failure: empties the directory, as far as that can be. One that is whole but for the last sync stays. */
  discard(): void {
    try {
      const names = this.#names();
      if (!names.includes(INCOMPLETE_NAME)) return;
      for (const name of names) if (name !== INCOMPLETE_NAME) this.#fs.unlinkSync(`${this.path}/${name}`);
      this.#fs.syncDirectorySync(this.path);
      this.#fs.unlinkSync(`${this.path}/${INCOMPLETE_NAME}`);
    } catch {
      // The failure before counts. What is left says that it is incomplete.
    } finally {
      this.#lock.release();
    }
  }

  #names(): string[] {
    return this.#fs.listSync(this.path).filter((name) => !LOCK_FILES.has(name));
  }
}

/** Only what this class makes may be there, and only beside INCOMPLETE. */
function assertEmpty(path: string, names: readonly string[]): void {
  const foreign = names.includes(INCOMPLETE_NAME) ? names.find((name) => parseFileName(name) === undefined) : names[0];
  if (foreign === undefined) return;
  throw new SparrowError('conflict', 'NOT_EMPTY', `${path} is not empty: it holds '${foreign}'`, { directory: path, name: foreign });
}
