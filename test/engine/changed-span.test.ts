import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { changedSpan } from '../../engine/changed-span.ts';

test('what stands around the span is the same, and the span is no longer than it must be', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3)), fc.array(fc.nat(3)), (before, after) => {
      const { from, beforeEnd, afterEnd } = changedSpan(before, after);
      expect(before.slice(0, from)).toEqual(after.slice(0, from));
      expect(before.slice(beforeEnd)).toEqual(after.slice(afterEnd));
      expect(from).toBeLessThanOrEqual(Math.min(beforeEnd, afterEnd));
      const both = beforeEnd > from && afterEnd > from;
      if (both) expect([before[from] === after[from], before[beforeEnd - 1] === after[afterEnd - 1]]).toEqual([false, false]);
    }),
  );
  expect(changedSpan([1, 2, 3, 4], [1, 9, 8, 7, 4])).toEqual({ from: 1, beforeEnd: 3, afterEnd: 4 });
  expect(changedSpan([1, 1], [1, 1, 1])).toEqual({ from: 2, beforeEnd: 2, afterEnd: 3 });
});
