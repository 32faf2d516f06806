/**
 * What a version edit says of a table: all that the engine knows of it without opening it. Pure. Called by version-edit.ts.
 *
 * | level | file id | bytes | pages | entries | tombstones | min sequence | max sequence - min sequence |      varints
 * | smallest bytes varint | smallest | largest bytes varint | largest |
 * | count varint | { segment - the one before, bytes } x count |                                              varints
 * | detail x n |                                        as fields of the edit, their numbers apart; what is 0 is left out
 *
 *   1 expiring     entries, bytes, earliest ms, latest ms - earliest ms          3 pinned bytes
 *   2 dense pages                                                               4 cleared to       5 ruled to       varints
 */
import type { SegmentReference, TableMeta } from '../table/index.ts';
import { type FieldDecoder, type FieldEncoder, OPTIONAL, unknownField } from './edit-fields.ts';

export interface AddedTable {
  readonly level: number;
  readonly table: TableMeta;
}

/** All may be overlooked: they say what may be done earlier, not what is true. */
const DETAIL = {
  expiring: (1 << 1) | OPTIONAL,
  densePages: (2 << 1) | OPTIONAL,
  pinnedBytes: (3 << 1) | OPTIONAL,
  clearedTo: (4 << 1) | OPTIONAL,
  ruledTo: (5 << 1) | OPTIONAL,
} as const;

export function encodeTable(out: FieldEncoder, { level, table }: AddedTable): void {
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

export function decodeTable(input: FieldDecoder): AddedTable {
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

function decodeDetails(input: FieldDecoder): Details {
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
