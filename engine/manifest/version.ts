/**
 * A version: which tables and block files make up the store, immutable, pure. `applyEdit` gives the next one and asserts the invariants:
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
import { assert } from '../../base/assert.ts';
import { DEFAULT_KEYSPACE } from '../keyspace-key.ts';
import type { StoredKeepRule } from '../keep-rule.ts';
import type { StoredSettings } from '../keyspace-settings.ts';
import type { TableMeta } from '../table/index.ts';
import { blockName, EXTERNAL_ID_FROM, logName, parseFileName, type ParsedName, tableName } from './file-names.ts';
import { type RangeTombstone, sameTombstone } from './range-tombstone.ts';
import { FORMAT_VERSION, LEVELS_MAX, type VersionEdit } from './version-edit.ts';

export interface BlockFile {
  /** Size of the file. */
  readonly bytes: number;
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
  readonly segments: ReadonlyMap<number, BlockFile>;
  /** Bytes that tables refer to, for every segment that any refers to, those of the log included. */
  readonly referencedBytes: ReadonlyMap<number, number>;
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
  segments: new Map(),
  referencedBytes: new Map(),
  nextFileId: 1,
  lastSequence: 0,
  logFloor: 0,
  settings: new Map(),
  keyspaces: new Map(),
  nextKeyspaceId: DEFAULT_KEYSPACE + 1,
  rangeTombstones: [],
};

/** The version after `edit`. `internal/ASSERTION` when the edit does not fit; `version` is as it was. */
export function applyEdit(version: Version, edit: VersionEdit): Version {
  assert((edit.formatVersion ?? FORMAT_VERSION) === FORMAT_VERSION, 'an edit is of the format that this version writes');
  const nextFileId = advanced(version.nextFileId, edit.nextFileId, 'next file id');
  const levels = applyTables(version, edit, nextFileId);
  const referencedBytes = applyReferences(version, edit);
  const logFloor = advanced(version.logFloor, edit.logFloor, 'log floor');
  const lastSequence = advanced(version.lastSequence, edit.lastSequence, 'last sequence');
  return {
    levels,
    segments: applySegments(version, edit, { logFloor, nextFileId, referencedBytes }),
    referencedBytes,
    nextFileId,
    lastSequence,
    logFloor,
    settings: edit.settings ? new Map([...version.settings, ...Object.entries(edit.settings)]) : version.settings,
    ...applyKeyspaces(version, edit),
    rangeTombstones: applyRangeTombstones(version, edit, lastSequence),
  };
}

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
    segmentsAdded: [...version.segments].map(([segment, { bytes }]) => ({ segment, bytes })),
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
  const segments = [...version.segments.keys()].filter((id) => !names.has(blockName(id))).map((id) => logName(id));
  return [...tables, ...segments].filter((name) => !names.has(name));
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

function advanced(before: number, after: number | undefined, what: string): number {
  assert(after === undefined || after >= before, `${what} never goes back`);
  return after ?? before;
}

function applyKeyspaces(version: Version, edit: VersionEdit): Pick<Version, 'keyspaces' | 'nextKeyspaceId'> {
  const { keyspacesDropped: dropped, keyspacesAltered: altered, keyspacesAdded: added, keyspaceRules: rules } = edit;
  let nextKeyspaceId = advanced(version.nextKeyspaceId, edit.nextKeyspaceId, 'next keyspace id');
  if (!dropped && !altered && !added && !rules) return { keyspaces: version.keyspaces, nextKeyspaceId };
  const keyspaces = new Map(version.keyspaces);
  for (const id of dropped ?? []) assert(keyspaces.delete(id), `a keyspace that is dropped is there (${id})`);
  for (const { id, settings } of altered ?? []) {
    const before = keyspaces.get(id);
    assert(before !== undefined, `a keyspace that is altered is there (${id})`);
    keyspaces.set(id, { ...before, settings });
  }
  for (const { id, name, settings } of added ?? []) {
    // In a snapshot of a version the next id is stated, and all ids are below it.
    assert(edit.nextKeyspaceId === undefined ? id === nextKeyspaceId : id < nextKeyspaceId, `a keyspace's id is new (${id})`);
    assert(id !== DEFAULT_KEYSPACE && !keyspaces.has(id), `a keyspace is added once (${id})`);
    assert(!keyspaces.values().some((other) => other.name === name), `names of keyspaces are distinct (${name})`);
    keyspaces.set(id, { name, settings });
    nextKeyspaceId = Math.max(nextKeyspaceId, id + 1);
  }
  for (const { id, rule } of rules ?? []) {
    const before = keyspaces.get(id);
    assert(before !== undefined, `a keyspace that is given a rule is there (${id})`);
    const { name, settings } = before;
    keyspaces.set(id, { name, settings, ...(rule && { rule }) });
  }
  return { keyspaces, nextKeyspaceId };
}

function applyTables(version: Version, edit: VersionEdit, nextFileId: number): (readonly TableMeta[])[] {
  const levels = [...version.levels];
  for (const { level, fileId } of edit.tablesRemoved ?? []) {
    const before = levels[level]!;
    levels[level] = before.filter((table) => table.fileId !== fileId);
    assert(levels[level].length === before.length - 1, `a table that is removed stands in its level (${fileId} in level ${level})`);
  }
  if (!edit.tablesAdded) return levels;
  const touched = new Set<number>();
  const ids = new Set(levels.flatMap((tables) => tables.map((table) => table.fileId)));
  for (const { level, table } of edit.tablesAdded) {
    assert(level >= 0 && level < LEVELS_MAX, 'a level is within its range');
    assert(!ids.has(table.fileId), `a table is added once (${table.fileId})`);
    assert(table.fileId < nextFileId, `a file id is below the next one (${table.fileId})`);
    assert(compareBytes(table.smallest, table.largest) <= 0, `a table's smallest key is not above its largest (${table.fileId})`);
    ids.add(table.fileId);
    levels[level] = [...levels[level]!, table];
    touched.add(level);
  }
  for (const level of touched) levels[level] = level === 0 ? newestFirst(levels[level]!) : byKey(levels[level]!, level);
  return levels;
}

function newestFirst(tables: readonly TableMeta[]): TableMeta[] {
  return tables.toSorted((a, b) => b.maxSequence - a.maxSequence || b.fileId - a.fileId);
}

function byKey(tables: readonly TableMeta[], level: number): TableMeta[] {
  const sorted = tables.toSorted((a, b) => compareBytes(a.smallest, b.smallest));
  for (let i = 1; i < sorted.length; i++) {
    const [before, after] = [sorted[i - 1]!, sorted[i]!];
    assert(compareBytes(before.largest, after.smallest) < 0, `tables of level ${level} do not overlap (${before.fileId}, ${after.fileId})`);
  }
  return sorted;
}

function applyReferences(version: Version, edit: VersionEdit): ReadonlyMap<number, number> {
  if (!edit.tablesAdded && !edit.tablesRemoved) return version.referencedBytes;
  const referenced = new Map(version.referencedBytes);
  const count = (table: TableMeta, sign: number): void => {
    for (const { segment, bytes } of table.references) referenced.set(segment, (referenced.get(segment) ?? 0) + sign * bytes);
  };
  for (const { table } of edit.tablesAdded ?? []) count(table, 1);
  for (const { level, fileId } of edit.tablesRemoved ?? [])
    count(
      version.levels[level]!.find((table) => table.fileId === fileId)!,
      -1,
    );
  for (const [segment, bytes] of referenced) {
    assert(bytes >= 0, 'referenced bytes are not negative');
    if (bytes === 0) referenced.delete(segment);
  }
  return referenced;
}

function applyRangeTombstones(version: Version, edit: VersionEdit, lastSequence: number): readonly RangeTombstone[] {
  if (!edit.rangeTombstonesAdded && !edit.rangeTombstonesRemoved) return version.rangeTombstones;
  const removed = Map.groupBy(edit.rangeTombstonesRemoved ?? [], ({ sequence }) => sequence);
  const tombstones = version.rangeTombstones.filter((each) => {
    const same = removed.get(each.sequence);
    const at = same?.findIndex((other) => sameTombstone(other, each)) ?? -1;
    if (at < 0) return true;
    same!.splice(at, 1);
    return false;
  });
  for (const [sequence, left] of removed) assert(left.length === 0, `a range tombstone that is removed is there (${sequence})`);
  for (const added of edit.rangeTombstonesAdded ?? []) {
    assert(added.sequence <= lastSequence, `a range tombstone is of a sequence that is in the version (${added.sequence})`);
    assert(compareBytes(added.start, added.end) < 0, `a range tombstone covers something (${added.sequence})`);
    tombstones.push(added);
  }
  return tombstones;
}

function applySegments(
  version: Version,
  edit: VersionEdit,
  next: { logFloor: number; nextFileId: number; referencedBytes: ReadonlyMap<number, number> },
): ReadonlyMap<number, BlockFile> {
  const segments = new Map<number, BlockFile>();
  for (const [segment, file] of version.segments) {
    const liveBytes = next.referencedBytes.get(segment) ?? 0;
    segments.set(segment, liveBytes === file.liveBytes ? file : { bytes: file.bytes, liveBytes });
  }
  for (const segment of edit.segmentsRemoved ?? []) {
    assert(segments.delete(segment), `a segment that is removed is a block file (${segment})`);
    assert(!next.referencedBytes.has(segment), `nothing refers to a segment that is removed (${segment})`);
  }
  for (const { segment, bytes } of edit.segmentsAdded ?? []) {
    assert(!version.segments.has(segment), `a segment is added once (${segment})`);
    assert(segment < next.nextFileId || segment >= EXTERNAL_ID_FROM, `a segment is below the next file id (${segment})`);
    segments.set(segment, { bytes, liveBytes: next.referencedBytes.get(segment) ?? 0 });
  }
  for (const segment of next.referencedBytes.keys()) {
    assert(segments.has(segment) || segment >= next.logFloor, `a segment that tables refer to exists (${segment})`);
  }
  return segments;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}
