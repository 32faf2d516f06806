/** The merge kernel: sorted runs of 16-byte keys and 100-byte values into the pages of one table. Time is for MERGED entries in all. */
import { bench, group } from 'mitata';
import { BUILDER_BYTES, MERGE_DONE, MERGE_OUTPUT_READY, PAGE_BYTES, WORK } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { SegmentTable } from '../../engine/table/index.ts';
import { buildRun, type Run } from './sorted-runs.ts';

const MERGED = 100_000;
/** Leading zeros of all keys: 100,000 takes five hexadecimal digits of sixteen. */
const SHARED_BYTES = 11;
const WINDOW_BYTES = 64 * PAGE_BYTES;

function mergeOnce(
  memory: LinearMemory,
  runs: readonly Run[],
  areas: { builder: number; window: number; index: number; hashes: number; segments: SegmentTable },
): void {
  const { kernel } = memory;
  const { builder, window, index, hashes, segments } = areas;
  for (const [i, run] of runs.entries()) {
    kernel['mergeInput']!(WORK, i, SHARED_BYTES);
    kernel['mergeFeed']!(WORK, i, run.pages, run.pageCount, 1);
  }
  kernel['builderBegin']!(builder, 1, window, WINDOW_BYTES, index, MERGED * 8, hashes, MERGED * 8 + 64);
  kernel['mergeBegin']!(WORK, runs.length, 0, 0, 0, segments.address, segments.entries);
  kernel['mergeOutput']!(WORK, builder, 0xffffffff);
  for (;;) {
    const answer = kernel['mergeStep']!(WORK);
    if (answer === MERGE_DONE) break;
    if (answer !== MERGE_OUTPUT_READY) throw new Error(`the merge answered ${answer}`);
    kernel['builderRewind']!(builder);
  }
  kernel['builderFinish']!(builder);
}

group(`merge of ${MERGED} entries`, () => {
  for (const count of [1, 2, 4, 8, 16]) {
    const memory = new LinearMemory(128 * 2 ** 20);
    const runs = Array.from({ length: count }, (_, i) => buildRun(memory, 2 + i, MERGED / count, i, count));
    const areas = {
      builder: memory.allocateSmall(BUILDER_BYTES),
      window: memory.allocate(WINDOW_BYTES),
      index: memory.allocate(MERGED * 8),
      hashes: memory.allocate(MERGED * 8 + 64),
      segments: new SegmentTable(memory, 1),
    };
    bench(`${count} runs`, () => mergeOnce(memory, runs, areas));
  }
});
