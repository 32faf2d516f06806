/**
 * What a directory's manifest says, changing nothing. Called by manifest.ts, which goes on with it, and by whoever looks at a store from outside.
 * Format: docs/formats/manifest.md.
 */
import type { FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { CURRENT_NAME, INCOMPLETE_NAME, manifestName } from './file-names.ts';
import { corruptManifest, type DecodedManifest, decodeCurrent, decodeManifest, soundFrames } from './manifest-format.ts';
import { VersionBuilder } from './version-builder.ts';
import { EMPTY_VERSION, type Version } from './version.ts';
import { decodeEdit, type VersionEdit } from './version-edit.ts';

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

/** The manifest that CURRENT names. */
export function readManifest(
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

/** `corrupt/INCOMPLETE`: who was to make the directory out of another store has not finished. */
export function assertComplete(directory: string, listing: readonly string[]): void {
  if (!listing.includes(INCOMPLETE_NAME)) return;
  throw new SparrowError(
    'corrupt',
    'INCOMPLETE',
    `${directory} is not whole: the checkpoint, restore or other copy that was to make it has not finished; make it again, or remove the directory`,
    { directory },
  );
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
