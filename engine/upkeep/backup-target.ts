/**
 * A directory of backups: manifests, and in `files` what any of them refers to, each content once. A file is written under a temporary name, synced
 * and renamed; a backup counts when its manifest has been renamed. So whatever a crash leaves, older backups are whole, and what belongs to none is
 * removed when the next one is made.
 */
import type { DirectoryLock, File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { isSystemError } from '../inspect/index.ts';
import { makeDirectory } from '../make-directory.ts';
import {
  type BackedUpFile,
  backupName,
  type BackupManifest,
  decodeBackup,
  encodeBackup,
  parseBackupName,
  storedName,
} from './backup-format.ts';
import { copyFile, type Pause, readPieces, readWhole } from './copy-file.ts';
import type { FileCheck } from './file-check.ts';

const FILES = 'files';
const TEMPORARY = '.tmp';

export interface FoundBackup {
  readonly id: number;
  /** An error: the manifest is damaged, of another version, or the system cannot read it. */
  readonly manifest: BackupManifest | Error;
}

export class BackupTarget {
  readonly path: string;
  readonly #fs: FileSystem;
  readonly #lock: DirectoryLock | undefined;

  private constructor(fileSystem: FileSystem, path: string, lock: DirectoryLock | undefined) {
    this.#fs = fileSystem;
    this.path = path;
    this.#lock = lock;
  }

  /** To make backups in, and the directory where it is not there. `conflict/NOT_EMPTY` for one that holds anything else; `unavailable/LOCKED`; `invalid/NO_DIRECTORY`. */
  static make(fileSystem: FileSystem, path: string): BackupTarget {
    makeDirectory(fileSystem, path);
    const foreign = fileSystem.listSync(path).find((name) => !isOurs(name));
    if (foreign !== undefined) {
      throw new SparrowError('conflict', 'NOT_EMPTY', `${path} is no directory of backups: it holds '${foreign}'`, {
        directory: path,
        name: foreign,
      });
    }
    makeDirectory(fileSystem, `${path}/${FILES}`);
    return new BackupTarget(fileSystem, path, fileSystem.lockDirectory(path));
  }

  /** To look at backups, or, `locked`, to read and remove them. `invalid/NO_BACKUPS` when the directory is none of backups. */
  static open(fileSystem: FileSystem, path: string, locked: boolean): BackupTarget {
    if (!fileSystem.existsSync(`${path}/${FILES}`)) {
      throw new SparrowError('invalid', 'NO_BACKUPS', `${path} is no directory of backups`, { directory: path });
    }
    return new BackupTarget(fileSystem, path, locked ? fileSystem.lockDirectory(path) : undefined);
  }

  release(): void {
    this.#lock?.release();
  }

  /** Oldest first. */
  backups(): FoundBackup[] {
    return this.#fs
      .listSync(this.path)
      .flatMap((name) => parseBackupName(name) ?? [])
      .toSorted((a, b) => a - b)
      .map((id) => ({ id, manifest: this.#read(id) }));
  }

  /** The backup of that number, or the newest. `invalid/NO_BACKUP`; `corrupt/CORRUPT_BACKUP`. */
  backup(id: number | undefined): BackupManifest {
    const all = this.backups();
    const found = id === undefined ? all.at(-1) : all.find((each) => each.id === id);
    if (!found) {
      const which = id === undefined ? 'no backup yet' : `no backup ${id}`;
      throw new SparrowError('invalid', 'NO_BACKUP', `${this.path} has ${which}`, {
        directory: this.path,
        ...(id !== undefined && { backup: id }),
      });
    }
    if (found.manifest instanceof Error) throw found.manifest;
    return found.manifest;
  }

  /** Makes a backup count. */
  commit(manifest: BackupManifest): void {
    this.#fs.syncDirectorySync(`${this.path}/${FILES}`);
    const bytes = encodeBackup(manifest);
    const path = `${this.path}/${backupName(manifest.id)}`;
    const file = this.#replace(`${path}${TEMPORARY}`);
    try {
      file.writeSync(bytes, 0, bytes.length, 0);
      file.datasyncSync();
    } finally {
      file.closeSync();
    }
    this.#fs.renameSync(`${path}${TEMPORARY}`, path);
    this.#fs.syncDirectorySync(this.path);
  }

  /** Removes backups, then what only they had. */
  remove(ids: readonly number[]): void {
    for (const id of ids) this.#fs.unlinkSync(`${this.path}/${backupName(id)}`);
    this.#fs.syncDirectorySync(this.path);
    this.removeUnused();
  }

  /** Removes what no backup refers to. While a manifest cannot be read, nobody knows what it refers to: nothing is removed then. */
  removeUnused(): void {
    const used = new Set<string>();
    for (const { manifest } of this.backups()) {
      if (manifest instanceof Error) return;
      for (const file of manifest.files) used.add(storedName(file));
    }
    const names = this.#fs.listSync(`${this.path}/${FILES}`);
    for (const name of names) if (!used.has(name)) this.#fs.unlinkSync(`${this.path}/${FILES}/${name}`);
    for (const name of this.#fs.listSync(this.path)) if (name.endsWith(TEMPORARY)) this.#fs.unlinkSync(`${this.path}/${name}`);
    this.#fs.syncDirectorySync(`${this.path}/${FILES}`);
    this.#fs.syncDirectorySync(this.path);
  }

  has(file: BackedUpFile): boolean {
    return this.#fs.existsSync(this.pathOf(file));
  }

  /** Whether any content is there of a file of that name. */
  hasName(name: string): boolean {
    return this.#fs.listSync(`${this.path}/${FILES}`).some((stored) => stored.startsWith(`${name}.`));
  }

  /** Takes the first `bytes` of a file in; its check. */
  async take(
    path: string,
    name: string,
    bytes: number,
    check: FileCheck,
    { assertOpen, pause }: { assertOpen: () => void; pause: Pause | undefined },
  ): Promise<BackedUpFile> {
    const temporary = `${this.path}/${FILES}/${name}${TEMPORARY}`;
    const target = this.#replace(temporary);
    check.reset();
    try {
      const onPiece = (piece: Uint8Array): void => {
        assertOpen();
        check.add(piece);
      };
      await copyFile(this.#fs, path, bytes, target, onPiece, pause);
    } finally {
      target.closeSync();
    }
    const file = { name, bytes, check: check.take() };
    this.#fs.renameSync(temporary, this.pathOf(file));
    return file;
  }

  /** Reads a file of a backup, a piece at a time. `corrupt/CORRUPT_BACKUP` at the end of one that is not what was taken. */
  async read(file: BackedUpFile, check: FileCheck, onPiece: (piece: Uint8Array, at: number) => void, pause?: Pause): Promise<void> {
    const path = this.pathOf(file);
    check.reset();
    const onEach = (piece: Uint8Array, at: number): void => {
      check.add(piece);
      onPiece(piece, at);
    };
    await readPieces(this.#fs, path, file.bytes, onEach, pause);
    if (check.take() !== file.check) {
      throw new SparrowError('corrupt', 'CORRUPT_BACKUP', `${path} does not match the checksum that its backup has`, {
        file: path,
        offset: 0,
      });
    }
  }

  #read(id: number): BackupManifest | Error {
    const path = `${this.path}/${backupName(id)}`;
    try {
      return decodeBackup(readWhole(this.#fs, path), id, path);
    } catch (error) {
      if (error instanceof SparrowError || isSystemError(error)) return error;
      throw error;
    }
  }

  /** Where the file lies. */
  pathOf(file: BackedUpFile): string {
    return `${this.path}/${FILES}/${storedName(file)}`;
  }

  #replace(path: string): File {
    if (this.#fs.existsSync(path)) this.#fs.unlinkSync(path);
    return this.#fs.openSync(path, 'create');
  }
}

function isOurs(name: string): boolean {
  return name === FILES || name === 'LOCK' || name === 'LOCK.pid' || parseBackupName(name.replace(/\.tmp$/, '')) !== undefined;
}
