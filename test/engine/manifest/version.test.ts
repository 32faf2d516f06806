import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applyEdit,
  EMPTY_VERSION,
  highestFileId,
  obsoleteFiles,
  parseFileName,
  segmentsToReplay,
  snapshotEdit,
  type Version,
  VersionBuilder,
  type VersionEdit,
} from '../../../engine/manifest/index.ts';
import type { TableMeta } from '../../../engine/table/index.ts';
import { describeVersion, fileIds, key, table } from './tables.ts';

function after(...edits: readonly VersionEdit[]): Version {
  return edits.reduce(applyEdit, EMPTY_VERSION);
}

const BASE: VersionEdit = {
  nextFileId: 100,
  tablesAdded: [
    { level: 0, table: table(10, 'a', 'z', { references: [{ segment: 5, bytes: 500 }] }) },
    { level: 0, table: table(12, 'b', 'y') },
    {
      level: 0,
      table: table(11, 'c', 'x', {
        references: [
          { segment: 5, bytes: 70 },
          { segment: 8, bytes: 1 },
        ],
      }),
    },
    { level: 1, table: table(4, 'm', 'p') },
    { level: 1, table: table(3, 'a', 'c') },
    { level: 1, table: table(6, 'd', 'l') },
  ],
};

describe('applyEdit', () => {
  it('orders level 0 newest first and the others by key', () => {
    expect(fileIds(after(BASE))).toEqual([
      [12, 11, 10],
      [3, 6, 4],
    ]);
  });

  it('moves a table from level to level and leaves the version before as it was', () => {
    const before = after(BASE);
    const moved = applyEdit(before, { tablesRemoved: [{ level: 0, fileId: 12 }], tablesAdded: [{ level: 2, table: table(12, 'b', 'y') }] });
    expect(fileIds(moved)).toEqual([[11, 10], [3, 6, 4], [12]]);
    expect(fileIds(before)[0]).toEqual([12, 11, 10]);
  });

  it('sums the live bytes of a block file over the tables that refer to it', () => {
    const version = after(BASE, { logFloor: 8, segmentsAdded: [{ segment: 5, bytes: 9000 }] });
    expect(new Map(version.segments)).toEqual(new Map([[5, { bytes: 9000, liveBytes: 570 }]]));
    expect(new Map(version.referencedBytes)).toEqual(
      new Map([
        [5, 570],
        [8, 1],
      ]),
    );
    const compacted = applyEdit(version, { tablesRemoved: [{ level: 0, fileId: 10 }] });
    expect(compacted.segments.get(5)).toEqual({ bytes: 9000, liveBytes: 70 });
    const gone = applyEdit(compacted, { tablesRemoved: [{ level: 0, fileId: 11 }], segmentsRemoved: [5] });
    expect([gone.segments.size, gone.referencedBytes.size]).toEqual([0, 0]);
  });

  it('never gives the id of a keyspace again, not after a snapshot either', () => {
    const made = after(BASE, { keyspacesAdded: [{ id: 1, name: 'birds', settings: { inlineThreshold: 64 } }] });
    const altered = applyEdit(made, {
      keyspacesAdded: [{ id: 2, name: 'fish', settings: {} }],
      keyspacesAltered: [{ id: 1, settings: {} }],
    });
    expect(made.keyspaces).toEqual(new Map([[1, { name: 'birds', settings: { inlineThreshold: 64 } }]]));
    expect([...altered.keyspaces.values()]).toEqual([
      { name: 'birds', settings: {} },
      { name: 'fish', settings: {} },
    ]);
    const dropped = applyEdit(altered, { keyspacesDropped: [1, 2] });
    const again = applyEdit(EMPTY_VERSION, snapshotEdit(dropped));
    expect(again.nextKeyspaceId).toBe(3);
    expect([...applyEdit(again, { keyspacesAdded: [{ id: 3, name: 'birds', settings: {} }] }).keyspaces.keys()]).toEqual([3]);
  });

  it('is made again by its snapshot', () => {
    const version = after(BASE, {
      logFloor: 8,
      lastSequence: 77,
      segmentsAdded: [{ segment: 5, bytes: 9000 }],
      settings: { pageBytes: 8192 },
      keyspacesAdded: [{ id: 1, name: 'birds', settings: { inlineThreshold: 64 } }],
      rangeTombstonesAdded: [{ sequence: 70, start: key('a'), end: key('b') }],
    });
    expect(describeVersion(after(snapshotEdit(version)))).toBe(describeVersion(version));
  });

  it.each<[string, VersionEdit]>([
    ['tables of level 1 do not overlap', { tablesAdded: [{ level: 1, table: table(20, 'c', 'ca') }] }],
    ['a table is added once', { tablesAdded: [{ level: 3, table: table(4, 'q', 'r') }] }],
    ['a file id is below the next one', { tablesAdded: [{ level: 0, table: table(100, 'q', 'r') }] }],
    ["a table's smallest key is not above its largest", { tablesAdded: [{ level: 0, table: table(20, 'r', 'q') }] }],
    ['a table that is removed stands in its level', { tablesRemoved: [{ level: 2, fileId: 4 }] }],
    ['next file id never goes back', { nextFileId: 99 }],
    ['log floor never goes back', { logFloor: -1 }],
    ['a segment that tables refer to exists', { logFloor: 9, segmentsAdded: [{ segment: 5, bytes: 9000 }] }],
    ['a segment that is removed is a block file', { segmentsRemoved: [5] }],
    ['a segment is below the next file id', { segmentsAdded: [{ segment: 100, bytes: 1 }] }],
    ['an edit is of the format', { formatVersion: 3 }],
    ['a range tombstone that is removed is there', { rangeTombstonesRemoved: [{ sequence: 1, start: key('a'), end: key('b') }] }],
    [
      'a range tombstone is of a sequence that is in the version',
      { rangeTombstonesAdded: [{ sequence: 999, start: key('a'), end: key('b') }] },
    ],
    ['a range tombstone covers something', { rangeTombstonesAdded: [{ sequence: 0, start: key('b'), end: key('b') }] }],
    ['a keyspace that is dropped is there', { keyspacesDropped: [1] }],
    ['a keyspace that is altered is there', { keyspacesAltered: [{ id: 1, settings: {} }] }],
    ["a keyspace's id is new", { keyspacesAdded: [{ id: 2, name: 'birds', settings: {} }] }],
    ['next keyspace id never goes back', { nextKeyspaceId: 0 }],
    [
      'names of keyspaces are distinct',
      {
        keyspacesAdded: [
          { id: 1, name: 'birds', settings: {} },
          { id: 2, name: 'birds', settings: {} },
        ],
      },
    ],
  ])('asserts that %s', (claim, edit) => {
    expect(() => after(BASE, edit)).toThrow(claim);
  });

  it('asserts that nothing refers to a block file that is removed', () => {
    const version = after(BASE, { segmentsAdded: [{ segment: 5, bytes: 9000 }] });
    expect(() => applyEdit(version, { segmentsRemoved: [5] })).toThrow('nothing refers to a segment that is removed');
  });
});

describe('VersionBuilder', () => {
  it('makes of many edits what they make one by one, whatever is asked for in between', () => {
    const edits: VersionEdit[] = [
      BASE,
      { keyspacesAdded: [{ id: 1, name: 'birds', settings: {} }], settings: { storeId: 7 } },
      { tablesRemoved: [{ level: 0, fileId: 12 }], tablesAdded: [{ level: 2, table: table(12, 'b', 'y') }], lastSequence: 129 },
      { logFloor: 8, segmentsAdded: [{ segment: 5, bytes: 9000 }], nextFileId: 101 },
      { rangeTombstonesAdded: [{ sequence: 120, start: key('a'), end: key('b') }], settings: { storeId: 8 } },
      {
        tablesRemoved: [
          { level: 0, fileId: 10 },
          { level: 0, fileId: 11 },
          { level: 1, fileId: 3 },
        ],
        tablesAdded: [{ level: 1, table: table(100, 'a', 'c', { references: [{ segment: 8, bytes: 1 }] }) }],
        segmentsRemoved: [5],
        rangeTombstonesRemoved: [{ sequence: 120, start: key('a'), end: key('b') }],
      },
      { keyspacesDropped: [1], keyspacesAdded: [{ id: 2, name: 'birds', settings: {} }] },
    ];
    const builder = new VersionBuilder(EMPTY_VERSION);
    const made = edits.map((edit) => {
      builder.apply(edit);
      return builder.version();
    });
    made.forEach((version, i) => expect(describeVersion(version)).toBe(describeVersion(after(...edits.slice(0, i + 1)))));
    const atOnce = new VersionBuilder(EMPTY_VERSION);
    for (const edit of edits) atOnce.apply(edit);
    expect(describeVersion(atOnce.version())).toBe(describeVersion(made.at(-1)!));
  });

  it('tells what is referred to, and what no longer is, before the version is made', () => {
    const refers = (...segments: number[]): { references: { segment: number; bytes: number }[] } => ({
      references: segments.map((segment) => ({ segment, bytes: 10 * segment })),
    });
    const before = after({
      nextFileId: 100,
      tablesAdded: [
        { level: 1, table: table(10, 'a', 'c', refers(3, 4)) },
        { level: 1, table: table(11, 'd', 'f', refers(4)) },
      ],
    });
    const moved = { tablesRemoved: [{ level: 1, fileId: 11 }], tablesAdded: [{ level: 2, table: table(11, 'd', 'f', refers(4)) }] };
    const rewritten = { tablesRemoved: [{ level: 1, fileId: 10 }], tablesAdded: [{ level: 1, table: table(12, 'a', 'b', refers(4, 5)) }] };
    const builder = new VersionBuilder(before);
    const referred = (): number[] => [3, 4, 5, 6].map((segment) => builder.referencedBytes(segment));
    expect([referred(), builder.unreferred]).toEqual([[30, 80, 0, 0], []]);
    builder.apply(moved);
    expect([referred(), builder.unreferred]).toEqual([[30, 80, 0, 0], []]);
    builder.apply(rewritten);
    expect([referred(), builder.unreferred]).toEqual([[0, 80, 50, 0], [3]]);
    expect(new Map(before.referencedBytes)).toEqual(
      new Map([
        [3, 30],
        [4, 80],
      ]),
    );
  });

  it('makes what a plain list of tables makes, whatever comes and goes, in one edit or many', () => {
    type Step = { level: number; place: number; width: number; segment: number; moves: boolean };
    const step = fc.record({ level: fc.nat(3), place: fc.nat(30), width: fc.nat(6), segment: fc.nat(4), moves: fc.boolean() });
    const at = (place: number): string => `k${String(place).padStart(2, '0')}`;
    fc.assert(
      fc.property(fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 12 }), fc.boolean(), (groups, oftenAsked) => {
        const builder = new VersionBuilder(EMPTY_VERSION);
        let plain: { level: number; table: TableMeta }[] = [];
        let fileId = 0;
        const one = ({ level, place, width, segment, moves }: Step): VersionEdit => {
          const added = table(++fileId, at(place), at(place + width), segment > 0 ? { references: [{ segment, bytes: 5 }] } : {});
          const isGone = (other: { level: number; table: TableMeta }): boolean =>
            other.level === level && (level === 0 ? moves : overlap(other.table, added));
          const gone = plain.filter(isGone);
          const come = { level, table: added };
          // A table that goes may stand elsewhere again, where there is room.
          const back = gone.slice(0, moves && level > 0 ? 1 : 0).map((other) => ({ level: 0, table: other.table }));
          plain = [...plain.filter((other) => !isGone(other)), come, ...back];
          return {
            nextFileId: 1000,
            tablesRemoved: gone.map((other) => ({ level: other.level, fileId: other.table.fileId })),
            tablesAdded: [come, ...back],
          };
        };
        for (const group of groups) {
          for (const each of group) builder.apply(one(each));
          if (!oftenAsked) continue;
          expect(tablesOf(builder.version())).toEqual(plainOf(plain));
        }
        const version = builder.version();
        expect(tablesOf(version)).toEqual(plainOf(plain));
        const referenced = new Map<number, number>();
        for (const { segment, bytes } of plain.flatMap((each) => each.table.references)) {
          referenced.set(segment, (referenced.get(segment) ?? 0) + bytes);
        }
        expect(new Map(version.referencedBytes)).toEqual(referenced);
      }),
      { numRuns: 300 },
    );
  });

  it('asserts of the whole what edits one by one are asserted to leave', () => {
    const builder = new VersionBuilder(after(BASE));
    builder.apply({ tablesAdded: [{ level: 1, table: table(20, 'b', 'd') }] });
    expect(() => builder.version()).toThrow('tables of level 1 do not overlap (3, 20)');
    const other = new VersionBuilder(after(BASE));
    other.apply({ logFloor: 6 });
    expect(() => other.version()).toThrow('a segment that tables refer to exists (5)');
  });
});

function overlap(a: TableMeta, b: TableMeta): boolean {
  return Buffer.compare(a.smallest, b.largest) <= 0 && Buffer.compare(b.smallest, a.largest) <= 0;
}

function tablesOf(version: Version): number[][] {
  return version.levels.slice(0, 4).map((tables) => tables.map(({ fileId }) => fileId));
}

function plainOf(plain: readonly { level: number; table: TableMeta }[]): number[][] {
  return [0, 1, 2, 3].map((level) =>
    plain
      .filter((each) => each.level === level)
      .map((each) => each.table)
      .toSorted((a, b) => (level === 0 ? b.maxSequence - a.maxSequence : Buffer.compare(a.smallest, b.smallest)))
      .map(({ fileId }) => fileId),
  );
}

describe('files of a directory', () => {
  const version = after(BASE, { logFloor: 8, segmentsAdded: [{ segment: 5, bytes: 9000 }] });
  const ours = ['000003.table', '000005.log', '000008.log', '000012.table', 'CURRENT', 'LOCK', 'LOCK.pid', 'MANIFEST-000002', 'notes.txt'];
  const left = ['000004.log', '000007.table', '000013.table', 'CURRENT.tmp', 'MANIFEST-000001', 'MANIFEST-000003'];

  it('names those that belong to nothing, and only those', () => {
    expect(obsoleteFiles(version, [...ours, ...left], 2)).toEqual(left);
    expect(obsoleteFiles(version, [...ours, ...left], 2, new Set([13, 4]))).toEqual(left.filter((name) => !/^0000(13|04)/.test(name)));
  });

  it('knows its names by their only spelling', () => {
    expect(parseFileName('1234567.table')).toEqual({ kind: 'table', id: 1234567 });
    expect(parseFileName('MANIFEST-000010')).toEqual({ kind: 'manifest', id: 10 });
    for (const name of ['12.log', '0000012.log', 'a000012.log', '000012.logs', 'MANIFEST-1', '000012'])
      expect(parseFileName(name), name).toBeUndefined();
  });

  it('tells the highest id and what to replay, in order of ids though names sort otherwise', () => {
    expect(highestFileId(['CURRENT', 'MANIFEST-999999', '000012.log', '000013.table'])).toBe(13);
    expect(highestFileId([])).toBe(0);
    expect(segmentsToReplay(version, ['000004.log', '000005.log', '000008.log', '1000000.log', '999999.log'])).toEqual([
      8, 999999, 1000000,
    ]);
  });
});
