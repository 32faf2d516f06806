/** Large values that the log has not written yet are read all the same, whatever has become of the disk. */
import { expect, test } from 'vitest';
import { open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SMALL = { memtableBytes: 2 ** 20, pageCacheBytes: 2 ** 20, memoryBytes: 2 ** 28 };
const BUFFERED = { durability: 'buffered' } as const;
const sizes = [5000, 1024, 40_000, 3000];

for (const trouble of ['full', 'failed', 'none'] as const) {
  test(`while the disk is ${trouble === 'none' ? 'well' : trouble}`, async () => {
    const fileSystem = new SimFileSystem();
    const engine = await open('/store', SMALL, { fileSystem });
    await engine.put('before', Buffer.alloc(2000, 9));
    if (trouble === 'full') fileSystem.capacityBytes = engine.metrics().space.diskBytes + 1000;
    if (trouble === 'failed') fileSystem.failAt({ at: fileSystem.operations + 1, error: 'EIO', forGood: true });
    const { operations } = fileSystem;
    sizes.forEach((bytes, i) => void engine.put(`k${i}`, Buffer.alloc(bytes, i), BUFFERED));
    const check = (): void => {
      sizes.forEach((bytes, i) => expect(Buffer.compare(engine.getSync(`k${i}`)!, Buffer.alloc(bytes, i))).toBe(0));
      expect(engine.getSync('before')).toHaveLength(2000);
      expect([...engine.scanSync()].map(([, value]) => value.length)).toEqual([2000, ...sizes]);
    };
    check();
    // To read is not to write.
    expect(fileSystem.operations).toBe(operations);
    await new Promise((resolve) => setImmediate(resolve));
    check();
    await engine
      .close()
      .catch((error: unknown) => expect(error).toMatchObject({ code: trouble === 'full' ? 'DISK_FULL' : 'WRITER_FAILED' }));
  });
}
