/** The vocabulary of compaction: what the picker decides, what a job is told and what it answers. Plain data: it crosses threads. */
import { PAGE_BYTES } from '../../assembly/memory-map.ts';
import { keyspaceOf } from '../keyspace-key.ts';
import type { CompactionReason } from '../compaction-reason.ts';
import type { RangeTombstone } from '../manifest/index.ts';
import type { KeyspaceRule } from './rule-table.ts';
import type { PageRange, SegmentReference, TableForms, TableMeta } from '../table/index.ts';

export type { CompactionReason } from '../compaction-reason.ts';

export interface CompactionInput {
  readonly level: number;
  readonly table: TableMeta;
  /** Of a part of a compaction: the pages that may hold its keys. Undefined: all. */
  readonly pages?: PageRange;
}

/** What to do next. */
export interface Compaction {
  readonly reason: CompactionReason;
  /** How much it is wanted: 1 is just enough. */
  readonly score: number;
  /** By level; within level 0 newest first, within others by key. */
  readonly inputs: readonly CompactionInput[];
  /** The level of the outputs. */
  readonly target: number;
  /** Nothing overlaps: the tables change level as they are, and there is nothing to run. */
  readonly move: boolean;
  /** All that the tables have is hidden from everybody: they go as they are, and there is nothing to run. */
  readonly drop: boolean;
  /** No other table can hold an older version of the inputs' keys: deletes have nothing left to hide. */
  readonly dropDeletes: boolean;
  /** Block files out of which live values are to be moved, ascending. */
  readonly relocate: readonly number[];
}

/** What a job needs to know. */
export interface CompactionJob {
  readonly directory: string;
  readonly inputs: readonly CompactionInput[];
  /** Of a part (split.ts): its first key, and the first that is not its any more. Undefined: all. */
  readonly from?: Uint8Array | undefined;
  readonly to?: Uint8Array | undefined;
  readonly dropDeletes: boolean;
  readonly relocate: readonly number[];
  /** Sequence numbers that somebody reads at, ascending. */
  readonly snapshots: readonly number[];
  /** The time, in ms since the epoch: what has expired by then counts as deleted. */
  readonly nowMs: number;
  /** Those that may hide something in the inputs. */
  readonly rangeTombstones: readonly RangeTombstone[];
  /** All range tombstones up to this sequence are among them, or hide nothing there. */
  readonly clearedTo: number;
  /** Of keyspaces that the inputs may have keys of; as of `ruledTo`, the id of the newest rule there is. */
  readonly rules: readonly KeyspaceRule[];
  readonly ruledTo: number;
  /** Size of its pages, not compressed, at which an output ends, at the next key. */
  readonly tableBytes: number;
  /** How the outputs are written. */
  readonly forms: TableForms;
  /** Ids for the outputs and the block file, never used before, as many as `fileIdsWanted` says; those left over are just not used. */
  readonly fileIds: readonly number[];
}

export interface CompactionResult {
  /** By key. None when nothing was left. */
  readonly outputs: readonly TableMeta[];
  /** Those that relocated values went to: of a job one at most. */
  readonly blockFiles: readonly { readonly segment: number; readonly bytes: number }[];
  /** Bytes of values that were dropped or moved away, by segment, ascending. */
  readonly dead: readonly SegmentReference[];
  readonly versionsDropped: number;
  /** Of what nobody was reading at, what rules left out. */
  readonly versionsLeftOut: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** Of parts, by key, what the whole has come to. */
export function joinResults(parts: readonly CompactionResult[]): CompactionResult {
  const sum = (of: (part: CompactionResult) => number): number => parts.reduce((total, part) => total + of(part), 0);
  const dead = new Map<number, number>();
  for (const { segment, bytes } of parts.flatMap((part) => part.dead)) dead.set(segment, (dead.get(segment) ?? 0) + bytes);
  return {
    outputs: parts.flatMap(({ outputs }) => outputs),
    blockFiles: parts.flatMap(({ blockFiles }) => blockFiles),
    dead: [...dead].map(([segment, bytes]) => ({ segment, bytes })).toSorted((a, b) => a.segment - b.segment),
    versionsDropped: sum((part) => part.versionsDropped),
    versionsLeftOut: sum((part) => part.versionsLeftOut),
    bytesRead: sum((part) => part.bytesRead),
    bytesWritten: sum((part) => part.bytesWritten),
  };
}

/** What a job reads of an input, of 1. */
export function shareOf({ table, pages }: CompactionInput): number {
  return pages ? (pages.end - pages.first) / table.pages : 1;
}

/** Of keyspaces that are not there any more, and of which snapshots still see something, so many have outputs of their own. */
const DROPPED_KEYSPACES_MAX = 64;

/**
 * How many ids a job may use. The pages of the outputs are about those of the inputs, and each output ends where its keyspace does (`keyspaces`: ids
 * of all there are). Should they need more, the last id's table takes all that is left: then nothing is lost but an even size, and keyspaces share
 * a table.
 */
export function fileIdsWanted(
  compaction: Pick<Compaction, 'inputs' | 'relocate'>,
  tableBytes: number,
  keyspaces: Iterable<number> = [],
): number {
  const tables = compaction.inputs.map(({ table }) => table);
  // As they are in memory: packed ones take less in their files.
  const bytes = compaction.inputs.reduce((sum, input) => sum + input.table.pages * PAGE_BYTES * shareOf(input), 0);
  const first = Math.min(...tables.map((table) => keyspaceOf(table.smallest)));
  const last = Math.max(...tables.map((table) => keyspaceOf(table.largest)));
  let ends = 0;
  for (const id of keyspaces) if (id > first && id <= last) ends++;
  ends += Math.min(DROPPED_KEYSPACES_MAX, last - first - ends);
  return Math.ceil((bytes * 1.25) / tableBytes) + 1 + ends + (compaction.relocate.length > 0 ? 1 : 0);
}
