/** Engines that share memory, caches and threads: each is as if alone, and nothing of it stays behind when it is closed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createResources, type Engine, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const MIB = 2 ** 20;
const SHARED = { memoryBytes: 256 * MIB, pageCacheBytes: 4 * MIB };
const SMALL = { memtableBytes: 64 * 1024, tableBytes: 64 * 1024, level1Bytes: 256 * 1024, segmentBytes: 256 * 1024 };
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-shared-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function fill(engine: Engine, name: string, entries: number): Promise<void> {
  for (let i = 0; i < entries; i++) {
    const written = engine.put(`k${i}`, `${name} ${i}`.padEnd(i % 10 === 0 ? 2000 : 100), { durability: 'buffered' });
    if (i % 100 === 0) await written;
  }
}

function check(engine: Engine, name: string, entries: number): void {
  for (let i = 0; i < entries; i += 7)
    expect(
      Buffer.from(engine.getSync(`k${i}`)!)
        .toString()
        .trimEnd(),
    ).toBe(`${name} ${i}`);
  expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(entries);
}

test.each([1, 2])('many at once, with %i background threads, each with its own content', async (backgroundThreads) => {
  await using resources = createResources({ ...SHARED, backgroundThreads });
  // What is set aside for flushes and reads stays with the resources.
  await (await open(`${directory}/before`, SMALL, { resources })).close();
  const before = resources.stats();
  const names = Array.from({ length: 8 }, (_, i) => `engine ${i}`);
  const openAll = (): Promise<Engine[]> => Promise.all(names.map((name) => open(join(directory, name), SMALL, { resources })));
  let engines = await openAll();
  expect(resources.stats().engines).toBe(8);
  await Promise.all(engines.map((engine, i) => fill(engine, names[i]!, 3000)));
  await Promise.all(engines.map((engine) => engine.settled()));
  for (const [i, engine] of engines.entries()) check(engine, names[i]!, 3000);
  expect(Math.min(...engines.map((engine) => engine.metrics().compactions.count))).toBeGreaterThan(0);
  await Promise.all(engines.map((engine) => engine.close()));
  engines = await openAll();
  for (const [i, engine] of engines.entries()) check(engine, names[i]!, 3000);
  await Promise.all(engines.map((engine) => engine.close()));
  const after = resources.stats();
  expect(after.engines).toBe(0);
  // A few areas and lists of small pieces stay for the next engine.
  expect(after.linearMemoryBytes - before.linearMemoryBytes).toBeLessThan(8 * MIB);
});

test('what an engine took is given back, however often one is opened and closed', async () => {
  const resources = createResources(SHARED);
  const used: number[] = [];
  for (let round = 0; round < 6; round++) {
    const engine = await open('/store', SMALL, { resources, fileSystem: new SimFileSystem() });
    await fill(engine, `round ${round}`, 2000);
    check(engine, `round ${round}`, 2000);
    await engine.close();
    used.push(resources.stats().linearMemoryBytes);
  }
  expect(new Set(used.slice(2)).size).toBe(1);
  await resources.close();
});

test('an opening that fails leaves nothing in them', async () => {
  const resources = createResources(SHARED);
  const fileSystem = new SimFileSystem();
  const engine = await open('/store', SMALL, { resources, fileSystem });
  await fill(engine, 'first', 200);
  // The last of them says that those before it are on disk.
  for (const key of ['a', 'b']) await engine.put(key, 'v', { durability: 'synced' });
  await engine.close();
  const log = fileSystem.listSync('/store').find((name) => name.endsWith('.log'))!;
  fileSystem.flip(`/store/${log}`, 1100);
  const used: number[] = [];
  for (let attempt = 0; attempt < 4; attempt++) {
    await expect(open('/store', SMALL, { resources, fileSystem })).rejects.toMatchObject({ kind: 'corrupt' });
    used.push(resources.stats().linearMemoryBytes);
  }
  expect(new Set(used).size).toBe(1);
  expect(resources.stats().engines).toBe(0);
  await resources.close();
});

test('memtables of all engines stay within one bound: the largest is flushed first', async () => {
  const memtableBytesTotal = 8 * MIB;
  const resources = createResources({ ...SHARED, memtableBytesTotal });
  const engines = [];
  for (let i = 0; i < 10; i++) engines.push(await open(`/store${i}`, {}, { resources, fileSystem: new SimFileSystem() }));
  const value = 'v'.repeat(900);
  let most = 0;
  for (let i = 0; i < 40_000; i++) {
    // The first gets as much as all others together, none of them enough to fill its own memtable.
    const engine = engines[i % 2 === 0 ? 0 : i % 10]!;
    await engine.put(`k${i}`, value, { durability: 'buffered' });
    most = Math.max(most, resources.stats().memtableBytes);
  }
  expect(most).toBeLessThan(memtableBytesTotal);
  const [first, ...others] = engines.map((engine) => engine.metrics().flushes.count);
  expect(first).toBeGreaterThan(0);
  expect(first).toBeGreaterThan(Math.max(...others));
  for (const [at, engine] of engines.entries()) {
    const expected = at === 0 ? 20_000 : at % 2 === 1 ? 4000 : 0;
    expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(expected);
    await engine.close();
  }
  expect(resources.stats().memtableBytes).toBe(0);
  await resources.close();
});

test('they are closed after their engines, and not used after that', async () => {
  const resources = createResources(SHARED);
  const fileSystem = new SimFileSystem();
  const engine = await open('/store', SMALL, { resources, fileSystem });
  await expect(resources.close()).rejects.toMatchObject({ kind: 'invalid', code: 'RESOURCES_IN_USE', details: { path: '/store' } });
  await engine.put('k', 'v');
  await engine.close();
  await resources.close();
  await resources.close();
  await expect(open('/store', SMALL, { resources, fileSystem })).rejects.toMatchObject({ kind: 'closed', code: 'RESOURCES_CLOSED' });
});

test('settings of the resources are not taken as the engine’s own', async () => {
  await using resources = createResources(SHARED);
  const fileSystem = new SimFileSystem();
  const opened = open('/store', { pageCacheBytes: MIB }, { resources, fileSystem });
  await expect(opened).rejects.toMatchObject({ code: 'OPTION_SHARED', details: { field: 'pageCacheBytes' } });
  await expect(open('/store', {}, { resources: {} as never, fileSystem })).rejects.toMatchObject({ code: 'TYPE' });
  expect(() => createResources({ memtableBytes: 1 } as never)).toThrow(expect.objectContaining({ code: 'OPTION_UNKNOWN' }) as Error);
  expect(() => createResources({ backgroundThreads: 5 })).toThrow(expect.objectContaining({ code: 'OPTION_RANGE' }) as Error);
  expect(() => createResources({ memoryBytes: 64 * MIB })).toThrow(expect.objectContaining({ code: 'OPTION_RANGE' }) as Error);
});

test('what outlives its engine leaves the memory of others alone when it is released', async () => {
  const resources = createResources(SHARED);
  const gone = await open('/gone', SMALL, { resources, fileSystem: new SimFileSystem() });
  await gone.put('key', 'value');
  const iterator = gone.iterator();
  await gone.put('key', 'other');
  const old = gone.snapshot();
  await gone.close();
  // It gets the memory that the memtable of the first one had.
  await using engine = await open('/other', SMALL, { resources, fileSystem: new SimFileSystem() });
  await engine.put('key', 'old');
  using snapshot = engine.snapshot();
  old.release();
  iterator.close();
  await engine.put('key', 'new');
  expect(Buffer.from(engine.getSync('key', { snapshot })!).toString()).toBe('old');
});
