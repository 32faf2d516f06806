import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BUILDER_BYTES,
  BUILDER_DENSE_PAGES,
  BUILDER_EARLIEST_EXPIRY,
  BUILDER_ENTRIES,
  BUILDER_EXPIRING_BYTES,
  BUILDER_EXPIRING_ENTRIES,
  BUILDER_KEY_BYTES,
  BUILDER_LARGEST,
  BUILDER_LARGEST_BYTES,
  BUILDER_LATEST_EXPIRY,
  BUILDER_PAGES,
  BUILDER_SEQUENCE_MAX,
  BUILDER_SEQUENCE_MIN,
  BUILDER_SMALLEST,
  BUILDER_SMALLEST_BYTES,
  BUILDER_TOMBSTONES,
  BUILDER_VALUE_BYTES,
  PAGE_BYTES,
} from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { buildWithKernel, entriesArbitrary, type KernelBuild } from './entries.ts';
import { expiryOf } from './twins/expiry.ts';
import { buildPages } from './twins/page-builder.ts';
import { compareEntries, decodePage, type PageEntry } from './twins/page.ts';

const memory = new LinearMemory(256 * 1024 * 1024);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const entry = (key: Uint8Array, sequence: number, value: Uint8Array = new Uint8Array(0), kind = 1, flags = 0): PageEntry => ({
  key,
  sequence,
  kind,
  flags,
  value,
});

function pagesOf(build: KernelBuild): PageEntry[][] {
  return Array.from({ length: build.pageCount }, (_, page) => decodePage(build.pages.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)));
}

describe('page builder', () => {
  test('writes the bytes, index and hashes that its twin writes', () => {
    fc.assert(
      fc.property(entriesArbitrary(), fc.integer({ min: 1, max: 4 }), fc.nat(0xffffffff), (entries, windowPages, fileId) => {
        const built = buildWithKernel(memory, entries, fileId, windowPages);
        const twin = buildPages(entries, fileId);
        expect(built.pageCount).toBe(twin.pages.length);
        expect(Buffer.compare(built.pages, Buffer.concat(twin.pages))).toBe(0);
        expect(Buffer.compare(built.index, twin.index)).toBe(0);
        expect([...built.hashes]).toEqual(twin.hashes);
        expect(pagesOf(built).flat()).toEqual(entries);
      }),
      { numRuns: 60 },
    );
  });

  test('counts what it was given', () => {
    fc.assert(
      fc.property(entriesArbitrary(30), (entries) => {
        const { builder } = buildWithKernel(memory, entries, 1);
        const key = (at: number, bytes: number): Uint8Array =>
          new Uint8Array(builder.buffer.slice(at, at + builder.getUint32(bytes, true)) as ArrayBuffer);
        const sum = (of: (entry: PageEntry) => number): number => entries.reduce((total, each) => total + of(each), 0);
        const sequences = entries.map(({ sequence }) => sequence);
        expect(builder.getUint32(BUILDER_ENTRIES, true)).toBe(entries.length);
        expect(builder.getUint32(BUILDER_TOMBSTONES, true)).toBe(entries.filter(({ kind }) => kind === 3).length);
        expect(Number(builder.getBigUint64(BUILDER_SEQUENCE_MIN, true))).toBe(Math.min(...sequences));
        expect(Number(builder.getBigUint64(BUILDER_SEQUENCE_MAX, true))).toBe(Math.max(...sequences));
        expect(Number(builder.getBigUint64(BUILDER_KEY_BYTES, true))).toBe(sum((each) => each.key.length));
        expect(Number(builder.getBigUint64(BUILDER_VALUE_BYTES, true))).toBe(sum((each) => each.value.length));
        const expiring = entries.filter((each) => expiryOf(each) !== undefined);
        const expiries = expiring.map((each) => expiryOf(each)!);
        const wide = (at: number): number => Number(builder.getBigUint64(at, true));
        expect(builder.getUint32(BUILDER_EXPIRING_ENTRIES, true)).toBe(expiring.length);
        expect(wide(BUILDER_EXPIRING_BYTES)).toBe(expiring.reduce((total, each) => total + each.key.length + each.value.length, 0));
        if (expiring.length > 0) expect(wide(BUILDER_EARLIEST_EXPIRY)).toBe(Math.min(...expiries));
        expect(wide(BUILDER_LATEST_EXPIRY)).toBe(Math.max(0, ...expiries));
        const dense = buildPages(entries, 1).groups.filter((group) => {
          const deletes = group.filter(({ kind }) => kind === 3).length;
          return deletes >= 100 || deletes * 2 >= group.length;
        });
        expect(builder.getUint32(BUILDER_DENSE_PAGES, true)).toBe(dense.length);
        expect(key(BUILDER_SMALLEST, BUILDER_SMALLEST_BYTES)).toEqual(entries[0]!.key);
        expect(key(BUILDER_LARGEST, BUILDER_LARGEST_BYTES)).toEqual(entries.at(-1)!.key);
      }),
      { numRuns: 30 },
    );
  });

  test('takes entries as large as are promised to fit, and refuses larger ones', () => {
    const key = new Uint8Array(4096).fill(0xff);
    const largest = [entry(key, 2, new Uint8Array(8000 - 4096).fill(7)), entry(key, 1, new Uint8Array(8000 - 4096).fill(8))];
    expect(pagesOf(buildWithKernel(memory, largest, 1))).toEqual(largest.map((each) => [each]));
    expect(() => buildWithKernel(memory, [entry(key, 1, new Uint8Array(4096))], 1)).toThrow('-1');
  });

  test('fills a page with the smallest entries', () => {
    const entries = Array.from({ length: 2000 }, (_, i) => entry(Uint8Array.of(0x61), 5000 - i));
    const pages = pagesOf(buildWithKernel(memory, entries, 1));
    expect(pages.flat()).toEqual(entries);
    // 13 bytes each: header 16, tags 640, slots 2512, prefix 1, bodies 5016.
    expect(pages[0]!.length).toBe(627);
  });

  test('puts back the bytes that a shrinking prefix lost', () => {
    const entries = Array.from({ length: 60 }, (_, i) => entry(text(`${'a'.repeat(60 - i)}b`), i + 1, text(`v${i}`))).sort(compareEntries);
    const [page] = pagesOf(buildWithKernel(memory, entries, 1));
    expect(page).toEqual(entries);
  });

  test('two builders at once do not disturb each other', () => {
    const { kernel, u8, u32 } = memory;
    const make = (fileId: number): { builder: number; window: number } => {
      const builder = memory.allocateSmall(BUILDER_BYTES);
      const window = memory.allocate(4 * PAGE_BYTES);
      kernel['builderBegin']!(builder, fileId, window, 4 * PAGE_BYTES, memory.allocate(65536), 65536, memory.allocate(65536), 65536);
      return { builder, window };
    };
    const source = memory.allocate(64);
    const sides = [make(1), make(2)];
    const entries = Array.from({ length: 150 }, (_, i) => entry(text(`key${String(i).padStart(4, '0')}`), i + 1, text(`value ${i}`)));
    for (const [i, { key, sequence, kind, flags, value }] of entries.entries()) {
      u8.set(key, source);
      u8.set(value, source + 32);
      kernel['builderPut']!(sides[i % 2]!.builder, source, key.length, sequence, kind, flags, source + 32, value.length);
    }
    for (const [side, { builder, window }] of sides.entries()) {
      kernel['builderFinish']!(builder);
      const mine = entries.filter((_, i) => i % 2 === side);
      expect(u32[(builder + BUILDER_PAGES) >>> 2]).toBe(1);
      expect(Buffer.compare(u8.slice(window, window + PAGE_BYTES), buildPages(mine, side + 1).pages[0]!)).toBe(0);
    }
  });
});
