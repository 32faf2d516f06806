import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FRONT, TABLE_HEADER_BYTES } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { entriesArbitrary, keyArbitrary } from './entries.ts';
import { buildPages } from './twins/page-builder.ts';
import { decodeIndex, encodeIndex, findPage, type IndexEntry } from './twins/table-index.ts';

const memory = new LinearMemory(64 * 1024 * 1024);
const { kernel } = memory;
const header = memory.allocateSmall(TABLE_HEADER_BYTES);
const window = memory.allocate(8192);
const index = memory.allocate(4 * 1024 * 1024);
const arrays = memory.allocate(1024 * 1024);

function open(bytes: Uint8Array, pages: number): number {
  memory.u8.set(bytes, index);
  return kernel['tableOpen']!(header, pages, index, bytes.length, arrays);
}

function find(key: Uint8Array): number {
  memory.u8.set(key, window);
  // What lies behind a key must not matter.
  memory.u8.fill(key.length % 2 ? 0xff : 0, window + key.length, window + key.length + 16);
  return kernel['tableFindPage']!(FRONT, header, window, key.length);
}

function entry(text: string, continues = false): IndexEntry {
  return { key: Buffer.from(text), continues };
}

/** The key, its neighbours, what it begins with and what begins with it. */
function around(key: Uint8Array): Uint8Array[] {
  const up = Uint8Array.from(key);
  const down = Uint8Array.from(key);
  up[key.length - 1]!++;
  down[key.length - 1]!--;
  return [
    key,
    up,
    down,
    Uint8Array.from([...key, 0]),
    Uint8Array.from([...key, 255]),
    key.slice(0, Math.max(1, key.length - 1)),
    key.slice(0, 1),
  ];
}

/** The pages that the kernel finds for the keys, and those that its twin does. */
function findAll(entries: readonly IndexEntry[], keys: readonly Uint8Array[]): { found: number[]; twin: number[] } {
  if (open(encodeIndex(entries), entries.length) !== 1) throw new Error('the index does not open');
  return { found: keys.map(find), twin: keys.map((key) => findPage(entries, key)) };
}

describe('table index', () => {
  test('finds the page that its twin finds, in built tables', () => {
    fc.assert(
      fc.property(entriesArbitrary(60), fc.array(keyArbitrary, { maxLength: 20 }), (entries, strangers) => {
        const decoded = decodeIndex(buildPages(entries, 1).index);
        const own = entries.filter((_, i) => i % 7 === 0).flatMap(({ key }) => around(key));
        const { found, twin } = findAll(decoded, [...own, ...decoded.flatMap(({ key }) => around(key)), ...strangers]);
        expect(found).toEqual(twin);
      }),
      { numRuns: 40 },
    );
  });

  test('finds the page that its twin finds, in any ordered index', () => {
    const keys = fc.uniqueArray(keyArbitrary, {
      minLength: 1,
      maxLength: 80,
      size: 'max',
      selector: (key) => Buffer.from(key).toString('hex'),
    });
    fc.assert(
      fc.property(keys, fc.array(fc.nat(3)), fc.constantFrom('', 'x', 'shared/prefix/of/all/'), (unordered, repeats, head) => {
        const sorted = unordered
          .map((key) => Uint8Array.from([...Buffer.from(head), ...key.slice(0, 4000)]))
          .sort((a, b) => Buffer.compare(a, b));
        const entries = sorted.flatMap((key, i) => Array.from({ length: 1 + (repeats[i] ?? 0) }, (_, n) => ({ key, continues: n > 0 })));
        const distinct = entries.filter((entry, i) => entry.continues || i === 0 || Buffer.compare(entry.key, entries[i - 1]!.key) !== 0);
        const { found, twin } = findAll(distinct, sorted.flatMap(around));
        expect(found).toEqual(twin);
      }),
      { numRuns: 100 },
    );
  });

  test('every key of a table is found in a page that holds it', () => {
    fc.assert(
      fc.property(entriesArbitrary(60), (entries) => {
        const { groups, index: bytes } = buildPages(entries, 1);
        expect(open(bytes, groups.length)).toBe(1);
        for (const { key } of entries) {
          const first = groups.findIndex((group) => group.some((entry) => Buffer.compare(entry.key, key) === 0));
          expect(find(key)).toBe(first);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('refuses what is not an index', () => {
    const good = encodeIndex([entry('a'), entry('b'), entry('b', true), entry('c')]);
    expect(open(good, 4)).toBe(1);
    expect(open(good, 3)).toBe(0);
    expect(open(good, 5)).toBe(0);
    expect(open(good.subarray(0, good.length - 1), 4)).toBe(0);
    expect(open(new Uint8Array(0), 0)).toBe(0);
    expect(open(encodeIndex([entry('b'), entry('a')]), 2)).toBe(0);
    expect(open(encodeIndex([entry('b'), entry('b')]), 2)).toBe(0);
    expect(open(encodeIndex([entry('b', true)]), 1)).toBe(0);
    expect(open(Uint8Array.of(0, 0, 0, 0), 1)).toBe(0);
    expect(open(Uint8Array.of(1, 0, 2, 0, 0x61), 1)).toBe(0);
    expect(open(Uint8Array.of(255, 255, 0, 0, 0x61), 1)).toBe(0);
  });
});
