import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { PAGE_BYTES } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { entriesArbitrary, keyArbitrary } from './entries.ts';
import { hashKey, hashTag } from './twins/hash-key.ts';
import { buildPages } from './twins/page-builder.ts';
import { encodePage, findInPage } from './twins/page.ts';

const memory = new LinearMemory(64 * 1024 * 1024);
const page = memory.allocate(PAGE_BYTES);
const window = memory.allocate(8192);

function find(key: Uint8Array, sequence: number): number {
  memory.u8.set(key, window);
  return memory.kernel['pageFindKey']!(page, window, key.length, sequence);
}

test('a search in a page finds what its twin finds', () => {
  fc.assert(
    fc.property(entriesArbitrary(25), fc.array(keyArbitrary, { maxLength: 10 }), (entries, strangers) => {
      const { groups, pages } = buildPages(entries, 1);
      for (const [number, group] of groups.entries()) {
        memory.u8.set(pages[number]!, page);
        const keys = new Map(group.map(({ key }) => [Buffer.from(key).toString('hex'), key]));
        for (const key of [...keys.values(), ...strangers]) {
          const sequences = group.filter((entry) => Buffer.compare(entry.key, key) === 0).map(({ sequence }) => sequence);
          for (const sequence of [Number.MAX_SAFE_INTEGER, 0, ...sequences.slice(0, 5), ...sequences.slice(-3).map((each) => each - 1)]) {
            expect(find(key, sequence)).toBe(findInPage(group, key, sequence));
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('every number of entries up to a full page is searched to its end', () => {
  for (let count = 1; count <= 300; count += count < 40 ? 1 : 37) {
    const group = Array.from({ length: count }, (_, i) => ({
      key: Uint8Array.of(0x6b, i >> 8, i & 255),
      sequence: i + 1,
      kind: 1,
      flags: 0,
      value: new Uint8Array(4),
    }));
    memory.u8.set(encodePage(group, 1, 0), page);
    for (const [i, { key }] of group.entries()) expect(find(key, Number.MAX_SAFE_INTEGER)).toBe(i);
    expect(find(Uint8Array.of(0x6b), Number.MAX_SAFE_INTEGER)).toBe(-1);
    expect(find(Uint8Array.of(0x6b, 9, 9), Number.MAX_SAFE_INTEGER)).toBe(-1);
  }
});

test('the padding of the tags is no entry, where the key has its tag', () => {
  // A key of tag 0 that every key of the page begins with: behind the last slot lies one without a suffix.
  const keys = Array.from({ length: 10_000 }, (_, i) => Buffer.from(`k${i}`));
  const key = keys.find((each) => hashTag(hashKey(each)) === 0)!;
  const group = ['a', 'b'].map((end, i) => ({
    key: Buffer.concat([key, Buffer.from(end)]),
    sequence: i + 1,
    kind: 1,
    flags: 0,
    value: new Uint8Array(4),
  }));
  memory.u8.set(encodePage(group, 1, 0), page);
  expect(find(key, Number.MAX_SAFE_INTEGER)).toBe(-1);
});
