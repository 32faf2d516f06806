/**
 * Makes versions out of edits, and asserts the invariants that version.ts states: those of an edit as it is applied, those of the whole
 * (tables of a level do not overlap, what tables refer to exists) in each version that is made. Pure.
 *
 * An edit costs what it changes and not what is there, so that opening a store replays a manifest of thousands of edits over thousands of
 * tables in milliseconds. Once an assertion has failed the builder is good for nothing; the version that it began with is as it was.
 */
import { assert } from '../../base/assert.ts';
import { DEFAULT_KEYSPACE } from '../keyspace-key.ts';
import type { TableMeta } from '../table/index.ts';
import { EXTERNAL_ID_FROM } from './file-names.ts';
import { type RangeTombstone, sameTombstone } from './range-tombstone.ts';
import { compareBytes, type KeyspaceMeta, type Version } from './version.ts';
import { type AddedSegment, FORMAT_VERSION, LEVELS_MAX, type VersionEdit } from './version-edit.ts';

/** The version after `edit`. `internal/ASSERTION` when the edit does not fit; `version` is as it was. */
export function applyEdit(version: Version, edit: VersionEdit): Version {
  const builder = new VersionBuilder(version);
  builder.apply(edit);
  return builder.version();
}

/** Bytes that tables refer to in each segment after the edit, as the version after it has them, at the cost of what the edit changes. */
export function referencedAfter(version: Version, { tablesRemoved = [], tablesAdded = [] }: VersionEdit): ReadonlyMap<number, number> {
  const referenced = new Map(version.referencedBytes);
  const count = ({ references }: TableMeta, sign: number): void => {
    for (const { segment, bytes } of references) {
      const now = (referenced.get(segment) ?? 0) + sign * bytes;
      if (now === 0) referenced.delete(segment);
      else referenced.set(segment, now);
    }
  };
  for (const { table } of tablesAdded) count(table, 1);
  for (const { level, fileId } of tablesRemoved) {
    const table = version.levels[level]?.find((each) => each.fileId === fileId);
    assert(table !== undefined, `a table that is removed stands in its level (${fileId} in level ${level})`);
    count(table, -1);
  }
  return referenced;
}

export class VersionBuilder {
  readonly #before: Version;
  #nextFileId: number;
  #lastSequence: number;
  #logFloor: number;
  #nextKeyspaceId: number;
  // What has been changed, each taken over from the version before with its first change.
  readonly #levels: (Map<number, TableMeta> | undefined)[] = [];
  /** Ids of all tables, once one has been added. */
  #tableIds: Set<number> | undefined;
  #referenced: Map<number, number> | undefined;
  /** Each block file. */
  #segments: Map<number, Omit<AddedSegment, 'segment'>> | undefined;
  #settings: Map<string, number> | undefined;
  #keyspaces: Map<number, KeyspaceMeta> | undefined;
  #tombstones: RangeTombstone[] | undefined;

  constructor(before: Version) {
    this.#before = before;
    this.#nextFileId = before.nextFileId;
    this.#lastSequence = before.lastSequence;
    this.#logFloor = before.logFloor;
    this.#nextKeyspaceId = before.nextKeyspaceId;
  }

  /** `internal/ASSERTION` when the edit does not fit. */
  apply(edit: VersionEdit): void {
    assert((edit.formatVersion ?? FORMAT_VERSION) === FORMAT_VERSION, 'an edit is of the format that this version writes');
    this.#nextFileId = advanced(this.#nextFileId, edit.nextFileId, 'next file id');
    this.#logFloor = advanced(this.#logFloor, edit.logFloor, 'log floor');
    this.#lastSequence = advanced(this.#lastSequence, edit.lastSequence, 'last sequence');
    if (edit.tablesAdded || edit.tablesRemoved) this.#applyTables(edit);
    if (edit.segmentsAdded || edit.segmentsRemoved) this.#applySegments(edit);
    if (edit.settings) {
      this.#settings ??= new Map(this.#before.settings);
      for (const [name, value] of Object.entries(edit.settings)) this.#settings.set(name, value);
    }
    this.#applyKeyspaces(edit);
    this.#applyRangeTombstones(edit);
  }

  /** What the edits have made. */
  version(): Version {
    const before = this.#before;
    const referencedBytes = this.#referenced ? new Map(this.#referenced) : before.referencedBytes;
    const segments = new Map(
      [...this.#blockFiles()].map(([segment, { bytes, link }]) => {
        const liveBytes = referencedBytes.get(segment) ?? 0;
        const known = before.segments.get(segment);
        return [segment, known?.bytes === bytes && known.liveBytes === liveBytes ? known : { bytes, liveBytes, ...(link && { link }) }];
      }),
    );
    for (const segment of referencedBytes.keys()) {
      assert(segments.has(segment) || segment >= this.#logFloor, `a segment that tables refer to exists (${segment})`);
    }
    return {
      levels: before.levels.map((tables, level) => {
        const changed = this.#levels[level];
        if (!changed) return tables;
        return level === 0 ? newestFirst(changed) : byKey(changed, level);
      }),
      segments,
      referencedBytes,
      nextFileId: this.#nextFileId,
      lastSequence: this.#lastSequence,
      logFloor: this.#logFloor,
      settings: this.#settings ? new Map(this.#settings) : before.settings,
      keyspaces: this.#keyspaces ? new Map(this.#keyspaces) : before.keyspaces,
      nextKeyspaceId: this.#nextKeyspaceId,
      rangeTombstones: this.#tombstones ? [...this.#tombstones] : before.rangeTombstones,
    };
  }

  #applyTables({ tablesRemoved = [], tablesAdded = [] }: VersionEdit): void {
    const removed: TableMeta[] = [];
    for (const { level, fileId } of tablesRemoved) {
      const tables = this.#level(level);
      const table = tables.get(fileId);
      assert(table !== undefined, `a table that is removed stands in its level (${fileId} in level ${level})`);
      tables.delete(fileId);
      this.#tableIds?.delete(fileId);
      removed.push(table);
    }
    if (tablesAdded.length > 0) this.#tableIds ??= this.#allTableIds();
    for (const { level, table } of tablesAdded) {
      assert(level >= 0 && level < LEVELS_MAX, 'a level is within its range');
      assert(!this.#tableIds!.has(table.fileId), `a table is added once (${table.fileId})`);
      assert(table.fileId < this.#nextFileId, `a file id is below the next one (${table.fileId})`);
      assert(compareBytes(table.smallest, table.largest) <= 0, `a table's smallest key is not above its largest (${table.fileId})`);
      this.#tableIds!.add(table.fileId);
      this.#level(level).set(table.fileId, table);
    }
    for (const { table } of tablesAdded) this.#count(table, 1);
    for (const table of removed) this.#count(table, -1);
  }

  #level(level: number): Map<number, TableMeta> {
    return (this.#levels[level] ??= new Map(this.#before.levels[level]!.map((table) => [table.fileId, table])));
  }

  #allTableIds(): Set<number> {
    const ids = new Set<number>();
    this.#before.levels.forEach((tables, level) => {
      const changed = this.#levels[level];
      if (changed) for (const id of changed.keys()) ids.add(id);
      else for (const { fileId } of tables) ids.add(fileId);
    });
    return ids;
  }

  #count(table: TableMeta, sign: number): void {
    if (table.references.length === 0) return;
    const referenced = (this.#referenced ??= new Map(this.#before.referencedBytes));
    for (const { segment, bytes } of table.references) {
      const now = (referenced.get(segment) ?? 0) + sign * bytes;
      assert(now >= 0, 'referenced bytes are not negative');
      if (now === 0) referenced.delete(segment);
      else referenced.set(segment, now);
    }
  }

  #blockFiles(): Map<number, Omit<AddedSegment, 'segment'>> {
    return (this.#segments ??= new Map(this.#before.segments));
  }

  #applySegments({ segmentsRemoved = [], segmentsAdded = [] }: VersionEdit): void {
    const segments = this.#blockFiles();
    const referenced = this.#referenced ?? this.#before.referencedBytes;
    for (const segment of segmentsRemoved) {
      assert(segments.delete(segment), `a segment that is removed is a block file (${segment})`);
      assert(!referenced.has(segment), `nothing refers to a segment that is removed (${segment})`);
    }
    for (const { segment, ...file } of segmentsAdded) {
      assert(!segments.has(segment) && !segmentsRemoved.includes(segment), `a segment is added once (${segment})`);
      assert(segment < this.#nextFileId || segment >= EXTERNAL_ID_FROM, `a segment is below the next file id (${segment})`);
      segments.set(segment, file);
    }
  }

  #applyKeyspaces(edit: VersionEdit): void {
    const { keyspacesDropped: dropped, keyspacesAltered: altered, keyspacesAdded: added, keyspaceRules: rules } = edit;
    let nextKeyspaceId = advanced(this.#nextKeyspaceId, edit.nextKeyspaceId, 'next keyspace id');
    if (dropped || altered || added || rules) {
      const keyspaces = (this.#keyspaces ??= new Map(this.#before.keyspaces));
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
    }
    this.#nextKeyspaceId = nextKeyspaceId;
  }

  #applyRangeTombstones({ rangeTombstonesAdded: added, rangeTombstonesRemoved: removed }: VersionEdit): void {
    if (!added && !removed) return;
    const left = Map.groupBy(removed ?? [], ({ sequence }) => sequence);
    const kept = (this.#tombstones ?? this.#before.rangeTombstones).filter((each) => {
      const same = left.get(each.sequence);
      const at = same?.findIndex((other) => sameTombstone(other, each)) ?? -1;
      if (at < 0) return true;
      same!.splice(at, 1);
      return false;
    });
    for (const [sequence, some] of left) assert(some.length === 0, `a range tombstone that is removed is there (${sequence})`);
    for (const tombstone of added ?? []) {
      assert(tombstone.sequence <= this.#lastSequence, `a range tombstone is of a sequence that is in the version (${tombstone.sequence})`);
      assert(compareBytes(tombstone.start, tombstone.end) < 0, `a range tombstone covers something (${tombstone.sequence})`);
      kept.push(tombstone);
    }
    this.#tombstones = kept;
  }
}

function advanced(before: number, after: number | undefined, what: string): number {
  assert(after === undefined || after >= before, `${what} never goes back`);
  return after ?? before;
}

function newestFirst(tables: ReadonlyMap<number, TableMeta>): TableMeta[] {
  return [...tables.values()].sort((a, b) => b.maxSequence - a.maxSequence || b.fileId - a.fileId);
}

function byKey(tables: ReadonlyMap<number, TableMeta>, level: number): TableMeta[] {
  const sorted = [...tables.values()].sort((a, b) => compareBytes(a.smallest, b.smallest));
  for (let i = 1; i < sorted.length; i++) {
    const [before, after] = [sorted[i - 1]!, sorted[i]!];
    assert(compareBytes(before.largest, after.smallest) < 0, `tables of level ${level} do not overlap (${before.fileId}, ${after.fileId})`);
  }
  return sorted;
}
