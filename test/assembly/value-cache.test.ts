import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { ValueCache } from '../../engine/value-cache.ts';
import { ValueCacheTwin } from './twins/value-cache.ts';

const RING_BYTES = 16 * 1024;
/** Three quarters of the slots that a ring of this size has. */
const ENTRIES_MAX = 24;
const memory = new LinearMemory(16 * 1024 * 1024);
const { u8, u32 } = memory;
const pointer = memory.allocateSmall(64);

function point(segment: number, offset: number, bytes: number): void {
  u32[pointer >>> 2] = segment;
  u32[(pointer + 4) >>> 2] = bytes;
  u32[(pointer + 8) >>> 2] = offset;
}

/** What a value holds: recognizable by its first and last byte. */
function fill(address: number, bytes: number, mark: number): void {
  u8.fill(mark, address, address + bytes);
}

function holds(address: number, bytes: number, mark: number): boolean {
  return u8.subarray(address, address + bytes).every((byte) => byte === mark);
}

const lengthOf = (item: number): number => 8 + ((item * 379) % 3000);
const markOf = (owner: number, item: number): number => (owner * 131 + item * 7) & 255;

const steps = fc.array(
  fc.record({
    action: fc.constantFrom('read', 'read', 'read', 'read', 'fail', 'drop'),
    owner: fc.integer({ min: 1, max: 2 }),
    item: fc.integer({ min: 0, max: 40 }),
  }),
  { maxLength: 300, size: 'max' },
);

describe('value cache', () => {
  test('keeps and forgets what its twin does, and never gives a wrong value', () => {
    fc.assert(
      fc.property(steps, (drawn) => {
        const cache = new ValueCache(memory, RING_BYTES);
        const twin = new ValueCacheTwin(RING_BYTES, ENTRIES_MAX);
        for (const { action, owner, item } of drawn) {
          const key = `${owner}/${item}`;
          const bytes = lengthOf(item);
          if (action === 'drop') {
            cache.drop(owner);
            twin.drop((each) => each.startsWith(`${owner}/`));
            continue;
          }
          point(item % 5, item * 4096, bytes);
          const found = cache.find(owner, pointer);
          expect(found !== 0, `finds ${key}`).toBe(twin.find(key));
          if (found !== 0) {
            expect(holds(found, bytes, markOf(owner, item)), key).toBe(true);
            continue;
          }
          const room = cache.reserve(bytes);
          const position = twin.reserve(bytes);
          expect(room !== 0).toBe(position !== undefined);
          if (room === 0 || action === 'fail') continue;
          fill(room, bytes, markOf(owner, item));
          cache.commit(owner, pointer, room);
          twin.commit(position!, key);
          expect(cache.entries).toBe(twin.keys.length);
          expect(cache.usedBytes).toBeLessThanOrEqual(RING_BYTES);
        }
        cache.free();
      }),
      { numRuns: 300 },
    );
  });

  test('a value that is used keeps its place while others pass', () => {
    const cache = new ValueCache(memory, RING_BYTES);
    const read = (item: number): boolean => {
      point(1, item, 900);
      if (cache.find(1, pointer) !== 0) return true;
      cache.commit(1, pointer, cache.reserve(900));
      return false;
    };
    read(0);
    for (let item = 1; item < 200; item++) {
      read(item);
      expect(read(0), `after ${item} others`).toBe(true);
    }
    cache.free();
  });

  test('a value over a quarter of the ring is not kept, and a cache of no bytes keeps nothing', () => {
    const cache = new ValueCache(memory, RING_BYTES);
    expect(cache.reserve(RING_BYTES / 4)).toBe(0);
    expect(cache.reserve(0xffffffff)).toBe(0);
    expect(cache.reserve(RING_BYTES / 4 - 32)).not.toBe(0);
    cache.free();
    const none = new ValueCache(memory, 0);
    expect(none.reserve(1)).toBe(0);
    none.free();
  });
});
