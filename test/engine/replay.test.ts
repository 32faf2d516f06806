/** What an opening takes from the log. */
import { expect, test } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const at = (fileSystem: SimFileSystem): Promise<Engine> =>
  open('/store', { memoryBytes: 2 ** 28, pageCacheBytes: 2 ** 20 }, { fileSystem });

test('what tables have is not taken from the log again, though its segment goes on', async () => {
  const fileSystem = new SimFileSystem();
  const first = await at(fileSystem);
  for (const key of ['a', 'b', 'c']) await first.put(key, key);
  const flushed = first.flush();
  const written = first.put('d', 'd');
  await Promise.all([flushed, written]);
  fileSystem.endProcess();
  const other = new SimFileSystem();
  const alone = await at(other);
  await alone.put('d', 'd');
  other.endProcess();

  await using second = await at(fileSystem);
  await using compared = await at(other);
  expect(second.metrics().memtables.bytes).toBe(compared.metrics().memtables.bytes);
  expect(second.metrics().memtables.bytes).toBeGreaterThan(0);
  expect([...second.scanSync()].map(([key]) => Buffer.from(key).toString()).join('')).toBe('abcd');
});
