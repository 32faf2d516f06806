/**
 * Begins a manifest anew: a file with one edit that says all of a version, and CURRENT that names it. Called by manifest.ts.
 *
 * Order: new file, its sync, the directory's sync, CURRENT.tmp, its sync, rename over CURRENT, the directory's sync. A crash
 * between any two finds either the old manifest or the new one, both whole and equal.
 */
import type { File, FileSystem } from '../../base/env.ts';
import { CURRENT_NAME, CURRENT_TEMPORARY_NAME, manifestName, parseFileName } from './file-names.ts';
import { encodeCurrent, encodeManifestFrame, encodeManifestHeader } from './manifest-format.ts';
import { snapshotEdit, type Version } from './version.ts';
import { encodeEdit } from './version-edit.ts';

/** Its file is open. */
export interface NewManifest {
  readonly id: number;
  readonly file: File;
  readonly bytes: number;
  readonly version: Version;
}

/** Writes `version` to a manifest that the directory does not have yet, and makes it the current one. */
export function switchTo(fs: FileSystem, directory: string, listing: readonly string[], version: Version): NewManifest {
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

/** As an opening does it. */
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

/** As an engine at work does it. */
export async function inTurns<T>(steps: Generator<Sync, T>): Promise<T> {
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
export function* writeManifest(fs: FileSystem, directory: string, id: number, version: Version): Generator<Sync, NewManifest> {
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

/** Has CURRENT name that manifest. When it throws, either may be current. */
export function* makeCurrent(fs: FileSystem, directory: string, id: number): Generator<Sync, void> {
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
