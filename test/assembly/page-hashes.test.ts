import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { PAGE_BYTES } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { entriesArbitrary } from './entries.ts';
import { hashKey } from './twins/hash-key.ts';
import { buildPages } from './twins/page-builder.ts';

const memory = new LinearMemory(16 * 1024 * 1024);
const page = memory.allocate(PAGE_BYTES);
const key = memory.allocate(8192);
const hashes = memory.allocate(8192);

test('the hashes of a page are those of its keys, in order', () => {
  fc.assert(
    fc.property(entriesArbitrary(25), (entries) => {
      const { groups, pages } = buildPages(entries, 1);
      for (const [number, group] of groups.entries()) {
        memory.u8.set(pages[number]!, page);
        expect(memory.kernel['pageHashes']!(page, key, hashes)).toBe(group.length);
        const found = group.map((_, i) => memory.view.getBigUint64(hashes + 8 * i, true));
        expect(found).toEqual(group.map((entry) => BigInt.asUintN(64, hashKey(entry.key))));
      }
    }),
    { numRuns: 60 },
  );
});
