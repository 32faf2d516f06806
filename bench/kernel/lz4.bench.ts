/**
 * LZ4 and zstd over pages of 8 KiB as tables hold them: records whose values are JSON, log lines, or random bytes. The throughput is the
 * page's bytes over the time shown.
 */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { bench, do_not_optimize, group } from 'mitata';
import { PAGE_BYTES } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';

const PAGES = 256;
const memory = new LinearMemory(64 * 2 ** 20);
const { kernel, u8 } = memory;
const builder = memory.allocateSmall(32768);
const WINDOW_BYTES = (PAGES + 2) * PAGE_BYTES;
const [index, hashes, key, value, places, out] = [2 ** 20, 2 ** 20, 16, 4096, 8192, PAGE_BYTES].map((bytes) => memory.allocate(bytes)) as [
  number,
  number,
  number,
  number,
  number,
  number,
];
let state = 7;
/** Xorshift: the low bits of simpler generators repeat within a page, and would be compressed. */
function random(below: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}
const WORDS = ['sparrow', 'wren', 'robin', 'heron', 'finch', 'swift', 'martin', 'lark', 'crane', 'stork', 'ibis', 'plover'];
const word = (): string => WORDS[random(WORDS.length)]!;

const VALUES: Record<string, () => Uint8Array> = {
  JSON: () =>
    Buffer.from(
      JSON.stringify({
        id: random(1e9),
        name: `${word()} ${word()}`,
        seen: [random(1e6), random(1e6)],
        place: word(),
        rare: random(9) === 0,
      }),
    ),
  'log lines': () =>
    Buffer.from(`2026-11-21T12:${random(60)}:${random(60)} ${word()} ${word()} took ${random(1000)} ms at node-${random(16)}\n`),
  'random bytes': () => Uint8Array.from({ length: 100 }, () => random(256)),
};

for (const [name, make] of Object.entries(VALUES)) {
  const window = memory.allocate(WINDOW_BYTES);
  const packed = memory.allocate(WINDOW_BYTES);
  kernel['builderBegin']!(builder, 1, window, WINDOW_BYTES, index, 2 ** 20, hashes, 2 ** 20);
  for (let i = 0; ; i++) {
    u8.set(Buffer.from(String(i * 7919).padStart(16, '0')), key);
    const bytes = make();
    u8.set(bytes, value);
    if (kernel['builderPut']!(builder, key, 16, i + 1, 1, 0, value, bytes.length) !== 0) break;
  }
  const blocks = Array.from({ length: PAGES }, (_, page) => ({
    at: packed + page * PAGE_BYTES,
    bytes: kernel['lz4Compress']!(window + page * PAGE_BYTES, PAGE_BYTES, packed + page * PAGE_BYTES, PAGE_BYTES - 64, places),
  }));
  const pages = blocks.map((_, page) => Buffer.from(u8.subarray(window + page * PAGE_BYTES, window + (page + 1) * PAGE_BYTES)));
  // The same bytes must come back, or the figures mean nothing.
  for (const [page, { at, bytes }] of blocks.entries()) {
    const got = bytes > 0 ? kernel['lz4Decompress']!(at, bytes, out, PAGE_BYTES) : PAGE_BYTES;
    if (got !== PAGE_BYTES || (bytes > 0 && !pages[page]!.equals(u8.subarray(out, out + PAGE_BYTES))))
      throw new Error(`page ${page} of ${name}: ${got} of ${bytes}`);
  }
  const frames = pages.map((page) => zstdCompressSync(page));
  const share = (bytes: number): string => `${((100 * bytes) / (PAGES * PAGE_BYTES)).toFixed(0)} %`;
  const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);
  let turn = 0;
  const compressible = blocks.every(({ bytes }) => bytes > 0);
  const shares = `LZ4 ${compressible ? share(sum(blocks.map(({ bytes }) => bytes))) : 'no gain'}, zstd ${share(sum(frames.map((frame) => frame.length)))}`;
  group(`pages of ${name}: ${shares}`, () => {
    bench('LZ4 in', () =>
      do_not_optimize(kernel['lz4Compress']!(window + (turn++ % PAGES) * PAGE_BYTES, PAGE_BYTES, out, PAGE_BYTES - 64, places)));
    if (compressible) {
      bench('LZ4 out', () => {
        const block = blocks[turn++ % PAGES]!;
        return do_not_optimize(kernel['lz4Decompress']!(block.at, block.bytes, out, PAGE_BYTES));
      });
    }
    bench('zstd in', () => do_not_optimize(zstdCompressSync(pages[turn++ % PAGES]!)));
    bench('zstd out', () => do_not_optimize(zstdDecompressSync(frames[turn++ % PAGES]!)));
  });
}
