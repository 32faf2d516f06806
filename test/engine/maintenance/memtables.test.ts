/** Several memtables that wait for their flush. */
import { expect, test } from 'vitest';
import { open } from '../../../engine/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';

const SETTINGS = { memtableBytes: 64 * 1024, pageCacheBytes: 2 ** 20, tableBytes: 64 * 1024, memoryBytes: 2 ** 28 };
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const BUFFERED = { durability: 'buffered' } as const;

test('of a key that several sealed memtables have, the newest counts', async () => {
  const fileSystem = new SimFileSystem();
  const engine = await open('/store', SETTINGS, { fileSystem });
  // No table fits: memtables wait.
  fileSystem.capacityBytes = 4096;
  let sealedMost = 0;
  for (let round = 0; engine.metrics().memtables.sealed < 3; round++) {
    // Not awaited: the log is written later.
    void engine.put('key', String(round), BUFFERED).catch(() => undefined);
    for (let i = 0; i < 50; i++) void engine.put(`fill/${round}/${i}`, Buffer.alloc(900), BUFFERED).catch(() => undefined);
    sealedMost = Math.max(sealedMost, engine.metrics().memtables.sealed);
    expect(text(engine.getSync('key')!)).toBe(String(round));
    const [[, value]] = [...engine.scanSync({ gte: 'key', lt: 'kez' })] as [[Uint8Array, Uint8Array]];
    expect(text(value)).toBe(String(round));
  }
  expect(sealedMost).toBeGreaterThan(1);
  const newest = text(engine.getSync('key')!);
  fileSystem.capacityBytes = Infinity;
  await engine.flush();
  await engine.settled();
  expect(text(engine.getSync('key')!)).toBe(newest);
  await engine.close();
});
