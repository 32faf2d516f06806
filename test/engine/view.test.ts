import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { VIEW_LEVEL0, VIEW_LEVEL0_COUNT, VIEW_LEVEL_COUNT, VIEW_LEVELS } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import type { TableMeta } from '../../engine/table/index.ts';
import { View } from '../../engine/view.ts';
import { table } from './manifest/tables.ts';

const LEVELS = 4;

/** The addresses that the struct leads to, level by level. */
function shown(memory: LinearMemory, { address }: View): number[][] {
  const word = (at: number): number => memory.u32[at >>> 2]!;
  const run = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => word(from + 4 * i));
  const pairs = word(address + VIEW_LEVELS);
  return [
    run(word(address + VIEW_LEVEL0), word(address + VIEW_LEVEL0_COUNT)),
    ...Array.from({ length: word(address + VIEW_LEVEL_COUNT) }, (_, i) => run(word(pairs + 8 * i + 4), word(pairs + 8 * i))),
  ];
}

test('a view shows the tables of every level as they are, however they change', () => {
  const change = fc.record({ level: fc.nat(LEVELS - 1), at: fc.nat(30), removed: fc.nat(8), added: fc.nat(8), many: fc.nat(9) });
  const memory = new LinearMemory(64 * 1024 * 1024);
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (steps) => {
      const view = new View(memory);
      let levels: TableMeta[][] = Array.from({ length: LEVELS }, () => []);
      const headerOf = ({ fileId }: TableMeta): number => 1_000_000 + fileId;
      let fileId = 0;
      for (const { level, at, removed, added, many } of steps) {
        const come = Array.from({ length: added }, () => table(++fileId, 'a', 'b'));
        levels = levels.map((tables, i) => (i === level ? tables.toSpliced(at, many === 0 ? Infinity : removed, ...come) : tables));
        view.setTables(levels, headerOf);
        const used = levels.slice(0, Math.max(1, levels.findLastIndex((tables) => tables.length > 0) + 1));
        expect(shown(memory, view)).toEqual(used.map((tables) => tables.map(headerOf)));
      }
      view.free();
    }),
    { numRuns: 300 },
  );
});

test('a view keeps no memory of what it showed before', () => {
  const memory = new LinearMemory(64 * 1024 * 1024);
  const tables = Array.from({ length: 30_000 }, (_, i) => table(i, 'a', 'b'));
  const lives = (): void => {
    const view = new View(memory);
    for (const count of [3, 20_000, 9000, 30_000, 0, 12]) view.setTables([tables.slice(0, 5), [], tables.slice(0, count)], () => 1);
    view.free();
  };
  // The lists of small pieces keep what the first of them took.
  lives();
  const before = memory.usedBytes;
  for (let i = 0; i < 20; i++) lives();
  expect(memory.usedBytes).toBe(before);
});

test('headers are asked for of tables that a level did not have', () => {
  const memory = new LinearMemory(32 * 1024 * 1024);
  const view = new View(memory);
  const [a, b, c, d] = [1, 2, 3, 4].map((id) => table(id, 'a', 'b')) as [TableMeta, TableMeta, TableMeta, TableMeta];
  const asked: number[] = [];
  const headerOf = ({ fileId }: TableMeta): number => {
    asked.push(fileId);
    return fileId;
  };
  const deep = [c];
  view.setTables([[a, b], deep], headerOf);
  view.setTables([[d, a, b], deep], headerOf);
  view.setTables([[b], deep], headerOf);
  expect(asked).toEqual([1, 2, 3, 4]);
  expect(shown(memory, view)).toEqual([[2], [3]]);
});
