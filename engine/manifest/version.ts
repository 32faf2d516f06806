/**
 * A version: which tables and block files make up the store, immutable, pure. Edits make the next one (version-builder.ts), which
 * asserts the invariants:
 *
 * - level 0 is ordered newest first (by the newest sequence in the table); the other levels by key, and no two of their tables overlap;
 * - a file id is used once, and is below the next file id;
 * - the last sequence, the log's floor and the next file id never go back;
 * - what a table refers to exists: its segment is a block file, or still a part of the log;
 * - a block file is removed only when no table refers to it;
 * - the id of a keyspace is used once, and is below the next one; names are distinct;
 * - a range tombstone is of a sequence that is in the version, and covers something.
 *
 * The live bytes of a block file are not stored: they are the sum over the references of all tables, so they cannot drift.
 */
import { DEFAULT_KEYSPACE } from '../keyspace-key.ts';
import type { StoredKeepRule } from '../keep-rule.ts';
import type { StoredSettings } from '../keyspace-settings.ts';
import type { TableMeta } from '../table/index.ts';
import { LEVELS_MAX } from './edit-fields.ts';
import { blockName, linkName, logName, parseFileName, type ParsedName, tableName } from './file-names.ts';
import type { RangeTombstone } from './range-tombstone.ts';
import { SegmentMap } from './segment-map.ts';
import { FORMAT_VERSION, type HostLink, type VersionEdit } from './version-edit.ts';

export interface BlockFile {
  /** Size of the file; of a link, what a block file of its own with the same values would take. */
  readonly bytes: number;
  /** The file is a link into a host's log. */
  readonly link?: HostLink;
  /** Bytes of values that tables refer to. What is still in a memtable is not counted: its segment is not yet a block file. */
  readonly liveBytes: number;
}

export interface KeyspaceMeta {
  readonly name: string;
  readonly settings: StoredSettings;
  /** What is kept of it; undefined: everything. */
  readonly rule?: StoredKeepRule;
}

export interface Version {
  /** Level 0 newest first, the others by key. There are always LEVELS_MAX of them. */
  readonly levels: readonly (readonly TableMeta[])[];
  /** Block files by segment: segments below the log's floor that hold live values. */
  readonly segments: SegmentMap<BlockFile>;
  /** Bytes that tables refer to, for every segment that any refers to, those of the log included. */
  readonly referencedBytes: SegmentMap<number>;
  readonly nextFileId: number;
  readonly lastSequence: number;
  readonly logFloor: number;
  readonly settings: ReadonlyMap<string, number>;
  /** By id, in the order in which they were made. Without the default one. */
  readonly keyspaces: ReadonlyMap<number, KeyspaceMeta>;
  readonly nextKeyspaceId: number;
  /** Those that may still hide something in a table. */
  readonly rangeTombstones: readonly RangeTombstone[];
}

export const EMPTY_VERSION: Version = {
  levels: Array.from({ length: LEVELS_MAX }, () => []),
  segments: SegmentMap.of(),
  referencedBytes: SegmentMap.of(),
  nextFileId: 1,
  lastSequence: 0,
  logFloor: 0,
  settings: new Map(),
  keyspaces: new Map(),
  nextKeyspaceId: DEFAULT_KEYSPACE + 1,
  rangeTombstones: [],
};

/** The edit that makes `version` out of the empty one. */
export function snapshotEdit(version: Version): VersionEdit {
  return {
    formatVersion: FORMAT_VERSION,
    nextFileId: version.nextFileId,
    lastSequence: version.lastSequence,
    logFloor: version.logFloor,
    settings: Object.fromEntries(version.settings),
    nextKeyspaceId: version.nextKeyspaceId,
    keyspacesAdded: [...version.keyspaces].map(([id, { name, settings }]) => ({ id, name, settings })),
    tablesAdded: version.levels.flatMap((tables, level) => tables.map((table) => ({ level, table }))),
    segmentsAdded: [...version.segments].map(([segment, { bytes, link }]) => ({ segment, bytes, ...(link && { link }) })),
    rangeTombstonesAdded: version.rangeTombstones,
    keyspaceRules: [...version.keyspaces].flatMap(([id, { rule }]) => (rule ? [{ id, rule }] : [])),
  };
}

/**
 * Names of the listing that belong to nothing: left by a crash, or no longer referred to. Names that are not ours are never among them.
 * `inUse`: ids of files that are being written now or that a reader still holds.
 */
export function obsoleteFiles(
  version: Version,
  listing: readonly string[],
  manifestId: number,
  inUse: ReadonlySet<number> = new Set(),
): string[] {
  const tables = new Set(version.levels.flatMap((level) => level.map((table) => table.fileId)));
  const needed = ({ kind, id }: ParsedName): boolean => {
    if (kind === 'current' || kind === 'incomplete') return true;
    if (kind === 'temporary') return false;
    if (kind === 'manifest') return id === manifestId;
    if (inUse.has(id)) return true;
    if (kind === 'table') return tables.has(id);
    return version.segments.has(id) || (kind === 'log' && id >= version.logFloor);
  };
  return listing.filter((name) => {
    const parsed = parseFileName(name);
    return parsed !== undefined && !needed(parsed);
  });
}

/** Names of files that make up the version and are not in the listing: then the store is damaged, or the manifest is not its newest. */
export function missingFiles(version: Version, listing: readonly string[]): string[] {
  const names = new Set(listing);
  const tables = version.levels.flatMap((level) => level.map((table) => tableName(table.fileId)));
  const segments = [...version.segments]
    .filter(([id]) => !names.has(blockName(id)))
    .map(([id, { link }]) => (link ? linkName(id) : logName(id)));
  return [...tables, ...segments].filter((name) => !names.has(name));
}

/** The file that a hosted engine cannot do without replaying; undefined: there is none, all of the store is in tables. */
export function logLeft(version: Version, listing: readonly string[]): string | undefined {
  const [segment] = segmentsToReplay(version, listing);
  return segment === undefined ? undefined : logName(segment);
}

/** Segments of the listing whose frames must be replayed at opening, ascending: the log from its floor on, block files left out. */
export function segmentsToReplay(version: Version, listing: readonly string[]): number[] {
  const segments: number[] = [];
  for (const name of listing) {
    const parsed = parseFileName(name);
    if (parsed?.kind === 'log' && parsed.id >= version.logFloor && !version.segments.has(parsed.id)) segments.push(parsed.id);
  }
  return segments.sort((a, b) => a - b);
}

/** Of keys. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}
