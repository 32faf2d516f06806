/** An opening that fails leaves nothing behind: no open file, no lock, so that it can be tried again in the same process. */
import { expect, test } from 'vitest';
import { open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SMALL = { memtableBytes: 64 * 1024, segmentBytes: 64 * 1024, pageCacheBytes: 2 ** 20, memoryBytes: 2 ** 26, maxBatchBytes: 2 ** 20 };

async function storeWithLog(): Promise<SimFileSystem> {
  const fileSystem = new SimFileSystem();
  const engine = await open('/store', SMALL, { fileSystem });
  for (let i = 0; i < 300; i++) await engine.put(`k${i}`, 'v'.repeat(1500), { durability: i % 50 === 0 ? 'synced' : 'os' });
  await engine.close();
  return fileSystem;
}

test('because the log is damaged', async () => {
  const fileSystem = await storeWithLog();
  const log = fileSystem.listSync('/store').find((name) => name.endsWith('.log'))!;
  fileSystem.flip(`/store/${log}`, 1100);
  for (let attempt = 0; attempt < 3; attempt++) {
    await expect(open('/store', SMALL, { fileSystem })).rejects.toMatchObject({ code: 'CORRUPT_LOG' });
    expect(fileSystem.openFiles).toEqual([]);
  }
  fileSystem.flip(`/store/${log}`, 1100);
  const engine = await open('/store', SMALL, { fileSystem });
  expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(300);
  await engine.close();
  expect(fileSystem.openFiles).toEqual([]);
});

test('because the disk fails, whatever the operation', async () => {
  for (const on of ['operation', 'read'] as const) {
    let failed = 0;
    for (let at = 1; ; at++) {
      const fileSystem = await storeWithLog();
      fileSystem.failAt({ at: (on === 'read' ? fileSystem.reads : fileSystem.operations) + at, error: 'EIO', on });
      const before = fileSystem.faultsHit;
      let thrown: unknown;
      const engine = await open('/store', SMALL, { fileSystem }).catch((error: unknown) => void (thrown = error));
      if (engine) await engine.close();
      else failed++;
      expect(fileSystem.openFiles, `${on} ${at}: ${String(thrown)}`).toEqual([]);
      if (fileSystem.faultsHit === before) break;
      const again = await open('/store', SMALL, { fileSystem });
      expect([...again.scanSync({ keysOnly: true })]).toHaveLength(300);
      await again.close();
    }
    expect(failed).toBeGreaterThan(0);
  }
});
