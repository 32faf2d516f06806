/** What was given out by an engine that has been closed since: it refuses, also where it had something at hand. */
import { expect, test } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const CLOSED = expect.objectContaining({ kind: 'closed', code: 'ENGINE_CLOSED' }) as Error;

async function filled(): Promise<Engine> {
  const engine = await open('/store', { memoryBytes: 2 ** 28, pageCacheBytes: 2 ** 20 }, { fileSystem: new SimFileSystem() });
  for (let i = 0; i < 100; i++) await engine.put(`k${i}`, 'v');
  return engine;
}

test('an iterator has nothing left of its window', async () => {
  const engine = await filled();
  const iterator = engine.iterator();
  iterator.next();
  await engine.close();
  expect(() => iterator.next()).toThrow(CLOSED);
  expect(() => iterator.nextMany(3)).toThrow(CLOSED);
  expect(() => iterator.seek('k5')).toThrow(CLOSED);
  iterator.close();
});

test('a scan has nothing left of its window, and may be left', async () => {
  const engine = await filled();
  const scan = engine.scanSync()[Symbol.iterator]();
  const other = engine.scan()[Symbol.asyncIterator]();
  scan.next();
  await other.next();
  await engine.close();
  expect(() => scan.next()).toThrow(CLOSED);
  expect(scan.return!()).toEqual({ done: true, value: undefined });
  expect(scan.next()).toEqual({ done: true, value: undefined });
  await expect(other.next()).rejects.toEqual(CLOSED);
});
