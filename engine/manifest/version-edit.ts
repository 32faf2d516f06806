/**
 * A version edit: what one flush, one compaction or one opening changes, encoded. Format: docs/formats/manifest.md. Pure.
 *
 *   edit: field x n        in any order; scalars at most once. What a field is: edit-fields.ts
 *
 *   1 format version   varint                    5 table added     see table-fields.ts
 *   2 next file id     varint                    6 table removed   level varint, file id varint
 *   3 last sequence    varint                    7 segment added   id varint, bytes varint
 *   4 log floor        varint                    8 segment removed id varint
 *   9 setting          name bytes varint, name, value varint
 *  10 keyspace added   id varint, name bytes varint, name, setting x n
 *  11 keyspace altered id varint, setting x n      the settings that it has from now on
 *  12 keyspace dropped id varint
 *  13 next keyspace id varint
 *
 *  14 range tombstone added, 15 removed   sequence varint, start bytes varint, start, end bytes varint, end
 *  16 keyspace's rule  keyspace varint, rule        in the place of the one it had; without rule: it has none
 *
 *  17 link added       id varint, bytes varint, host segment varint, end varint      a segment added that is a link into a host's log
 */
import type { StoredKeepRule } from '../keep-rule.ts';
import type { StoredSettings } from '../keyspace-settings.ts';
import { FieldDecoder, FieldEncoder, OPTIONAL, unknownField } from './edit-fields.ts';
import type { RangeTombstone } from './range-tombstone.ts';
import { type AddedTable, decodeTable, encodeTable } from './table-fields.ts';

export const FORMAT_VERSION = 2;

export interface VersionEdit {
  /** In the first edit of every manifest. */
  readonly formatVersion?: number;
  /** Ids from here on were never used. */
  readonly nextFileId?: number;
  /** Every sequence up to this one is in tables; the log from the floor on has the rest. */
  readonly lastSequence?: number;
  /** Log segments from this id on must be replayed; older ones are needed for their large values only. */
  readonly logFloor?: number;
  readonly tablesRemoved?: readonly TablePlace[];
  readonly tablesAdded?: readonly AddedTable[];
  /** Segments below the floor that live on as block files. */
  readonly segmentsAdded?: readonly AddedSegment[];
  readonly segmentsRemoved?: readonly number[];
  /** Fixed when the store was created. */
  readonly settings?: StoredSettings;
  readonly keyspacesAdded?: readonly AddedKeyspace[];
  readonly keyspacesAltered?: readonly AlteredKeyspace[];
  readonly keyspacesDropped?: readonly number[];
  /** Ids from here on were never used. Without it: as after the keyspaces added. */
  readonly nextKeyspaceId?: number;
  readonly rangeTombstonesAdded?: readonly RangeTombstone[];
  readonly rangeTombstonesRemoved?: readonly RangeTombstone[];
  readonly keyspaceRules?: readonly KeyspaceRule[];
}

/** What to keep of a keyspace from now on; without `rule`: everything. */
export interface KeyspaceRule {
  readonly id: number;
  readonly rule: StoredKeepRule | undefined;
}

export interface AlteredKeyspace {
  readonly id: number;
  readonly settings: StoredSettings;
}

export interface AddedKeyspace extends AlteredKeyspace {
  readonly name: string;
}

export interface TablePlace {
  readonly level: number;
  readonly fileId: number;
}

export interface AddedSegment {
  readonly segment: number;
  /** Size of the file; of a link, what a block file of its own with the same values would take. */
  readonly bytes: number;
  /** The file is a link into a host's log. */
  readonly link?: HostLink;
}

/** Where a link leads. */
export interface HostLink {
  /** The host's number of the segment; 0: nobody knows it any more. */
  readonly hostSegment: number;
  /** Behind the last of the values: what follows in the file is not the engine's business. */
  readonly end: number;
}

const TAG = {
  formatVersion: 1 << 1,
  nextFileId: 2 << 1,
  lastSequence: 3 << 1,
  logFloor: 4 << 1,
  tableAdded: 5 << 1,
  tableRemoved: 6 << 1,
  segmentAdded: 7 << 1,
  segmentRemoved: 8 << 1,
  setting: 9 << 1,
  keyspaceAdded: 10 << 1,
  keyspaceAltered: 11 << 1,
  keyspaceDropped: 12 << 1,
  nextKeyspaceId: 13 << 1,
  rangeTombstoneAdded: 14 << 1,
  rangeTombstoneRemoved: 15 << 1,
  keyspaceRule: 16 << 1,
  linkAdded: 17 << 1,
} as const;

export function encodeEdit(edit: VersionEdit): Uint8Array {
  const out = new FieldEncoder();
  if (edit.formatVersion !== undefined) out.field(TAG.formatVersion, (body) => body.varint(edit.formatVersion!));
  if (edit.nextFileId !== undefined) out.field(TAG.nextFileId, (body) => body.varint(edit.nextFileId!));
  if (edit.lastSequence !== undefined) out.field(TAG.lastSequence, (body) => body.varint(edit.lastSequence!));
  if (edit.logFloor !== undefined) out.field(TAG.logFloor, (body) => body.varint(edit.logFloor!));
  for (const [name, value] of Object.entries(edit.settings ?? {})) out.field(TAG.setting, (body) => body.setting(name, value));
  if (edit.nextKeyspaceId !== undefined) out.field(TAG.nextKeyspaceId, (body) => body.varint(edit.nextKeyspaceId!));
  for (const id of edit.keyspacesDropped ?? []) out.field(TAG.keyspaceDropped, (body) => body.varint(id));
  for (const { id, name, settings } of edit.keyspacesAdded ?? []) {
    out.field(TAG.keyspaceAdded, (body) => {
      body.varint(id);
      body.bytes(new TextEncoder().encode(name));
      for (const [field, value] of Object.entries(settings)) body.setting(field, value);
    });
  }
  for (const { id, settings } of edit.keyspacesAltered ?? []) {
    out.field(TAG.keyspaceAltered, (body) => {
      body.varint(id);
      for (const [field, value] of Object.entries(settings)) body.setting(field, value);
    });
  }
  for (const { id, rule } of edit.keyspaceRules ?? []) {
    out.field(TAG.keyspaceRule, (body) => {
      body.varint(id);
      if (rule) body.rule(rule);
    });
  }
  for (const { level, fileId } of edit.tablesRemoved ?? []) {
    out.field(TAG.tableRemoved, (body) => {
      body.varint(level);
      body.varint(fileId);
    });
  }
  for (const added of edit.tablesAdded ?? []) out.field(TAG.tableAdded, (body) => encodeTable(body, added));
  for (const { segment, bytes, link } of edit.segmentsAdded ?? []) {
    out.field(link ? TAG.linkAdded : TAG.segmentAdded, (body) => {
      body.varint(segment);
      body.varint(bytes);
      if (!link) return;
      body.varint(link.hostSegment);
      body.varint(link.end);
    });
  }
  for (const segment of edit.segmentsRemoved ?? []) out.field(TAG.segmentRemoved, (body) => body.varint(segment));
  for (const tombstone of edit.rangeTombstonesAdded ?? []) out.field(TAG.rangeTombstoneAdded, (body) => body.tombstone(tombstone));
  for (const tombstone of edit.rangeTombstonesRemoved ?? []) out.field(TAG.rangeTombstoneRemoved, (body) => body.tombstone(tombstone));
  return out.finish();
}

/**
 * The edit in `bytes[offset..end]`. `corrupt/CORRUPT_MANIFEST` when it is not one, `invalid/FORMAT_NEWER` when it holds a field that
 * this version must not overlook and does not know.
 */
export function decodeEdit(bytes: Uint8Array, offset = 0, end: number = bytes.length): VersionEdit {
  const scalars: { formatVersion?: number; nextFileId?: number; lastSequence?: number; logFloor?: number; nextKeyspaceId?: number } = {};
  const tablesRemoved: TablePlace[] = [];
  const tablesAdded: AddedTable[] = [];
  const segmentsAdded: AddedSegment[] = [];
  const segmentsRemoved: number[] = [];
  const settings: Record<string, number> = {};
  const keyspacesAdded: AddedKeyspace[] = [];
  const keyspacesAltered: AlteredKeyspace[] = [];
  const keyspacesDropped: number[] = [];
  const rangeTombstonesAdded: RangeTombstone[] = [];
  const rangeTombstonesRemoved: RangeTombstone[] = [];
  const keyspaceRules: KeyspaceRule[] = [];
  const input = new FieldDecoder(bytes, offset, end);
  while (!input.done) {
    const tag = input.varint('tag');
    const body = input.part('field');
    if (tag === TAG.formatVersion) scalars.formatVersion = body.once('format version', scalars.formatVersion);
    else if (tag === TAG.nextFileId) scalars.nextFileId = body.once('next file id', scalars.nextFileId);
    else if (tag === TAG.lastSequence) scalars.lastSequence = body.once('last sequence', scalars.lastSequence);
    else if (tag === TAG.logFloor) scalars.logFloor = body.once('log floor', scalars.logFloor);
    else if (tag === TAG.tableRemoved) tablesRemoved.push({ level: body.level(), fileId: body.varint('file id') });
    else if (tag === TAG.tableAdded) tablesAdded.push(decodeTable(body));
    else if (tag === TAG.segmentAdded) segmentsAdded.push({ segment: body.varint('segment'), bytes: body.varint('bytes') });
    else if (tag === TAG.linkAdded) segmentsAdded.push(decodeLink(body));
    else if (tag === TAG.segmentRemoved) segmentsRemoved.push(body.varint('segment'));
    else if (tag === TAG.setting) body.setting(settings);
    else if (tag === TAG.nextKeyspaceId) scalars.nextKeyspaceId = body.once('next keyspace id', scalars.nextKeyspaceId);
    else if (tag === TAG.keyspaceAdded)
      keyspacesAdded.push({ id: body.varint('keyspace'), name: body.text('name'), settings: body.settings() });
    else if (tag === TAG.keyspaceAltered) keyspacesAltered.push({ id: body.varint('keyspace'), settings: body.settings() });
    else if (tag === TAG.keyspaceDropped) keyspacesDropped.push(body.varint('keyspace'));
    else if (tag === TAG.rangeTombstoneAdded) rangeTombstonesAdded.push(body.tombstone());
    else if (tag === TAG.rangeTombstoneRemoved) rangeTombstonesRemoved.push(body.tombstone());
    else if (tag === TAG.keyspaceRule) keyspaceRules.push({ id: body.varint('keyspace'), rule: body.rule() });
    else if (tag % 2 !== OPTIONAL) throw unknownField(tag);
    else continue;
    body.expectDone();
  }
  return {
    ...scalars,
    ...(tablesRemoved.length > 0 && { tablesRemoved }),
    ...(tablesAdded.length > 0 && { tablesAdded }),
    ...(segmentsAdded.length > 0 && { segmentsAdded }),
    ...(segmentsRemoved.length > 0 && { segmentsRemoved }),
    ...(Object.keys(settings).length > 0 && { settings }),
    ...(keyspacesAdded.length > 0 && { keyspacesAdded }),
    ...(keyspacesAltered.length > 0 && { keyspacesAltered }),
    ...(keyspacesDropped.length > 0 && { keyspacesDropped }),
    ...(rangeTombstonesAdded.length > 0 && { rangeTombstonesAdded }),
    ...(rangeTombstonesRemoved.length > 0 && { rangeTombstonesRemoved }),
    ...(keyspaceRules.length > 0 && { keyspaceRules }),
  };
}

function decodeLink(input: FieldDecoder): AddedSegment {
  const [segment, bytes] = [input.varint('link'), input.varint('bytes')];
  return { segment, bytes, link: { hostSegment: input.varint('host segment'), end: input.varint('end') } };
}
