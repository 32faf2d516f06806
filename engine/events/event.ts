/**
 * What an engine tells those who listen (`engine.events`): rare things, each a plain object with a `type`. Times: `atMs` is the wall clock's
 * (milliseconds since the epoch), `durationMs` the monotonic clock's. What has begun always ends, unless the engine is closed in between.
 */
import type { CompactionReason } from '../compaction-reason.ts';

/**
 * How a job ended. `disk-full`: it is tried again once there is room. `repeated`: a flush that needs more memory and is begun again with that, or a
 * compaction that left out by a rule (`keepOnly`) what somebody began to read meanwhile, and is picked anew without rules.
 * `cancelled`: the engine closes. `failed`: nothing is written any more (see `writing-failed`).
 */
export type Outcome = 'done' | 'disk-full' | 'repeated' | 'cancelled' | 'failed';

/** A memtable is being written to a table of level 0. */
export interface FlushBegun {
  readonly type: 'flush-begun';
  readonly atMs: number;
  /** File id of the table: pairs it with its end. */
  readonly table: number;
  readonly records: number;
  /** Of the memtable. */
  readonly memtableBytes: number;
}

export interface FlushEnded extends Omit<FlushBegun, 'type'> {
  readonly type: 'flush-ended';
  readonly outcome: Outcome;
  readonly durationMs: number;
  /** Size of the table; 0 unless done. */
  readonly bytesWritten: number;
}

/** A table of a compaction, input or output. */
export interface CompactionTable {
  readonly level: number;
  readonly table: number;
  readonly bytes: number;
}

export interface CompactionBegun {
  readonly type: 'compaction-begun';
  readonly atMs: number;
  /** Counts the engine's compactions: pairs it with its end. */
  readonly job: number;
  /** Why: engine/compaction-reason.ts. `garbage` is the collection of block files. */
  readonly reason: CompactionReason;
  /** Level of the outputs. */
  readonly target: number;
  readonly inputs: readonly CompactionTable[];
  readonly inputBytes: number;
  /** Block files out of which live values move. */
  readonly relocated: readonly number[];
}

export interface CompactionEnded extends Omit<CompactionBegun, 'type'> {
  readonly type: 'compaction-ended';
  readonly outcome: Outcome;
  readonly durationMs: number;
  /** Empty unless done. */
  readonly outputs: readonly CompactionTable[];
  /** Those that live values moved to: one of each part, if any did. */
  readonly blockFiles: readonly { readonly segment: number; readonly bytes: number }[];
  /** In how many parts it was run, beside one another; 0 unless any was done. */
  readonly parts: number;
  /** Tables and values, as far as it got. 0 unless done. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Entries that nobody could see any more. */
  readonly versionsDropped: number;
  /** Bytes of large values that nothing refers to any more, and of those that were moved, in their old files. */
  readonly valueBytesFreed: number;
}

/** Tables changed level as they are: nothing overlapped. */
export interface TablesMoved {
  readonly type: 'tables-moved';
  readonly atMs: number;
  readonly reason: CompactionReason;
  readonly tables: readonly number[];
  readonly target: number;
}

/** Tables went without having been read: all that they had was hidden from everybody. */
export interface TablesDropped {
  readonly type: 'tables-dropped';
  readonly atMs: number;
  readonly reason: CompactionReason;
  readonly tables: readonly number[];
}

/** Files that nothing refers to were removed from the directory: the space is back. */
export interface FilesRemoved {
  readonly type: 'files-removed';
  readonly atMs: number;
  /** File ids. */
  readonly tables: readonly number[];
  /** Log segments and block files, by segment. */
  readonly segments: readonly number[];
  readonly bytes: number;
}

/**
 * Why writers wait. `memtables`: several wait to be flushed; `level0`: it has too many tables; `memory`: there is little linear memory left for
 * memtables and their flushes; `levels`: a level below has several times its share; `garbage`: most of what block files hold is garbage.
 */
export const STALL_REASONS = ['memtables', 'level0', 'memory', 'levels', 'garbage'] as const;

export type StallReason = (typeof STALL_REASONS)[number];

export interface StallBegun {
  readonly type: 'stall-begun';
  readonly atMs: number;
  readonly reason: StallReason;
  /** False: writers are asked to wait, by their promises. True: a writer that did not is held up, and the caller's thread with it. */
  readonly blocking: boolean;
}

export interface StallEnded extends Omit<StallBegun, 'type'> {
  readonly type: 'stall-ended';
  readonly durationMs: number;
}

/** Of a hosted engine: everything up to a sequence number is in tables, and on disk; its host may forget it. */
export interface MadeDurable {
  readonly type: 'made-durable';
  readonly atMs: number;
  readonly sequence: number;
}

/** What found no room on the disk. */
export type DiskWork = 'log' | 'flush' | 'compaction' | 'manifest';

export interface DiskFullBegun {
  readonly type: 'disk-full-begun';
  readonly atMs: number;
  readonly work: DiskWork;
}

/** It has had the room that it needs. */
export interface DiskFullEnded extends Omit<DiskFullBegun, 'type'> {
  readonly type: 'disk-full-ended';
  readonly durationMs: number;
}

/** Bytes on the disk are not what was written. Told each time that they are met; by `verify`, for each problem that its report lists. */
export interface Corruption {
  readonly type: 'corruption';
  readonly atMs: number;
  readonly during: 'read' | 'flush' | 'compaction' | 'checkpoint' | 'backup' | 'verify';
  /** Path of the file, and where in it; undefined where the error does not say. */
  readonly file: string | undefined;
  readonly offset: number | undefined;
  /** Code and message of the error that the caller, if there is one, gets. */
  readonly code: string;
  readonly message: string;
}

/** Nothing is written until the engine is opened again. Told once by the log and once by what works in the background. */
export interface WritingFailed {
  readonly type: 'writing-failed';
  readonly atMs: number;
  /** `write`, `fsync`, `open` ... of the log; `flush`, `compaction`, `manifest` ... of the background. */
  readonly operation: string;
  readonly code: string;
  readonly message: string;
}

/** Code and message of the error that the caller got. */
export interface EventError {
  readonly code: string;
  readonly message: string;
}

export interface CheckpointBegun {
  readonly type: 'checkpoint-begun';
  readonly atMs: number;
  readonly directory: string;
}

export interface CheckpointEnded extends Omit<CheckpointBegun, 'type'> {
  readonly type: 'checkpoint-ended';
  /** False: it was given up, for `error`. The figures are 0 then. */
  readonly done: boolean;
  readonly error: EventError | undefined;
  readonly durationMs: number;
  readonly files: number;
  readonly linkedBytes: number;
  readonly copiedBytes: number;
}

export interface BackupBegun {
  readonly type: 'backup-begun';
  readonly atMs: number;
  /** The directory of backups. */
  readonly target: string;
}

export interface BackupEnded extends Omit<BackupBegun, 'type'> {
  readonly type: 'backup-ended';
  /** False: it was given up, for `error`. The figures are 0 then. */
  readonly done: boolean;
  readonly error: EventError | undefined;
  readonly durationMs: number;
  /** Of the store, and of these what no earlier backup had. */
  readonly files: number;
  readonly bytes: number;
  readonly copiedBytes: number;
}

/** Tables that were made elsewhere are taken in. */
export interface IngestBegun {
  readonly type: 'ingest-begun';
  readonly atMs: number;
  readonly directory: string;
}

export interface IngestEnded extends Omit<IngestBegun, 'type'> {
  readonly type: 'ingest-ended';
  /** False: it was given up, for `error`. The figures are 0 then. */
  readonly done: boolean;
  readonly error: EventError | undefined;
  readonly durationMs: number;
  readonly sequence: number;
  readonly entries: number;
  readonly tables: number;
  readonly bytes: number;
}

/** A listener threw, or its promise was rejected. For the other listeners; one that throws while it is told this is only counted. */
export interface ListenerFailed {
  readonly type: 'listener-failed';
  readonly atMs: number;
  /** Type of the event that it was told. */
  readonly event: EngineEvent['type'];
  readonly message: string;
}

export type EngineEvent =
  | FlushBegun
  | FlushEnded
  | CompactionBegun
  | CompactionEnded
  | TablesMoved
  | TablesDropped
  | FilesRemoved
  | MadeDurable
  | StallBegun
  | StallEnded
  | DiskFullBegun
  | DiskFullEnded
  | Corruption
  | WritingFailed
  | CheckpointBegun
  | CheckpointEnded
  | BackupBegun
  | BackupEnded
  | IngestBegun
  | IngestEnded
  | ListenerFailed;

/** Each type once: the compiler sees to it. */
export const EVENT_TYPES: readonly EngineEvent['type'][] = Object.keys({
  'flush-begun': 0,
  'flush-ended': 0,
  'compaction-begun': 0,
  'compaction-ended': 0,
  'tables-moved': 0,
  'tables-dropped': 0,
  'files-removed': 0,
  'made-durable': 0,
  'stall-begun': 0,
  'stall-ended': 0,
  'disk-full-begun': 0,
  'disk-full-ended': 0,
  corruption: 0,
  'writing-failed': 0,
  'checkpoint-begun': 0,
  'checkpoint-ended': 0,
  'backup-begun': 0,
  'backup-ended': 0,
  'ingest-begun': 0,
  'ingest-ended': 0,
  'listener-failed': 0,
} satisfies Record<EngineEvent['type'], 0>) as EngineEvent['type'][];

export type EngineEventOf<T extends EngineEvent['type']> = Extract<EngineEvent, { type: T }>;

/**
 * Where to listen. Listeners are called one by one in the order of the events, never from within the engine: after what the caller's
 * thread is doing has returned to its promises. So they may call the engine. Up to 1,024 events wait for that; then the oldest are lost,
 * and counted (metrics). A listener that throws (or whose promise is rejected) hurts nobody: the others are told by `listener-failed`,
 * it is counted, and the listener stays.
 */
export interface EngineEvents {
  /** Calls `listener` with every event of one type, until what is returned is called. `invalid/OPTION_UNKNOWN` for a type that there is not. */
  on<T extends EngineEvent['type']>(type: T, listener: (event: EngineEventOf<T>) => unknown): () => void;
  /** Calls `listener` with every event. */
  onAny(listener: (event: EngineEvent) => unknown): () => void;
}
