/**
 * Makes versions out of edits, and asserts the invariants that version.ts states: those of an edit as it is applied, those of the whole
 * (tables of a level do not overlap, what tables refer to exists) in each version that is made. Pure.
 *
 * An edit costs what it changes and not what is there, so that opening a store replays a manifest of thousands of edits over thousands of
 * tables in milliseconds; a version costs what has changed since the one before, and a look at each table of the levels that have. Once an
 * assertion has failed the builder is good for nothing; the version that it began with is as it was.
 */
import { assert } from '../../base/assert.ts';
import { DEFAULT_KEYSPACE } from '../keyspace-key.ts';
import type { TableMeta } from '../table/index.ts';
import { LEVELS_MAX } from './edit-fields.ts';
import { EXTERNAL_ID_FROM } from './file-names.ts';
import { type RangeTombstone, sameTombstone } from './range-tombstone.ts';
import type { SegmentMap } from './segment-map.ts';
import { firstFrom } from './sorted-run.ts';
import { type BlockFile, compareBytes, type KeyspaceMeta, type Version } from './version.ts';
import { FORMAT_VERSION, type TablePlace, type VersionEdit } from './version-edit.ts';

/** The version after `edit`. `internal/ASSERTION` when the edit does not fit; `version` is as it was. */
export function applyEdit(version: Version, edit: VersionEdit): Version {
  const builder = new VersionBuilder(version);
  builder.apply(edit);
  return builder.version();
}

/** What is different of a level. */
type ChangedLevel = {
  /** Where tables stand in the level before that are there no more. */
  readonly removed: Set<number>;
  /** Those that have come, by id. */
  readonly added: Map<number, TableMeta>;
};

export class VersionBuilder {
  #before: Version;
  #nextFileId: number;
  #lastSequence: number;
  #logFloor: number;
  #nextKeyspaceId: number;
  // What has been changed since, each from its first change on.
  #levels: (ChangedLevel | undefined)[] = [];
  /** Of tables added. */
  readonly #addedIds = new Set<number>();
  /** Bytes that are referred to now, of segments of which that has changed. */
  readonly #referenced = new Map<number, number>();
  /** Block files that have come, changed or gone. */
  readonly #segments = new Map<number, BlockFile | undefined>();
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

  /** Bytes that tables refer to in a segment, as of now. */
  referencedBytes(segment: number): number {
    return this.#referenced.get(segment) ?? this.#before.referencedBytes.get(segment) ?? 0;
  }

  /** Segments to which something was referred and nothing is now. Of all edits since the last version. */
  get unreferred(): number[] {
    return [...this.#referenced].flatMap(([segment, bytes]) => (bytes === 0 ? [segment] : []));
  }

  /** What the edits have made. More may follow. */
  version(): Version {
    const before = this.#before;
    const referencedBytes = before.referencedBytes.with(
      new Map([...this.#referenced].map(([segment, bytes]) => [segment, bytes || undefined])),
    );
    const segments = this.#segmentsAfter();
    this.#assertReferred(segments, referencedBytes);
    const made: Version = {
      levels: before.levels.map((tables, level) => {
        const changed = this.#levels[level];
        if (!changed) return tables;
        return level === 0 ? newestFirst(tables, changed) : byKey(tables, changed, level);
      }),
      segments,
      referencedBytes,
      nextFileId: this.#nextFileId,
      lastSequence: this.#lastSequence,
      logFloor: this.#logFloor,
      settings: this.#settings ?? before.settings,
      keyspaces: this.#keyspaces ?? before.keyspaces,
      nextKeyspaceId: this.#nextKeyspaceId,
      rangeTombstones: this.#tombstones ?? before.rangeTombstones,
    };
    this.#goOnFrom(made);
    return made;
  }

  /** What has been handed out is not touched any more. */
  #goOnFrom(version: Version): void {
    this.#before = version;
    this.#levels = [];
    this.#addedIds.clear();
    this.#referenced.clear();
    this.#segments.clear();
    this.#settings = undefined;
    this.#keyspaces = undefined;
    this.#tombstones = undefined;
  }

  #applyTables({ tablesRemoved = [], tablesAdded = [] }: VersionEdit): void {
    const removed = this.#take(tablesRemoved);
    const removedIds = new Set(removed.map(({ fileId }) => fileId));
    const mayBeThere = new Set<number>();
    for (const { level, table } of tablesAdded) {
      const { fileId } = table;
      assert(level >= 0 && level < LEVELS_MAX, 'a level is within its range');
      assert(!this.#addedIds.has(fileId), `a table is added once (${fileId})`);
      assert(fileId < this.#nextFileId, `a file id is below the next one (${fileId})`);
      assert(compareBytes(table.smallest, table.largest) <= 0, `a table's smallest key is not above its largest (${fileId})`);
      this.#addedIds.add(fileId);
      this.#changed(level).added.set(fileId, table);
      if (fileId < this.#before.nextFileId && !removedIds.has(fileId)) mayBeThere.add(fileId);
    }
    if (mayBeThere.size > 0) this.#assertNotThere(mayBeThere);
    for (const { table } of tablesAdded) this.#count(table, 1);
    for (const table of removed) this.#count(table, -1);
  }

  #changed(level: number): ChangedLevel {
    return (this.#levels[level] ??= { removed: new Set(), added: new Map() });
  }

  /** Takes tables out of their levels. */
  #take(places: readonly TablePlace[]): TableMeta[] {
    const taken: TableMeta[] = [];
    for (const [level, some] of Map.groupBy(places, (place) => place.level)) {
      const { removed, added } = this.#changed(level);
      const wanted = new Set<number>();
      for (const { fileId } of some) {
        const own = added.get(fileId);
        assert(!wanted.has(fileId), `a table that is removed stands in its level (${fileId} in level ${level})`);
        if (own === undefined) wanted.add(fileId);
        else {
          added.delete(fileId);
          this.#addedIds.delete(fileId);
          taken.push(own);
        }
      }
      const tables = this.#before.levels[level] ?? [];
      for (let i = 0; wanted.size > 0 && i < tables.length; i++) {
        const table = tables[i]!;
        if (!wanted.has(table.fileId) || removed.has(i)) continue;
        wanted.delete(table.fileId);
        removed.add(i);
        taken.push(table);
      }
      for (const fileId of wanted) assert(false, `a table that is removed stands in its level (${fileId} in level ${level})`);
    }
    return taken;
  }

  /** Ids below the next one of the version before: they may have tables there. */
  #assertNotThere(ids: ReadonlySet<number>): void {
    for (const [level, tables] of this.#before.levels.entries()) {
      const removed = this.#levels[level]?.removed;
      for (let i = 0; i < tables.length; i++) {
        const { fileId } = tables[i]!;
        if (ids.has(fileId) && removed?.has(i) !== true) assert(false, `a table is added once (${fileId})`);
      }
    }
  }

  #count(table: TableMeta, sign: number): void {
    for (const { segment, bytes } of table.references) {
      const now = this.referencedBytes(segment) + sign * bytes;
      assert(now >= 0, 'referenced bytes are not negative');
      this.#referenced.set(segment, now);
    }
  }

  #blockFile(segment: number): BlockFile | undefined {
    return this.#segments.has(segment) ? this.#segments.get(segment) : this.#before.segments.get(segment);
  }

  #applySegments({ segmentsRemoved = [], segmentsAdded = [] }: VersionEdit): void {
    for (const segment of segmentsRemoved) {
      assert(this.#blockFile(segment) !== undefined, `a segment that is removed is a block file (${segment})`);
      assert(this.referencedBytes(segment) === 0, `nothing refers to a segment that is removed (${segment})`);
      this.#segments.set(segment, undefined);
    }
    for (const { segment, bytes, link } of segmentsAdded) {
      const isThere = this.#blockFile(segment) !== undefined || segmentsRemoved.includes(segment);
      assert(!isThere, `a segment is added once (${segment})`);
      assert(segment < this.#nextFileId || segment >= EXTERNAL_ID_FROM, `a segment is below the next file id (${segment})`);
      this.#segments.set(segment, { bytes, liveBytes: this.referencedBytes(segment), ...(link && { link }) });
    }
  }

  /** The block files, each with its live bytes. */
  #segmentsAfter(): SegmentMap<BlockFile> {
    for (const [segment, liveBytes] of this.#referenced) {
      const file = this.#blockFile(segment);
      if (file && file.liveBytes !== liveBytes) this.#segments.set(segment, { ...file, liveBytes });
    }
    return this.#before.segments.with(this.#segments);
  }

  /** Of segments that count anew: all those, when the log's floor has passed others, too. */
  #assertReferred(segments: SegmentMap<BlockFile>, referenced: SegmentMap<number>): void {
    const looked =
      this.#logFloor > this.#before.logFloor ? referenced.keys() : new Set([...this.#referenced.keys(), ...this.#segments.keys()]);
    for (const segment of looked) {
      if (segment >= this.#logFloor || segments.has(segment) || !referenced.has(segment)) continue;
      assert(false, `a segment that tables refer to exists (${segment})`);
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

function newestFirst(before: readonly TableMeta[], { removed, added }: ChangedLevel): TableMeta[] {
  const tables = [...before.filter((_, i) => !removed.has(i)), ...added.values()];
  return tables.sort((a, b) => b.maxSequence - a.maxSequence || b.fileId - a.fileId);
}

/** What has stayed is in order and apart: it is looked at where something new has come beside it. */
function byKey(before: readonly TableMeta[], { removed, added }: ChangedLevel, level: number): TableMeta[] {
  const gone = [...removed].sort((a, b) => a - b);
  const tables: TableMeta[] = [];
  let at = 0;
  let passed = 0;
  const keepUpTo = (end: number): void => {
    for (; at < end; at++) {
      if (gone[passed] === at) passed++;
      else tables.push(before[at]!);
    }
  };
  const news: number[] = [];
  for (const table of [...added.values()].sort((a, b) => compareBytes(a.smallest, b.smallest))) {
    keepUpTo(firstFrom(before, table.smallest));
    news.push(tables.length);
    tables.push(table);
  }
  keepUpTo(before.length);
  for (const i of news) {
    assertApart(tables[i - 1], tables[i], level);
    assertApart(tables[i], tables[i + 1], level);
  }
  return tables;
}

function assertApart(before: TableMeta | undefined, after: TableMeta | undefined, level: number): void {
  if (before === undefined || after === undefined) return;
  assert(compareBytes(before.largest, after.smallest) < 0, `tables of level ${level} do not overlap (${before.fileId}, ${after.fileId})`);
}
