/**
 * The checksum kernel (XXH64 in AssemblyScript, in place) against xxhash-wasm, which copies its input into a memory of its own, and
 * node:zlib's crc32, which is native. Sizes: a short record, a page's quarter, a page's half, a block.
 */
import { crc32 } from 'node:zlib';
import { bench, do_not_optimize, group } from 'mitata';
import xxhash from 'xxhash-wasm';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';

const SIZES = [100, 1024, 4096, 128 * 1024];
const MEMORY_BYTES = 64 * 2 ** 20;

const linear = new LinearMemory(MEMORY_BYTES);
const address = linear.allocate(Math.max(...SIZES));
const out = linear.allocateSmall(8);
const bytes = new Uint8Array(Math.max(...SIZES));
for (let i = 0; i < bytes.length; i++) bytes[i] = Math.imul(i, 0x9e3779b1) >>> 24;
linear.u8.set(bytes, address);
const oracle = await xxhash();

// The same bytes must give the same sum, or the race is not one.
linear.kernel.checksumInto!(address, 4096, 0, 0, out);
if (linear.view.getBigUint64(out, true) !== oracle.h64Raw(bytes.subarray(0, 4096))) throw new Error('the kernel and xxhash-wasm disagree');

for (const size of SIZES) {
  const input = bytes.subarray(0, size);
  group(`checksum of ${size} bytes`, () => {
    bench('XXH64 kernel, in place', () => do_not_optimize(linear.kernel.checksumInto!(address, size, 0, 0, out)));
    bench('XXH64 kernel, copied in', () => {
      linear.u8.set(input, address);
      return do_not_optimize(linear.kernel.checksumInto!(address, size, 0, 0, out));
    });
    bench('xxhash-wasm h64Raw', () => do_not_optimize(oracle.h64Raw(input)));
    bench('node:zlib crc32', () => do_not_optimize(crc32(input)));
  });
}
