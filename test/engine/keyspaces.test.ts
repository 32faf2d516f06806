/** Keyspaces: what is theirs stays theirs, through batches, snapshots, tables, reopening and crashes. */
import { describe, expect, test } from 'vitest';
import { type BatchOperation, type Engine, open, type ScanOptions } from '../../engine/index.ts';
import { internalKey, keyspaceBegin, keyspaceEnd, keyspaceOf } from '../../engine/keyspace-key.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SMALL = {
  memtableBytes: 64 * 1024,
  segmentBytes: 64 * 1024,
  tableBytes: 64 * 1024,
  level0Compact: 2,
  level1Bytes: 256 * 1024,
  pageCacheBytes: 2 ** 20,
  memoryBytes: 2 ** 26,
  maxBatchBytes: 8 * 2 ** 20,
};

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const keysOf = (store: Pick<Engine, 'scanSync'>, options?: ScanOptions): string[] =>
  [...store.scanSync(options)].map(([key]) => Buffer.from(key).toString('latin1'));

function started(fileSystem: SimFileSystem = new SimFileSystem()): Promise<Engine> {
  return open('/data', SMALL, { fileSystem });
}

describe('internal keys', () => {
  const ids = [0, 1, 239, 240, 241, 255, 256, 65_534, 65_535];

  test('are ordered by keyspace, then by key, and tell their keyspace', () => {
    const keys = ids.flatMap((id) => ['\0', 'a', 'ab', '\u00ff\u00ff'].map((key) => internalKey(id, Buffer.from(key, 'latin1'))));
    for (let i = 1; i < keys.length; i++) expect(Buffer.compare(keys[i - 1]!, keys[i]!)).toBe(-1);
    expect(keys.map(keyspaceOf)).toEqual(ids.flatMap((id) => [id, id, id, id]));
  });

  test('lie between the bounds of their keyspace, and those of others do not', () => {
    for (const id of ids) {
      for (const other of ids) {
        const key = internalKey(other, Buffer.from([0xff, 0xff]));
        const within = Buffer.compare(key, keyspaceBegin(id)) >= 0 && Buffer.compare(key, keyspaceEnd(id)) < 0;
        expect(within).toBe(id === other);
      }
    }
  });
});

describe('keyspaces', () => {
  test('one that is dropped while somebody opens it is made anew', async () => {
    const disk = new SimFileSystem();
    {
      await using engine = await started(disk);
      const birds = await engine.keyspace('birds');
      await birds.put('k', 'old');
      const [again] = await Promise.all([engine.keyspace('birds', { ttlMs: 1e9 }), birds.drop()]);
      await again.put('k', 'new');
      expect(engine.keyspaces()).toEqual(['birds']);
      expect(await engine.keyspace('birds')).toBe(again);
    }
    await using engine = await started(disk);
    const birds = await engine.keyspace('birds');
    expect(text(birds.getSync('k'))).toBe('new');
    expect(birds.settings.ttlMs).toBe(1e9);
  });

  test('the same key in each is another key', async () => {
    await using engine = await started();
    const birds = await engine.keyspace('birds');
    const fish = await engine.keyspace('fish');
    await Promise.all([engine.put('k', 'default'), birds.put('k', 'bird'), fish.put('k', 'x'.repeat(5000))]);
    const stores = [engine, birds, fish];
    const values = (): unknown[] => stores.map((store) => text(store.getSync('k'))?.slice(0, 7));
    expect(values()).toEqual(['default', 'bird', 'xxxxxxx']);
    await engine.flush();
    expect(values()).toEqual(['default', 'bird', 'xxxxxxx']);
    await birds.delete('k');
    expect(values()).toEqual(['default', undefined, 'xxxxxxx']);
    expect(fish.getEntrySync('k')?.version).toBe(3);
    expect(engine.metrics().keyspaces).toBe(2);
  });

  test('a scan stays in its keyspace, whatever its bounds', async () => {
    await using engine = await started();
    const stores = [engine, await engine.keyspace('one'), await engine.keyspace('two')];
    const keys = ['\0', '\u0001', 'a', 'b', '\u00ff', '\u00ff\u00ff'];
    for (const store of stores) for (const key of keys) await store.put(Buffer.from(key, 'latin1'), 'v');
    for (const flushed of [false, true]) {
      if (flushed) await engine.flush();
      for (const store of stores) {
        for (const reverse of [false, true]) {
          const expected = reverse ? keys.toReversed() : keys;
          expect(keysOf(store, { reverse })).toEqual(expected);
          expect(keysOf(store, { reverse, prefix: '' })).toEqual(expected);
          expect(keysOf(store, { reverse, prefix: Buffer.from([0xff]) })).toEqual(expected.filter((key) => key.startsWith('\u00ff')));
          expect(keysOf(store, { reverse, gt: Buffer.from([0xff, 0xff]) })).toEqual([]);
          expect(keysOf(store, { reverse, lt: '\0' })).toEqual([]);
        }
      }
    }
  });

  test('a batch over several is one version, whole or not at all', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await started(fileSystem);
    const birds = await engine.keyspace('birds');
    await birds.put('gone', '1');
    using before = engine.snapshot();
    const batch: BatchOperation[] = [
      { type: 'put', key: 'k', value: '1' },
      { type: 'put', key: 'k', value: 'x'.repeat(3000), keyspace: birds },
      { type: 'delete', key: 'gone', keyspace: birds },
    ];
    const { sequence } = await engine.write(batch, { durability: 'synced' });
    expect([engine.getEntrySync('k')?.version, birds.getEntrySync('k')?.version]).toEqual([sequence, sequence]);
    expect([engine.getSync('k', { snapshot: before }), text(birds.getSync('gone', { snapshot: before }))]).toEqual([undefined, '1']);
    fileSystem.crash('none');
    await using again = await started(fileSystem);
    const recovered = await again.keyspace('birds');
    expect(text(again.getSync('k'))).toBe('1');
    expect(keysOf(recovered)).toEqual(['k']);
  });

  test('are there again after power loss, before anything was written to them', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await started(fileSystem);
    await engine.keyspace('birds', { inlineThreshold: 64 });
    await engine.keyspace('fish');
    fileSystem.crash('none');
    await using again = await started(fileSystem);
    expect(again.keyspaces()).toEqual(['birds', 'fish']);
    expect((await again.keyspace('birds')).settings).toEqual({ inlineThreshold: 64 });
  });

  test('the one object is handed out, and settings that are given later hold from then on', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await started(fileSystem);
    const [birds, same] = await Promise.all([engine.keyspace('birds'), engine.keyspace('birds', { inlineThreshold: 64 })]);
    expect(same).toBe(birds);
    expect(birds.settings).toEqual({ inlineThreshold: 64 });
    const pointers = async (): Promise<number> => {
      await engine.flush();
      return engine.metrics().values.liveBytes;
    };
    await birds.put('a', 'v'.repeat(64));
    await engine.put('a', 'v'.repeat(64));
    expect(await pointers()).toBe(64);
    await engine.keyspace('birds');
    expect(birds.settings).toEqual({ inlineThreshold: 64 });
    await engine.keyspace('birds', {});
    expect(birds.settings).toEqual({});
    await birds.put('b', 'v'.repeat(64));
    expect(await pointers()).toBe(64);
    await engine.close();
    await using again = await started(fileSystem);
    expect((await again.keyspace('birds')).settings).toEqual({});
  });

  test('tables below level 0 hold one each, and all is found in them', async () => {
    await using engine = await started();
    const stores = [engine, ...(await Promise.all(Array.from({ length: 5 }, (_, i) => engine.keyspace(`space ${i}`))))];
    for (let round = 0; round < 6; round++) {
      for (const [i, store] of stores.entries()) {
        for (let key = 0; key < 120; key++) void store.put(`key ${key}`, `${i}.${round}.${key}`.repeat(10), { durability: 'buffered' });
      }
      await engine.flush();
    }
    await engine.settled();
    const { tables, compactions } = engine.metrics();
    expect(compactions.count).toBeGreaterThan(0);
    expect(tables.levels.slice(1).reduce((sum, level) => sum + level.tables, 0)).toBeGreaterThanOrEqual(stores.length);
    for (const [i, store] of stores.entries()) {
      expect(keysOf(store)).toHaveLength(120);
      for (let key = 0; key < 120; key++) expect(text(store.getSync(`key ${key}`))).toBe(`${i}.5.${key}`.repeat(10));
    }
  });

  test('more than 240, whose prefixes are longer, and the longest key in one', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await started(fileSystem);
    for (let i = 0; i < 300; i++) {
      const store = await engine.keyspace(`space ${i}`);
      await store.put('k', `${i}`, { durability: 'buffered' });
    }
    const long = Buffer.alloc(4096, 0xff);
    const last = await engine.keyspace('space 299');
    await last.put(long, 'long');
    await last.put(long.subarray(1), 'v'.repeat(5000));
    await engine.flush();
    await engine.close();
    await using again = await started(fileSystem);
    for (let i = 0; i < 300; i++) expect(text((await again.keyspace(`space ${i}`)).getSync('k'))).toBe(`${i}`);
    const found = await again.keyspace('space 299');
    expect(text(found.getSync(long))).toBe('long');
    expect([...found.scanSync({ gt: 'k', reverse: true })].map(([key, value]) => [key.length, value.length])).toEqual([
      [4096, 4],
      [4095, 5000],
    ]);
    expect([...found.scanSync({ lte: long, gte: long })]).toHaveLength(1);
  });

  test('refusals', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await started(fileSystem);
    for (const name of ['', 'x'.repeat(256), '\ud800', 7 as unknown as string]) {
      await expect(engine.keyspace(name)).rejects.toMatchObject({ kind: 'invalid', code: 'KEYSPACE_NAME', details: { field: 'name' } });
    }
    await expect(engine.keyspace('a', { inlineThresholds: 1 } as object)).rejects.toMatchObject({
      code: 'OPTION_UNKNOWN',
      details: { field: 'inlineThresholds' },
    });
    await expect(engine.keyspace('a', { inlineThreshold: 63 })).rejects.toMatchObject({
      code: 'OPTION_RANGE',
      details: { field: 'inlineThreshold', min: 64, max: 4096 },
    });
    expect(engine.keyspaces()).toEqual([]);
    await using other = await open('/other', SMALL, { fileSystem });
    const foreign = await other.keyspace('a');
    const own = await engine.keyspace('a');
    for (const keyspace of [foreign, engine as never, {} as never]) {
      await expect(engine.write([{ type: 'put', key: 'k', value: 'v', keyspace }])).rejects.toMatchObject({
        kind: 'invalid',
        code: 'KEYSPACE_FOREIGN',
        details: { field: 'keyspace' },
      });
    }
    expect(() => own.getSync('k', { snapshot: other.snapshot() })).toThrow(expect.objectContaining({ code: 'SNAPSHOT_FOREIGN' }));
    const closing = engine.keyspace('late');
    await engine.close();
    await expect(closing).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
    await expect(own.put('k', 'v')).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
    expect(() => own.getSync('k')).toThrow(expect.objectContaining({ code: 'ENGINE_CLOSED' }));
    await expect(engine.keyspace('a')).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
  });

  test('a failing disk: what was handed out is on disk, or the engine says that it has failed', async () => {
    for (let at = 1; ; at++) {
      const fileSystem = new SimFileSystem();
      const engine = await started(fileSystem);
      fileSystem.failAt({ at: fileSystem.operations + at, error: 'EIO' });
      const made = await engine.keyspace('birds').then(
        () => true,
        (error: unknown) => {
          expect(error).toMatchObject({ kind: 'closed', code: 'BACKGROUND_FAILED' });
          return false;
        },
      );
      const failed = fileSystem.faultsHit > 0;
      fileSystem.crash('none');
      await using again = await started(fileSystem);
      if (made) expect(again.keyspaces()).toEqual(['birds']);
      if (!failed) return;
      expect(at).toBeLessThan(20);
    }
  });
});

describe('a keyspace that is dropped', () => {
  test('is gone with its entries, and what is made by its name is another', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await started(fileSystem);
    const birds = await engine.keyspace('birds', { inlineThreshold: 64 });
    const fish = await engine.keyspace('fish');
    for (const store of [engine, birds, fish]) for (let i = 0; i < 50; i++) await store.put(`k${i}`, 'v'.repeat(100));
    await engine.flush();
    using snapshot = engine.snapshot();
    const left = birds.scanSync();
    await birds.drop();
    expect(engine.keyspaces()).toEqual(['fish']);
    expect([keysOf(engine).length, keysOf(fish).length]).toEqual([50, 50]);
    for (const call of [() => birds.put('k', 'v'), () => birds.get('k'), () => birds.drop(), () => birds.deleteRange({})]) {
      await expect(call()).rejects.toMatchObject({ kind: 'closed', code: 'KEYSPACE_DROPPED', details: { keyspace: 'birds' } });
    }
    await expect(engine.write([{ type: 'delete', key: 'k', keyspace: birds }])).rejects.toMatchObject({ code: 'KEYSPACE_DROPPED' });
    // What was begun before goes on as of then.
    expect([...left]).toHaveLength(50);
    const again = await engine.keyspace('birds');
    expect(again).not.toBe(birds);
    expect([again.settings, keysOf(again), keysOf(again, { snapshot })]).toEqual([{}, [], []]);
    await again.put('k', 'new');
    await engine.close();
    await using reopened = await started(fileSystem);
    expect(reopened.keyspaces()).toEqual(['fish', 'birds']);
    expect(keysOf(await reopened.keyspace('birds'))).toEqual(['k']);
  });

  test('gives back its space', async () => {
    await using engine = await started();
    const birds = await engine.keyspace('birds');
    for (let i = 0; i < 300; i++) await birds.put(`k${i}`, Buffer.alloc(2000, i));
    await engine.flush();
    await engine.settled();
    const before = engine.metrics().space.diskBytes;
    expect(before).toBeGreaterThan(300 * 2000);
    await birds.drop();
    await engine.flush();
    await engine.settled();
    expect(engine.metrics().space.diskBytes).toBeLessThan(before / 5);
  });

  test('is either there, whole or empty, or gone with its entries when power is lost meanwhile', async () => {
    let [kept, gone] = [0, 0];
    for (let after = 1; ; after++) {
      const fileSystem = new SimFileSystem();
      const engine = await started(fileSystem);
      const birds = await engine.keyspace('birds');
      for (let i = 0; i < 10; i++) await birds.put(`k${i}`, 'v', { durability: 'synced' });
      await engine.flush();
      fileSystem.killAt(fileSystem.operations + after);
      const dropped = await birds.drop().then(
        () => true,
        () => false,
      );
      const cut = fileSystem.dead;
      fileSystem.crash('none');
      await using again = await started(fileSystem);
      const names = again.keyspaces();
      if (dropped) expect(names).toEqual([]);
      if (names.length > 0) {
        kept++;
        expect([0, 10]).toContain(keysOf(await again.keyspace('birds')).length);
      } else {
        gone++;
        // Ids are not used again: nothing of it shows in another.
        expect(keysOf(await again.keyspace('birds'))).toEqual([]);
        expect(again.metrics().sequence).toBe(11);
      }
      if (!cut) break;
      expect(after).toBeLessThan(30);
    }
    expect(kept).toBeGreaterThan(0);
    expect(gone).toBeGreaterThan(0);
  });
});
