import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { LevelFacts } from '../../../engine/compaction/index.ts';
import type { TableMeta } from '../../../engine/table/index.ts';
import { key, table } from '../manifest/tables.ts';

const LEVELS = 4;
const PLACES = 40;

/** A table from one place of the key space to another, both included. */
function placed(fileId: number, from: number, to: number, seed: number): TableMeta {
  const at = (place: number): string => `k${String(place).padStart(2, '0')}`;
  return table(fileId, at(from), at(to), {
    bytes: 1000 + (seed % 7) * 500,
    ...(seed % 3 === 0 && { references: [{ segment: 1 + (seed % 4), bytes: seed + 1 }] }),
    ...(seed % 5 === 0 && { expiring: { entries: 1, bytes: 10, earliestMs: 1, latestMs: 2 } }),
    tombstones: seed % 4 === 0 ? 9 : 1,
  });
}

/** The definition: bytes that overlap below for each byte that goes down; of equals the oldest. */
function cheapest(tables: readonly TableMeta[], below: readonly TableMeta[]): TableMeta {
  const cost = (one: TableMeta): number =>
    below
      .filter((other) => Buffer.compare(one.smallest, other.largest) <= 0 && Buffer.compare(other.smallest, one.largest) <= 0)
      .reduce((sum, { bytes }) => sum + bytes, 0) / one.bytes;
  return tables.toSorted((a, b) => cost(a) - cost(b) || a.fileId - b.fileId)[0]!;
}

const changes = fc.array(
  fc.record({
    level: fc.nat(LEVELS - 1),
    from: fc.nat(PLACES - 1),
    length: fc.nat(12),
    cuts: fc.array(fc.nat(11), { maxLength: 4 }),
    seed: fc.nat(1000),
    asked: fc.boolean(),
  }),
  { maxLength: 30 },
);

test('facts that are carried on are those that are found anew, whatever changes', () => {
  const seen = { asked: 0 };
  fc.assert(
    fc.property(changes, (steps) => {
      let levels: TableMeta[][] = Array.from({ length: LEVELS }, () => []);
      const facts = new LevelFacts(levels);
      let fileId = 0;
      for (const { level, from, length, cuts, seed, asked } of steps) {
        // What stands in the range goes, and other tables come in its place: what a compaction does to a level.
        const to = Math.min(PLACES - 1, from + length);
        const [first, last] = [key(`k${String(from).padStart(2, '0')}`), key(`k${String(to).padStart(2, '0')}`)];
        const kept = levels[level]!.filter((one) => Buffer.compare(one.largest, first) < 0 || Buffer.compare(one.smallest, last) > 0);
        const bounds = [...new Set([from, ...cuts.map((cut) => from + cut).filter((cut) => cut <= to)])].toSorted((a, b) => a - b);
        const come = bounds.map((begin, i) => placed(++fileId, begin, (bounds[i + 1] ?? to + 1) - 1, seed + i));
        levels = levels.map((tables, i) =>
          i === level ? [...kept, ...(seed % 6 === 0 ? [] : come)].toSorted((a, b) => Buffer.compare(a.smallest, b.smallest)) : tables,
        );
        facts.update(levels);
        const anew = new LevelFacts(levels);
        for (let i = 0; i < LEVELS; i++) expect(facts.of(i)).toEqual(anew.of(i));
        expect(facts.valueBytes).toBe(anew.valueBytes);
        if (!asked) continue;
        for (let i = 1; i < LEVELS - 1; i++) {
          if (levels[i]!.length === 0) continue;
          seen.asked++;
          expect(facts.cheapestDown(i)).toBe(cheapest(levels[i]!, levels[i + 1]!));
        }
      }
    }),
    { numRuns: 300 },
  );
  expect(seen.asked).toBeGreaterThan(500);
});

test('sums count bytes, large values, and tables that time or snapshots may make due', () => {
  const facts = new LevelFacts([[placed(1, 0, 3, 0), placed(2, 4, 5, 1)], []]);
  expect(facts.of(0)).toEqual({ bytes: 2500, valueBytes: 1, expiring: 1, fullOfDeletes: 1 });
  expect(facts.of(1)).toEqual({ bytes: 0, valueBytes: 0, expiring: 0, fullOfDeletes: 0 });
  expect(facts.of(9)).toEqual({ bytes: 0, valueBytes: 0, expiring: 0, fullOfDeletes: 0 });
});
