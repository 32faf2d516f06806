/**
 * classic-level: LevelDB behind abstract-level. Its calls hop over the thread pool, except getSync: the variant `sync`.
 * Iterators have no synchronous way; nextv(1000) with a large high-water mark is their quickest.
 * Snappy is left on (its default).
 */
import { ClassicLevel, type Iterator } from 'classic-level';
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

type Level = ClassicLevel<Buffer, Buffer>;

const HIGH_WATER_BYTES = 4 * 2 ** 20;
const SYNCED = { sync: true };

class ClassicStore implements Store {
  protected readonly level: Level;
  #seeker: Iterator<Level, Buffer, Buffer> | undefined;

  constructor(level: Level) {
    this.level = level;
  }

  put(key: Buffer, value: Buffer): Promise<void> {
    return this.level.put(key, value);
  }

  putSynced(key: Buffer, value: Buffer): Promise<void> {
    return this.level.put(key, value, SYNCED);
  }

  batch(keys: Buffer[], values: Buffer[]): Promise<void> {
    return this.level.batch(puts(keys, values));
  }

  batchSynced(keys: Buffer[], values: Buffer[]): Promise<void> {
    return this.level.batch(puts(keys, values), SYNCED);
  }

  deleteMany(keys: Buffer[]): Promise<void> {
    return this.level.batch(keys.map((key) => ({ type: 'del', key })));
  }

  get(key: Buffer): Settled<Bytes | undefined> {
    return this.level.get(key);
  }

  multiGet(keys: Buffer[]): Settled<(Bytes | undefined)[]> {
    return this.level.getMany(keys);
  }

  async scan(reverse: boolean, limit: number, visit: Visit, every: () => void): Promise<number> {
    const iterator = this.level.iterator({ reverse, limit, highWaterMarkBytes: HIGH_WATER_BYTES });
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

  /** One iterator is kept and sought anew: opening one each time costs about twice as much. */
  async seekNext(from: Buffer, count: number, visit: Visit): Promise<number> {
    this.#seeker ??= this.level.iterator({ highWaterMarkBytes: HIGH_WATER_BYTES });
    this.#seeker.seek(from);
    const entries = await this.#seeker.nextv(count);
    for (const [key, value] of entries) visit(key, value);
    return entries.length;
  }

  close(): Promise<void> {
    return this.level.close();
  }
}

class ClassicSyncStore extends ClassicStore {
  override get(key: Buffer): Bytes | undefined {
    return this.level.getSync(key);
  }

  override multiGet(keys: Buffer[]): (Bytes | undefined)[] {
    return keys.map((key) => this.level.getSync(key));
  }
}

function puts(keys: Buffer[], values: Buffer[]): { type: 'put'; key: Buffer; value: Buffer }[] {
  return keys.map((key, i) => ({ type: 'put', key, value: values[i]! }));
}

export const adapter: Adapter = {
  variants: [
    {
      name: 'classic',
      family: 'classic',
      variant: '',
      roles: ['write', 'write-in-flight', 'synced', 'point', 'read', 'scan', 'mixed', 'lifecycle'],
      note: 'classic-level, awaited',
    },
    {
      name: 'classic:sync',
      family: 'classic',
      variant: 'sync',
      roles: ['point', 'read', 'mixed'],
      note: 'classic-level: getSync, writes awaited',
    },
  ],
  async open({ directory, variant }: StoreOptions): Promise<Store> {
    const level: Level = new ClassicLevel(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      cacheSize: CACHE_BYTES,
      writeBufferSize: WRITE_BUFFER_BYTES,
    });
    await level.open();
    return variant === 'sync' ? new ClassicSyncStore(level) : new ClassicStore(level);
  },
};
