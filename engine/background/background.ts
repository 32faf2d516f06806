/**
 * Work that does not belong on the caller's thread: flushing sealed memtables and compacting tables. Two ways to run it, one behaviour:
 * worker-background.ts in a thread of its own, inline-background.ts on the caller's thread (tests, the simulator).
 *
 * Jobs and results are plain data. A job that fails rejects; nothing of it is visible then, because tables only count once the manifest
 * names them.
 */
import type { CompactionJob, CompactionPart, CompactionResult, SplitJob } from '../compaction/index.ts';
import type { RangeTombstone } from '../manifest/index.ts';
import type { TableForms, TableMeta } from '../table/index.ts';

export interface FlushJob {
  directory: string;
  /** The table to write. */
  fileId: number;
  /** Header of the sealed memtable, in the engine's linear memory. */
  memtable: number;
  records: number;
  /** The newest sequence in it. */
  lastSequence: number;
  /** Sequence numbers that somebody reads at, ascending. */
  snapshots: number[];
  /** The time, in ms since the epoch: what has expired by then is written as a delete. */
  nowMs: number;
  /** Range tombstones of the memtable. */
  rangeTombstones: readonly RangeTombstone[];
  /** In how many segments its pointers may lead, at most. */
  segments: number;
  /** How the table is written. */
  forms: TableForms;
  /** Scratch space lent for the job: a range of the engine's linear memory. */
  lent: { from: number; to: number };
}

export interface FlushResult {
  /** Undefined: nothing was left to write. */
  table: TableMeta | undefined;
  bytesWritten: number;
}

/** Beside the engine's memory a thread keeps so much of its size, at most, for compactions, from one to the next (memory/job-memories.ts). */
const KEPT_SHARE = 1 / 8;

/** In bytes; `bytes`: of the engine's memory. */
export function keptBytesMax({ bytes }: { readonly bytes: number }): number {
  return bytes * KEPT_SHARE;
}

/** Called once, on the caller's thread, with what the job made or why it failed. */
export type OnEnd<T> = (error: Error | undefined, result: T | undefined) => void;

export interface Background {
  /**
   * `prepare` is called when the flush is about to begin, so that what is lent to it is not lent to many that wait. When it throws
   * `exhausted/MEMORY_BUDGET` it is called again after another job has ended; when there is none, or for other errors, that is the end.
   */
  flush(prepare: () => FlushJob, onEnd: OnEnd<FlushResult>): void;
  /** Returns what gives the job up: then it ends as `cancelled/ABORTED`, unless it has been done by then. */
  compact(job: CompactionJob, onEnd: OnEnd<CompactionResult>): () => void;
  /** Finds out how a compaction may be divided. */
  split(job: SplitJob, onEnd: OnEnd<readonly CompactionPart[]>): void;
  /** How many compactions could begin at once now. */
  readonly compactionsFree: number;
  /**
   * Lets background work get on while the caller's thread does not yield: waits until some job has ended, at most `ms`, and calls its
   * `onEnd`. For a caller that writes without ever awaiting. 0: does not wait, only looks.
   */
  waitSync(ms: number): void;
  /** Cancels what has not begun, and compactions, and waits for what runs; their `onEnd` are called. Idempotent. */
  close(): Promise<void>;
}
