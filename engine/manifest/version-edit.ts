/**
 * A version edit: what one flush, one compaction or one opening changes, encoded. Format: docs/formats/manifest.md. Pure.
 *
 *   edit:  field x n
 *   field: | tag varint | bytes varint | content |
 *
 * A tag is `number << 1 | optional`. A reader that does not know a tag skips the field when it is optional and refuses the edit when it
 * is not, so that a field that must not be overlooked can be added later. Fields may come in any order; scalars at most once.
 *
 *   1 format version   varint                    5 table added     see encodeTable
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
 *
 *   setting: | name bytes varint | name | value varint |
 *   rule:    | id varint | gte bytes varint | gte | lt bytes varint | lt | hash mask varint | hash value varint |      no bytes, no mask: not given
 */
import { SparrowError } from '../../base/errors.ts';
import { readVarint, writeVarint, VARINT_BYTES_MAX, type VarintCursor } from '../../base/varint.ts';
import type { StoredKeepRule } from '../keep-rule.ts';
import type { StoredSettings } from '../keyspace-settings.ts';
import type { SegmentReference, TableMeta } from '../table/index.ts';
import type { RangeTombstone } from './range-tombstone.ts';

export const FORMAT_VERSION = 2;
export const LEVELS_MAX = 16;

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

export interface AddedTable {
  readonly level: number;
  readonly table: TableMeta;
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

const OPTIONAL = 1;
const NO_BYTES = new Uint8Array(0);
const NO_HASH = { mask: 0, value: 0 };

/** Of a table. All may be overlooked: they say what may be done earlier, not what is true. */
const DETAIL = {
  expiring: (1 << 1) | OPTIONAL,
  densePages: (2 << 1) | OPTIONAL,
  pinnedBytes: (3 << 1) | OPTIONAL,
  clearedTo: (4 << 1) | OPTIONAL,
  ruledTo: (5 << 1) | OPTIONAL,
} as const;

export function encodeEdit(edit: VersionEdit): Uint8Array {
  const out = new Encoder();
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
  const input = new Decoder(bytes, offset, end);
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

/**
 * | level | file id | bytes | pages | entries | tombstones | min sequence | max sequence - min sequence |      varints
 * | smallest bytes varint | smallest | largest bytes varint | largest |
 * | count varint | { segment - the one before, bytes } x count |                                              varints
 * | detail x n |                                        as fields of the edit, their numbers apart; what is 0 is left out
 *
 *   1 expiring     entries, bytes, earliest ms, latest ms - earliest ms          3 pinned bytes
 *   2 dense pages                                                               4 cleared to       5 ruled to       varints
 */
function encodeTable(out: Encoder, { level, table }: AddedTable): void {
  out.varint(level);
  out.varint(table.fileId);
  out.varint(table.bytes);
  out.varint(table.pages);
  out.varint(table.entries);
  out.varint(table.tombstones);
  out.varint(table.minSequence);
  out.varint(table.maxSequence - table.minSequence);
  out.bytes(table.smallest);
  out.bytes(table.largest);
  out.varint(table.references.length);
  let before = 0;
  for (const { segment, bytes } of table.references) {
    out.varint(segment - before);
    out.varint(bytes);
    before = segment;
  }
  const { expiring, densePages, pinnedBytes, clearedTo, ruledTo } = table;
  if (expiring) {
    out.field(DETAIL.expiring, (body) => {
      body.varint(expiring.entries);
      body.varint(expiring.bytes);
      body.varint(expiring.earliestMs);
      body.varint(expiring.latestMs - expiring.earliestMs);
    });
  }
  if (densePages > 0) out.field(DETAIL.densePages, (body) => body.varint(densePages));
  if (pinnedBytes > 0) out.field(DETAIL.pinnedBytes, (body) => body.varint(pinnedBytes));
  if (clearedTo > 0) out.field(DETAIL.clearedTo, (body) => body.varint(clearedTo));
  if (ruledTo !== undefined) out.field(DETAIL.ruledTo, (body) => body.varint(ruledTo));
}

function decodeLink(input: Decoder): AddedSegment {
  const [segment, bytes] = [input.varint('link'), input.varint('bytes')];
  return { segment, bytes, link: { hostSegment: input.varint('host segment'), end: input.varint('end') } };
}

function decodeTable(input: Decoder): AddedTable {
  const level = input.level();
  const fileId = input.varint('file id');
  const bytes = input.varint('bytes');
  const pages = input.varint('pages');
  const entries = input.varint('entries');
  const tombstones = input.varint('tombstones');
  const minSequence = input.varint('min sequence');
  const maxSequence = minSequence + input.varint('max sequence');
  const smallest = input.bytes('smallest key');
  const largest = input.bytes('largest key');
  const references: SegmentReference[] = [];
  let segment = 0;
  for (let left = input.varint('reference count'); left > 0; left--) {
    segment += input.varint('segment');
    references.push({ segment, bytes: input.varint('referenced bytes') });
  }
  const table = { fileId, bytes, pages, entries, tombstones, smallest, largest, minSequence, maxSequence, references };
  return { level, table: { ...table, ...decodeDetails(input) } };
}

type Details = Pick<TableMeta, 'densePages' | 'pinnedBytes' | 'clearedTo' | 'expiring' | 'ruledTo'>;

function decodeDetails(input: Decoder): Details {
  const details: { -readonly [name in keyof Details]: Details[name] } = { densePages: 0, pinnedBytes: 0, clearedTo: 0 };
  while (!input.done) {
    const tag = input.varint('detail');
    const body = input.part('detail of a table');
    if (tag === DETAIL.expiring) {
      const [entries, bytes, earliestMs] = [body.varint('entries'), body.varint('bytes'), body.varint('earliest expiry')];
      details.expiring = { entries, bytes, earliestMs, latestMs: earliestMs + body.varint('latest expiry') };
    } else if (tag === DETAIL.densePages) details.densePages = body.varint('dense pages');
    else if (tag === DETAIL.pinnedBytes) details.pinnedBytes = body.varint('pinned bytes');
    else if (tag === DETAIL.clearedTo) details.clearedTo = body.varint('cleared to');
    else if (tag === DETAIL.ruledTo) details.ruledTo = body.varint('ruled to');
    else if (tag % 2 !== OPTIONAL) throw unknownField(tag);
    else continue;
    body.expectDone();
  }
  return details;
}

function unknownField(tag: number): SparrowError {
  return new SparrowError(
    'invalid',
    'FORMAT_NEWER',
    `the manifest holds a field (${tag >> 1}) that this version does not know; use the version that wrote it or a later one`,
    {
      field: tag >> 1,
    },
  );
}

class Encoder {
  #bytes = new Uint8Array(256);
  #end = 0;
  /** For the contents of fields, one after another: a version has one for each table, and details in it. */
  #body: Encoder | undefined;

  varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    this.#end = writeVarint(this.#bytes, this.#end, value);
  }

  /** Length and content. */
  bytes(content: Uint8Array): void {
    this.varint(content.length);
    this.#reserve(content.length);
    this.#bytes.set(content, this.#end);
    this.#end += content.length;
  }

  setting(name: string, value: number): void {
    this.bytes(new TextEncoder().encode(name));
    this.varint(value);
  }

  tombstone({ sequence, start, end }: RangeTombstone): void {
    this.varint(sequence);
    this.bytes(start);
    this.bytes(end);
  }

  rule({ id, gte = NO_BYTES, lt = NO_BYTES, hash = NO_HASH }: StoredKeepRule): void {
    this.varint(id);
    this.bytes(gte);
    this.bytes(lt);
    this.varint(hash.mask);
    this.varint(hash.value);
  }

  field(tag: number, write: (body: Encoder) => void): void {
    const body = (this.#body ??= new Encoder());
    body.#end = 0;
    write(body);
    this.varint(tag);
    this.bytes(body.finish());
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#end + bytes));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

class Decoder {
  readonly #cursor: VarintCursor;

  constructor(bytes: Uint8Array, offset: number, end: number) {
    this.#cursor = { bytes, offset, end };
  }

  get done(): boolean {
    return this.#cursor.offset === this.#cursor.end;
  }

  varint(what: string): number {
    const value = readVarint(this.#cursor);
    if (value === undefined) throw malformed(what);
    return value;
  }

  level(): number {
    const level = this.varint('level');
    if (level >= LEVELS_MAX) throw malformed('level');
    return level;
  }

  /** The field's only content, a varint; a second field of its kind is refused. */
  once(what: string, before: number | undefined): number {
    if (before !== undefined) throw malformed(`second ${what}`);
    return this.varint(what);
  }

  tombstone(): RangeTombstone {
    return { sequence: this.varint('sequence'), start: this.bytes('start of a range'), end: this.bytes('end of a range') };
  }

  /** What is left. */
  rule(): StoredKeepRule | undefined {
    if (this.done) return undefined;
    const [id, gte, lt] = [this.varint('rule'), this.bytes('gte of a rule'), this.bytes('lt of a rule')];
    const hash = { mask: this.varint('mask of a rule'), value: this.varint('value of a rule') };
    return { id, ...(gte.length > 0 && { gte }), ...(lt.length > 0 && { lt }), ...(hash.mask !== 0 && { hash }) };
  }

  text(what: string): string {
    return new TextDecoder().decode(this.bytes(what));
  }

  setting(into: Record<string, number>): void {
    into[this.text('name')] = this.varint('value');
  }

  /** Those up to the end. */
  settings(): StoredSettings {
    const settings: Record<string, number> = {};
    while (!this.done) this.setting(settings);
    return settings;
  }

  /** A copy: what is decoded outlives the buffer. */
  bytes(what: string): Uint8Array {
    const { offset, end } = this.part(what).#cursor;
    return this.#cursor.bytes.slice(offset, end);
  }

  /** Length and content, to be decoded by itself. */
  part(what: string): Decoder {
    const length = this.varint(what);
    const { bytes, offset, end } = this.#cursor;
    if (length > end - offset) throw malformed(what);
    this.#cursor.offset += length;
    return new Decoder(bytes, offset, offset + length);
  }

  expectDone(): void {
    if (!this.done) throw malformed('field with bytes left over');
  }
}

function malformed(what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_MANIFEST', `a version edit is malformed (${what})`, { what });
}
