/**
 * Finds out how a compaction may be divided (split.ts): reads the indexes of its inputs. A job of its own, because a worker has the time for it; a
 * generator that yields between tables, so that whoever drives it can flush in between or give up.
 */
import { HEAP } from '../../assembly/memory-map.ts';
import type { FileSystem } from '../../base/env.ts';
import type { JobMemories } from '../memory/job-memories.ts';
import { PageKeys } from '../table/index.ts';
import type { CompactionInput } from './compaction.ts';
import { type CompactionPart, splitCompaction, type SplitInput } from './split.ts';

export interface SplitJob {
  readonly directory: string;
  readonly inputs: readonly CompactionInput[];
  readonly partsMax: number;
  readonly partBytesMin: number;
}

/** Address space for the largest index, in its pages and taken apart; memory is taken as it is touched. */
const MEMORY_BYTES: number = HEAP + 256 * 1024 * 1024;

export function* runSplit(fileSystem: FileSystem, job: SplitJob, memories: JobMemories): Generator<void, CompactionPart[], void> {
  const memory = memories.take(MEMORY_BYTES);
  try {
    const inputs: SplitInput[] = [];
    for (const { level, table } of job.inputs) {
      inputs.push({ level, table, pages: PageKeys.read(memory, fileSystem, job.directory, table.fileId) });
      yield;
    }
    return splitCompaction(inputs, job.partsMax, job.partBytesMin);
  } finally {
    memories.give(memory);
  }
}
