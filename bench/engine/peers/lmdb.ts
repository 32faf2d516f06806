/**
 * lmdb: LMDB by lmdb-js. Reads are synchronous by design. Writes are queued to a writer thread; the variant `sync` commits each
 * on the caller's thread instead (putSync, transactionSync). The variant `fast` reads by getBinaryFast, whose bytes are valid
 * only until the next read: less than the others promise, so it is only among the point reads. The variant `map` is `sync` over a writable
 * map, which its documentation discourages (a stray pointer may corrupt the file) and which is its quickest way to write.
 *
 * Unsynced: noSync. Synced: put, then the store's `flushed`; the synchronous variant switches overlappingSync off, without which
 * putSync returns before the disk has it.
 * Ranges start at an explicit key, because the default leaves out keys below byte 5.
 */
import { open, type RootDatabase } from 'lmdb';
import { SCAN_STEP, type Adapter, type Bytes, type Settled, type Store, type StoreOptions, type Visit } from '../store.ts';

type Database = RootDatabase<Buffer, Buffer>;

const MAP_BYTES = 32 * 2 ** 30;
const LOWEST_KEY = Buffer.from([0]);

class LmdbStore implements Store {
  protected readonly database: Database;

  constructor(database: Database) {
    this.database = database;
  }

  put(key: Buffer, value: Buffer): Settled<unknown> {
    return this.database.put(key, value);
  }

  async putSynced(key: Buffer, value: Buffer): Promise<void> {
    await this.database.put(key, value);
    await this.database.flushed;
  }

  batch(keys: Buffer[], values: Buffer[]): Settled<unknown> {
    const { database } = this;
    return database.batch(() => {
      for (let i = 0; i < keys.length; i++) void database.put(keys[i]!, values[i]!);
    });
  }

  async batchSynced(keys: Buffer[], values: Buffer[]): Promise<void> {
    await this.batch(keys, values);
    await this.database.flushed;
  }

  deleteMany(keys: Buffer[]): Settled<unknown> {
    const { database } = this;
    return database.batch(() => {
      for (const key of keys) void database.remove(key);
    });
  }

  get(key: Buffer): Bytes | undefined {
    return this.database.getBinary(key);
  }

  multiGet(keys: Buffer[]): (Bytes | undefined)[] {
    return keys.map((key) => this.get(key));
  }

  scan(reverse: boolean, limit: number, visit: Visit, every: () => void): number {
    const range = this.database.getRange(reverse ? { reverse, end: LOWEST_KEY, limit } : { start: LOWEST_KEY, limit });
    let count = 0;
    for (const { key, value } of range) {
      visit(key, value);
      if (++count % SCAN_STEP === 0) every();
    }
    return count;
  }

  seekNext(from: Buffer, limit: number, visit: Visit): number {
    let count = 0;
    for (const { key, value } of this.database.getRange({ start: from, limit })) {
      visit(key, value);
      count++;
    }
    return count;
  }

  close(): Promise<void> {
    return this.database.close();
  }
}

class LmdbSyncStore extends LmdbStore {
  override put(key: Buffer, value: Buffer): undefined {
    this.database.putSync(key, value);
  }

  override putSynced(key: Buffer, value: Buffer): Promise<void> {
    this.database.putSync(key, value);
    return Promise.resolve();
  }

  override batch(keys: Buffer[], values: Buffer[]): undefined {
    this.database.transactionSync(() => {
      for (let i = 0; i < keys.length; i++) this.database.putSync(keys[i]!, values[i]!);
    });
  }

  override batchSynced(keys: Buffer[], values: Buffer[]): Promise<void> {
    this.batch(keys, values);
    return Promise.resolve();
  }

  override deleteMany(keys: Buffer[]): undefined {
    this.database.transactionSync(() => {
      for (const key of keys) this.database.removeSync(key);
    });
  }
}

class LmdbFastStore extends LmdbStore {
  override get(key: Buffer): Bytes | undefined {
    return this.database.getBinaryFast(key);
  }
}

export const adapter: Adapter = {
  variants: [
    {
      name: 'lmdb',
      family: 'lmdb',
      variant: '',
      roles: ['write', 'write-in-flight', 'synced', 'point', 'read', 'scan', 'mixed', 'lifecycle'],
      note: 'lmdb: synchronous reads, writes awaited',
    },
    { name: 'lmdb:sync', family: 'lmdb', variant: 'sync', roles: ['write', 'synced', 'mixed'], note: 'lmdb: putSync and transactionSync' },
    {
      name: 'lmdb:map',
      family: 'lmdb',
      variant: 'map',
      roles: ['write', 'mixed'],
      note: 'lmdb: as sync, useWritemap (discouraged by its docs)',
    },
    { name: 'lmdb:fast', family: 'lmdb', variant: 'fast', roles: ['point'], note: 'lmdb: getBinaryFast, bytes valid until the next read' },
  ],
  open({ directory, variant, synced }: StoreOptions): Promise<Store> {
    const database: Database = open({
      path: directory,
      keyEncoding: 'binary',
      encoding: 'binary',
      mapSize: MAP_BYTES,
      noMemInit: true,
      noSync: !synced,
      useWritemap: variant === 'map',
      overlappingSync: synced && variant !== 'sync' && variant !== 'map',
    });
    if (variant === 'sync' || variant === 'map') return Promise.resolve(new LmdbSyncStore(database));
    return Promise.resolve(variant === 'fast' ? new LmdbFastStore(database) : new LmdbStore(database));
  },
};
