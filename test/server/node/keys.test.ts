import fc from 'fast-check';
import { expect, it } from 'vitest';
import { engineKey, engineRange, isEmpty, type KeyRange } from '../../../server/node/index.ts';
import { compareKeys } from '../../../server/node/keys.ts';

const key = fc.uint8Array({ maxLength: 3, max: 255 }).map((bytes) => bytes.map((byte) => (byte > 250 ? 255 : byte % 3)));
const optional = fc.option(key, { nil: undefined });

it('a range holds the keys that all its bounds allow', () => {
  fc.assert(
    fc.property(
      fc.record({ gt: optional, gte: optional, lt: optional, lte: optional, prefix: optional }),
      fc.array(key),
      (range: KeyRange, keys) => {
        const { start, end } = engineRange(range);
        for (const each of keys) {
          const wanted =
            (range.gt === undefined || compareKeys(each, range.gt) > 0) &&
            (range.gte === undefined || compareKeys(each, range.gte) >= 0) &&
            (range.lt === undefined || compareKeys(each, range.lt) < 0) &&
            (range.lte === undefined || compareKeys(each, range.lte) <= 0) &&
            (range.prefix === undefined || compareKeys(each.subarray(0, range.prefix.length), range.prefix) === 0);
          const inside = compareKeys(engineKey(each), start) >= 0 && compareKeys(engineKey(each), end) < 0;
          expect(inside).toBe(wanted);
          if (isEmpty({ start, end })) expect(wanted).toBe(false);
        }
      },
    ),
  );
});

it("no range reaches the replica's own records", () => {
  const { start } = engineRange({});
  expect(compareKeys(Uint8Array.of(0, 255, 255), start)).toBeLessThan(0);
});
