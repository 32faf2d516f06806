import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { SegmentMap } from '../../../engine/manifest/index.ts';

test('is what a map is that the same has been done to, and what it was made of stays as it was', () => {
  const changes = fc.array(fc.tuple(fc.nat(40), fc.option(fc.nat(9), { nil: undefined })), { maxLength: 12 });
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 12 }), (steps) => {
      let map = SegmentMap.of<number>();
      let model = new Map<number, number>();
      for (const step of steps) {
        const [before, modelBefore] = [map, model];
        model = new Map(model);
        map = map.with(new Map(step));
        for (const [segment, value] of new Map(step)) {
          if (value === undefined) model.delete(segment);
          else model.set(segment, value);
        }
        expect(new Map(before)).toEqual(modelBefore);
        const ascending = [...model].toSorted(([a], [b]) => a - b);
        expect([...map]).toEqual(ascending);
        expect([...map.keys()]).toEqual(ascending.map(([segment]) => segment));
        expect([...map.values()]).toEqual(ascending.map(([, value]) => value));
        const visited: [number, number][] = [];
        map.forEach((value, segment) => visited.push([segment, value]));
        expect(visited).toEqual(ascending);
        expect(map.size).toBe(model.size);
        for (let segment = 0; segment <= 41; segment++)
          expect([map.get(segment), map.has(segment)]).toEqual([model.get(segment), model.has(segment)]);
      }
    }),
    { numRuns: 300 },
  );
  expect([
    ...SegmentMap.of([
      [7, 'a'],
      [3, 'b'],
    ]),
  ]).toEqual([
    [3, 'b'],
    [7, 'a'],
  ]);
});
