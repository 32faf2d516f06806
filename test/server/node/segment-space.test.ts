import { describe, expect, it } from 'vitest';
import { type HeldSegment, wasteful } from '../../../server/node/segment-space.ts';

const held = (...live: number[]): HeldSegment[] => live.map((liveBytes, i) => ({ segment: i + 1, bytes: 100, liveBytes }));

describe('segments that are emptied', () => {
  it('are those that are over three tenths of waste at rest, the emptiest first, a part of all at a time', () => {
    expect(wasteful(held(100, 71, 70), false)).toEqual([]);
    expect(wasteful(held(100, 100, 69), false)).toEqual([3]);
    expect(wasteful(held(69, 100, 15, 20, 100, 100, 100, 100), false)).toEqual([3, 4]);
    expect(wasteful(held(60, 100, 100, 100, 100, 100, 100, 100), false)).toEqual([1]);
  });

  it('are none under load while all of them together have little waste', () => {
    expect(wasteful(held(5, 100, 100), true)).toEqual([]);
    expect(wasteful(held(5, 10, 100), true)).toEqual([1, 2]);
    expect(wasteful(held(59, 59, 59), true)).toEqual([1]);
  });

  it('come to an end: what is emptied is gone', () => {
    let left = held(...Array.from({ length: 40 }, (_, i) => (i * 37) % 101));
    for (let rounds = 0; ; rounds++) {
      const gone = wasteful(left, false);
      if (gone.length === 0) break;
      expect(rounds).toBeLessThan(40);
      left = left.filter(({ segment }) => !gone.includes(segment));
    }
    expect(left.every(({ liveBytes, bytes }) => liveBytes >= 0.7 * bytes)).toBe(true);
    expect(left.length).toBeGreaterThan(5);
  });
});
