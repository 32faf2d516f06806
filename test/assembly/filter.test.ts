import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { buildFilter } from './twins/filter.ts';
import { hashKey } from './twins/hash-key.ts';

const memory = new LinearMemory(64 * 1024 * 1024);
const { kernel } = memory;
const hashes = memory.allocate(1024 * 1024);
const filter = memory.allocate(1024 * 1024);
const hashesOf = (first: number, count: number): bigint[] =>
  Array.from({ length: count }, (_, i) => hashKey(Buffer.from(`key${first + i}`)));

function setHashes(values: readonly bigint[]): void {
  const view = new BigUint64Array(memory.memory.buffer, hashes, values.length);
  for (const [i, value] of values.entries()) view[i] = value;
}

/** Builds a filter and returns its blocks. */
function build(values: readonly bigint[], bitsPerKey = 12): number {
  setHashes(values);
  const blocks = kernel['filterBlocks']!(values.length, bitsPerKey);
  kernel['filterBuild']!(filter, blocks, hashes, values.length);
  return blocks;
}

describe('filter', () => {
  test('has the bytes of its twin', () => {
    const values = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 400, size: 'max' });
    fc.assert(
      fc.property(values, fc.nat(32), (drawn, bitsPerKey) => {
        const blocks = build(drawn, bitsPerKey);
        expect(memory.u8.slice(filter, filter + blocks * 32)).toEqual(buildFilter(drawn, bitsPerKey));
        expect(kernel['filterCount']!(filter, blocks, hashes, drawn.length)).toBe(drawn.length);
      }),
    );
  });

  test('holds every key, and few others', () => {
    const blocks = build(hashesOf(0, 20_000));
    expect(kernel['filterCount']!(filter, blocks, hashes, 20_000)).toBe(20_000);
    setHashes(hashesOf(20_000, 100_000));
    const falsePositives = kernel['filterCount']!(filter, blocks, hashes, 100_000);
    expect(falsePositives).toBeLessThan(800);
  });

  test('of more bits lets fewer pass; of none it is one block, which lets all pass', () => {
    const keys = hashesOf(0, 20_000);
    const others = hashesOf(20_000, 20_000);
    const passing = [0, 4, 8, 12, 20].map((bitsPerKey) => {
      const blocks = build(keys, bitsPerKey);
      expect(blocks).toBe(Math.max(1, Math.ceil((20_000 * bitsPerKey) / 256)));
      setHashes(others);
      return kernel['filterCount']!(filter, blocks, hashes, others.length);
    });
    expect(passing[0]).toBe(others.length);
    expect(passing).toEqual(passing.toSorted((a, b) => b - a));
    expect(passing.at(-1)).toBeLessThan(20);
  });
});
