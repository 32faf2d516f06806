import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ABSENT,
  FLAG_EXPIRES,
  FOUND,
  FRONT,
  KEY_A,
  NEEDS_PAGE,
  NEEDS_TABLE,
  RESULT_FLAGS,
  RESULT_KIND,
  RESULT_SEQUENCE,
  RESULT_VALUE,
  RESULT_VALUE_BYTES,
} from '../../assembly/memory-map.ts';
import { keyArbitrary } from './entries.ts';
import type { RangeTombstone } from '../../engine/manifest/index.ts';
import { withExpiry } from './twins/expiry.ts';
import { newestOver } from './twins/range-tombstones.ts';
import { KIND_DELETE, KIND_PUT, Sources, bytesOf, compareVersions, del, put, range, type Version } from './sources.ts';

const NEWEST = Number.MAX_SAFE_INTEGER;

interface Answer {
  status: number;
  kind: number;
  flags?: number;
  sequence?: number;
  value?: Uint8Array;
}

function lookup(sources: Sources, key: Uint8Array, sequence = NEWEST): Answer {
  const { u8, u32, f64, kernel } = sources.memory;
  const cell = (offset: number): number => u32[(FRONT + offset) >>> 2]!;
  u8.set(key, FRONT + KEY_A);
  let status = kernel['lookup']!(FRONT, sources.view, key.length, sequence);
  while (status === NEEDS_PAGE || status === NEEDS_TABLE) {
    sources.satisfy(status);
    status = kernel['lookupResume']!(FRONT);
  }
  const kind = cell(RESULT_KIND);
  if (kind === 0) return { status, kind };
  const value = u8.slice(cell(RESULT_VALUE), cell(RESULT_VALUE) + cell(RESULT_VALUE_BYTES));
  const flags = cell(RESULT_FLAGS);
  return { status, kind, ...(flags !== 0 && { flags }), sequence: f64[(FRONT + RESULT_SEQUENCE) >>> 3]!, value };
}

/** The twin: the newest version at or below the sequence, of all there are. */
function model(versions: readonly Version[], key: Uint8Array, sequence: number, tombstones: readonly RangeTombstone[] = []): Answer {
  const cover = newestOver(tombstones, key, sequence);
  const found = versions
    .toSorted(compareVersions)
    .find((version) => Buffer.compare(version.key, key) === 0 && version.sequence <= sequence);
  if (cover > 0 && (!found || found.sequence < cover))
    return { status: ABSENT, kind: KIND_DELETE, sequence: cover, value: new Uint8Array(0) };
  if (!found) return { status: ABSENT, kind: 0 };
  return { status: found.kind === KIND_DELETE ? ABSENT : FOUND, kind: found.kind, sequence: found.sequence, value: found.value };
}

/** Versions by source, newest source first: 2 memtables, 3 tables of level 0, 2 levels of several tables. */
interface World {
  versions: Version[];
  sources: Version[][];
}

const worldArbitrary: fc.Arbitrary<World> = fc
  .array(
    fc.record({
      key: keyArbitrary,
      deleted: fc.boolean(),
      bytes: fc.oneof(fc.nat(50), fc.nat(3000)),
      repeat: fc.integer({ min: 1, max: 4 }),
    }),
    {
      minLength: 1,
      maxLength: 120,
      size: 'max',
    },
  )
  .map((drafts) => {
    const versions = drafts
      .flatMap(({ repeat, ...draft }) => Array.from({ length: repeat }, () => draft))
      .map(({ key, deleted, bytes }, i): Version => ({
        key,
        sequence: 2 * i + 1,
        kind: deleted ? KIND_DELETE : KIND_PUT,
        value: new Uint8Array(deleted ? 0 : bytes).fill(i),
      }));
    // Newer sources hold newer versions, as time makes them.
    const size = Math.ceil(versions.length / 7);
    const sources = Array.from({ length: 7 }, (_, i) =>
      versions.slice(versions.length - size * (i + 1) > 0 ? versions.length - size * (i + 1) : 0, Math.max(0, versions.length - size * i)),
    );
    return { versions, sources };
  });

/** Cuts a level in tables that share no key. */
function tablesOf(versions: readonly Version[]): Version[][] {
  const tables: Version[][] = [];
  for (const version of versions.toSorted(compareVersions)) {
    const last = tables.at(-1);
    if (last && (last.length < 12 || Buffer.compare(last.at(-1)!.key, version.key) === 0)) last.push(version);
    else tables.push([version]);
  }
  return tables;
}

function build({ sources: held }: World): Sources {
  const sources = new Sources(80, 64 * 1024 * 1024);
  for (const versions of held.slice(0, 2)) sources.addMemtable(versions);
  for (const [i, versions] of held.slice(2, 5).toReversed().entries()) if (versions.length > 0) sources.addLevel0(10 + i, versions);
  for (const [i, versions] of held.slice(5).entries()) if (versions.length > 0) sources.addLevel(100 + i * 50, tablesOf(versions));
  return sources;
}

/** Between the versions of the world, whose sequences are odd. */
function tombstonesOf(drafts: readonly (readonly [Uint8Array, Uint8Array, number])[]): RangeTombstone[] {
  return drafts.flatMap(([a, b, half]) => {
    const order = Buffer.compare(a, b);
    return order === 0 ? [] : [{ start: order < 0 ? a : b, end: order < 0 ? b : a, sequence: 2 * half + 2 }];
  });
}

describe('point read', () => {
  test('finds what a sorted list of all versions holds', () => {
    fc.assert(
      fc.property(
        worldArbitrary,
        fc.array(keyArbitrary, { maxLength: 10 }),
        fc.array(fc.nat(500), { maxLength: 4 }),
        fc.array(fc.tuple(keyArbitrary, keyArbitrary, fc.nat(250)), { maxLength: 6 }),
        (world, strangers, sequences, drafts) => {
          const sources = build(world);
          const tombstones = tombstonesOf(drafts);
          sources.setRanges(
            tombstones,
            [0, ...sequences].toSorted((a, b) => a - b),
          );
          const keys = [...world.versions.filter((_, i) => i % 3 === 0).map(({ key }) => key), ...strangers];
          for (const key of keys) {
            for (const sequence of [NEWEST, 0, ...sequences])
              expect(lookup(sources, key, sequence)).toEqual(model(world.versions, key, sequence, tombstones));
            sources.dropPages();
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test('versions of one key over many pages are found at every sequence', () => {
    const sources = new Sources();
    const versions = Array.from({ length: 300 }, (_, i) => put('hot', i + 1, `${i + 1}`.padEnd(300, '.')));
    const others = Array.from({ length: 200 }, (_, i) => put(`i${i}`, 1000 + i, 'x'.repeat(100)));
    sources.addLevel0(1, [put('a', 2000), ...versions, ...others]);
    for (let sequence = 1; sequence <= 300; sequence++) {
      expect(lookup(sources, bytesOf('hot'), sequence)).toMatchObject({ status: FOUND, sequence, value: versions[sequence - 1]!.value });
    }
    expect(lookup(sources, bytesOf('hot'), 0)).toEqual({ status: ABSENT, kind: 0 });
    expect(lookup(sources, bytesOf('i7'))).toMatchObject({ status: FOUND, sequence: 1007 });
  });

  test('says that what was found expires, and leaves the rest to who knows the time', () => {
    const sources = new Sources();
    sources.addMemtable([withExpiry(put('k', 9), 50)]);
    sources.addLevel0(1, [withExpiry(put('l', 5), 50), put('l', 4)]);
    const value = (version: Version): Uint8Array => withExpiry(version, 50).value;
    expect(lookup(sources, bytesOf('k'))).toMatchObject({ status: FOUND, flags: FLAG_EXPIRES, sequence: 9, value: value(put('k', 9)) });
    expect(lookup(sources, bytesOf('l'))).toMatchObject({ status: FOUND, flags: FLAG_EXPIRES, sequence: 5, value: value(put('l', 5)) });
    expect(lookup(sources, bytesOf('l'), 4)).not.toHaveProperty('flags');
  });

  test('a delete hides older sources, and says so', () => {
    const sources = new Sources();
    sources.addMemtable([del('k', 9)]);
    sources.addLevel0(1, [put('k', 5, 'old')]);
    expect(lookup(sources, bytesOf('k'))).toMatchObject({ status: ABSENT, kind: KIND_DELETE, sequence: 9 });
    expect(lookup(sources, bytesOf('k'), 8)).toMatchObject({ status: FOUND, sequence: 5, value: bytesOf('old') });
    expect(lookup(sources, bytesOf('k'), 4)).toEqual({ status: ABSENT, kind: 0 });
  });

  test('a key outside of every range touches no page, one that is not there seldom does', () => {
    const sources = new Sources();
    sources.addLevel0(
      1,
      Array.from({ length: 2000 }, (_, i) => put(`key${i * 2 + 100_000}`, i + 1)),
    );
    sources.addLevel(2, [Array.from({ length: 2000 }, (_, i) => put(`key${i * 2 + 100_000}`, i + 1))]);
    lookup(sources, bytesOf('a'));
    lookup(sources, bytesOf('z'));
    expect(sources.pageLoads).toBe(0);
    lookup(sources, bytesOf('key100002'));
    expect(sources.pageLoads).toBe(1);
  });

  test('a range delete hides older sources without asking them', () => {
    const sources = new Sources();
    sources.addMemtable([put('k2', 12)]);
    sources.addLevel0(
      1,
      Array.from({ length: 9 }, (_, i) => put(`k${i}`, i + 1)),
    );
    sources.setRanges([range('k1', 'k8', 11), range('k4', 'k5', 3)], [5]);
    expect(lookup(sources, bytesOf('k1'))).toMatchObject({ status: ABSENT, kind: KIND_DELETE, sequence: 11 });
    expect(lookup(sources, bytesOf('k7'))).toMatchObject({ status: ABSENT, kind: KIND_DELETE, sequence: 11 });
    expect(lookup(sources, bytesOf('k2'))).toMatchObject({ status: FOUND, sequence: 12 });
    expect(sources.pageLoads).toBe(0);
    expect(lookup(sources, bytesOf('k8'))).toMatchObject({ status: FOUND, sequence: 9 });
    expect(lookup(sources, bytesOf('k3'), 5)).toMatchObject({ status: FOUND, sequence: 4 });
    expect(lookup(sources, bytesOf('k4'), 5)).toMatchObject({ status: FOUND, sequence: 5 });
    expect(lookup(sources, bytesOf('k4'), 4)).toMatchObject({ status: ABSENT, kind: KIND_DELETE, sequence: 3 });
  });

  test('an empty view holds nothing', () => {
    expect(lookup(new Sources(), bytesOf('k'))).toEqual({ status: ABSENT, kind: 0 });
  });
});
