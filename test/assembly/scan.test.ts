import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../../engine/api.ts';
import { SCAN_WINDOW_BYTES, ScanIterator, type ScanSource } from '../../engine/scan.ts';
import type { InternalRange, ScanRange } from '../../engine/scan-range.ts';
import { Sources, bytesOf, compareVersions, del, pointer, put, range, type Version } from './sources.ts';
import type { RangeTombstone } from '../../engine/manifest/index.ts';
import { isGone, plainValue, withExpiry } from './twins/expiry.ts';
import { newestOver } from './twins/range-tombstones.ts';

const ALL: InternalRange = {
  prefixBytes: 0,
  lower: undefined,
  lowerExclusive: false,
  upper: undefined,
  upperInclusive: false,
  reverse: false,
  keysOnly: false,
  limit: Infinity,
};

const NOW = 50;

function sourceOf(sources: Sources): ScanSource {
  return {
    memory: sources.memory,
    viewAddress: sources.view,
    nowMs: NOW,
    satisfy: (answer) => sources.satisfy(answer),
    readPointer: () => bytesOf('value in a segment'),
  };
}

const windows = new WeakMap<Sources, number>();
function iterate(sources: Sources, range: Partial<ScanRange>, sequence = Number.MAX_SAFE_INTEGER): ScanIterator {
  let window = windows.get(sources);
  if (window === undefined) windows.set(sources, (window = sources.memory.allocate(SCAN_WINDOW_BYTES)));
  return new ScanIterator(sourceOf(sources), { ...ALL, ...range }, sequence, window, () => {});
}

function scan(sources: Sources, range: Partial<ScanRange>, sequence?: number): string[] {
  return [...iterate(sources, range, sequence)].map(show);
}

function show([key, value]: Entry): string {
  return `${Buffer.from(key).toString('latin1')}=${Buffer.from(value).toString('latin1')}`;
}

/** The twin: a sorted list of versions. */
function model(
  versions: readonly Version[],
  range: Partial<ScanRange>,
  sequence: number,
  tombstones: readonly RangeTombstone[] = [],
): string[] {
  const { lower, lowerExclusive, upper, upperInclusive, reverse, keysOnly, limit } = { ...ALL, ...range };
  const newest = new Map<string, Version>();
  for (const version of versions.toSorted(compareVersions)) {
    const key = Buffer.from(version.key).toString('hex');
    if (version.sequence <= sequence && !newest.has(key)) newest.set(key, version);
  }
  const found = [...newest.values()].filter((version) => {
    if (isGone(version, NOW) || newestOver(tombstones, version.key, sequence) > version.sequence) return false;
    const { key } = version;
    const low = lower ? Buffer.compare(key, lower) : 1;
    const high = upper ? Buffer.compare(key, upper) : -1;
    return (low > 0 || (low === 0 && !lowerExclusive)) && (high < 0 || (high === 0 && upperInclusive));
  });
  found.sort((a, b) => Buffer.compare(a.key, b.key) * (reverse ? -1 : 1));
  return found.slice(0, limit).map((version) => show([version.key, keysOnly ? new Uint8Array(0) : plainValue(version)]));
}

/** Keys that share prefixes, contain one another and hold extreme bytes. */
const keyArbitrary = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => bytes.map((byte) => [0, 1, 0x61, 0x62, 0xfe, 0xff][byte % 6]!)),
  fc.tuple(fc.constantFrom('user:', 'a-rather-long-common-prefix/'), fc.nat(40)).map(([head, n]) => bytesOf(`${head}${n}`)),
  fc.constantFrom(new Uint8Array(4096).fill(0x61), new Uint8Array(4095).fill(0x61), new Uint8Array(300).fill(0xff)),
);

const rangeArbitrary = fc.record({
  lower: fc.option(keyArbitrary, { nil: undefined }),
  lowerExclusive: fc.boolean(),
  upper: fc.option(keyArbitrary, { nil: undefined }),
  upperInclusive: fc.boolean(),
  reverse: fc.boolean(),
  keysOnly: fc.boolean(),
  limit: fc.constantFrom(Infinity, 1, 2, 7, 100),
});

const anyExpiry = fc.option(fc.nat(100), { nil: undefined });

/** Versions with distinct sequences, each with the number of the source that holds it. */
const worldArbitrary = fc
  .array(
    fc.record({ key: keyArbitrary, deleted: fc.integer({ min: 0, max: 3 }), bytes: fc.nat(900), place: fc.nat(63), expiry: anyExpiry }),
    {
      maxLength: 160,
      size: 'max',
    },
  )
  .map((drafts) =>
    drafts.map(({ key, deleted, bytes, place, expiry }, i): { place: number; version: Version } => {
      const value = deleted === 0 ? new Uint8Array(0) : new Uint8Array(bytes).fill(i);
      const version = { key, sequence: i + 1, kind: deleted === 0 ? 3 : 1, value };
      return { place, version: expiry === undefined || deleted === 0 ? version : withExpiry(version, expiry) };
    }),
  );

/** Spreads versions over memtables, tables of level 0 and a level of two disjoint tables. */
function spread(world: readonly { place: number; version: Version }[], memtables: number, level0: number): Sources {
  const sources = new Sources(80, 32 * 1024 * 1024);
  const places = memtables + level0 + 1;
  const at = (place: number): Version[] => world.filter((entry) => entry.place % places === place).map((entry) => entry.version);
  for (let i = 0; i < memtables; i++) sources.addMemtable(at(i));
  for (let i = 0; i < level0; i++) {
    const versions = at(memtables + i);
    if (versions.length > 0) sources.addLevel0(10 + i, versions);
  }
  const level = at(places - 1);
  const middle = level.length > 0 ? level[level.length >> 1]!.key : undefined;
  const halves = middle
    ? [level.filter((v) => Buffer.compare(v.key, middle) < 0), level.filter((v) => Buffer.compare(v.key, middle) >= 0)]
    : [];
  sources.addLevel(
    100,
    halves.filter((half) => half.length > 0),
  );
  return sources;
}

describe('scan', () => {
  test('of a view without sources, or with empty ones, yields nothing', () => {
    const sources = new Sources();
    expect(scan(sources, {})).toEqual([]);
    expect(scan(sources, { reverse: true })).toEqual([]);
    sources.addMemtable([]);
    expect(scan(sources, {})).toEqual([]);
    expect(scan(sources, { reverse: true })).toEqual([]);
  });

  test('merges memtables and tables, the newest version of a key deciding', () => {
    const sources = new Sources();
    sources.addMemtable([put('b', 9), del('c', 8)]);
    sources.addMemtable([put('a', 7), put('c', 6)]);
    sources.addLevel0(10, [put('b', 3), put('d', 4)]);
    sources.addLevel(20, [[put('a', 1), put('c', 2)], [put('e', 1)]]);
    expect(scan(sources, {})).toEqual(['a=a@7', 'b=b@9', 'd=d@4', 'e=e@1']);
    expect(scan(sources, { reverse: true })).toEqual(['e=e@1', 'd=d@4', 'b=b@9', 'a=a@7']);
  });

  test('at a snapshot sees what was written up to it', () => {
    const sources = new Sources();
    sources.addMemtable([put('a', 1), put('a', 5), del('a', 9), put('b', 6)]);
    sources.addLevel0(10, [put('c', 2), del('c', 4), put('c', 8)]);
    for (const reverse of [false, true]) {
      expect(scan(sources, { reverse }, 1)).toEqual(['a=a@1']);
      expect(scan(sources, { reverse }, 3)).toEqual(reverse ? ['c=c@2', 'a=a@1'] : ['a=a@1', 'c=c@2']);
      expect(scan(sources, { reverse }, 5)).toEqual(['a=a@5']);
      expect(scan(sources, { reverse }, 8)).toEqual(reverse ? ['c=c@8', 'b=b@6', 'a=a@5'] : ['a=a@5', 'b=b@6', 'c=c@8']);
      expect(scan(sources, { reverse }, 9)).toEqual(reverse ? ['c=c@8', 'b=b@6'] : ['b=b@6', 'c=c@8']);
    }
  });

  test('decides by the newest visible version when versions of one key fill several pages', () => {
    const sources = new Sources();
    const versions = Array.from({ length: 60 }, (_, i) => put('hot', 10 + i, `${10 + i}`.padEnd(700, '.')));
    sources.addLevel0(10, [...versions, put('cold', 1), put('icy', 2)]);
    for (const sequence of [9, 10, 11, 33, 34, 68, 69, 100]) {
      const expected = model([...versions, put('cold', 1), put('icy', 2)], {}, sequence);
      expect(scan(sources, {}, sequence)).toEqual(expected);
      expect(scan(sources, { reverse: true }, sequence)).toEqual(expected.toReversed());
      for (const bound of ['hot', 'ho', 'hot\0', 'icy']) {
        for (const flag of [false, true]) {
          for (const reverse of [false, true]) {
            const range = { lower: bytesOf(bound), lowerExclusive: flag, reverse };
            expect(scan(sources, range, sequence)).toEqual(model([...versions, put('cold', 1), put('icy', 2)], range, sequence));
            const other = { upper: bytesOf(bound), upperInclusive: flag, reverse };
            expect(scan(sources, other, sequence)).toEqual(model([...versions, put('cold', 1), put('icy', 2)], other, sequence));
          }
        }
      }
    }
  });

  test('takes what has expired for a delete, at snapshots too, and shows values without their expiry', () => {
    const sources = new Sources();
    sources.addMemtable([withExpiry(put('a', 9), NOW), withExpiry(put('b', 8), NOW + 1)]);
    sources.addMemtable([put('a', 7), withExpiry(pointer('c', 6, 3, 500), NOW + 1), withExpiry(pointer('d', 5, 3, 500), NOW)]);
    sources.addLevel0(10, [put('d', 3), withExpiry(put('e', 4), NOW - 1), put('f', 2)]);
    const all = ['b=b@8', 'c=value in a segment', 'f=f@2'];
    expect(scan(sources, {})).toEqual(all);
    expect(scan(sources, { reverse: true })).toEqual(all.toReversed());
    expect(scan(sources, { keysOnly: true, limit: 2 })).toEqual(['b=', 'c=']);
    expect(scan(sources, {}, 8)).toEqual(['a=a@7', ...all]);
  });

  test('leaves out what range tombstones hide, at snapshots what hid it then', () => {
    const sources = new Sources();
    const [before, after, older] = [put('c', 12), put('a', 4), put('b', 5)];
    sources.addMemtable([before, put('d', 9), put('f', 10)]);
    sources.addLevel0(10, [after, older, put('c', 3), put('d', 2)]);
    sources.addLevel(20, [
      [put('a', 1), put('b', 1)],
      [put('e', 1), put('f', 1)],
    ]);
    sources.setRanges([range('b', 'e', 11), range('e', 'f', 6)], [5, 7, 10]);
    for (const [sequence, expected] of [
      [99, ['a=a@4', 'c=c@12', 'f=f@10']],
      [10, ['a=a@4', 'b=b@5', 'c=c@3', 'd=d@9', 'f=f@10']],
      [7, ['a=a@4', 'b=b@5', 'c=c@3', 'd=d@2', 'f=f@1']],
      [5, ['a=a@4', 'b=b@5', 'c=c@3', 'd=d@2', 'e=e@1', 'f=f@1']],
    ] as const) {
      expect(scan(sources, {}, sequence)).toEqual(expected);
      expect(scan(sources, { reverse: true }, sequence)).toEqual(expected.toReversed());
      expect(scan(sources, { reverse: true, limit: 2 }, sequence)).toEqual(expected.toReversed().slice(0, 2));
    }
  });

  test('passes over a hidden range without reading it, both ways', () => {
    const sources = new Sources();
    const key = (i: number): string => `key:${String(i).padStart(8, '0')}`;
    const versions = Array.from({ length: 30_000 }, (_, i) => put(key(i), i + 1, 'v'.repeat(60)));
    sources.addMemtable(versions.slice(20_000));
    sources.addLevel(10, [
      versions.slice(0, 5000),
      versions.slice(5000, 10_000),
      versions.slice(10_000, 15_000),
      versions.slice(15_000, 20_000),
    ]);
    sources.setRanges([range(key(100), key(7000), 40_000), range(key(7000), key(29_900), 50_000)]);
    const left = [...versions.slice(0, 100), ...versions.slice(29_900)].map((version) => show([version.key, version.value]));
    expect(scan(sources, {})).toEqual(left);
    sources.dropPages();
    expect(scan(sources, { reverse: true })).toEqual(left.toReversed());
    // Those at the beginning, twice, and where the range ends in what is left; the tables that are hidden whole have not been opened.
    expect(sources.pageLoads).toBeLessThan(10);
    expect(scan(sources, { lower: bytesOf(key(6000)), limit: 1 })).toEqual([left[100]]);
    expect(scan(sources, { upper: bytesOf(key(16_000)), reverse: true, limit: 1 })).toEqual([left[99]]);
  });

  test('goes on over many windows and pages of a level, both ways, with pages evicted meanwhile', () => {
    const sources = new Sources();
    const versions = Array.from({ length: 30_000 }, (_, i) => put(`key:${String(i).padStart(8, '0')}`, i + 1, 'v'.repeat(60)));
    sources.addLevel(10, [versions.slice(0, 10_000), versions.slice(10_000, 10_001), versions.slice(10_001)]);
    const expected = versions.map((version) => show([version.key, version.value]));
    expect(scan(sources, {})).toEqual(expected);
    expect(scan(sources, { reverse: true })).toEqual(expected.toReversed());
    expect(scan(sources, { lower: versions[9_990]!.key, limit: 20 })).toEqual(expected.slice(9_990, 10_010));
    expect(scan(sources, { upper: versions[10_010]!.key, reverse: true, limit: 20 })).toEqual(expected.slice(9_990, 10_010).toReversed());
  });

  test('reads no page beyond its bounds', () => {
    const sources = new Sources();
    const versions = Array.from({ length: 2000 }, (_, i) => put(`key:${String(i).padStart(4, '0')}`, i + 1, 'v'.repeat(100)));
    sources.addLevel(10, [versions.slice(0, 1000), versions.slice(1000)]);
    const pagesOf = (range: Partial<ScanRange>): number => {
      sources.dropPages();
      sources.pageLoads = 0;
      scan(sources, range);
      return sources.pageLoads;
    };
    scan(sources, {});
    for (const at of [10, 55, 66, 500, 940, 999, 1000, 1500]) {
      expect(pagesOf({ lower: versions[at]!.key, upper: versions[at]!.key, upperInclusive: true })).toBe(1);
      expect(pagesOf({ lower: versions[at]!.key, upper: versions[at]!.key, upperInclusive: true, reverse: true })).toBe(1);
    }
    expect(pagesOf({ lower: bytesOf('l') })).toBe(0);
    expect(pagesOf({ upper: bytesOf('k') })).toBe(0);
  });

  test('takes bounds without bytes', () => {
    const sources = new Sources();
    sources.addMemtable([put('b', 2), put('\0', 3)]);
    sources.addLevel(10, [[put('a', 1)]]);
    const none = new Uint8Array(0);
    for (const reverse of [false, true]) {
      for (const flag of [false, true]) {
        expect(scan(sources, { upper: none, upperInclusive: flag, reverse })).toEqual([]);
        expect(scan(sources, { lower: none, lowerExclusive: flag, reverse })).toHaveLength(3);
      }
    }
  });

  test('keeps its point in time while the memtable is written between windows', () => {
    const sources = new Sources();
    const memtable = sources.addMemtable(Array.from({ length: 500 }, (_, i) => put(`k${String(i).padStart(4, '0')}`, i + 1)));
    const expected = scan(sources, {});
    for (const reverse of [false, true]) {
      let sequence = 1000 * (reverse ? 2 : 1);
      const seen: string[] = [];
      for (const entry of iterate(sources, { reverse }, 500)) {
        seen.push(show(entry));
        const key = `k${String((seen.length * 7) % 600).padStart(4, '0')}`;
        sources.write(memtable, seen.length % 3 === 0 ? del(key, ++sequence) : put(key, ++sequence));
      }
      expect(seen).toEqual(reverse ? expected.toReversed() : expected);
    }
  });

  test('releases its sequence once: at the end, or when it is left early', () => {
    const sources = new Sources();
    sources.addMemtable([put('a', 1), put('b', 2), put('c', 3)]);
    const window = sources.memory.allocate(SCAN_WINDOW_BYTES);
    const released = (read: (iterator: ScanIterator) => void): number => {
      let count = 0;
      read(new ScanIterator(sourceOf(sources), ALL, 9, window, () => count++));
      return count;
    };
    expect(released((iterator) => expect([...iterator]).toHaveLength(3))).toBe(1);
    expect(
      released((iterator) => {
        for (const [key] of iterator) if (key[0] === 0x62) break;
        expect(iterator.next().done).toBe(true);
        iterator.return();
      }),
    ).toBe(1);
  });

  test('agrees with its twin on any sources, bounds and snapshot', () => {
    fc.assert(
      fc.property(
        worldArbitrary,
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 0, max: 9 }),
        fc.array(fc.tuple(rangeArbitrary, fc.integer({ min: 0, max: 200 })), { minLength: 4, maxLength: 12 }),
        fc.oneof(fc.constant([]), fc.array(fc.tuple(keyArbitrary, keyArbitrary, fc.nat(200)), { maxLength: 12 })),
        (world, memtables, level0, reads, drafts) => {
          const sources = spread(world, memtables, level0);
          const tombstones = drafts.flatMap(([a, b, half]): RangeTombstone[] => {
            const order = Buffer.compare(a, b);
            return order === 0 ? [] : [{ start: order < 0 ? a : b, end: order < 0 ? b : a, sequence: half + 1 }];
          });
          sources.setRanges(
            tombstones,
            reads.map(([, sequence]) => sequence).toSorted((a, b) => a - b),
          );
          const versions = world.map((entry) => entry.version);
          for (const [range, sequence] of reads) {
            expect(scan(sources, range, sequence)).toEqual(model(versions, range, sequence, tombstones));
            sources.dropPages();
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
