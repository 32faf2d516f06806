/**
 * Backups of a store into a directory of backups (backup-target.ts): each is the whole store at one moment, and takes the space of what no earlier
 * one has. Every file is hashed as it is copied, and compared with that whenever it is read again; and no backup is made of what does not match the
 * checksums that the store itself has: what no earlier one has is verified before it counts.
 *
 * A file that an earlier backup of this very store has under the same name and length is the same (ids are used once, files never change): it is
 * not even read. Of a store without an id, or from before it was restored, files are read and compared by their checks; and so are those of a
 * directory that somebody has copied, which has the same id and may since have given the same names to other files: their stamps differ.
 */
import type { FileSystem, Scheduler, Zstd } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type {
  BackupInfo,
  BackupOptions,
  BackupResult,
  Finding,
  RestoreOptions,
  RestoreResult,
  VerifyBackupOptions,
  VerifyBackupReport,
} from '../files-api.ts';
import { drive, type ImageFile, isSystemError, type StoreImage, verifyImage } from '../inspect/index.ts';
import { applyEdit, decodeEdit, EMPTY_VERSION, encodeEdit, snapshotEdit, type Version } from '../manifest/index.ts';
import { type BackedUpFile, type BackupManifest, backupName, corruptBackup, storedName } from './backup-format.ts';
import { BackupTarget, type FoundBackup } from './backup-target.ts';
import { type Pause, readPieces } from './copy-file.ts';
import { orDiskFull } from './disk-full.ts';
import { FileCheck } from './file-check.ts';
import { NewDirectory } from './new-directory.ts';
import { storeIdOf, withStoreId } from './store-id.ts';
import { WatchedReads } from './watched-reads.ts';
import { withoutHost } from './without-host.ts';

/** Where a backup is taken from. */
export interface BackupSource {
  readonly image: StoreImage;
  readonly scheduler: Scheduler;
  readonly zstd: Zstd | undefined;
  /** Of the last write in the image, where it is known. */
  readonly sequence: number | undefined;
  /** Settles when everything in the image is on disk. */
  sync(): Promise<void>;
  /** Throws when the source is being closed. */
  assertOpen(): void;
  /** Between pieces, of a source that somebody uses meanwhile. */
  readonly pause?: Pause;
}

/**
 * Adds a backup to those in `target`. It counts when the promise settles; until then the others are untouched. `corrupt/CORRUPT_STORE` when a file
 * is damaged that no earlier backup has.
 */
export async function makeBackup(
  fileSystem: FileSystem,
  source: BackupSource,
  target: string,
  nowMs: number,
  options: BackupOptions,
): Promise<BackupResult> {
  const backups = BackupTarget.make(fileSystem, target);
  try {
    backups.removeUnused();
    const before = backups.backups();
    const store = storeIdOf(source.image.version);
    const known =
      store === undefined
        ? new Map<string, BackedUpFile>()
        : filesOf(
            before.map(({ manifest }) => manifest),
            store,
          );
    await source.sync();
    const taking = new Taking(fileSystem, backups, source, known, options);
    for (const file of source.image.files) await taking.take(file);
    await assertSound(fileSystem, source, unverified(taking.files, before), options.signal);
    const id = (before.at(-1)?.id ?? 0) + 1;
    const { files, copiedFiles, copiedBytes } = taking;
    const edit = encodeEdit(snapshotEdit(source.image.version));
    backups.commit({ id, createdMs: nowMs, sequence: source.sequence, store, edit, files });
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    return { backup: id, target, files: files.length, bytes, copiedFiles, copiedBytes };
  } catch (error) {
    throw orDiskFull(error, target, 'no backup was made, those before are as they were');
  } finally {
    backups.release();
  }
}

/** Names of the files that no backup has as they are. */
function unverified(files: readonly BackedUpFile[], before: readonly FoundBackup[]): Set<string> {
  const had = new Set(before.flatMap(({ manifest }) => (manifest instanceof Error ? [] : manifest.files.map(storedName))));
  return new Set(files.filter((file) => !had.has(storedName(file))).map(({ name }) => name));
}

async function assertSound(
  fileSystem: FileSystem,
  { image, scheduler, zstd, assertOpen, pause }: BackupSource,
  names: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (names.size === 0) return;
  const watched = new WatchedReads(fileSystem);
  const steps = verifyImage(watched, image, zstd, undefined, names);
  const check = (): void => {
    assertOpen();
    assertWanted(signal);
  };
  const { problems, problemCount } = await drive(steps, scheduler, {}, check, pause);
  watched.assertAnswered();
  const [problem] = problems;
  if (problem === undefined) return;
  const { file, offset, what } = problem;
  const more = problemCount > 1 ? ` (and ${problemCount - 1} more)` : '';
  throw new SparrowError('corrupt', 'CORRUPT_STORE', `no backup was made: ${file} is damaged at offset ${offset}: ${what}${more}`, {
    file,
    offset,
    problems: problemCount,
  });
}

/** Files that backups of the store have, by name; those of the newest one last. */
function filesOf(manifests: readonly (BackupManifest | Error)[], store: number): Map<string, BackedUpFile> {
  const files = new Map<string, BackedUpFile>();
  for (const manifest of manifests) {
    if (manifest instanceof Error || manifest.store !== store) continue;
    for (const file of manifest.files) files.set(file.name, file);
  }
  return files;
}

class Taking {
  readonly files: BackedUpFile[] = [];
  copiedFiles = 0;
  copiedBytes = 0;
  readonly #fs: FileSystem;
  readonly #target: BackupTarget;
  readonly #source: BackupSource;
  readonly #known: ReadonlyMap<string, BackedUpFile>;
  readonly #options: BackupOptions;
  readonly #check = new FileCheck();
  #bytes = 0;

  constructor(
    fileSystem: FileSystem,
    target: BackupTarget,
    source: BackupSource,
    known: ReadonlyMap<string, BackedUpFile>,
    options: BackupOptions,
  ) {
    this.#fs = fileSystem;
    this.#target = target;
    this.#source = source;
    this.#known = known;
    this.#options = options;
  }

  async take(file: ImageFile): Promise<void> {
    this.#assertWanted();
    const { name, bytes } = file;
    const path = `${this.#source.image.directory}/${name}`;
    const stamp = this.#fs.stampSync?.(path);
    let taken = this.#same(file, stamp) ?? (await this.#compared(path, file));
    if (taken === undefined) {
      taken = await this.#target.take(path, name, bytes, this.#check, {
        assertOpen: () => this.#assertWanted(),
        pause: this.#source.pause,
      });
      this.copiedFiles++;
      this.copiedBytes += bytes;
    }
    this.files.push({ ...taken, stamp });
    this.#bytes += bytes;
    this.#options.onProgress?.(this.#bytes);
  }

  #assertWanted(): void {
    assertWanted(this.#options.signal);
    this.#source.assertOpen();
  }

  #same({ name, bytes, immutable }: ImageFile, stamp: string | undefined): BackedUpFile | undefined {
    const known = immutable ? this.#known.get(name) : undefined;
    return known && known.bytes === bytes && known.stamp === stamp && this.#target.has(known) ? known : undefined;
  }

  /** What is there already with the same content. */
  async #compared(path: string, { name, bytes }: ImageFile): Promise<BackedUpFile | undefined> {
    if (!this.#target.hasName(name)) return undefined;
    this.#check.reset();
    const onPiece = (piece: Uint8Array): void => {
      this.#assertWanted();
      this.#check.add(piece);
    };
    await readPieces(this.#fs, path, bytes, onPiece, this.#source.pause);
    const file = { name, bytes, check: this.#check.take() };
    return this.#target.has(file) ? file : undefined;
  }
}

function assertWanted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new SparrowError('cancelled', 'ABORTED', 'the work on backups was given up');
}

/** Oldest first. */
export function listBackups(fileSystem: FileSystem, target: string): BackupInfo[] {
  const seen = new Set<string>();
  return BackupTarget.open(fileSystem, target, false)
    .backups()
    .map(({ id, manifest }): BackupInfo => {
      if (manifest instanceof Error) return { backup: id, problem: manifest.message };
      const { createdMs, sequence, files } = manifest;
      const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
      const added = files.filter((file) => !seen.has(storedName(file)));
      for (const file of files) seen.add(storedName(file));
      return { backup: id, createdMs, sequence, files: files.length, bytes, addedBytes: added.reduce((sum, file) => sum + file.bytes, 0) };
    });
}

/** Reads every file of a backup, or of all, and compares it with its check. Damage is what the report says. */
export async function verifyBackup(
  fileSystem: FileSystem,
  target: string,
  { backup, onProgress, signal }: VerifyBackupOptions,
): Promise<VerifyBackupReport> {
  const backups = BackupTarget.open(fileSystem, target, true);
  try {
    const problems: Finding[] = [];
    const checked = new Map<string, Error | undefined>();
    const check = new FileCheck();
    let bytes = 0;
    const unsound: number[] = [];
    const chosen = backup === undefined ? backups.backups() : [{ id: backup, manifest: backups.backup(backup) }];
    for (const { id, manifest } of chosen) {
      if (manifest instanceof Error) {
        problems.push(findingOf(manifest, `${target}/${backupName(id)}`));
        unsound.push(id);
        continue;
      }
      let sound = true;
      for (const file of manifest.files) {
        const name = storedName(file);
        if (!checked.has(name)) {
          const problem = await problemOf(backups, file, check, () => assertWanted(signal));
          checked.set(name, problem);
          if (problem) problems.push(findingOf(problem, backups.pathOf(file)));
          bytes += file.bytes;
          onProgress?.(bytes);
        }
        if (checked.get(name)) sound = false;
      }
      if (!sound) unsound.push(id);
    }
    return { target, sound: problems.length === 0, problems, backups: chosen.length, unsound, files: checked.size, bytes };
  } finally {
    backups.release();
  }
}

async function problemOf(backups: BackupTarget, file: BackedUpFile, check: FileCheck, onPiece: () => void): Promise<Error | undefined> {
  try {
    await backups.read(file, check, onPiece);
    return undefined;
  } catch (error) {
    if ((error instanceof SparrowError && error.kind === 'corrupt') || isSystemError(error)) return error;
    throw error;
  }
}

function findingOf(error: Error, file: string): Finding {
  if (!(error instanceof SparrowError)) return { file, offset: 0, what: `it cannot be read: ${error.message}` };
  return { file: String(error.details['file']), offset: Number(error.details['offset'] ?? 0), what: error.message };
}

/** Makes `directory`, which does not exist or is empty, the store that a backup holds. Whole when the promise settles, refused after a crash before. */
export async function restoreBackup(
  fileSystem: FileSystem,
  target: string,
  directory: string,
  parts: RestoreOptions & { storeId: number | undefined; pause?: Pause },
): Promise<RestoreResult> {
  const backups = BackupTarget.open(fileSystem, target, true);
  try {
    const manifest = backups.backup(parts.backup);
    const version = versionOf(manifest, target);
    const made = new NewDirectory(fileSystem, directory);
    try {
      const check = new FileCheck();
      let bytes = 0;
      for (const file of manifest.files) {
        const copy = made.create(file.name);
        try {
          const onPiece = (piece: Uint8Array, at: number): void => {
            assertWanted(parts.signal);
            copy.writeSync(piece, 0, piece.length, at);
          };
          await backups.read(file, check, onPiece, parts.pause);
          await copy.datasync();
        } finally {
          copy.closeSync();
        }
        bytes += file.bytes;
        parts.onProgress?.(bytes);
      }
      made.finish(withoutHost(withStoreId(version, parts.storeId)));
      return { backup: manifest.id, directory, files: manifest.files.length, bytes };
    } catch (error) {
      made.discard();
      throw orDiskFull(error, directory, 'nothing is left in it');
    }
  } finally {
    backups.release();
  }
}

function versionOf(manifest: BackupManifest, target: string): Version {
  try {
    return applyEdit(EMPTY_VERSION, decodeEdit(manifest.edit));
  } catch (cause) {
    if (cause instanceof SparrowError && cause.kind === 'invalid') throw cause;
    throw corruptBackup(`${target}, backup ${manifest.id}`, 0, `its version cannot be read: ${(cause as Error).message}`, cause);
  }
}

/** Removes all but the newest `keep` backups that can be read; the numbers of those removed. */
export function pruneBackups(fileSystem: FileSystem, target: string, keep: number): number[] {
  if (!Number.isSafeInteger(keep) || keep < 1) {
    throw new SparrowError('invalid', 'OPTION_RANGE', `keep is a whole number from 1, not ${String(keep)}`, { field: 'keep', min: 1 });
  }
  const backups = BackupTarget.open(fileSystem, target, true);
  try {
    const sound = backups.backups().filter(({ manifest }) => !(manifest instanceof Error));
    const gone = sound.slice(0, -keep).map(({ id }) => id);
    backups.remove(gone);
    return gone;
  } finally {
    backups.release();
  }
}
