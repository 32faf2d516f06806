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
function build(values: readonly bigint[]): number {
  setHashes(values);
  const blocks = kernel['filterBlocks']!(values.length);
  kernel['filterBuild']!(filter, blocks, hashes, values.length);
  return blocks;
}

describe('filter', () => {
  test('has the bytes of its twin', () => {
    const values = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 400, size: 'max' });
    fc.assert(
      fc.property(values, (drawn) => {
        const blocks = build(drawn);
        expect(memory.u8.slice(filter, filter + blocks * 32)).toEqual(buildFilter(drawn));
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
});
