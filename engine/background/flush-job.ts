/**
 * Writes one sealed memtable to a level-0 table. Synchronous, on the background's thread: the memtable is read where it lies, in the
 * engine's linear memory; everything else that the job needs is in the range lent to it. The table is durable when it returns, its name too.
 */
import { assert } from '../../base/assert.ts';
import type { FileSystem, Zstd } from '../../base/env.ts';
import { FLUSH_DONE, WINDOW_FULL } from '../../assembly/memory-map.ts';
import type { WasmMemory } from '../memory/kernel.ts';
import { LinearMemory } from '../memory/linear-memory.ts';
import { RangeTombstones } from '../range-tombstones.ts';
import { SegmentTable, TableWriter } from '../table/index.ts';
import type { FlushJob, FlushResult } from './background.ts';

/** `context`: the thread's (assembly/memory-map.ts). */
export function runFlush(
  owner: { memory: WasmMemory; bytes: number },
  fileSystem: FileSystem,
  job: FlushJob,
  context: number,
  zstd: Zstd | undefined,
): FlushResult {
  const memory = new LinearMemory(owner.bytes, { memory: owner.memory, from: job.lent.from, to: job.lent.to });
  const snapshots = memory.allocate(Math.max(8, job.snapshots.length * 8));
  memory.f64.set(job.snapshots, snapshots >>> 3);
  const segments = new SegmentTable(memory, job.segments);
  const writer = new TableWriter(memory, fileSystem, job.directory, job.fileId, {
    keys: job.records,
    forms: job.forms,
    zstd,
  });
  try {
    const ranges = new RangeTombstones(memory);
    ranges.reset(job.rangeTombstones, job.snapshots);
    memory.kernel['flushBegin']!(context, job.memtable, job.nowMs, ranges.address);
    for (;;) {
      const answer = memory.kernel['flushStep']!(
        context,
        writer.builder,
        snapshots,
        job.snapshots.length,
        segments.address,
        segments.entries,
      );
      if (answer === FLUSH_DONE) break;
      assert(answer === WINDOW_FULL, 'every entry of a memtable fits a page, and its segments are listed');
      writer.drain();
    }
    if (writer.entries === 0) {
      writer.discard();
      return { table: undefined, bytesWritten: 0 };
    }
    const keptUnder = memory.kernel['flushKeptUnder']!(context);
    const table = writer.finish(segments.takeLive(), keptUnder === 0 ? job.lastSequence : keptUnder - 1);
    fileSystem.syncDirectorySync(job.directory);
    return { table, bytesWritten: table.bytes };
  } catch (error) {
    writer.discard();
    throw error;
  }
}
