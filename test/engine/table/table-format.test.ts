import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { xxh64 } from '../../../base/xxh64.ts';
import {
  decodeFooter,
  decodeProperties,
  encodeFooter,
  encodeProperties,
  FOOTER_BYTES,
  SECTION_FOOTER,
  SECTION_PROPERTIES,
  sectionCheck,
  tableFileName,
  tableLayout,
  type TableFooter,
  type TableProperties,
} from '../../../engine/table/table-format.ts';

const u32 = fc.nat(0xffffffff);
const check = fc.record({ low: u32, high: u32 });
const footerArbitrary: fc.Arbitrary<TableFooter> = fc
  .record({
    fileId: u32,
    pages: fc.integer({ min: 1, max: 1_000_000 }),
    packed: fc.boolean(),
    indexBytes: fc.nat(100_000_000),
    indexEntryBytes: fc.nat(100_000_000),
    filterBlocks: fc.integer({ min: 1, max: 3_000_000 }),
    topBytes: fc.nat(1_000_000),
    propertiesBytes: fc.nat(100_000),
    topCheck: check,
    propertiesCheck: check,
  })
  .map(({ filterBlocks, ...footer }) => ({
    ...footer,
    pageBytes: footer.pages * 8192 - (footer.packed ? 8 * footer.pages : 0),
    filterBytes: 32 * (filterBlocks + Math.ceil(filterBlocks / 255)),
  }));
const count = fc.nat(Number.MAX_SAFE_INTEGER);
const expiringArbitrary = fc.record({ entries: fc.integer({ min: 1, max: 0xffffffff }), bytes: count, earliestMs: count, latestMs: count });
const propertiesArbitrary: fc.Arbitrary<TableProperties> = fc
  .record({
    entries: u32,
    tombstones: u32,
    distinctKeys: u32,
    minSequence: count,
    maxSequence: count,
    keyBytes: count,
    valueBytes: count,
    densePages: u32,
    pinnedBytes: count,
    clearedTo: count,
    smallest: fc.uint8Array({ maxLength: 4096 }),
    largest: fc.uint8Array({ maxLength: 4096 }),
    references: fc.array(fc.record({ segment: u32, bytes: count })),
  })
  .chain((properties) =>
    fc.option(expiringArbitrary, { nil: undefined }).map((expiring) => ({ ...properties, ...(expiring && { expiring }) })),
  );
const FOOTER: TableFooter = {
  fileId: 7,
  pages: 3,
  packed: false,
  pageBytes: 3 * 8192,
  filterBytes: 64,
  indexBytes: 120,
  indexEntryBytes: 65,
  topBytes: 20,
  propertiesBytes: 60,
  topCheck: { low: 1, high: 2 },
  propertiesCheck: { low: 5, high: 6 },
};
const FILE_BYTES = tableLayout(FOOTER).fileBytes;

function withCheck(bytes: Uint8Array): Uint8Array {
  const { low, high } = xxh64(bytes, 0, 64, SECTION_FOOTER, 7);
  const view = new DataView(bytes.buffer);
  view.setUint32(64, low, true);
  view.setUint32(68, high, true);
  return bytes;
}

describe('table format', () => {
  test('a footer is decoded to what was encoded', () => {
    fc.assert(
      fc.property(footerArbitrary, (footer) => {
        expect(decodeFooter(encodeFooter(footer), footer.fileId, 'x', tableLayout(footer).fileBytes)).toEqual(footer);
      }),
    );
  });

  test('properties are decoded to what was encoded', () => {
    fc.assert(
      fc.property(propertiesArbitrary, (properties) => {
        const bytes = encodeProperties(properties);
        const footer = { ...FOOTER, propertiesCheck: sectionCheck(bytes, 7, SECTION_PROPERTIES) };
        expect(decodeProperties(bytes, footer, 'x', 0)).toEqual(properties);
      }),
    );
  });

  test('any changed byte of a footer is refused', () => {
    for (let at = 0; at < FOOTER_BYTES; at++) {
      const bytes = encodeFooter(FOOTER);
      bytes[at]! ^= 0x10;
      expect(() => decodeFooter(bytes, 7, '/s/000007.table', FILE_BYTES)).toThrow(/000007.table is damaged/);
    }
  });

  test('a footer of another table, or in a file of another size, is refused', () => {
    expect(() => decodeFooter(encodeFooter(FOOTER), 8, 'x', FILE_BYTES)).toThrow('checksum');
    expect(() => decodeFooter(encodeFooter(FOOTER), 7, 'x', FILE_BYTES + 1)).toThrow('does not fit the file');
  });

  test('a version, flag or filter that is not known is refused as such', () => {
    const changed = (at: number, by: number): Uint8Array => {
      const bytes = encodeFooter(FOOTER);
      bytes[at]! += by;
      return withCheck(bytes);
    };
    for (const at of [2, 12, 44])
      expect(() => decodeFooter(changed(at, 2), 7, 'x', FILE_BYTES)).toThrow('a flag or a filter that is not known');
    expect(() => decodeFooter(changed(0, 1), 7, 'x', FILE_BYTES)).toThrow(expect.objectContaining({ code: 'FORMAT_NEWER' }));
    expect(() => decodeFooter(changed(0, -1), 7, 'x', FILE_BYTES)).toThrow(expect.objectContaining({ code: 'FORMAT_OLDER' }));
  });

  test('arbitrary bytes are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 120 }), (bytes) => {
        expect(() => decodeFooter(bytes, 1, 'x', 1000)).toThrow(expect.objectContaining({ code: 'CORRUPT_TABLE' }));
        expect(() => decodeProperties(bytes, FOOTER, 'x', 0)).toThrow(expect.objectContaining({ code: 'CORRUPT_TABLE' }));
      }),
    );
  });

  test('file names are padded so that they sort', () => {
    expect([tableFileName(7), tableFileName(123_456), tableFileName(4_294_967_295)]).toEqual([
      '000007.table',
      '123456.table',
      '4294967295.table',
    ]);
  });
});
