/** XXH64 in WebAssembly against its independent twin, xxhash-wasm: every length around the block sizes, any seed, any alignment. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import xxhash from 'xxhash-wasm';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';

const { h64Raw } = await xxhash();
const memory = new LinearMemory(16 * 1024 * 1024);
const area = memory.allocate(256 * 1024);
const out = memory.allocateSmall(8);

function checksum(bytes: Uint8Array, shift: number, seed: bigint): bigint {
  memory.u8.set(bytes, area + shift);
  memory.kernel['checksumInto']!(area + shift, bytes.length, Number(seed & 0xffffffffn), Number(seed >> 32n), out);
  return memory.view.getBigUint64(out, true);
}

test('every length to 300 bytes', () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 151) & 255);
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    expect(checksum(part, length % 8, 0n)).toBe(h64Raw(part, 0n));
  }
});

test('any bytes, seed and alignment', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 5000, size: 'max' }),
      fc.nat(15),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      (bytes, shift, seed) => {
        expect(checksum(bytes, shift, seed)).toBe(h64Raw(bytes, seed));
      },
    ),
  );
});

test('a whole block', () => {
  const block = Uint8Array.from({ length: 128 * 1024 }, (_, i) => (i * 2654435761) >>> 13);
  expect(checksum(block, 0, 42n)).toBe(h64Raw(block, 42n));
});
