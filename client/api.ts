/**
 * The SDK as its users see it. `connect` (connect.ts) is the way in; client.ts implements this.
 *
 * Keys are 1 to 4,000 bytes, values 0 to 16 MiB unless the server is set otherwise. Both may be given as strings, which are sent as UTF-8;
 * they come back as `Uint8Array`s that belong to the caller. Absence is `undefined`. Order is by unsigned bytes.
 *
 * Every failure is a `SparrowError` of the same kind, code and details as the server threw it. Those of the SDK's own making:
 *
 * | kind / code                        | when                                                                                      |
 * |------------------------------------|-------------------------------------------------------------------------------------------|
 * | invalid / KEY_EMPTY, OPTION_UNKNOWN ... | the arguments are wrong; nothing was sent                                             |
 * | invalid / BATCH_SPANS_SHARDS       | keys of a batch are of several shards: `details.shards`                                    |
 * | conflict / CONDITION_FAILED        | a condition of a batch does not hold: a `ConditionFailedError` with the current value       |
 * | unavailable / TIMEOUT              | no answer within `timeoutMs`; a write may or may not have been applied (`details.applied`)   |
 * | unavailable / UNREACHABLE          | no server could be reached, and retrying ended                                             |
 * | unavailable / NO_LEADER            | no node leads, and retrying ended                                                          |
 * | invalid / OTHER_CLUSTER            | a node is of another cluster than the first one that answered, and no other was reached      |
 * | cancelled / ABORTED                | the call's `signal` was aborted; a write may or may not have been applied                    |
 * | closed / CLIENT_CLOSED             | the client was closed                                                                     |
 */
import type { StatusResponse } from '../proto/index.ts';

export type Bytes = Uint8Array | string;

export interface CallOptions {
  /** Ends the call with `cancelled/ABORTED`. */
  signal?: AbortSignal;
  /** Milliseconds from the call to its answer, waiting for room and all retries included. Default: the client's `timeoutMs`. */
  timeoutMs?: number;
}

export interface ReadOptions extends CallOptions {
  /**
   * `leader`, the default: the node that leads. `any`: all nodes in turn, which takes load off the leader. `nearest`: of those, the ones in the client's `zone`
   * while one of them can be reached. All are linearizable: a node that does not lead asks the leader how far it must be.
   */
  from?: 'leader' | 'any' | 'nearest';
  /**
   * With `from: 'any'` or `'nearest'`: the answer may be so old. It shows at least what had been acknowledged so many milliseconds before the call; a node that knows that
   * much asks nobody. Of two such reads the later one may show the older state. Milliseconds, 1 to 3,600,000. Default: not old at all.
   */
  staleMs?: number;
  /**
   * When there is no answer after so many milliseconds, another node is asked as well; the first answer counts, and the other call is cancelled. `'p99.9'`: after
   * what 999 of 1,000 such reads took no longer than; not before some hundred were made. 1 to 60,000. Takes from the budget for retries. Default: never.
   */
  hedgeMs?: number | 'p99.9';
}

/** A value with the version of the write that stored it. Versions of one key only grow; a merge of its shard gives it a larger one. Equal versions of two keys of a shard: the same write. */
export interface VersionedValue {
  value: Uint8Array;
  version: number;
}

export interface WriteResult {
  /** The version of every key that this write touched. */
  version: number;
}

export interface DeleteRangeResult {
  /** How many keys were there and are not any more. */
  deleted: number;
}

/** A key and its value. */
export type Entry = [key: Uint8Array, value: Uint8Array];

export interface RangeOptions {
  gt?: Bytes;
  gte?: Bytes;
  lt?: Bytes;
  lte?: Bytes;
  /** Only keys that begin with these bytes. Together with bounds, both must hold. */
  prefix?: Bytes;
}

export interface ScanOptions extends RangeOptions {
  /** From the largest key downwards. */
  reverse?: boolean;
  /** At most this many entries. */
  limit?: number;
  /** Values come empty and are not sent. */
  keysOnly?: boolean;
  /** As of `ReadOptions`, for where the scan begins. */
  from?: 'leader' | 'any' | 'nearest';
  staleMs?: number;
  signal?: AbortSignal;
  /**
   * Milliseconds that the scan may go without an entry from the server while the consumer waits for one; the time that the consumer takes
   * does not count. Default: the client's `timeoutMs`.
   */
  timeoutMs?: number;
}

/** What `status` tells: the server's own answer (proto/sparrowkv/v1/admin.proto). */
export type ServerStatus = StatusResponse;

/** What the server takes. In bytes. */
export interface Limits {
  keyBytesMax: number;
  valueBytesMax: number;
  /** All keys and values of one batch. */
  writeBytesMax: number;
}

/** Certificates and keys in PEM: strings or bytes, not names of files. */
export interface TlsOptions {
  /** Certificates that the servers' ones must lead to. Default: those that Node trusts. */
  authority?: Bytes;
  /** What this client shows, where servers ask for it, and its private key. */
  certificate?: Bytes;
  key?: Bytes;
}

export interface ConnectOptions {
  /** Default of every call's `timeoutMs`. Milliseconds, 1 to 3,600,000. Default 10,000. */
  timeoutMs?: number;
  /**
   * How long a call waits while no server can be reached, before it fails with `unavailable/UNREACHABLE`. At 0 it fails as soon as each address was tried
   * once. Milliseconds, 0 to 3,600,000. Default: until the call's own `timeoutMs`, which lets it outlast a restart of the server.
   */
  waitForServerMs?: number;
  /** The same while servers answer and none of them leads, before `unavailable/NO_LEADER`: an election takes a second or two. Default: `waitForServerMs`. */
  waitForLeaderMs?: number;
  /** Calls that may be under way at once; further ones wait. 1 to 100,000. Default 1,024; the server may set a lower bound. */
  callsInFlightMax?: number;
  /** Bytes of keys and values under way at once; further calls wait. From 1 MiB. Default 64 MiB. A larger call goes alone. */
  bytesInFlightMax?: number;
  /** Calls that may wait for room; one more fails with `exhausted/TOO_MANY_WAITING`. Default 100,000. */
  callsWaitingMax?: number;
  /** First pause before a retry; it doubles, with jitter, up to `retryPauseMsMax`. Defaults 10 and 1,000. */
  retryPauseMs?: number;
  retryPauseMsMax?: number;
  /**
   * `session`: all concurrent calls share one stream and are coalesced; far faster under load. `unary`: each call is a gRPC call of its own,
   * for middleboxes that know only those. Default `session`.
   */
  transport?: 'session' | 'unary';
  /** The zone that this client is in, as nodes call theirs: reads with `from: 'nearest'` go to nodes there. Default: none. */
  zone?: string;
  /** TLS to all servers of the cluster; `{}`: with what Node trusts. Default: none. */
  tls?: TlsOptions;
}

/**
 * Writes that happen together or not at all, and conditions on which they depend. Filled by chained calls, then given to `Client.write`;
 * may be sent again, also after a failure. Keys and values are not copied: they must not change until the write settles.
 */
export interface Batch {
  /** For one key, the last operation of the batch wins. */
  put(key: Bytes, value: Bytes): Batch;
  delete(key: Bytes): Batch;
  /** Only if the key is missing. */
  ifAbsent(key: Bytes): Batch;
  /** Only if the key has this value. */
  ifValue(key: Bytes, value: Bytes): Batch;
  /** Only if the key has this version (of `getEntry`). */
  ifVersion(key: Bytes, version: number): Batch;
  /** Number of puts and deletes. */
  readonly operations: number;
}

/** What is done with the entries of a table. */
export interface KeyValues {
  /** The value of a key, or `undefined`. Linearizable, unless `staleMs` is given. */
  get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined>;
  /** The value with its version: what `ifVersion` compares. */
  getEntry(key: Bytes, options?: ReadOptions): Promise<VersionedValue | undefined>;
  /** The version alone, or `undefined` when the key is missing: tells whether it exists without sending its value. */
  getVersion(key: Bytes, options?: ReadOptions): Promise<number | undefined>;
  /**
   * Values in the order of the keys, at most 10,000. Those of one shard are as of one point in time; a table of one shard, as `default` is at first, is so as a
   * whole. Keys of several shards are asked for at once, each shard as of its own moment.
   */
  multiGet(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]>;
  /** Durable when it settles, as its table's `durability` says. Retried safely: it carries a request id and is applied once. So are all writes. */
  put(key: Bytes, value: Bytes, options?: CallOptions): Promise<WriteResult>;
  /** Deleting a missing key succeeds. */
  delete(key: Bytes, options?: CallOptions): Promise<WriteResult>;
  /** An empty batch to fill; `write` sends it. */
  batch(): Batch;
  /**
   * All operations of the batch happen or none, and only if all of its conditions hold; else throws a `ConditionFailedError`. All keys must be of one shard:
   * `invalid/BATCH_SPANS_SHARDS` names theirs otherwise, and nothing was done.
   */
  write(batch: Batch, options?: CallOptions): Promise<WriteResult>;
  /**
   * Deletes the keys of a range: in runs, each atomic and of one shard; in key order within a shard. `timeoutMs` counts for each run. At least one bound or
   * prefix is asked for; `{ gte: '\0' }` is everything. When a run is sent twice because its answer was lost, its keys may be counted less.
   */
  deleteRange(range: RangeOptions, options?: CallOptions): Promise<DeleteRangeResult>;
  /**
   * Entries in key order, over all shards; those of one shard as of the moment when the scan comes to it. Reads ahead by a bounded amount and waits for the
   * consumer. After a broken connection, and when shards are split, merged or moved meanwhile, it goes on after the last entry it gave; entries from then on
   * are as of that later moment.
   */
  scan(options?: ScanOptions): AsyncIterableIterator<Entry>;
}

/** A table: as `Client.table` gives it. Costs nothing to make; the first call finds out whether it is there (`invalid/TABLE_UNKNOWN`). */
export interface Table extends KeyValues {
  readonly name: string;
}

/** How a table is divided into shards. Ranges keep neighbours together, and split where there is most; hashes spread neighbours over all shards. */
export type Partitioning = { readonly hash: number } | { readonly range: readonly Bytes[] };

/**
 * When a write of a table is answered: `synced`, when it is on the disks of a majority; `os`, when a majority has it in its system's cache. Then it survives the
 * end of any number of processes, and the loss of a minority of machines; the loss of power of a majority at once may take what was answered in the last 100 ms.
 */
export type Durability = 'synced' | 'os';

/**
 * Bounds of a whole table; 0: none. At its `bytes`, of which each value counts once, puts are refused with `exhausted/QUOTA_BYTES`. Beyond the rates calls are delayed for up to a
 * second, then refused with `exhausted/QUOTA_RATE`, which is tried again within the call's time. Those that are left out stay as they are.
 */
export interface TableQuotas {
  readonly bytes?: number;
  /** Keys that are read, and chunks of scans. */
  readonly readsPerSecond?: number;
  /** Puts, deletes, range deletes. */
  readonly writesPerSecond?: number;
}

/** What of a table can be changed. */
export interface TableSettings {
  /** Voters of each shard: 1, 3 or 5. Default: 3, or fewer while there are fewer nodes. */
  replicas?: number;
  /** Beside the voters: replicas that follow, and serve reads; and such that vote and have no data. Default 0. */
  learners?: number;
  witnesses?: number;
  /** On nodes of which pool the replicas are. Default: `default`. */
  pool?: string;
  /** Values of so many bytes and more lie outside of the index. 0, the default: the servers' own bound. */
  inlineThreshold?: number;
  /** Default: `synced`. */
  durability?: Durability;
  /** What the whole table may have and be asked for. */
  quotas?: TableQuotas;
  /** Values live for so long after their put, milliseconds, at most 100 years; 0, the default: they stay. Of values that are there it changes nothing. */
  ttlMs?: number;
}

export interface CreateTableOptions extends TableSettings {
  /** `{ hash: shards }`, a power of two up to 1,024; `{ range: splitKeys }`, in order. Default: `{ range: [] }`, one shard that splits as it grows. */
  partitioning?: Partitioning;
}

export interface TableInfo {
  /** Never used again. */
  readonly id: number;
  readonly name: string;
  readonly partitioning: 'range' | 'hash';
  readonly shards: number;
  readonly replicas: number;
  readonly learners: number;
  readonly witnesses: number;
  readonly pool: string;
  readonly inlineThreshold: number;
  readonly durability: Durability;
  /** 0: values stay. */
  readonly ttlMs: number;
  readonly quotas: Required<TableQuotas>;
  readonly state: 'normal' | 'creating' | 'dropped';
  /** Of a dropped table: until when it can be undeleted. Undefined once it is being destroyed. */
  readonly undeleteUntil: Date | undefined;
}

/**
 * The tables of the cluster. None of the changes is repeated when its answer was lost (`unavailable/CONNECTION_LOST` and the like): it may have been made, and
 * `get` tells.
 */
export interface Tables {
  /** Settles when every shard has a leader. Throws `invalid/TABLE_EXISTS`, and `unavailable/TABLE_NOT_READY`: the table is there, its shards come later. */
  create(name: string, options?: CreateTableOptions & CallOptions): Promise<TableInfo>;
  list(options?: { dropped?: boolean } & CallOptions): Promise<TableInfo[]>;
  /** Undefined when there is none, or only a dropped one. */
  get(name: string, options?: CallOptions): Promise<TableInfo | undefined>;
  /** What is left out stays as it is. Online: replicas are made and removed one after another. */
  alter(name: string, changes: TableSettings & { newName?: string }, options?: CallOptions): Promise<TableInfo>;
  /** The table is not found any more; its data are kept for `undeleteMs`, by default as the cluster's settings say. */
  drop(name: string, options?: { undeleteMs?: number } & CallOptions): Promise<TableInfo>;
  undelete(name: string, options?: { newName?: string } & CallOptions): Promise<TableInfo>;
}

/** A client's own verbs are those of table `default`. */
export interface Client extends KeyValues, AsyncDisposable {
  /** Throws `invalid/TABLE_NAME`; asks nobody. */
  table(name: string): Table;
  readonly tables: Tables;
  status(options?: CallOptions): Promise<ServerStatus>;
  /** What the connected server takes; connects if need be. */
  limits(options?: CallOptions): Promise<Limits>;
  /** Calls under way fail with `closed/CLIENT_CLOSED`. Idempotent. */
  close(): Promise<void>;
}
