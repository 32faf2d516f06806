/**
 * SparrowKV's own engine through its public interface. The usual way is awaited; the variant `sync` reads by the synchronous calls, which
 * are the same reads without a promise. Unsynced writes are `os`, which is what the peers promise then: they survive the death of
 * the process. The variant `buffered` promises less and is only among the writes.
 */
import { open, type BatchOperation, type Durability, type Engine, type Entry } from '../../../engine/index.ts';
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

const SYNCED = { durability: 'synced' } as const;

class SparrowStore implements Store {
  protected readonly engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  put(key: Buffer, value: Buffer): Promise<void> {
    return this.engine.put(key, value);
  }

  putSynced(key: Buffer, value: Buffer): Promise<void> {
    return this.engine.put(key, value, SYNCED);
  }

  batch(keys: Buffer[], values: Buffer[]): Promise<unknown> {
    return this.engine.write(puts(keys, values));
  }

  batchSynced(keys: Buffer[], values: Buffer[]): Promise<unknown> {
    return this.engine.write(puts(keys, values), SYNCED);
  }

  deleteMany(keys: Buffer[]): Promise<unknown> {
    return this.engine.write(keys.map((key): BatchOperation => ({ type: 'delete', key })));
  }

  get(key: Buffer): Settled<Bytes | undefined> {
    return this.engine.get(key);
  }

  multiGet(keys: Buffer[]): Settled<(Bytes | undefined)[]> {
    return this.engine.getMany(keys);
  }

  scan(reverse: boolean, limit: number, visit: Visit, every: () => void): Settled<number> {
    return this.#scanAwaited(reverse, limit, visit, every);
  }

  async #scanAwaited(reverse: boolean, limit: number, visit: Visit, every: () => void): Promise<number> {
    let count = 0;
    for await (const [key, value] of this.engine.scan(scanOptions(reverse, limit))) {
      visit(key, value);
      if (++count % SCAN_STEP === 0) every();
    }
    return count;
  }

  seekNext(from: Buffer, limit: number, visit: Visit): Settled<number> {
    return this.#seekNextAwaited(from, limit, visit);
  }

  async #seekNextAwaited(from: Buffer, limit: number, visit: Visit): Promise<number> {
    let count = 0;
    for await (const [key, value] of this.engine.scan({ gte: from, limit })) {
      visit(key, value);
      count++;
    }
    return count;
  }

  async settle(): Promise<void> {
    await this.engine.flush();
    await this.engine.settled();
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

class SparrowSyncStore extends SparrowStore {
  override get(key: Buffer): Bytes | undefined {
    return this.engine.getSync(key);
  }

  override multiGet(keys: Buffer[]): (Bytes | undefined)[] {
    return this.engine.getManySync(keys);
  }

  override scan(reverse: boolean, limit: number, visit: Visit, every: () => void): number {
    return visitAll(this.engine.scanSync(scanOptions(reverse, limit)), visit, every);
  }

  override seekNext(from: Buffer, limit: number, visit: Visit): number {
    return visitAll(this.engine.scanSync({ gte: from, limit }), visit);
  }
}

function puts(keys: Buffer[], values: Buffer[]): BatchOperation[] {
  return keys.map((key, i) => ({ type: 'put', key, value: values[i]! }));
}

function scanOptions(reverse: boolean, limit: number): { reverse: boolean; limit?: number } {
  return { reverse, ...(limit < Infinity && { limit }) };
}

function visitAll(entries: Iterable<Entry>, visit: Visit, every?: () => void): number {
  let count = 0;
  for (const [key, value] of entries) {
    visit(key, value);
    if (++count % SCAN_STEP === 0) every?.();
  }
  return count;
}

export const adapter: Adapter = {
  variants: [
    {
      name: 'sparrowkv',
      family: 'sparrowkv',
      variant: '',
      roles: ['write', 'write-in-flight', 'synced', 'point', 'read', 'scan', 'mixed', 'lifecycle'],
      note: 'SparrowKV, awaited',
    },
    {
      name: 'sparrowkv:sync',
      family: 'sparrowkv',
      variant: 'sync',
      roles: ['point', 'read', 'scan', 'mixed'],
      note: 'SparrowKV: synchronous reads',
    },
    {
      name: 'sparrowkv:buffered',
      family: 'sparrowkv',
      variant: 'buffered',
      roles: ['write', 'write-in-flight'],
      note: "SparrowKV: durability 'buffered', weaker than the others'",
    },
  ],
  async open({ directory, variant }: StoreOptions): Promise<Store> {
    const durability: Durability = variant === 'buffered' ? 'buffered' : 'os';
    // Pages of tables and large values share what every engine may cache.
    const pageCacheBytes = CACHE_BYTES * 0.75;
    const valueCacheBytes = CACHE_BYTES - pageCacheBytes;
    const engine = await open(directory, { durability, pageCacheBytes, valueCacheBytes, memtableBytes: WRITE_BUFFER_BYTES });
    return variant === 'sync' ? new SparrowSyncStore(engine) : new SparrowStore(engine);
  },
};
