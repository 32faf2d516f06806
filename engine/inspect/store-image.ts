/**
 * A store as a set of files at one moment: the version, and which files with how many bytes hold it. What checkpoints and backups copy.
 *
 * The newest log segment is cut where its frames ended at that moment; every other file is immutable by then and may be linked. The files
 * must be kept (Versions.holdFiles, or the directory's lock) until the copy is made, and the log synced before the copy counts.
 */
import type { FileSystem } from '../../base/env.ts';
import { valueFilePath } from '../compaction/index.ts';
import { logFileName } from '../log/index.ts';
import { applyEdit, segmentsToReplay, tableName, type Version } from '../manifest/index.ts';

export interface ImageFile {
  readonly name: string;
  /** How many bytes of it count; the file may go on behind them. */
  readonly bytes: number;
  /** Never changes any more: a second name for it will do. */
  readonly immutable: boolean;
}

export interface StoreImage {
  readonly directory: string;
  readonly version: Version;
  /** Tables, then block files, then the log in order. */
  readonly files: readonly ImageFile[];
  /** Whether the log has sound frames up to where it is cut: an open engine knows. Of a directory, the end may be torn. */
  readonly logIsWhole: boolean;
}

/** What an open engine is made of now; its log has handed everything to the operating system. */
export function imageOfEngine(
  fileSystem: FileSystem,
  directory: string,
  parts: {
    version: Version;
    nextFileId: number;
    closedSegments: ReadonlyMap<number, number>;
    /** The segment that frames go to now, and where they end; segment 0: there is none. */
    active: { segment: number; bytes: number };
  },
): StoreImage {
  const { active } = parts;
  const version = applyEdit(parts.version, { nextFileId: parts.nextFileId });
  const log = [...parts.closedSegments]
    .filter(([segment]) => segment >= version.logFloor && !version.segments.has(segment))
    .toSorted(([a], [b]) => a - b)
    .map(([segment, bytes]) => logFile(fileSystem, directory, segment, bytes, true));
  if (active.segment !== 0) log.push(logFile(fileSystem, directory, active.segment, active.bytes, false));
  return { directory, version, files: [...filesOfVersion(fileSystem, directory, version), ...log], logIsWhole: true };
}

/** What a store is made of that nobody has open; the caller has locked it. */
export function imageOfDirectory(fileSystem: FileSystem, directory: string, version: Version): StoreImage {
  const segments = segmentsToReplay(version, fileSystem.listSync(directory));
  const log = segments.map((segment) => logFile(fileSystem, directory, segment, Infinity, true));
  return { directory, version, files: [...filesOfVersion(fileSystem, directory, version), ...log], logIsWhole: false };
}

function filesOfVersion(fileSystem: FileSystem, directory: string, version: Version): ImageFile[] {
  return [
    ...version.levels.flat().map(({ fileId, bytes }) => ({ name: tableName(fileId), bytes, immutable: true })),
    ...[...version.segments].map(([segment, { bytes, link }]) => ({
      name: valueFilePath(fileSystem, directory, segment).slice(directory.length + 1),
      // Of a host's log, what lies behind the last value is nothing that counts.
      bytes: link?.end ?? bytes,
      immutable: true,
    })),
  ];
}

/** A segment without frames may be shorter than where they would begin. */
function logFile(fileSystem: FileSystem, directory: string, segment: number, bytes: number, immutable: boolean): ImageFile {
  const name = logFileName(segment);
  return { name, bytes: Math.min(bytes, sizeOf(fileSystem, `${directory}/${name}`)), immutable };
}

function sizeOf(fileSystem: FileSystem, path: string): number {
  const file = fileSystem.openSync(path, 'read');
  try {
    return file.sizeSync();
  } finally {
    file.closeSync();
  }
}
