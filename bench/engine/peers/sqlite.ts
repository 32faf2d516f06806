/**
 * better-sqlite3: SQLite, synchronous throughout. One table; its rows lie in the key's own B-tree (WITHOUT ROWID) where values are small,
 * and beside it where they are large. Write-ahead log, exclusive locking (no shared-memory file), memory-mapped reads.
 * Unsynced: synchronous=OFF. Synced: synchronous=FULL, one transaction a put.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { CACHE_BYTES, SCAN_STEP, type Adapter, type Bytes, type Store, type StoreOptions, type Visit } from '../store.ts';

const MAP_BYTES = 4 * 2 ** 30;
/** Above this a row overflows the page in a WITHOUT ROWID table. */
const INLINE_VALUE_BYTES_MAX = 1200;

type Row = [key: Buffer, value: Buffer];

class SqliteStore implements Store {
  readonly #database: Database.Database;
  readonly #put: Database.Statement<[Buffer, Buffer]>;
  readonly #delete: Database.Statement<[Buffer]>;
  readonly #get: Database.Statement<[Buffer], Buffer>;
  readonly #forward: Database.Statement<[number], Row>;
  readonly #backward: Database.Statement<[number], Row>;
  readonly #seek: Database.Statement<[Buffer, number], Row>;
  readonly #putAll: (keys: Buffer[], values: Buffer[]) => void;
  readonly #deleteAll: (keys: Buffer[]) => void;

  constructor(database: Database.Database) {
    this.#database = database;
    this.#put = database.prepare('INSERT OR REPLACE INTO kv (k, v) VALUES (?, ?)');
    this.#delete = database.prepare('DELETE FROM kv WHERE k = ?');
    this.#get = database.prepare<[Buffer], Buffer>('SELECT v FROM kv WHERE k = ?').pluck() as Database.Statement<[Buffer], Buffer>;
    this.#forward = database.prepare<[number], Row>('SELECT k, v FROM kv ORDER BY k LIMIT ?').raw() as Database.Statement<[number], Row>;
    this.#backward = database.prepare<[number], Row>('SELECT k, v FROM kv ORDER BY k DESC LIMIT ?').raw() as Database.Statement<
      [number],
      Row
    >;
    this.#seek = database.prepare<[Buffer, number], Row>('SELECT k, v FROM kv WHERE k >= ? ORDER BY k LIMIT ?').raw() as Database.Statement<
      [Buffer, number],
      Row
    >;
    this.#putAll = database.transaction((keys: Buffer[], values: Buffer[]) => {
      for (let i = 0; i < keys.length; i++) this.#put.run(keys[i]!, values[i]!);
    });
    this.#deleteAll = database.transaction((keys: Buffer[]) => {
      for (const key of keys) this.#delete.run(key);
    });
  }

  put(key: Buffer, value: Buffer): undefined {
    this.#put.run(key, value);
  }

  putSynced(key: Buffer, value: Buffer): Promise<void> {
    this.#put.run(key, value);
    return Promise.resolve();
  }

  batch(keys: Buffer[], values: Buffer[]): undefined {
    this.#putAll(keys, values);
  }

  batchSynced(keys: Buffer[], values: Buffer[]): Promise<void> {
    this.#putAll(keys, values);
    return Promise.resolve();
  }

  deleteMany(keys: Buffer[]): undefined {
    this.#deleteAll(keys);
  }

  get(key: Buffer): Bytes | undefined {
    return this.#get.get(key);
  }

  multiGet(keys: Buffer[]): (Bytes | undefined)[] {
    return keys.map((key) => this.#get.get(key));
  }

  scan(reverse: boolean, limit: number, visit: Visit, every: () => void): number {
    let count = 0;
    for (const [key, value] of (reverse ? this.#backward : this.#forward).iterate(limit < Infinity ? limit : -1)) {
      visit(key, value);
      if (++count % SCAN_STEP === 0) every();
    }
    return count;
  }

  seekNext(from: Buffer, limit: number, visit: Visit): number {
    const rows = this.#seek.all(from, limit);
    for (const [key, value] of rows) visit(key, value);
    return rows.length;
  }

  close(): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }
}

export const adapter: Adapter = {
  variants: [
    {
      name: 'sqlite',
      family: 'sqlite',
      variant: '',
      roles: ['write', 'write-in-flight', 'synced', 'point', 'read', 'scan', 'mixed', 'lifecycle'],
      note: 'better-sqlite3, synchronous',
    },
  ],
  open({ directory, synced, valueBytes }: StoreOptions): Promise<Store> {
    const database = new Database(join(directory, 'kv.sqlite'));
    const inline = valueBytes <= INLINE_VALUE_BYTES_MAX;
    database.pragma('locking_mode = EXCLUSIVE');
    database.pragma('journal_mode = WAL');
    database.pragma(`synchronous = ${synced ? 'FULL' : 'OFF'}`);
    database.pragma(`cache_size = -${CACHE_BYTES / 1024}`);
    database.pragma(`mmap_size = ${MAP_BYTES}`);
    database.exec(`CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) ${inline ? 'WITHOUT ROWID' : ''}`);
    return Promise.resolve(new SqliteStore(database));
  },
};
