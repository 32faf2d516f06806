/**
 * The figures of an engine (`engine.metrics()`), by subsystem: plain data, made when asked for, at a cost that grows with the number of
 * tables and not with what they hold. Counters count from the opening of the engine; nothing on the path of a read or write is timed.
 */
import type { CompactionReason } from './compaction-reason.ts';
import type { DiskWork, StallReason } from './events/index.ts';
import type { IoKind } from './io-kind.ts';
import type { KeyspaceSettings } from './keyspaces-api.ts';

export interface WorkMetrics {
  readonly count: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** From being asked for to the end, milliseconds together. */
  readonly ms: number;
}

export interface WaitMetrics {
  readonly count: number;
  /** Milliseconds together, of those that have ended. */
  readonly ms: number;
}

export interface LevelMetrics {
  readonly tables: number;
  readonly bytes: number;
  /** What the level may hold before it is compacted into the next; undefined for level 0, which is bounded by its tables, and for the last. */
  readonly bytesMax: number | undefined;
}

export interface CacheMetrics {
  readonly bytes: number;
  readonly bytesMax: number;
  readonly hits: number;
  readonly misses: number;
  /** hits / (hits + misses); undefined before the first. */
  readonly hitRate: number | undefined;
}

/** Bytes on the disk that nobody can see any more, and when they come back. */
export interface ReclaimableMetrics {
  readonly bytes: number;
  /**
   * Whether compaction will do it without another write: what is over its bound. What is not stays, within the bound, until it grows, or
   * until a compaction comes by for another reason.
   */
  readonly due: boolean;
  /** In about how many milliseconds, when due and compaction's speed is known. How it is estimated: engine/metrics/reclaimable.ts. */
  readonly inMs: number | undefined;
}

export interface EngineMetrics {
  readonly uptimeMs: number;
  /** Sequence number of the last write. */
  readonly sequence: number;
  /** Without the default one. */
  readonly keyspaces: number;
  /** By name, of those that have settings of their own. */
  readonly keyspaceSettings: Readonly<Record<string, Readonly<KeyspaceSettings>>>;
  /** Why nothing is written any more, if so. */
  readonly failure: string | undefined;

  readonly writes: {
    /** Puts and deletes, those of batches one by one. */
    readonly operations: number;
    /** Bytes of their keys and values. */
    readonly userBytes: number;
    /** Bytes written to files for one byte of the user's: log, tables, block files, manifest. Undefined before the first write. */
    readonly amplification: number | undefined;
  };
  readonly reads: {
    /** Point reads. */
    readonly gets: number;
    /** Pages that had to be read from files, for point reads and scans. */
    readonly pageReads: number;
    /** Reads of files that asynchronous verbs had done in the thread pool, because they were likely to be slow. */
    readonly awayReads: number;
  };
  readonly log: {
    readonly segments: number;
    /** Of all segments that are not block files. */
    readonly bytes: number;
    /** Not handed to the operating system yet. */
    readonly pendingBytes: number;
    readonly bytesWritten: number;
    /** fdatasyncs that somebody waited for, how many calls they served together, and the most that one did. */
    readonly syncs: number;
    readonly syncCalls: number;
    readonly syncCallsMax: number;
  };
  readonly memtables: {
    /** Bytes of records, in all of them. */
    readonly bytes: number;
    /** Of a hosted engine: of large values in the host's log that they point to. */
    readonly valueBytes: number;
    /** Distinct keys of each, added up, those included that were deleted; and how many of their records are deletes. */
    readonly keys: number;
    readonly deletes: number;
    /** Those that wait to be flushed. */
    readonly sealed: number;
    /** At which one is sealed: the setting `memtableBytes`. */
    readonly bytesMax: number;
  };
  readonly flushes: WorkMetrics & { readonly running: boolean };
  readonly compactions: WorkMetrics & {
    readonly running: boolean;
    readonly byReason: Readonly<Record<CompactionReason, WorkMetrics>>;
    /** Tables that changed level without being rewritten. */
    readonly moves: number;
    readonly versionsDropped: number;
    /** Bytes that levels hold beyond their share: what compaction is behind. */
    readonly debtBytes: number;
  };
  readonly tables: {
    readonly count: number;
    readonly bytes: number;
    /** Versions of keys, deletes included. */
    readonly entries: number;
    readonly deletes: number;
    /** Level 0 and on, down to the last that holds anything. */
    readonly levels: readonly LevelMetrics[];
  };
  /** Those that may still hide something, in memtables and in the version. */
  readonly rangeTombstones: number;
  readonly manifest: { readonly bytes: number; readonly bytesWritten: number };
  /** Indexes and filters of tables; with shared resources: of all engines. */
  readonly indexes: {
    /** Of those that are in memory as a whole. */
    readonly bytes: number;
    readonly bytesMax: number;
    readonly wholeTables: number;
    /** Tables that found no room: they are read through the page cache, a page at a time. */
    readonly pagedTables: number;
  };
  /** With shared resources: of all engines. */
  readonly pageCache: CacheMetrics;
  /** With shared resources: hits and misses of this engine, bytes of all. */
  readonly valueCache: CacheMetrics;
  readonly values: {
    /** Block files. */
    readonly files: number;
    readonly fileBytes: number;
    /** Large values that tables refer to, in block files and in the log. */
    readonly liveBytes: number;
  };
  readonly space: {
    /** Of all files: log, tables, block files, manifest. */
    readonly diskBytes: number;
    /** diskBytes / (tables + live large values + memtables - what is reclaimable in tables); undefined for an empty store. */
    readonly amplification: number | undefined;
    /** Large values in block files that nothing refers to. */
    readonly garbage: ReclaimableMetrics;
    /** Deletes in tables, and at most what they can hide. */
    readonly deleted: ReclaimableMetrics;
    /** What has outlived its time, if it expires evenly between the earliest and the latest of its table. */
    readonly expired: ReclaimableMetrics;
    /** Files that were removed. */
    readonly filesRemoved: number;
    readonly bytesRemoved: number;
  };
  readonly snapshots: {
    /** Snapshots, scans, iterators and reads that wait for the disk, each of which holds a point in time. */
    readonly count: number;
    /** Those of them that are not snapshots: neither at their end nor closed. */
    readonly iterators: number;
    /** The oldest sequence number that is held; undefined: none. */
    readonly oldestSequence: number | undefined;
    /** Bytes that memtables keep for nothing but snapshots, and tables, when they were written: at most. */
    readonly pinnedBytes: number;
  };
  readonly stalls: WaitMetrics & {
    /** Why writers wait now. */
    readonly now: readonly StallReason[];
    readonly byReason: Readonly<Record<StallReason, WaitMetrics>>;
    /** Those that held the caller's thread; part of the others. */
    readonly blocking: WaitMetrics;
  };
  readonly diskFull: WaitMetrics & {
    /** What finds no room now. */
    readonly now: readonly DiskWork[];
  };
  /** The budget of what is read and written behind. With shared resources: of all engines. */
  readonly backgroundIo: {
    /** Read and written so far, by work. */
    readonly bytesByKind: Readonly<Record<IoKind, number>>;
    /** What may be read and written in a second at present; Infinity: no bound. */
    readonly bytesPerSec: number;
  };
  readonly corruptions: number;
  /** Made while it was open. */
  readonly checkpoints: number;
  readonly backups: number;
  readonly events: {
    /** Lost because too many waited to be told. */
    readonly dropped: number;
    readonly listenerFailures: number;
  };
  readonly memory: {
    /** Linear memory that is handed out: memtables, caches (whole, filled or not), indexes, windows. With shared resources: of all engines. */
    readonly linearBytes: number;
    readonly linearBytesMax: number;
    /** What the files themselves take, of a store in memory; 0 for one on a disk. */
    readonly fileBytes: number;
  };
}
