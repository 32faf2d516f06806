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

test('level 0 stays within what a scan and a compaction can take', async () => {
  // A clock of its own: time passes as it is looked at, a fifth of a millisecond each time, however busy the machine is.
  let nowMs = 0;
  const look = (): number => (nowMs += 0.2);
  const clock = { wallMs: look, monotonicMs: look };
  const engine = await open('/store', SMALL, { fileSystem: new SimFileSystem(), clock });
  let most = 0;
  for (let i = 0; i < 60_000; i++) {
    void engine.put(`k${(i * 7919) % 100_003}`, 'v'.repeat(100), { durability: 'buffered' });
    if (i % 500 === 0) most = Math.max(most, engine.metrics().tables.levels[0]?.tables ?? 0);
  }
  expect(most).toBeLessThan(55);
  expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(60_000);
  await engine.settled();
  await engine.close();
});
