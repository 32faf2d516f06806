/** A caller that writes in one go, without ever letting the event loop turn: nothing is lost by it and nothing grows without bound. */
import { expect, test } from 'vitest';
import { open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SMALL = { memtableBytes: 64 * 1024, pageCacheBytes: 2 ** 20, tableBytes: 64 * 1024, level1Bytes: 256 * 1024, memoryBytes: 2 ** 28 };

test('what was synced is found after the process dies, though its memtables were flushed before the log was written', async () => {
  const fileSystem = new SimFileSystem();
  const engine = await open('/store', SMALL, { fileSystem });
  for (let i = 0; i < 3000; i++) void engine.put(`k${i}`, `${i}`.padStart(100, 'v'), { durability: 'buffered' });
  await engine.sync();
  fileSystem.crash('all');
  const again = await open('/store', SMALL, { fileSystem });
  const lost = Array.from({ length: 3000 }, (_, i) => `k${i}`).filter((key) => again.getSync(key) === undefined);
  expect(lost).toEqual([]);
  await again.close();
});
