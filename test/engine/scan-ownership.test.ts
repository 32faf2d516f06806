import { describe, expect, it } from 'vitest';
import { open, type Engine, type ScanOptions } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SETTINGS = {
  memoryBytes: 64 * 1024 * 1024,
  pageCacheBytes: 1024 * 1024,
  memtableBytes: 65536,
  maxBatchBytes: 8 * 1024 * 1024,
  maxValueBytes: 1024 * 1024,
};
const COUNT = 500;

async function filled(): Promise<Engine> {
  const engine = await open('/data', SETTINGS, { fileSystem: new SimFileSystem() });
  for (let i = 0; i < COUNT; i++) void engine.put(`key/${String(i).padStart(4, '0')}`, `value ${i}`);
  return engine;
}

describe('what a scan shares with its caller', () => {
  it('does not write to the prefix that it was given', async () => {
    await using engine = await filled();
    const prefix = Buffer.from('key/00');
    expect([...engine.scanSync({ prefix })].length).toBe(100);
    expect(prefix.toString()).toBe('key/00');
  });

  it.each<ScanOptions>([{ reverse: false }, { reverse: true }])(
    'goes on though the caller overwrites keys and values that it got: %o',
    async (options) => {
      await using engine = await filled();
      let count = 0;
      for (const [key, value] of engine.scanSync(options)) {
        key.fill(0xff);
        value.fill(0);
        count++;
      }
      expect(count).toBe(COUNT);
    },
  );

  it('keeps the bounds of the time when it began', async () => {
    await using engine = await filled();
    const bounds = { gte: Buffer.from('key/0010'), lt: Buffer.from('key/0400') };
    let count = 0;
    for (const _ of engine.scanSync(bounds)) {
      if (count++ > 0) continue;
      bounds.gte.fill(0);
      bounds.lt.fill(0);
    }
    expect(count).toBe(390);
  });
});
