import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { compressLz4, decompressLz4 } from './twins/lz4.ts';

const MEMORY_BYTES = 16 * 2 ** 20;
const BYTES_MAX = 65_536;
const memory = new LinearMemory(MEMORY_BYTES);
const source = memory.allocate(BYTES_MAX);
const target = memory.allocate(2 * BYTES_MAX);
const places = memory.allocate(8192);
const GUARD = 0xa5;

function compress(input: Uint8Array, bytesMax: number = BYTES_MAX + 1024): Uint8Array | undefined {
  memory.u8.set(input, source);
  const bytes = memory.kernel['lz4Compress']!(source, input.length, target, bytesMax, places);
  return bytes === 0 ? undefined : memory.u8.slice(target, target + bytes);
}

/** Decompresses a block that ends where the memory does, so that reading past it would trap, and looks for bytes written out of bounds. */
function decompress(block: Uint8Array, bytesMax: number): Uint8Array | undefined {
  const from = MEMORY_BYTES - block.length;
  memory.u8.set(block, from);
  memory.u8.fill(GUARD, target, target + bytesMax + 128);
  const bytes = memory.kernel['lz4Decompress']!(from, block.length, target + 64, bytesMax);
  const guards = [memory.u8.subarray(target, target + 64), memory.u8.subarray(target + 64 + bytesMax, target + bytesMax + 128)];
  expect(guards.every((guard) => guard.every((byte) => byte === GUARD))).toBe(true);
  return bytes < 0 ? undefined : memory.u8.slice(target + 64, target + 64 + bytes);
}

/** Repeats at short and long distances, long runs, and what has no pattern. */
const repetitive: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.oneof(
      fc.record({ from: fc.nat(40), bytes: fc.integer({ min: 1, max: 400 }) }),
      fc.uint8Array({ maxLength: 40 }),
      fc.record({ byte: fc.nat(255), times: fc.integer({ min: 1, max: 600 }) }),
    ),
    { maxLength: 60 },
  )
  .map((parts) => {
    const out: number[] = [];
    for (const part of parts) {
      if (part instanceof Uint8Array) out.push(...part);
      else if ('times' in part) for (let i = 0; i < part.times; i++) out.push(part.byte);
      else for (let i = 0; i < part.bytes && out.length > 0; i++) out.push(out[Math.max(0, out.length - 1 - part.from)]!);
    }
    return Uint8Array.from(out);
  })
  .filter((bytes) => bytes.length > 0);
const anything = fc.oneof(repetitive, fc.uint8Array({ minLength: 1, maxLength: 3000, size: 'max' }));

// What `lz4 1.9.4 -1` makes of the text.
const TEXT = `the sparrow and the wren, the robin and the swan: ${'-'.repeat(300)}${' sparrow, wren, robin, swan. '.repeat(2)}`;
const BLOCK =
  'f0017468652073706172726f7720616e64201000517772656e2c0a0055726f62696e18007f7377616e3a202d0100ff19045b01132c5401015001112c49012f2e201d00055077616e2e20';

describe('compression', () => {
  test('gives the bytes of the reference implementation for a known text', () => {
    expect(Buffer.from(compress(Buffer.from(TEXT))!).toString('hex')).toBe(BLOCK);
  });

  test('gives the bytes of its twin, which go back to the input', () => {
    fc.assert(
      fc.property(anything, (input) => {
        const block = compress(input)!;
        expect(block).toEqual(compressLz4(input, BYTES_MAX * 2));
        expect(decompress(block, input.length)).toEqual(input);
      }),
      { numRuns: 300 },
    );
  });

  test('takes the longest input, with places up to the last', () => {
    const input = Uint8Array.from({ length: BYTES_MAX }, (_, i) => Math.imul(i >> 2, 0x9e3779b1) >>> (i % 256 < 128 ? 24 : 31));
    const block = compress(input, 2 * BYTES_MAX - 64)!;
    expect(block).toEqual(compressLz4(input, 2 * BYTES_MAX));
    expect(decompress(block, BYTES_MAX)).toEqual(input);
  });

  test('gives up when the block would be longer than allowed, and never writes further', () => {
    fc.assert(
      fc.property(anything, fc.nat(3100), (input, bytesMax) => {
        memory.u8.fill(GUARD, target, target + bytesMax + 256);
        const block = compress(input, bytesMax);
        expect(block).toEqual(compressLz4(input, bytesMax));
        // SLACK_BYTES behind the room are the kernel's.
        expect(memory.u8.subarray(target + bytesMax + 64, target + bytesMax + 256).every((byte) => byte === GUARD)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('decompression', () => {
  test('reads what the reference implementation wrote', () => {
    expect(Buffer.from(decompress(Buffer.from(BLOCK, 'hex'), 1000)!).toString()).toBe(TEXT);
  });

  test('reads matches of every distance and length, to the last byte of its room', () => {
    for (let distance = 1; distance <= 40; distance++) {
      for (const length of [4, 15, 18, 19, 20, 31, 32, 33, 64, 300]) {
        const literals = Uint8Array.from({ length: distance }, (_, i) => i + 1);
        const block = sequence(literals, distance, length);
        for (const room of [0, 1, 15, 16, 40]) {
          expect(decompress(block, distance + length + room)).toEqual(decompressLz4(block, distance + length + room));
        }
        expect(decompress(block, distance + length)!.length).toBe(distance + length);
        expect(decompress(block, distance + length - 1)).toBeUndefined();
      }
    }
  });

  test('refuses what is no block', () => {
    const refused = {
      'no byte at all': [],
      'literals cut off': [0x30, 1, 2],
      'a length cut off': [0xf0, 255],
      'an offset cut off': [0x10, 1, 1],
      'no last literals': [0x10, 1, 1, 0],
      'an offset of zero': [0x10, 1, 0, 0, 0],
      'an offset before the beginning': [0x10, 1, 2, 0, 0],
      'more than there is room for': [0xf0, 255, 255, 255, 255, 255, 255, 1],
    };
    for (const [what, bytes] of Object.entries(refused)) expect(decompress(Uint8Array.from(bytes), 1000), what).toBeUndefined();
    expect(decompress(Uint8Array.of(0), 0)).toEqual(new Uint8Array(0));
  });

  test('of any bytes: what the twin says, and nothing out of bounds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400, size: 'max' }), fc.nat(2000), (bytes, bytesMax) => {
        expect(decompress(bytes, bytesMax)).toEqual(decompressLz4(bytes, bytesMax));
      }),
      { numRuns: 2000 },
    );
  });

  test('of a damaged block: what the twin says, and nothing out of bounds', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(anything, damage, fc.nat(), (input, changes, cut) => {
        const block = compress(input)!;
        for (const [at, byte] of changes) block[at % block.length] = byte;
        const bytes = cut % 4 === 0 ? block.subarray(0, cut % block.length) : block;
        expect(decompress(bytes, input.length)).toEqual(decompressLz4(bytes, input.length));
      }),
      { numRuns: 2000 },
    );
  });
});

/** A block of literals, one match and no more literals. */
function sequence(literals: Uint8Array, offset: number, length: number): Uint8Array {
  const extra = (value: number): number[] => {
    if (value < 15) return [];
    const bytes: number[] = [];
    for (let left = value - 15; ; left -= 255) {
      bytes.push(Math.min(left, 255));
      if (left < 255) return bytes;
    }
  };
  const token = (Math.min(literals.length, 15) << 4) | Math.min(length - 4, 15);
  return Uint8Array.from([token, ...extra(literals.length), ...literals, offset & 255, offset >> 8, ...extra(length - 4), 0]);
}
