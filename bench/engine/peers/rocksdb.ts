/**
 * @nxtedition/rocksdb: RocksDB behind abstract-level 1. The variant `sync` uses the binding's synchronous calls (_writeSync, _getManySync,
 * _nextvSync), as its authors do; a batch object is reused, since each new one stays attached to the database.
 *
 * `put` drops its `sync` option: synced writes go through batches. The log's compression is off, which is quicker here; the tables'
 * compression is left on (zstd, its default).
 */
import { RocksLevel, type RocksBatch, type RocksIterator } from '@nxtedition/rocksdb';
import {
  CACHE_BYTES,
  SCAN_STEP,
  WRITE_BUFFER_BYTES,
  type Adapter,
  type Bytes,
  type Settled,
  type Store,
  type StoreOptions,
  type Visit,
} from '../store.ts';

const SYNCED = { sync: true };
const NOT_SYNCED = { sync: false };
const READ = { keyEncoding: 'buffer', valueEncoding: 'buffer' };
/** RocksDB's own default is a quarter of this budget for a memtable. */
const MEMTABLE_BUDGET_BYTES = 4 * WRITE_BUFFER_BYTES;

class RocksStore implements Store {
  protected readonly level: RocksLevel;

  constructor(level: RocksLevel) {
    this.level = level;
  }

  put(key: Buffer, value: Buffer): Settled<unknown> {
    return this.level.put(key, value);
  }

  putSynced(key: Buffer, value: Buffer): Settled<unknown> {
    return this.level.batch([{ type: 'put', key, value }], SYNCED);
  }

  batch(keys: Buffer[], values: Buffer[]): Settled<unknown> {
    return this.level.batch(puts(keys, values), NOT_SYNCED);
  }

  batchSynced(keys: Buffer[], values: Buffer[]): Settled<unknown> {
    return this.level.batch(puts(keys, values), SYNCED);
  }

  deleteMany(keys: Buffer[]): Settled<unknown> {
    return this.level.batch(
      keys.map((key) => ({ type: 'del', key })),
      NOT_SYNCED,
    );
  }

  /** By getMany: `get` of a missing key rejects, which would measure the making of errors. */
  get(key: Buffer): Settled<Bytes | undefined> {
    return this.level.getMany([key]).then(first);
  }

  multiGet(keys: Buffer[]): Settled<(Bytes | undefined)[]> {
    return this.level.getMany(keys);
  }

  scan(reverse: boolean, limit: number, visit: Visit, every: () => void): Settled<number> {
    return this.#scanAwaited(reverse, limit, visit, every);
  }

  async #scanAwaited(reverse: boolean, limit: number, visit: Visit, every: () => void): Promise<number> {
    const iterator = this.level.iterator({ ...READ, reverse, ...(limit < Infinity && { limit }) });
    let count = 0;
    for (;;) {
      const entries = await iterator.nextv(SCAN_STEP);
      if (entries.length === 0) break;
      for (const [key, value] of entries) visit(key, value);
      count += entries.length;
      every();
    }
    await iterator.close();
    return count;
  }

  async seekNext(from: Buffer, count: number, visit: Visit): Promise<number> {
    const iterator = this.level.iterator({ ...READ, gte: from, limit: count });
    const entries = await iterator.nextv(count);
    for (const [key, value] of entries) visit(key, value);
    await iterator.close();
    return entries.length;
  }

  close(): Promise<void> {
    return this.level.close();
  }
}

class RocksSyncStore implements Store {
  readonly #level: RocksLevel;
  readonly #batch: RocksBatch;
  #seeker: RocksIterator | undefined;

  constructor(level: RocksLevel) {
    this.#level = level;
    this.#batch = level._chainedBatch();
  }

  put(key: Buffer, value: Buffer): undefined {
    this.#batch._put(key, value);
    this.#write(NOT_SYNCED);
  }

  putSynced(key: Buffer, value: Buffer): Promise<void> {
    this.#batch._put(key, value);
    this.#write(SYNCED);
    return Promise.resolve();
  }

  batch(keys: Buffer[], values: Buffer[]): undefined {
    for (let i = 0; i < keys.length; i++) this.#batch._put(keys[i]!, values[i]!);
    this.#write(NOT_SYNCED);
  }

  batchSynced(keys: Buffer[], values: Buffer[]): Promise<void> {
    for (let i = 0; i < keys.length; i++) this.#batch._put(keys[i]!, values[i]!);
    this.#write(SYNCED);
    return Promise.resolve();
  }

  deleteMany(keys: Buffer[]): undefined {
    for (const key of keys) this.#batch._del(key);
    this.#write(NOT_SYNCED);
  }

  get(key: Buffer): Bytes | undefined {
    return this.#level._getManySync([key], READ)[0];
  }

  multiGet(keys: Buffer[]): (Bytes | undefined)[] {
    return this.#level._getManySync(keys, READ);
  }

  scan(reverse: boolean, limit: number, visit: Visit, every: () => void): number {
    const iterator = this.#level._iterator({ ...READ, reverse, ...(limit < Infinity && { limit }) });
    let count = 0;
    for (let finished = false; !finished; every()) {
      const next = iterator._nextvSync(SCAN_STEP, READ);
      visitRows(next.rows, visit);
      count += next.rows.length / 2;
      finished = next.finished;
    }
    iterator._closeSync();
    return count;
  }

  /** One iterator is kept and sought anew. */
  seekNext(from: Buffer, count: number, visit: Visit): number {
    this.#seeker ??= this.#level._iterator(READ);
    this.#seeker._seekSync(from);
    const { rows } = this.#seeker._nextvSync(count, READ);
    visitRows(rows, visit);
    return rows.length / 2;
  }

  async close(): Promise<void> {
    this.#seeker?._closeSync();
    await this.#batch.close();
    await this.#level.close();
  }

  #write(options: { sync: boolean }): void {
    this.#batch._writeSync(options);
    this.#batch._clear();
  }
}

function puts(keys: Buffer[], values: Buffer[]): { type: 'put'; key: Buffer; value: Buffer }[] {
  return keys.map((key, i) => ({ type: 'put', key, value: values[i]! }));
}

function first(values: (Buffer | undefined)[]): Buffer | undefined {
  return values[0];
}

function visitRows(rows: Buffer[], visit: Visit): void {
  for (let i = 0; i < rows.length; i += 2) visit(rows[i]!, rows[i + 1]!);
}

export const adapter: Adapter = {
  variants: [
    {
      name: 'rocksdb',
      family: 'rocksdb',
      variant: '',
      roles: ['write', 'write-in-flight', 'synced', 'point', 'read', 'scan', 'mixed', 'lifecycle'],
      note: '@nxtedition/rocksdb, awaited',
    },
    {
      name: 'rocksdb:sync',
      family: 'rocksdb',
      variant: 'sync',
      roles: ['write', 'synced', 'point', 'read', 'scan', 'mixed'],
      note: '@nxtedition/rocksdb: its synchronous calls',
    },
  ],
  async open({ directory, variant }: StoreOptions): Promise<Store> {
    const level = new RocksLevel(directory, {
      ...READ,
      cacheSize: CACHE_BYTES,
      memtableMemoryBudget: MEMTABLE_BUDGET_BYTES,
      walCompression: false,
    });
    await level.open();
    return variant === 'sync' ? new RocksSyncStore(level) : new RocksStore(level);
  },
};
