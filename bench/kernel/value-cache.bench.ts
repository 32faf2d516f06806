/** Finding a kept value by its pointer, and making room for one: what a read of a large value pays beside its copy. */
import { bench, group } from 'mitata';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { ValueCache } from '../../engine/value-cache.ts';

const VALUE_BYTES = 1024;
const KEPT = 50_000;
const memory = new LinearMemory(256 * 1024 * 1024);
const cache = new ValueCache(memory, 64 * 1024 * 1024);
const owner = cache.takeOwner();
const pointer = memory.allocateSmall(64);

function point(item: number): void {
  memory.u32[pointer >>> 2] = 1 + (item >>> 12);
  memory.u32[(pointer + 4) >>> 2] = VALUE_BYTES;
  memory.u32[(pointer + 8) >>> 2] = (item & 4095) * VALUE_BYTES;
}

for (let item = 0; item < KEPT; item++) {
  point(item);
  cache.commit(owner, pointer, cache.reserve(VALUE_BYTES));
}

let at = 0;
let next = KEPT;
group('value cache, 50,000 values of 1 KiB', () => {
  bench('find', () => {
    at = (at + 7919) % KEPT;
    point(at);
    return cache.find(owner, pointer);
  });
  bench('reserve and commit', () => {
    point(next++);
    cache.commit(owner, pointer, cache.reserve(VALUE_BYTES));
  });
});
