/**
 * The table side's kernels: page builder, filter, page search and the whole point read over a cached table of 300,000 records of 16-byte
 * keys and 100-byte values, in random order, so that pages come from beyond the processor's caches. Also runs by itself.
 */
import { bench, do_not_optimize, group, run } from 'mitata';
import { SimFileSystem } from '../../test/sim/sim-file-system.ts';
import {
  FOUND,
  FRONT,
  KEY_A,
  NEEDS_TABLE,
  NEED_FRAME,
  NEED_PAGE,
  PAGE_BYTES,
  VIEW_LEVEL0,
  VIEW_LEVEL0_COUNT,
  VIEW_LEVELS,
  VIEW_LEVEL_COUNT,
  WINDOW_FULL,
} from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { OpenTable, PageCache, TableWriter } from '../../engine/table/index.ts';

const RECORDS = 300_000;
const KEY_BYTES = 16;
const VALUE_BYTES = 100;
const BATCH = 10_000;
const NEWEST = Number.MAX_SAFE_INTEGER;

const memory = new LinearMemory(512 * 2 ** 20);
const { kernel, u8, u32 } = memory;
const keys = memory.allocate(RECORDS * KEY_BYTES);
const value = memory.allocate(VALUE_BYTES);
for (let i = 0; i < RECORDS; i++) u8.set(Buffer.from(String(i * 7919).padStart(KEY_BYTES, '0')), keys + i * KEY_BYTES);
const shuffled = Uint32Array.from({ length: 2 ** 16 }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 0) % RECORDS);
let turn = 0;
const nextKey = (): number => keys + shuffled[turn++ & 0xffff]! * KEY_BYTES;

const disk = new SimFileSystem();
disk.makeDirectorySync('/store');
const writer = new TableWriter(memory, disk, '/store', 1);
for (let i = 0; i < RECORDS; i++) {
  if (kernel['builderPut']!(writer.builder, keys + i * KEY_BYTES, KEY_BYTES, i + 1, 1, 0, value, VALUE_BYTES) === WINDOW_FULL)
    writer.drain();
}
const cache = new PageCache(memory, 64 * 2 ** 20);
cache.bind(FRONT);
const table = new OpenTable(memory, disk, '/store', writer.finish([]));
const list = memory.allocateSmall(64);
u32.set([table.header, 0, 1, list], list >>> 2);

/** A view with the table in level 0, or in level 1. */
function viewOf(level: 0 | 1): number {
  const view = memory.allocateSmall(64);
  u32[(view + (level === 0 ? VIEW_LEVEL0_COUNT : VIEW_LEVEL_COUNT)) >>> 2] = 1;
  u32[(view + (level === 0 ? VIEW_LEVEL0 : VIEW_LEVELS)) >>> 2] = level === 0 ? list : list + 8;
  return view;
}

function get(view: number, key: number, change: number): number {
  u8.copyWithin(FRONT + KEY_A, key, key + KEY_BYTES);
  u8[FRONT + KEY_A + KEY_BYTES - 1]! += change;
  let answer = kernel['lookup']!(FRONT, view, KEY_BYTES, NEWEST);
  while (answer > FOUND) {
    if (answer === NEEDS_TABLE) table.loadIndex();
    else {
      table.loadPage(u32[(FRONT + NEED_PAGE) >>> 2]!, u32[(FRONT + NEED_FRAME) >>> 2]!);
    }
    answer = kernel['lookupResume']!(FRONT);
  }
  return answer;
}

const views = [viewOf(0), viewOf(1)] as const;
for (let i = 0; i < RECORDS; i++) if (get(views[i % 2]!, keys + i * KEY_BYTES, 0) !== FOUND) throw new Error(`record ${i} is not found`);

group('point read of a cached table', () => {
  bench('hit, level 0', () => do_not_optimize(get(views[0], nextKey(), 0)));
  bench('hit, level 1', () => do_not_optimize(get(views[1], nextKey(), 0)));
  bench('miss, level 0', () => do_not_optimize(get(views[0], nextKey(), 64)));
  bench('miss, level 1', () => do_not_optimize(get(views[1], nextKey(), 64)));
});

group('search in a page', () => {
  const frames = Array.from({ length: table.meta.pages }, (_, page) => kernel['frameOf']!(FRONT, table.header, page));
  // Search for a key of another page costs tags only; for one of this page, the whole.
  const homes = shuffled.map((i) => frames[kernel['tableFindPage']!(FRONT, table.header, keys + i * KEY_BYTES, KEY_BYTES)]!);
  bench('hit, random page', () => {
    const key = nextKey();
    return do_not_optimize(kernel['pageFindKey']!(homes[(turn - 1) & 0xffff]!, key, KEY_BYTES, NEWEST));
  });
  bench('hit, same page', () => do_not_optimize(kernel['pageFindKey']!(homes[0]!, keys + shuffled[0]! * KEY_BYTES, KEY_BYTES, NEWEST)));
  bench('page of a key, by the index', () => do_not_optimize(kernel['tableFindPage']!(FRONT, table.header, nextKey(), KEY_BYTES)));
});

group(`${BATCH} keys`, () => {
  const builder = memory.allocateSmall(32768);
  const areaBytes = 4 * 2 ** 20;
  const [window, index, hashes] = [memory.allocate(areaBytes), memory.allocate(areaBytes), memory.allocate(areaBytes)];
  const build = (): number => {
    kernel['builderBegin']!(builder, 1, window, areaBytes, index, areaBytes, hashes, areaBytes);
    for (let i = 0; i < BATCH; i++) kernel['builderPut']!(builder, keys + i * KEY_BYTES, KEY_BYTES, i + 1, 1, 0, value, VALUE_BYTES);
    return kernel['builderFinish']!(builder);
  };
  if (build() * PAGE_BYTES < BATCH * VALUE_BYTES) throw new Error('the builder lost entries');
  const blocks = kernel['filterBlocks']!(BATCH, 12);
  const filter = memory.allocate(blocks * 32);
  bench('built into pages', () => do_not_optimize(build()));
  bench('built into a filter', () => kernel['filterBuild']!(filter, blocks, hashes, BATCH));
  bench('probed in a filter', () => do_not_optimize(kernel['filterCount']!(filter, blocks, hashes, BATCH)));
});

if (import.meta.main) await run({ colors: process.stdout.isTTY === true });
