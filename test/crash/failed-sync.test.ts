import { describe, expect, it } from 'vitest';
import { open, type Engine } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SETTINGS = {
  memoryBytes: 64 * 1024 * 1024,
  pageCacheBytes: 1024 * 1024,
  memtableBytes: 65536,
  segmentBytes: 65536,
  maxBatchBytes: 8 * 1024 * 1024,
  maxValueBytes: 1024 * 1024,
};
const LARGE = Buffer.alloc(20_000, 'large');

function started(fileSystem: SimFileSystem): Promise<Engine> {
  return open('/data', SETTINGS, { fileSystem });
}

describe('a log segment that has no frame yet', () => {
  it('is no obstacle to opening', async () => {
    const fs = new SimFileSystem();
    const first = await started(fs);
    // The segment is made at once, its frames are written at the end of the tick.
    const writing = first.put('a', '1', { durability: 'os' });
    fs.endProcess();
    await expect(writing).rejects.toThrow();
    expect(fs.contents('/data/000001.log').length).toBe(64);
    await using second = await started(fs);
    expect([...second.scanSync()]).toEqual([]);
    await second.put('b', '2');
    expect(Buffer.from(second.getSync('b')!).toString()).toBe('2');
  });
});

describe('a failed sync', () => {
  it.each([1, 3, 6])('of %i large values: the next process sees them, and what it syncs survives power loss', async (count) => {
    const fs = new SimFileSystem();
    const first = await started(fs);
    await first.put('before', 'synced', { durability: 'synced' });
    for (let i = 0; i < count; i++) await first.put(`value/${i}`, LARGE, { durability: 'os' });
    // The write of the put, then its first sync.
    fs.failAt({ at: fs.operations + 2, error: 'EIO' });
    await expect(first.put('failing', 'x', { durability: 'synced' })).rejects.toMatchObject({ code: 'WRITER_FAILED' });
    await expect(first.put('refused', 'x')).rejects.toMatchObject({ code: 'WRITER_FAILED' });
    fs.endProcess();

    const second = await started(fs);
    const seen = [...second.scanSync()].map(([key]) => Buffer.from(key).toString());
    expect(seen).toContain(`value/${count - 1}`);
    await second.put('after', 'synced', { durability: 'synced' });
    await second.flush();
    fs.crash('none');

    await using third = await started(fs);
    expect([...third.scanSync()].map(([key]) => Buffer.from(key).toString())).toEqual([...seen, 'after'].sort());
    for (let i = 0; i < count; i++) expect(Buffer.from(third.getSync(`value/${i}`)!).equals(LARGE)).toBe(true);
  });
});
