/** A thousand engines in one process over shared resources: each works, an idle one takes little, and nothing of them stays behind. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createResources, type Engine, open } from '../../engine/index.ts';

const ENGINES = 1000;
const KIB = 1024;
/** In memory where there is such a place: a thousand stores are made here, and each is synced. */
const PARENT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(PARENT, 'sparrowkv-many-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function usedBytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function descriptors(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
}

test('a thousand engines are opened, written, read and closed', { timeout: 120_000 }, async () => {
  const resources = createResources({ memoryBytes: 2 ** 29, pageCacheBytes: 2 ** 24 });
  const openOne = (i: number): Promise<Engine> => open(join(directory, String(i)), {}, { resources });
  const first = await openOne(ENGINES);
  await first.put('k', 'v');
  await first.flush();
  const before = { used: usedBytes(), descriptors: descriptors(), ...resources.stats() };

  const engines: Engine[] = [];
  for (let i = 0; i < ENGINES; i++) engines.push(await openOne(i));
  for (const [i, engine] of engines.entries()) await engine.put('key', `value of ${i}`);
  for (const [i, engine] of engines.entries()) expect(Buffer.from(engine.getSync('key')!).toString()).toBe(`value of ${i}`);
  const idle = { used: usedBytes(), descriptors: descriptors(), ...resources.stats() };
  expect(idle.engines).toBe(ENGINES + 1);
  const taken = idle.used - before.used + idle.linearMemoryBytes - before.linearMemoryBytes;
  // The lock has 15 KiB more, in memory of its own.
  expect(taken / ENGINES).toBeLessThan(60 * KIB);
  expect((idle.descriptors - before.descriptors) / ENGINES).toBeLessThanOrEqual(2.1);

  await Promise.all(engines.map((engine) => engine.flush()));
  for (const [i, engine] of engines.entries()) expect(Buffer.from(engine.getSync('key')!).toString()).toBe(`value of ${i}`);
  await Promise.all(engines.map((engine) => engine.close()));
  engines.length = 0;
  const after = { used: usedBytes(), descriptors: descriptors(), ...resources.stats() };
  expect(after.engines).toBe(1);
  expect(after.descriptors - before.descriptors).toBeLessThan(20);
  // What was taken in small pieces stays with their lists, for the next.
  expect(after.linearMemoryBytes - before.linearMemoryBytes).toBeLessThan(ENGINES * 10 * KIB);
  expect(after.used - before.used).toBeLessThan(taken / 2);

  const again = await openOne(7);
  expect(Buffer.from(again.getSync('key')!).toString()).toBe('value of 7');
  await again.close();
  await first.close();
  await resources.close();
});
