/** Which range tombstones have nothing left to say: nobody may see the difference when they are gone. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { hidesAllOf, type RangeTombstone, spentTombstones } from '../../../engine/manifest/index.ts';
import type { TableMeta } from '../../../engine/table/index.ts';

const KEYS = 12;
const SEQUENCES = 20;

const key = (i: number): Uint8Array => Buffer.from([i]);

function table(from: number, to: number, minSequence: number, maxSequence: number): TableMeta {
  return { smallest: key(from), largest: key(to), minSequence, maxSequence, clearedTo: 0 } as TableMeta;
}

const tombstones = fc.array(
  fc
    .tuple(fc.nat(KEYS - 2), fc.integer({ min: 1, max: KEYS }), fc.integer({ min: 1, max: SEQUENCES }))
    .map(([start, length, sequence]): RangeTombstone => ({ start: key(start), end: key(Math.min(KEYS, start + length)), sequence })),
  { maxLength: 12 },
);
const pins = fc.uniqueArray(fc.nat(SEQUENCES), { maxLength: 4 }).map((pinned) => pinned.toSorted((a, b) => a - b));

function hides(all: Iterable<RangeTombstone>, at: number, written: number, read: number): boolean {
  for (const { start, end, sequence } of all) if (start[0]! <= at && at < end[0]! && written < sequence && sequence <= read) return true;
  return false;
}

test('without the spent ones everybody reads the same, whatever lies in the table', () => {
  const everything = [[table(0, KEYS, 0, SEQUENCES)]];
  fc.assert(
    fc.property(tombstones, tombstones, pins, (old, fresh, pinned) => {
      const all = [...old, ...fresh];
      const spent = spentTombstones(all, everything, fresh, pinned);
      const left = all.filter((each) => !spent.has(each));
      for (let at = 0; at < KEYS; at++) {
        for (let written = 0; written <= SEQUENCES; written++) {
          for (const read of [...pinned, Infinity]) expect(hides(left, at, written, read)).toBe(hides(all, at, written, read));
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('one that newer ones cover together is spent; not when a reader stands between', () => {
  const old = { start: key(2), end: key(8), sequence: 5 };
  const fresh = [
    { start: key(1), end: key(5), sequence: 9 },
    { start: key(5), end: key(9), sequence: 8 },
  ];
  const everything = [[table(0, KEYS, 0, SEQUENCES)]];
  expect([...spentTombstones([old, ...fresh], everything, fresh, [])]).toEqual([old]);
  expect([...spentTombstones([old, ...fresh], everything, fresh, [4, 9])]).toEqual([old]);
  expect([...spentTombstones([old, ...fresh], everything, fresh, [5])]).toEqual([]);
  expect([...spentTombstones([old, ...fresh], [[table(8, 9, 0, 1)]], [], [])]).toEqual([old, fresh[0]]);
});

test('tombstones that touch hide a table together; a gap shows', () => {
  const whole = [0, 1, 2, 3].map((i) => ({ start: key(i * 3), end: key(i * 3 + 3), sequence: 9 }));
  const all = table(1, 10, 2, 8);
  expect(hidesAllOf(whole, all)).toBe(true);
  expect(hidesAllOf(whole, table(1, 10, 2, 9))).toBe(false);
  expect(hidesAllOf(whole.slice(0, 3), all)).toBe(false);
  expect(hidesAllOf([...whole.slice(0, 1), ...whole.slice(2)], all)).toBe(false);
  expect(hidesAllOf(whole.slice(0, 3), table(1, 9, 2, 8))).toBe(false);
});

test('thirty thousand take a moment', () => {
  const wide = (i: number): Uint8Array => Buffer.from(String(i).padStart(8, '0'));
  const many = Array.from({ length: 30_000 }, (_, i) => ({ start: wide(2 * i), end: wide(2 * i + 1), sequence: i + 1 }));
  const all = { smallest: wide(0), largest: wide(60_000), minSequence: 0, maxSequence: 1, clearedTo: 0 } as TableMeta;
  const before = process.cpuUsage();
  expect(spentTombstones(many, [[all]], many, []).size).toBe(0);
  const touching = many.map((each, i) => ({ ...each, end: wide(2 * i + 2), sequence: each.sequence + 1 }));
  expect(hidesAllOf(touching, { ...all, largest: wide(59_999) })).toBe(true);
  // Compared each with each, it was minutes.
  expect(process.cpuUsage(before).user).toBeLessThan(3_000_000);
});
