import { describe, expect, it } from 'vitest';
import { stats, verify } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { contents, contentsOf, live, openStore, value } from './upkeep/store-life.ts';

describe('engine.compact', () => {
  it('brings everything to one level and drops what was overwritten or deleted', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await openStore(fileSystem, '/data');
    await live(engine, 2);
    const before = await contents(engine);
    await engine.compact();
    expect(await contents(engine)).toEqual(before);
    await engine.settled();
    await engine.close();
    const { levels } = await stats('/data', { fileSystem });
    expect(levels.map(({ tombstones }) => tombstones)).toEqual([0]);
    expect(levels[0]!.entries).toBe(before.size);
    expect(await verify('/data', {}, { fileSystem })).toMatchObject({ problems: [] });
    expect(await contentsOf(fileSystem, '/data')).toEqual(before);
  });

  it('keeps what a snapshot sees', async () => {
    await using engine = await openStore(new SimFileSystem(), '/data');
    await live(engine, 1);
    using snapshot = engine.snapshot();
    const seen = [...engine.scanSync({ snapshot })].map(([key]) => Buffer.from(key).toString());
    for (const key of seen) await engine.delete(key, { durability: 'buffered' });
    await engine.compact();
    expect([...engine.scanSync()]).toEqual([]);
    expect([...engine.scanSync({ snapshot })].map(([key]) => Buffer.from(key).toString())).toEqual(seen);
  });

  it('of a range leaves the rest as it is', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await openStore(fileSystem, '/data');
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 300; i++) await engine.put(`a/${i}`, value(i, 200), { durability: 'buffered' });
      await engine.flush();
      for (let i = 0; i < 300; i++) await engine.put(`b/${i}`, value(i, 200), { durability: 'buffered' });
      await engine.flush();
      await engine.settled();
    }
    for (let i = 0; i < 300; i++) await engine.delete(`b/${i}`, { durability: 'buffered' });
    const before = await contents(engine);
    await engine.compact({ prefix: 'b/' });
    expect(await contents(engine)).toEqual(before);
    await engine.close();
    const { levels } = await stats('/data', { fileSystem });
    expect(levels.reduce((sum, { entries }) => sum + entries, 0)).toBeLessThan(700);
    expect(levels.reduce((sum, { tombstones }) => sum + tombstones, 0)).toBe(0);
  });

  it('refuses what is no range', async () => {
    await using engine = await openStore(new SimFileSystem(), '/data');
    await expect(engine.compact({ from: 'a' } as never)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await expect(engine.compact({ gt: 'a', gte: 'b' })).rejects.toMatchObject({ code: 'SCAN_BOUNDS' });
    await engine.compact();
    await engine.compact({ keyspace: await engine.keyspace('empty') });
  });

  it('ends with the engine, and goes on after a full disk', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await openStore(fileSystem, '/data');
    await live(engine, 1);
    await engine.flush();
    fileSystem.capacityBytes = 1;
    await expect(engine.compact()).rejects.toMatchObject({ code: 'DISK_FULL' });
    fileSystem.capacityBytes = Infinity;
    await engine.compact();
    await live(engine, 1);
    const compacting = engine.compact();
    const closing = engine.close();
    await compacting.catch((error: unknown) => expect(error).toMatchObject({ code: 'ENGINE_CLOSED' }));
    await closing;
    expect(fileSystem.openFiles).toEqual([]);
  });
});
