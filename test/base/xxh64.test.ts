import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import xxhash from 'xxhash-wasm';
import { xxh64 } from '../../base/xxh64.ts';

const twin = await xxhash();

function hash(source: Uint8Array, offset: number, length: number, seed: bigint): bigint {
  const { high, low } = xxh64(source, offset, length, Number(seed & 0xffffffffn), Number(seed >> 32n));
  return (BigInt(high) << 32n) | BigInt(low);
}

describe('xxh64', () => {
  it('gives the published values', () => {
    expect(hash(new Uint8Array(0), 0, 0, 0n)).toBe(0xef46db3751d8e999n);
    expect(hash(new TextEncoder().encode('abc'), 0, 3, 0n)).toBe(0x44bc2cf5ad770999n);
  });

  it('agrees with xxhash-wasm for every length around the block sizes', () => {
    const source = Uint8Array.from({ length: 300 }, (_, i) => (i * 131) & 255);
    for (let length = 0; length <= 290; length++) {
      expect(hash(source, 3, length, 0xfedcba9876543210n)).toBe(twin.h64Raw(source.subarray(3, 3 + length), 0xfedcba9876543210n));
    }
  });

  it('agrees with xxhash-wasm for any bytes, place and seed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000, size: 'max' }), fc.nat(64), fc.bigInt(0n, 2n ** 64n - 1n), (bytes, skip, seed) => {
        const offset = Math.min(skip, bytes.length);
        expect(hash(bytes, offset, bytes.length - offset, seed)).toBe(twin.h64Raw(bytes.subarray(offset), seed));
      }),
      { numRuns: 300 },
    );
  });
});
