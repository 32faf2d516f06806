/**
 * The embedded store as its users see it. Implemented by engine.ts; `open` in open.ts is the way in.
 *
 * Keys are 1 to 4,096 bytes, values 0 to 16 MiB by default; both may be given as strings, which are stored as UTF-8. What is returned
 * belongs to the caller and is never written again. Absence is `undefined`. Order is by unsigned bytes.
 */
import type { EngineEvents } from './events/index.ts';
import type { EngineMetrics } from './engine-metrics.ts';
import type {
  BackupOptions,
  BackupResult,
  CheckpointOptions,
  CheckpointResult,
  IngestOptions,
  IngestResult,
  InspectOptions,
  VerifyReport,
} from './files-api.ts';
import type { KeyspaceSettings } from './keyspaces-api.ts';

export type Bytes = Uint8Array | string;

/**
 * When a write's promise settles.
 * - `buffered`: at once; the write reaches the operating system at the end of the tick or within 256 KiB. Lost when the process dies before.
 * - `os`: when the operating system has it; survives the death of the process, not of the machine.
 * - `synced`: when the disk has it (fdatasync, one for all callers that wait); survives power loss.
 */
export type Durability = 'buffered' | 'os' | 'synced';

export interface WriteOptions {
  /** Default: the engine's `durability` setting. */
  durability?: Durability;
  /**
   * The sequence number for this batch, larger than any before it: for a replicated log that numbers its entries itself.
   * Default: the last one plus 1.
   */
  sequence?: number;
}

/** When a value ends. Then it reads as absent, at snapshots too, and its space is given back in time. At most one of the two. */
export interface Expiry {
  /** Milliseconds from now, a whole number from 1; Infinity: never, whatever the keyspace's `ttlMs`. Default: the keyspace's. */
  ttlMs?: number;
  /** Milliseconds since the epoch, a whole number from 1. */
  expiresAtMs?: number;
}

export interface PutOptions extends WriteOptions, Expiry {}

/** What must hold for a batch to be written: exactly one of `absent`, `value`, `version`. Without `keyspace`: in the default one. */
export type Condition = { key: Bytes; keyspace?: Keyspace } & (
  | { absent: true }
  /** The key has this value. */
  | { value: Bytes }
  /** The key has this version (of `getEntry`). */
  | { version: number }
);

export interface BatchOptions extends WriteOptions {
  /** All must hold, as of just before the batch: else it rejects with a ConditionFailedError and nothing is written. */
  conditions?: readonly Condition[];
}

export interface ReadOptions {
  /** Read as of this snapshot instead of now. */
  snapshot?: Snapshot;
}

/** Keys between bounds; without one, from the first key or to the last. */
export interface KeyRange {
  gt?: Bytes;
  gte?: Bytes;
  lt?: Bytes;
  lte?: Bytes;
  /** Only keys that begin with these bytes; not together with bounds. */
  prefix?: Bytes;
}

export interface ScanOptions extends ReadOptions, KeyRange {
  /** From the largest key downwards. */
  reverse?: boolean;
  /** At most this many entries. */
  limit?: number;
  /** Values are empty and are not read. */
  keysOnly?: boolean;
}

/** A key and its value. */
export type Entry = [key: Uint8Array, value: Uint8Array];

/** A value with the sequence number of the batch that wrote it. */
export interface VersionedValue {
  value: Uint8Array;
  version: number;
  /** When it ends, in milliseconds since the epoch. Undefined: it does not. */
  expiresAtMs?: number;
}

/** A part of a batch. Without `keyspace`: of the default one. */
export type BatchOperation =
  | ({ type: 'put'; key: Bytes; value: Bytes; keyspace?: Keyspace } & Expiry)
  | { type: 'delete'; key: Bytes; keyspace?: Keyspace }
  | ({ type: 'deleteRange'; keyspace?: Keyspace } & KeyRange)
  /** Sees what comes before it in the batch. */
  | ({ type: 'increment'; key: Bytes; by?: bigint | number; keyspace?: Keyspace } & Expiry);

/** What became of a write. */
export interface WriteResult {
  /** The batch's sequence number: the version of every key that it wrote. */
  sequence: number;
  /** What its increments came to, in their order. */
  counters: bigint[];
}

/**
 * A place between the entries of a range, at one point in time, that can be moved. Synchronous, like every read underneath. Keeps what it may
 * need on disk until it is closed, at its end too: close it, or declare it with `using`. `closed/ITERATOR_CLOSED` after.
 */
export interface EngineIterator extends Disposable {
  /**
   * The next entry is the one with this key, or else the nearest behind it in the iterator's direction, from wherever the iterator is. A
   * key outside of its bounds counts as the bound.
   */
  seek(key: Bytes): void;
  /** The next entry, or undefined behind the last. */
  next(): Entry | undefined;
  /** Up to `count` entries, fewer only at the end: a run at a time costs less than one by one. */
  nextMany(count: number): Entry[];
  close(): void;
}

/** A fixed point in time. Keeps what it may need on disk until released. */
export interface Snapshot extends Disposable {
  readonly sequence: number;
  /**
   * Bytes of older versions, with their large values, that are kept for it: at most what flushes and compactions give back after its release.
   * What other snapshots see as well counts for each of them. 0 when it has been released.
   */
  readonly pinnedBytes: number;
  release(): void;
}

/** What can be done with keys: in the default keyspace (an Engine) or in another (a Keyspace). */
export interface KeyValues {
  put(key: Bytes, value: Bytes, options?: PutOptions): Promise<void>;
  delete(key: Bytes, options?: WriteOptions): Promise<void>;
  /**
   * Deletes all keys of the range, however many: the cost does not depend on that. `{}`: all there are. `invalid/SCAN_BOUNDS` when every bound that
   * is given is undefined.
   */
  deleteRange(range: KeyRange, options?: WriteOptions): Promise<void>;
  /**
   * Adds to a counter and gives what it came to: a value of 8 bytes, a signed 64-bit integer, little-endian; a missing key counts as 0.
   * Atomic. Keeps the key's expiry unless the options give another. Default of `by`: 1. `invalid/NOT_A_COUNTER`, `invalid/COUNTER_OVERFLOW`.
   */
  increment(key: Bytes, by?: bigint | number, options?: PutOptions): Promise<bigint>;

  get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined>;
  getSync(key: Bytes, options?: ReadOptions): Uint8Array | undefined;
  /** The value with its version. */
  getEntry(key: Bytes, options?: ReadOptions): Promise<VersionedValue | undefined>;
  getEntrySync(key: Bytes, options?: ReadOptions): VersionedValue | undefined;
  /** Values in the order of the keys, all from one point in time. Keys of one page cost one read of it. */
  getMany(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]>;
  getManySync(keys: readonly Bytes[], options?: ReadOptions): (Uint8Array | undefined)[];
  /** Whether the key is there, without reading its value. */
  has(key: Bytes, options?: ReadOptions): Promise<boolean>;
  hasSync(key: Bytes, options?: ReadOptions): boolean;

  /** Entries in key order, from one point in time. */
  scan(options?: ScanOptions): AsyncIterableIterator<Entry>;
  scanSync(options?: ScanOptions): IterableIterator<Entry>;
  /** A place in the range that can be moved by `seek`. `limit` counts all entries that it gives. */
  iterator(options?: ScanOptions): EngineIterator;
}

/**
 * A set of keys of its own within an engine: the same key in two keyspaces is two keys. Costs nothing while it is not used, takes part in
 * the engine's batches and snapshots, and lives as long as the engine is open.
 */
export interface Keyspace extends KeyValues {
  readonly name: string;
  /** Those that were given; the engine's hold for the others. */
  readonly settings: Readonly<KeyspaceSettings>;
  /** What `keepOnly` was told last. Undefined: everything is kept. */
  readonly kept: Readonly<KeepRule> | undefined;
  /**
   * From now on compaction leaves out what the rule does not keep, on its way and at no cost to writes: what was written before, and what will be.
   * Until it has come to an entry, reads still find it; after that they do not. What a snapshot sees it keeps. Durable when it settles.
   * `undefined`: everything is kept again; what has gone is gone. `invalid/KEEP_RULE`.
   */
  keepOnly(rule: KeepRule | undefined): Promise<void>;
  /**
   * Deletes all its entries and forgets its name and settings, at a cost that does not depend on how much there is; durable when it settles.
   * This object is of no use from the call on (`closed/KEYSPACE_DROPPED`); scans and iterators that were begun go on as of then. A keyspace that is made by the same name is another, empty one.
   * `sequence`: as of other writes.
   */
  drop(options?: Pick<WriteOptions, 'sequence'>): Promise<void>;
}

/**
 * Which keys of a keyspace to keep: those that are within the bounds and have the hash that is given. Plain data, because compaction asks it on a
 * thread of its own.
 */
export interface KeepRule {
  gte?: Bytes;
  lt?: Bytes;
  /** Keys of which `(keepHash(key) & mask) === value`, as unsigned numbers of 32 bits. */
  hash?: { mask: number; value: number };
}

export interface CompactRange {
  gt?: Bytes;
  gte?: Bytes;
  lt?: Bytes;
  lte?: Bytes;
  prefix?: Bytes;
  /** Default: the default keyspace. */
  keyspace?: Keyspace;
}

export interface Engine extends KeyValues, AsyncDisposable {
  readonly path: string;
  /** Sequence number of the last write. */
  readonly sequence: number;
  /** All operations or none, in any keyspaces, and only if all conditions hold. For one key the last operation wins. */
  write(batch: readonly BatchOperation[], options?: BatchOptions): Promise<WriteResult>;

  /**
   * The keyspace of that name (1 to 255 bytes of UTF-8), made when it is not there, and durable when this settles. `settings` replace those
   * that it has and hold for what is written from then on; without them it keeps its own. `exhausted/KEYSPACES` after 65,535 have been made.
   */
  keyspace(name: string, settings?: KeyspaceSettings): Promise<Keyspace>;
  /** The names of all keyspaces but the default one, in the order in which they were made. */
  keyspaces(): string[];

  snapshot(): Snapshot;
  /** Settles when everything written so far is on disk (as `synced`). */
  sync(): Promise<void>;
  /** Settles when everything written so far is in table files. */
  flush(): Promise<void>;
  /**
   * Merges what was written of a range of keys (of the default keyspace unless one is named; without a range all of all keyspaces) until it is
   * in tables of one level, and drops what nobody can see. Compaction does that by itself when it is worth it; this is for after a mass of
   * deletes, or before a store is put away.
   */
  compact(range?: CompactRange): Promise<void>;
  /** Settles when no background work is left to do. */
  settled(): Promise<void>;
  /**
   * Makes `directory`, which does not exist or is empty, a store of its own that is what this one is now: everything acknowledged before
   * the call, and nothing later. On the same file system it costs the links and the tail of the log. It is whole when the promise settles;
   * after a crash before that it is refused, and the call may be repeated. `conflict/NOT_EMPTY`, `invalid/CANNOT_LINK`.
   */
  checkpoint(directory: string, options?: CheckpointOptions): Promise<CheckpointResult>;
  /** What happens behind, as it happens: flushes, compactions, stalls, full disks, corruption. See events/event.ts. */
  readonly events: EngineEvents;
  /**
   * Adds a backup of what the engine holds now to the directory of backups `target`, making it where it is not there. What an earlier backup of
   * this store has is not copied again; what none has is verified, and damage is `corrupt/CORRUPT_STORE`: no backup is made. The engine keeps
   * serving; files that the backup wants stay until it has ended. `conflict/NOT_EMPTY` for a directory that holds something else.
   */
  backup(target: string, options?: BackupOptions): Promise<BackupResult>;
  /**
   * Takes in what a table writer (`createTableWriter`) has made in `directory`, at once and all of it, with one sequence number: newer than all
   * that was written before it takes effect. Keyspaces are found by name, or made. Every byte is verified before. Durable when it settles; after a
   * crash before that nothing of it is there, or all. `invalid/NOT_INGESTABLE`, `corrupt/CORRUPT_INGEST`, `conflict/INGESTED_BEFORE`.
   */
  ingest(directory: string, options?: IngestOptions): Promise<IngestResult>;
  /**
   * Reads every byte that the store is made of now and compares it with its checksums and the rest, a mebibyte between turns of the event loop.
   * Damage is what the report says, not a rejection.
   */
  verify(options?: InspectOptions): Promise<VerifyReport>;
  /** Figures of every subsystem, as of now. See engine-metrics.ts. */
  metrics(): EngineMetrics;
  /** Idempotent. Buffered writes reach the operating system before it settles. */
  close(): Promise<void>;
}
