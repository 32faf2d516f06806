/** The bound of open files: tables, large values and idle logs are closed and opened again as they are used, and nothing is lost by it. */
import { expect, test } from 'vitest';
import { createResources, type Engine, open } from '../../engine/index.ts';
import { OpenFiles } from '../../engine/open-files.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const MIB = 2 ** 20;
const SMALL = {
  memtableBytes: 64 * 1024,
  tableBytes: 64 * 1024,
  level1Bytes: 256 * 1024,
  segmentBytes: 64 * 1024,
  level0Compact: 16,
  level0Stop: 32,
};

test('the file used least recently is closed, and opened again by the next use', () => {
  const fileSystem = new SimFileSystem();
  fileSystem.makeDirectorySync('/d');
  const names = Array.from({ length: 6 }, (_, i) => `/d/${i}`);
  for (const name of names) fileSystem.openSync(name, 'create').closeSync();
  const pool = new OpenFiles(3);
  const files = names.map((name) => pool.add(() => fileSystem.openSync(name, 'read')));
  const open = (): string[] => fileSystem.openFiles.map((path) => path.slice(-1));
  for (const at of [0, 1, 2, 0, 3]) expect(files[at]!.use().sizeSync()).toBe(0);
  expect(open().toSorted()).toEqual(['0', '2', '3']);
  files[1]!.use();
  files[4]!.use();
  expect(open().toSorted()).toEqual(['1', '3', '4']);
  expect(pool.count).toBe(3);
  for (const file of files) file.close();
  expect(open()).toEqual([]);
  expect(pool.count).toBe(0);
});

test('holders are asked when what they hold alone is too much', () => {
  const pool = new OpenFiles(2);
  const asked: string[] = [];
  for (const name of ['a', 'b']) pool.addHolder(() => asked.push(name));
  const file = pool.add(() => new SimFileSystem().openSync('/x', 'create'));
  file.use();
  pool.hold();
  pool.hold();
  expect([asked, pool.count]).toEqual([['a', 'b'], 3]);
  pool.letGo();
  expect(pool.isOver).toBe(false);
});

test('an engine with more tables and block files than may be open reads them all', async () => {
  const fileSystem = new SimFileSystem();
  const resources = createResources({ memoryBytes: 256 * MIB, pageCacheBytes: MIB, valueCacheBytes: 0, openFilesMax: 16 });
  const engine = await open('/store', SMALL, { fileSystem, resources });
  const value = (i: number): string => `${i}`.padEnd(i % 5 === 0 ? 3000 : 200, 'v');
  for (let i = 0; i < 4000; i++) await engine.put(`k${i}`, value(i), { durability: 'buffered' });
  await engine.settled();
  expect(fileSystem.listSync('/store').length).toBeGreaterThan(40);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 4000; i += 7) expect(engine.getSync(`k${i}`)!.length).toBe(value(i).length);
    expect(resources.stats().openFiles).toBeLessThanOrEqual(17);
    expect(fileSystem.openFiles.length).toBeLessThanOrEqual(18);
  }
  expect([...engine.scanSync()]).toHaveLength(4000);
  await engine.close();
  expect(fileSystem.openFiles).toEqual([]);
  expect(resources.stats().openFiles).toBe(0);
  await resources.close();
});

test('logs of idle engines are synced and closed when they are too many, and go on where they were', async () => {
  const fileSystem = new SimFileSystem();
  const scheduler = new SimScheduler();
  const resources = createResources({ memoryBytes: 256 * MIB, pageCacheBytes: MIB, openFilesMax: 16 });
  const engines: Engine[] = [];
  for (let i = 0; i < 40; i++) engines.push(await open(`/store${i}`, {}, { fileSystem, scheduler, resources }));
  for (let round = 0; round < 4; round++) {
    for (const engine of engines) await engine.put(`k${round}`, `v${round}`);
    await scheduler.advance(2500);
    // The first of them goes on writing.
    await engines[0]!.put('busy', `${round}`);
    await scheduler.advance(2500);
    expect(resources.stats().openFiles).toBeLessThanOrEqual(16);
  }
  const logs = engines.map((engine) => fileSystem.listSync(engine.path).filter((name) => name.endsWith('.log')).length);
  expect(Math.max(...logs)).toBe(1);
  // What rests has nothing to lose.
  fileSystem.crash('none');
  const kept = [];
  for (const { path } of engines) {
    const again = await open(path, {}, { fileSystem });
    const rounds = [0, 1, 2, 3].filter((round) => again.getSync(`k${round}`) !== undefined);
    expect(rounds).toEqual([0, 1, 2, 3].slice(0, rounds.length));
    if (rounds.length === 4) kept.push(path);
    await again.close();
  }
  expect(kept.length).toBeGreaterThanOrEqual(24);
});
