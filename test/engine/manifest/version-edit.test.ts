import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEdit, encodeEdit, type VersionEdit } from '../../../engine/manifest/index.ts';
import type { TableMeta } from '../../../engine/table/index.ts';
import { key, table } from './tables.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const code = (value: string): unknown => expect.objectContaining({ code: value });

const FULL: VersionEdit = {
  formatVersion: 2,
  nextFileId: 300,
  lastSequence: 2 ** 40,
  logFloor: 7,
  settings: { pageBytes: 8192 },
  tablesRemoved: [{ level: 1, fileId: 3 }],
  tablesAdded: [
    {
      level: 2,
      table: table(9, 'a', 'k', {
        densePages: 3,
        pinnedBytes: 300,
        clearedTo: 77,
        ruledTo: 8,
        expiring: { entries: 5, bytes: 200, earliestMs: 1000, latestMs: 1128 },
        references: [
          { segment: 4, bytes: 1000 },
          { segment: 6, bytes: 2000 },
        ],
      }),
    },
  ],
  segmentsAdded: [
    { segment: 6, bytes: 70000 },
    { segment: 9, bytes: 2064, link: { hostSegment: 4_000_000_000, end: 2 ** 32 } },
  ],
  segmentsRemoved: [2],
  rangeTombstonesAdded: [{ sequence: 300, start: key('c'), end: key('g') }],
  rangeTombstonesRemoved: [{ sequence: 7, start: key('a'), end: key('b') }],
  nextKeyspaceId: 300,
  keyspacesAdded: [{ id: 299, name: 'birds', settings: { inlineThreshold: 64 } }],
  keyspacesAltered: [{ id: 2, settings: {} }],
  keyspacesDropped: [3],
  keyspaceRules: [
    { id: 2, rule: { id: 8, gte: key('m'), hash: { mask: 3, value: 1 } } },
    { id: 4, rule: undefined },
  ],
};

const counts = fc.oneof(fc.nat(1000), fc.maxSafeNat());
const tombstones = fc.array(fc.record({ sequence: counts, start: fc.uint8Array(), end: fc.uint8Array() }), { minLength: 1, maxLength: 3 });
const REQUIRED: (keyof TableMeta)[] = [
  'fileId',
  'bytes',
  'pages',
  'entries',
  'tombstones',
  'smallest',
  'largest',
  'minSequence',
  'maxSequence',
  'densePages',
  'pinnedBytes',
  'clearedTo',
  'references',
];
const anyRule = fc
  .record({ id: counts, gte: fc.uint8Array(), lt: fc.uint8Array(), mask: fc.nat(), value: fc.nat() })
  .map(({ id, gte, lt, mask, value }) => ({
    id,
    ...(gte.length > 0 && { gte }),
    ...(lt.length > 0 && { lt }),
    ...(mask > 0 && { hash: { mask, value } }),
  }));
const anySettings = fc.dictionary(
  fc.string({ minLength: 1 }).filter((name) => name !== '__proto__'),
  counts,
  { maxKeys: 3, noNullPrototype: true },
);
const anyEdit: fc.Arbitrary<VersionEdit> = fc.record(
  {
    formatVersion: fc.nat(9),
    nextFileId: counts,
    lastSequence: counts,
    logFloor: counts,
    settings: fc.dictionary(
      fc.string({ minLength: 1 }).filter((name) => name !== '__proto__'),
      counts,
      { minKeys: 1, maxKeys: 3, noNullPrototype: true },
    ),
    tablesRemoved: fc.array(fc.record({ level: fc.nat(15), fileId: counts }), { minLength: 1, maxLength: 3 }),
    tablesAdded: fc.array(
      fc.record({
        level: fc.nat(15),
        table: fc.record(
          {
            fileId: counts,
            bytes: counts,
            pages: counts,
            entries: counts,
            tombstones: counts,
            smallest: fc.uint8Array(),
            largest: fc.uint8Array({ maxLength: 4096 }),
            minSequence: fc.nat(),
            maxSequence: fc.nat().map((more) => 2 ** 31 + more),
            densePages: counts,
            pinnedBytes: counts,
            clearedTo: counts,
            ruledTo: counts,
            expiring: fc.record({ entries: counts, bytes: counts, earliestMs: fc.nat(), latestMs: fc.nat().map((more) => 2 ** 31 + more) }),
            references: fc
              .uniqueArray(fc.nat(), { maxLength: 4 })
              .map((ids) => ids.toSorted((a, b) => a - b).map((segment) => ({ segment, bytes: segment * 7 }))),
          },
          { requiredKeys: REQUIRED },
        ),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    segmentsAdded: fc.array(
      fc.record(
        { segment: counts, bytes: counts, link: fc.record({ hostSegment: counts, end: counts }) },
        { requiredKeys: ['segment', 'bytes'], noNullPrototype: true },
      ),
      { minLength: 1, maxLength: 3 },
    ),
    segmentsRemoved: fc.array(counts, { minLength: 1, maxLength: 3 }),
    rangeTombstonesAdded: tombstones,
    rangeTombstonesRemoved: tombstones,
    nextKeyspaceId: counts,
    keyspacesAdded: fc.array(fc.record({ id: counts, name: fc.string({ unit: 'grapheme' }), settings: anySettings }), {
      minLength: 1,
      maxLength: 3,
    }),
    keyspacesAltered: fc.array(fc.record({ id: counts, settings: anySettings }), { minLength: 1, maxLength: 3 }),
    keyspacesDropped: fc.array(counts, { minLength: 1, maxLength: 3 }),
    keyspaceRules: fc.array(fc.record({ id: counts, rule: fc.option(anyRule, { nil: undefined }) }), { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: [] },
);

describe('version edit', () => {
  it('has golden bytes', () => {
    expect(hex(encodeEdit(FULL))).toBe(
      [
        '02 01 02', // format version 2
        '04 02 ac02', // next file id 300
        '06 06 808080808020', // last sequence 2^40
        '08 01 07', // log floor 7
        '12 0c 09 706167654279746573 8040', // setting pageBytes 8192
        '1a 02 ac02', // next keyspace id 300
        '18 01 03', // keyspace 3 dropped
        '14 19 ab02 05 6269726473 0f 696e6c696e655468726573686f6c64 40', // keyspace 299 added: birds, inlineThreshold 64
        '16 01 02', // keyspace 2 altered: no settings
        '20 07 02 08 01 6d 00 03 01', // rule 8 of keyspace 2: from m, hash & 3 is 1
        '20 01 04', // keyspace 4 has no rule
        '0c 02 01 03', // table 3 of level 1 removed
        '0a 2a 02 09 8940 01 0a 01 5a 09 01 61 01 6b 02 04 e807 02 d00f 03 07 05 c801 e807 8001 05 01 03 07 02 ac02 09 01 4d 0b 01 08', // table 9 added to level 2
        '0e 04 06 f0a204', // segment 6 added, 70000 bytes
        '22 0d 09 9010 80d0acf30e 8080808010', // link 9 added, 2064 bytes, host segment 4,000,000,000, values end at 2^32
        '10 01 02', // segment 2 removed
        '1c 06 ac02 01 63 01 67', // a range tombstone of sequence 300 from c to g added
        '1e 05 07 01 61 01 62', // one of sequence 7 from a to b removed
      ]
        .join('')
        .replaceAll(' ', ''),
    );
  });

  it('comes back as it was', () => {
    expect(decodeEdit(encodeEdit(FULL))).toEqual(FULL);
    expect(decodeEdit(encodeEdit({}))).toEqual({});
    fc.assert(
      fc.property(anyEdit, (edit) => {
        expect(decodeEdit(encodeEdit(edit))).toEqual(edit);
      }),
    );
  });

  it('copies keys out of the buffer that it decodes', () => {
    const encoded = encodeEdit({ tablesAdded: [{ level: 0, table: table(1, 'a', 'b') }] });
    const edit = decodeEdit(encoded);
    encoded.fill(0);
    expect(edit.tablesAdded![0]!.table.smallest).toEqual(key('a'));
  });

  it('skips an unknown field that is optional and refuses one that is not', () => {
    const optional = bytes(`08 01 07  c901 03 010203  06 01 05`);
    expect(decodeEdit(optional)).toEqual({ logFloor: 7, lastSequence: 5 });
    expect(() => decodeEdit(bytes('08 01 07  c801 03 010203'))).toThrow(code('FORMAT_NEWER'));
  });

  it('refuses fields that are malformed', () => {
    for (const text of ['02', '02 01', '02 02 01', '02 02 01 00', '02 00', '0c 02 10 01', '08 01 07 08 01 07', '10 01 80', '0a 01 00']) {
      expect(() => decodeEdit(bytes(text)), text).toThrow(code('CORRUPT_MANIFEST'));
    }
  });

  it('never throws anything but its own errors, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated()), (input) => {
        try {
          decodeEdit(input);
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/^(CORRUPT_MANIFEST|FORMAT_NEWER)$/);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

function mutated(): fc.Arbitrary<Uint8Array> {
  return fc.tuple(anyEdit, fc.nat(), fc.nat(255)).map(([edit, at, byte]) => {
    const encoded = encodeEdit(edit).slice();
    if (encoded.length > 0) encoded[at % encoded.length] = byte;
    return encoded;
  });
}
