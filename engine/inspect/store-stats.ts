/** Figures of a store that nobody has open, from its manifest and the sizes of its files alone. */
import type { FileSystem } from '../../base/env.ts';
import type { UserKey } from '../files-api.ts';
import { shownSettings } from '../keyspace-settings.ts';
import type { KeyspaceSettings } from '../keyspaces-api.ts';
import { manifestName, obsoleteFiles, readVersion } from '../manifest/index.ts';
import { imageOfDirectory } from './store-image.ts';
import { logFileSegment } from '../log/index.ts';
import { userKeyOf } from './user-key.ts';

export interface LevelStats {
  readonly level: number;
  readonly tables: number;
  readonly bytes: number;
  /** Versions of keys, deletes included. */
  readonly entries: number;
  readonly tombstones: number;
  readonly smallest: UserKey;
  readonly largest: UserKey;
}

export interface StoreStats {
  readonly directory: string;
  readonly manifest: string;
  /** Without the default one. */
  readonly keyspaces: readonly { readonly id: number; readonly name: string; readonly settings: Readonly<KeyspaceSettings> }[];
  /** Everything up to it is in tables; the log may hold more. */
  readonly lastSequence: number;
  /** Levels that have tables. */
  readonly levels: readonly LevelStats[];
  readonly tables: number;
  readonly tableBytes: number;
  /** Files that large values rest in, and how much of them is referred to. */
  readonly blockFiles: number;
  readonly blockFileBytes: number;
  readonly liveValueBytes: number;
  /** What the next opening replays. */
  readonly logSegments: number;
  readonly logBytes: number;
  /** All of the above. */
  readonly diskBytes: number;
  /** Files that the next opening removes. */
  readonly obsoleteFiles: readonly string[];
}

/** The caller holds the directory's lock. `corrupt/CORRUPT_MANIFEST`. */
export function storeStats(fileSystem: FileSystem, directory: string): StoreStats {
  const { version, manifestId } = readVersion(fileSystem, directory);
  const image = imageOfDirectory(fileSystem, directory, version);
  const levels = version.levels.flatMap((tables, level) => {
    if (tables.length === 0) return [];
    const keys = tables.flatMap(({ smallest, largest }) => [smallest, largest]).toSorted((a, b) => Buffer.compare(a, b));
    return {
      level,
      tables: tables.length,
      bytes: sum(tables.map((table) => table.bytes)),
      entries: sum(tables.map((table) => table.entries)),
      tombstones: sum(tables.map((table) => table.tombstones)),
      smallest: userKeyOf(keys[0]!),
      largest: userKeyOf(keys.at(-1)!),
    };
  });
  const log = image.files.filter(({ name }) => {
    const segment = logFileSegment(name);
    return segment !== undefined && !version.segments.has(segment);
  });
  const tableBytes = sum(levels.map((level) => level.bytes));
  const blockFileBytes = sum([...version.segments.values()].map((file) => file.bytes));
  const logBytes = sum(log.map((file) => file.bytes));
  return {
    directory,
    manifest: manifestName(manifestId),
    keyspaces: [...version.keyspaces].map(([id, { name, settings }]) => ({ id, name, settings: shownSettings(settings) })),
    lastSequence: version.lastSequence,
    levels,
    tables: sum(levels.map((level) => level.tables)),
    tableBytes,
    blockFiles: version.segments.size,
    blockFileBytes,
    liveValueBytes: sum([...version.segments.values()].map((file) => file.liveBytes)),
    logSegments: log.length,
    logBytes,
    diskBytes: tableBytes + blockFileBytes + logBytes,
    obsoleteFiles: obsoleteFiles(version, fileSystem.listSync(directory), manifestId),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
