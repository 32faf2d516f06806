import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { firstAbove, firstReaching, reachesRun, runWithin } from '../../../engine/manifest/index.ts';
import { key, table } from './tables.ts';

const at = (place: number): Uint8Array => key(String.fromCharCode(97 + place));

/** Tables apart from one another, and a range. */
const places = fc.uniqueArray(fc.nat(25), { maxLength: 16 }).map((all) => all.toSorted((a, b) => a - b));
const range = fc.tuple(fc.nat(25), fc.nat(25)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);

test('a search finds what looking at every table finds', () => {
  fc.assert(
    fc.property(places, range, (bounds, [low, high]) => {
      const tables = bounds
        .filter((_, i) => i % 2 === 0)
        .map((from, i) => table(i, Buffer.from(at(from)).toString(), Buffer.from(at(bounds[2 * i + 1] ?? from)).toString()));
      const wanted = { smallest: at(low), largest: at(high) };
      const overlapping = tables.filter(
        (one) => Buffer.compare(one.smallest, wanted.largest) <= 0 && Buffer.compare(wanted.smallest, one.largest) <= 0,
      );
      const { from, to } = runWithin(tables, wanted);
      expect(tables.slice(from, to)).toEqual(overlapping);
      expect(reachesRun(tables, wanted)).toBe(overlapping.length > 0);
      expect(firstReaching(tables, at(low))).toBe(tables.filter((one) => Buffer.compare(one.largest, at(low)) < 0).length);
      expect(firstAbove(tables, at(low))).toBe(tables.filter((one) => Buffer.compare(one.smallest, at(low)) <= 0).length);
    }),
    { numRuns: 1000 },
  );
});
