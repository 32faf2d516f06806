import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { prefixEnd, scanRange } from '../../engine/scan-range.ts';

const LIMIT = 16;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

function contains(range: ReturnType<typeof scanRange>, key: Uint8Array): boolean {
  const low = range.lower ? Buffer.compare(key, range.lower) : 1;
  const high = range.upper ? Buffer.compare(key, range.upper) : -1;
  return (low > 0 || (low === 0 && !range.lowerExclusive)) && (high < 0 || (high === 0 && range.upperInclusive));
}

describe('scan range', () => {
  test('of no options is everything', () => {
    expect(scanRange({}, LIMIT)).toEqual({
      lower: undefined,
      lowerExclusive: false,
      upper: undefined,
      upperInclusive: false,
      reverse: false,
      keysOnly: false,
      limit: Infinity,
    });
  });

  test('takes a bound of either kind on each side', () => {
    expect(scanRange({ gt: 'a', lte: 'b' }, LIMIT)).toMatchObject({ lowerExclusive: true, upperInclusive: true });
    expect(scanRange({ gte: 'a', lt: 'b', reverse: true, limit: 0, keysOnly: true }, LIMIT)).toMatchObject({
      lowerExclusive: false,
      upperInclusive: false,
      reverse: true,
      limit: 0,
      keysOnly: true,
    });
  });

  test('of a prefix ends before the first key that does not begin with it', () => {
    expect(prefixEnd(bytes(1, 2))).toEqual(bytes(1, 3));
    expect(prefixEnd(bytes(1, 0xff, 0xff))).toEqual(bytes(2));
    expect(prefixEnd(bytes(0xff, 0xff))).toBeUndefined();
    expect(prefixEnd(bytes())).toBeUndefined();
  });

  test('leaves the prefix that it was given as it was, Buffers too', () => {
    const prefix = Buffer.from('ab');
    scanRange({ prefix }, LIMIT);
    expect(prefix.toString()).toBe('ab');
  });

  test('contains exactly the keys that a prefix begins, and those within bounds longer than any key', () => {
    const short = fc.uint8Array({ minLength: 0, maxLength: 6 }).map((values) => values.map((value) => [0, 1, 0x61, 0xff][value % 4]!));
    fc.assert(
      fc.property(
        short,
        short.filter(({ length }) => length >= 1 && length <= 4),
        (bound, key) => {
          expect(contains(scanRange({ prefix: bound }, 4), key)).toBe(Buffer.from(key).subarray(0, bound.length).equals(bound));
          const order = Buffer.compare(key, bound);
          expect(contains(scanRange({ gte: bound }, 4), key)).toBe(order >= 0);
          expect(contains(scanRange({ gt: bound }, 4), key)).toBe(order > 0);
          expect(contains(scanRange({ lte: bound }, 4), key)).toBe(order <= 0);
          expect(contains(scanRange({ lt: bound }, 4), key)).toBe(order < 0);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test.each([
    [{ gt: 'a', gte: 'a' }, 'SCAN_BOUNDS'],
    [{ lt: 'a', lte: 'a' }, 'SCAN_BOUNDS'],
    [{ prefix: 'a', lt: 'b' }, 'SCAN_BOUNDS'],
    [{ limit: -1 }, 'OPTION_RANGE'],
    [{ limit: 1.5 }, 'OPTION_RANGE'],
    [{ limit: Number.NaN }, 'OPTION_RANGE'],
    [{ from: 'a' }, 'OPTION_UNKNOWN'],
    [{ gte: 5 }, 'TYPE'],
  ])('refuses %o', (options, code) => {
    expect(() => scanRange(options as object, LIMIT)).toThrow(expect.objectContaining({ kind: 'invalid', code }));
  });
});
