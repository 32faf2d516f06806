/**
 * What a workload may ask of an engine. One adapter an engine stands in peers/.
 *
 * A call returns a promise where the engine's way is to await, and the result itself where it is synchronous: the workloads await
 * only promises, so that a synchronous engine does not pay for a microtask that its users do not pay for either.
 * Keys and values are Buffers in and bytes out, no encodings. Bytes returned belong to the caller, except in variants
 * that say otherwise.
 */
export type Bytes = Uint8Array;
export type Settled<T> = T | Promise<T>;

export interface StoreOptions {
  directory: string;
  /** Which of the adapter's ways to call its engine; '' is the usual one. */
  variant: string;
  /** The store will be asked for synced writes; otherwise nothing is fsynced, at commit or in the log. */
  synced: boolean;
  /** Typical size of a value, for engines whose best schema depends on it. */
  valueBytes: number;
}

export interface Store {
  put(key: Buffer, value: Buffer): Settled<unknown>;
  /** Durable (fsync or fdatasync) when settled. */
  putSynced(key: Buffer, value: Buffer): Settled<unknown>;
  /** One atomic write of all the pairs. */
  batch(keys: Buffer[], values: Buffer[]): Settled<unknown>;
  batchSynced(keys: Buffer[], values: Buffer[]): Settled<unknown>;
  /** Removes the keys, by one batch. */
  deleteMany(keys: Buffer[]): Settled<unknown>;
  get(key: Buffer): Settled<Bytes | undefined>;
  multiGet(keys: Buffer[]): Settled<(Bytes | undefined)[]>;
  /**
   * Visits entries in key order, all or `limit` of them, with keys and values as bytes; calls `every` after each 1,000.
   * Returns how many there were.
   */
  scan(reverse: boolean, limit: number, visit: Visit, every: () => void): Settled<number>;
  /** The entries at and after `from`, at most `count`; returns how many there were. */
  seekNext(from: Buffer, count: number, visit: Visit): Settled<number>;
  /** When the work that loading left to the background is done, for engines that can tell. */
  settle?(): Promise<void>;
  close(): Promise<void>;
}

export type Visit = (key: Bytes, value: Bytes) => void;

/**
 * What a variant takes part in: a variant that only changes how points are read has no row among the writes. `point` is one read at a time,
 * whose bytes need not outlive the next; `read` is everything else that reads by key.
 */
export type Role = 'write' | 'write-in-flight' | 'synced' | 'point' | 'read' | 'scan' | 'mixed' | 'lifecycle';

export interface Variant {
  /** `family` or `family:variant`, as it stands in results. */
  name: string;
  family: string;
  variant: string;
  roles: readonly Role[];
  /** How the engine is used; printed by `--list`. */
  note: string;
}

export interface Adapter {
  variants: readonly Variant[];
  open(options: StoreOptions): Promise<Store>;
}

/** Every engine may use this much memory to cache what it reads, where that can be set. */
export const CACHE_BYTES: number = 256 * 2 ** 20;
/** And this much for a memtable or write buffer. */
export const WRITE_BUFFER_BYTES: number = 64 * 2 ** 20;
/** Entries between two calls of `every` in a scan. */
export const SCAN_STEP = 1000;
