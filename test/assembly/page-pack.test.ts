import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PACKED_BYTES_MAX, PAGE_BYTES, UNPACKED, UNPACK_ZSTD } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { entriesArbitrary } from './entries.ts';
import { buildPages } from './twins/page-builder.ts';
import { packPage } from './twins/table-file.ts';

const memory = new LinearMemory(16 * 2 ** 20);
const { kernel, u8 } = memory;
const page = memory.allocate(PAGE_BYTES);
const packed = memory.allocate(PAGE_BYTES);
const places = memory.allocate(8192);

function pack(bytes: Uint8Array, fileId: number, number: number): Uint8Array | undefined {
  u8.set(bytes, page);
  const stored = kernel['pagePack']!(page, packed, places, fileId, number);
  return stored === 0 ? undefined : u8.slice(packed, packed + stored);
}

function unpack(bytes: Uint8Array, fileId: number, number: number): number {
  u8.fill(0xa5, page, page + PAGE_BYTES + 64);
  u8.set(bytes, packed);
  const answer = kernel['pageUnpack']!(packed, bytes.length, page, fileId, number);
  expect(u8.subarray(page + PAGE_BYTES, page + PAGE_BYTES + 64).every((byte) => byte === 0xa5)).toBe(true);
  return answer;
}

describe('packed pages', () => {
  test('have the bytes of their twin, and go back to the page', () => {
    let worth = 0;
    fc.assert(
      fc.property(entriesArbitrary(40), fc.nat(0xffffffff), (entries, fileId) => {
        for (const [number, plain] of buildPages(entries, fileId).pages.entries()) {
          const twin = packPage(plain, fileId, number);
          expect(pack(plain, fileId, number)).toEqual(twin.length === PAGE_BYTES ? undefined : twin);
          if (twin.length === PAGE_BYTES) continue;
          worth++;
          expect(unpack(twin, fileId, number)).toBe(UNPACKED);
          // All but the check, which nobody looks at any more.
          expect(Buffer.compare(u8.subarray(page + 8, page + PAGE_BYTES), plain.subarray(8))).toBe(0);
        }
      }),
      { numRuns: 40 },
    );
    expect(worth).toBeGreaterThan(20);
  });

  test('are stored as they are when they shrink by less than an eighth', () => {
    const noise = Uint8Array.from({ length: PAGE_BYTES }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> (8 + (i % 16)));
    expect(pack(noise, 1, 0)).toBeUndefined();
    noise.fill(0, 0, PAGE_BYTES / 4);
    expect(pack(noise, 1, 0)!.length).toBeLessThanOrEqual(PACKED_BYTES_MAX);
  });

  test('are refused with any byte changed, cut short, in another place or table, or of a codec that is not known', () => {
    const entries = Array.from({ length: 60 }, (_, i) => ({
      key: Buffer.from(`bird/${1000 + i}`),
      sequence: i + 1,
      kind: 1,
      flags: 0,
      value: Buffer.from('tweet '.repeat(8)),
    }));
    const good = packPage(buildPages(entries, 7).pages[0]!, 7, 0);
    expect(unpack(good, 7, 0)).toBe(UNPACKED);
    for (let at = 0; at < good.length; at++) {
      const bad = Uint8Array.from(good);
      bad[at]! ^= 1 << (at % 8);
      expect(unpack(bad, 7, 0)).toBe(0);
    }
    for (let bytes = 0; bytes < good.length; bytes++) expect(unpack(good.subarray(0, bytes), 7, 0)).toBe(0);
    expect([unpack(good, 7, 1), unpack(good, 8, 0)]).toEqual([0, 0]);
    for (const [codec, answer] of [
      [0, 0],
      [1, UNPACKED],
      [2, UNPACK_ZSTD],
      [3, 0],
    ] as const) {
      u8.set(good, packed);
      const stored = kernel['pageSealPacked']!(packed, new DataView(good.buffer).getUint16(8, true) - 16, codec, 7, 0);
      expect(unpack(u8.slice(packed, packed + stored), 7, 0)).toBe(answer);
    }
  });

  test('are refused when the block is sound but of another size than a page', () => {
    for (const zeros of [100, 8183, 8185]) {
      u8.fill(0, page, page + 10_000);
      const block = kernel['lz4Compress']!(page, zeros, packed + 16, 4000, places);
      const stored = kernel['pageSealPacked']!(packed, block, 1, 7, 0);
      expect(unpack(u8.slice(packed, packed + stored), 7, 0)).toBe(0);
    }
  });
});
