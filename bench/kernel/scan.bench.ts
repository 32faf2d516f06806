/**
 * Scans of 16-byte keys and 100-byte values whose pages are all in the cache: the kernel alone, and as entries. Time is for SCANNED entries
 * in all; a seek is for one.
 */
import { bench, do_not_optimize, group } from 'mitata';
import { ABSENT, FRONT, KEY_A, NEED_FRAME, NEED_PAGE, NEED_TABLE_HEADER, PAGE_BYTES, SCAN_REVERSE } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { scanRange } from '../../engine/scan-range.ts';
import { SCAN_WINDOW_BYTES, ScanIterator, type ScanSource } from '../../engine/scan.ts';
import { buildRun, key, openRun, type Run } from './sorted-runs.ts';

const SCANNED = 100_000;
const FRAMES = 4096;
const NEWEST = Number.MAX_SAFE_INTEGER;

for (const count of [1, 4]) {
  const memory = new LinearMemory(256 * 2 ** 20);
  const { kernel, u8, u32 } = memory;
  const cache = memory.allocateSmall(128);
  kernel['cacheInit']!(cache, memory.allocate(FRAMES * PAGE_BYTES), memory.allocateCleared(kernel['cacheArrayBytes']!(FRAMES)), FRAMES);
  kernel['cacheBind']!(FRONT, cache);
  const runs = new Map<number, Run>();
  for (let i = 0; i < count; i++) {
    const run = buildRun(memory, 2 + i, SCANNED / count, i, count);
    runs.set(openRun(memory, run), run);
  }
  // All of them as tables of level 0.
  const view = memory.allocateSmall(64);
  const list = memory.allocateSmall(64);
  u32.set([...runs.keys()], list >>> 2);
  u32[(view + 24) >>> 2] = count;
  u32[(view + 28) >>> 2] = list;
  const window = memory.allocate(SCAN_WINDOW_BYTES);
  const source: ScanSource = {
    memory,
    viewAddress: view,
    satisfy: () => {
      const run = runs.get(u32[(FRONT + NEED_TABLE_HEADER) >>> 2]!)!;
      const from = run.pages + u32[(FRONT + NEED_PAGE) >>> 2]! * PAGE_BYTES;
      u8.copyWithin(u32[(FRONT + NEED_FRAME) >>> 2]!, from, from + PAGE_BYTES);
      kernel['pageLoaded']!(FRONT);
    },
    nowMs: 0,
    readPointer: () => new Uint8Array(0),
  };
  const iterate = (options: Parameters<typeof scanRange>[0]): ScanIterator =>
    new ScanIterator(source, { ...scanRange(options, 4096), prefixBytes: 0 }, NEWEST, window, () => undefined);
  const inWindows = (flags: number): void => {
    // Again and again from the start, so that only the kernel is timed.
    for (let scanned = 0; scanned < SCANNED; scanned += 800) {
      u8.set(key((scanned * 7919) % (SCANNED - 1000)), FRONT + KEY_A);
      const lowerBytes = flags === 0 ? 16 : -1;
      if (kernel['scanOpen']!(FRONT, view, lowerBytes, -1, flags, NEWEST, 800, window, SCAN_WINDOW_BYTES) === ABSENT)
        throw new Error('it ends early');
      kernel['scanClose']!(FRONT);
    }
  };
  let total = 0;
  for (const entry of iterate({})) total += entry[1].length;
  if (total !== SCANNED * 100) throw new Error('the scan misses entries');

  group(`scan of ${SCANNED} entries in ${count} runs`, () => {
    bench('kernel, forward', () => inWindows(0));
    bench('kernel, backward', () => inWindows(SCAN_REVERSE));
    bench('entries, forward', () => {
      for (const entry of iterate({})) do_not_optimize(entry);
    });
    bench('entries, backward', () => {
      for (const entry of iterate({ reverse: true })) do_not_optimize(entry);
    });
  });
  let at = 0;
  group(`seek in ${count} runs`, () => {
    bench('and 10 entries', () => {
      at = (at + 7919) % (SCANNED - 100);
      for (const entry of iterate({ gte: key(at), limit: 10 })) do_not_optimize(entry);
    });
    bench('and 100 entries', () => {
      at = (at + 7919) % (SCANNED - 100);
      for (const entry of iterate({ gte: key(at), limit: 100 })) do_not_optimize(entry);
    });
  });
}
