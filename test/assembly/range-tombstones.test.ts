import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FRONT, KEY_A, KEY_B } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import type { RangeTombstone } from '../../engine/manifest/index.ts';
import { RangeTombstones } from '../../engine/range-tombstones.ts';
import { hidesAll, newestOver, oldestAbove } from './twins/range-tombstones.ts';

const NEWEST = Number.MAX_SAFE_INTEGER;
const memory = new LinearMemory(64 * 1024 * 1024);
const text = (value: string): Uint8Array => Buffer.from(value);

const keys = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => bytes.map((byte) => [0, 0x61, 0xff][byte % 3]!)),
  fc.nat(40).map((n) => text(`a-rather-long-common-prefix/${n}`)),
);
const tombstonesArbitrary: fc.Arbitrary<RangeTombstone[]> = fc
  .array(fc.tuple(keys, keys, fc.integer({ min: 0, max: 2 })), { maxLength: 40, size: 'max' })
  .map((drafts) => {
    let sequence = 1;
    return drafts.flatMap(([a, b, more]) => {
      const order = Buffer.compare(a, b);
      // Some share a batch, and so a sequence number.
      sequence += more;
      return order === 0 ? [] : [{ start: order < 0 ? a : b, end: order < 0 ? b : a, sequence }];
    });
  });

function newest(ranges: RangeTombstones, key: Uint8Array, limit: number): number {
  if (ranges.address === 0) return 0;
  memory.u8.set(key, FRONT + KEY_A);
  return memory.kernel['rangeNewestOf']!(ranges.address, FRONT + KEY_A, key.length, limit);
}

function above(ranges: RangeTombstones, key: Uint8Array, sequence: number): number {
  if (ranges.address === 0) return Infinity;
  memory.u8.set(key, FRONT + KEY_A);
  return memory.kernel['rangeAboveOf']!(ranges.address, FRONT + KEY_A, key.length, sequence) || Infinity;
}

describe('range tombstones', () => {
  test('tell what covers a key, for all who read now or at a pinned sequence', () => {
    fc.assert(
      fc.property(
        tombstonesArbitrary,
        fc.uniqueArray(fc.nat(80), { maxLength: 4 }),
        fc.array(fc.tuple(keys, keys, fc.nat(80)), { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        (tombstones, pins, probes, atOnce) => {
          const pinned = pins.toSorted((a, b) => a - b);
          const before = memory.usedBytes;
          const ranges = new RangeTombstones(memory);
          if (atOnce) ranges.reset(tombstones.toReversed(), pinned);
          else for (const tombstone of tombstones) ranges.add(tombstone, pinned);
          expect(ranges.address === 0).toBe(tombstones.length === 0);
          const boundaries = tombstones.flatMap(({ start, end }) => [start, end]);
          for (const [key, other, sequence] of [...probes, ...boundaries.map((each) => [each, each, 7] as const)]) {
            for (const limit of [NEWEST, ...pinned]) {
              expect(newest(ranges, key, limit)).toBe(newestOver(tombstones, key, limit));
              const [low, high] = Buffer.compare(key, other) <= 0 ? [key, other] : [other, key];
              memory.u8.set(low, FRONT + KEY_A);
              memory.u8.set(high, FRONT + KEY_B);
              const hidden =
                ranges.address !== 0 &&
                memory.kernel['rangeHidesAllOf']!(
                  ranges.address,
                  FRONT + KEY_A,
                  low.length,
                  FRONT + KEY_B,
                  high.length,
                  sequence,
                  limit,
                ) === 1;
              expect(hidden).toBe(hidesAll(tombstones, low, high, sequence, limit));
            }
            // It may be a later one, where nobody can tell the two apart.
            const [told, oldest] = [above(ranges, key, sequence), oldestAbove(tombstones, key, sequence)];
            expect(told === Infinity).toBe(oldest === Infinity);
            expect(told).toBeGreaterThanOrEqual(oldest);
            expect(pinned.some((pin) => oldest <= pin && pin < told)).toBe(false);
          }
          ranges.free();
          expect(memory.usedBytes - before).toBeLessThan(2 ** 20);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('of which a newer one covers older ones are one, unless somebody reads in between', () => {
    const ranges = new RangeTombstones(memory);
    for (let i = 0; i < 1000; i++)
      ranges.add({ start: text(`k${String(i).padStart(4, '0')}`), end: text(`k${String(i).padStart(4, '0')}x`), sequence: i + 1 }, []);
    expect(ranges.fragments).toBe(1000);
    ranges.add({ start: text('k0100'), end: text('k0900'), sequence: 2000 }, []);
    expect(ranges.fragments).toBe(201);
    ranges.add({ start: text('a'), end: text('z'), sequence: 3000 }, [2500]);
    expect(ranges.fragments).toBeGreaterThan(201);
    expect([newest(ranges, text('k0500'), 2500), newest(ranges, text('k0500'), NEWEST)]).toEqual([2000, 3000]);
    ranges.add({ start: text('a'), end: text('z'), sequence: 4000 }, []);
    expect(ranges.fragments).toBe(1);
    ranges.free();
  });

  test('keys of the greatest length have room', () => {
    const ranges = new RangeTombstones(memory);
    const [start, end] = [Buffer.alloc(4099, 0x61), Buffer.alloc(4099, 0x62)];
    ranges.add({ start, end, sequence: 5 }, []);
    expect([newest(ranges, start, NEWEST), newest(ranges, end, NEWEST), newest(ranges, text('b'), NEWEST)]).toEqual([5, 0, 5]);
    ranges.free();
  });
});
