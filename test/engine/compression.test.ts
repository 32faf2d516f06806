import { describe, expect, test } from 'vitest';
import { open } from '../../engine/index.ts';
import type { EngineSettingsInput } from '../../engine/settings.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SMALL: EngineSettingsInput = {
  memtableBytes: 64 * 1024,
  tableBytes: 64 * 1024,
  level1Bytes: 256 * 1024,
  memoryBytes: 64 * 2 ** 20,
  pageCacheBytes: 2 ** 20,
  maxBatchBytes: 2 ** 20,
  maxValueBytes: 2 ** 16,
};
const KEYS = 12_000;
const key = (i: number): string => `key${String(i).padStart(6, '0')}`;
const value = (i: number): string => JSON.stringify({ id: i, name: 'sparrow', place: 'on the roof', seen: [i % 7, i % 11] });

/** What codec each page of each table has, by level, as the files say it. */
function codecs(disk: SimFileSystem): Set<number> {
  const found = new Set<number>();
  for (const name of disk.listSync('/store').filter((each) => each.endsWith('.table'))) {
    const bytes = Buffer.from(disk.contents(`/store/${name}`));
    const end = Number(bytes.readBigUInt64LE(bytes.length - 80 + 16));
    for (let at = 0; at < end;) {
      const packed = bytes.readUInt16LE(at + 10) === 0xffff;
      found.add(packed ? bytes.readUInt32LE(at + 12) : 0);
      at += packed ? Math.ceil(bytes.readUInt16LE(at + 8) / 8) * 8 : 8192;
    }
  }
  return found;
}

async function fill(disk: SimFileSystem, settings: EngineSettingsInput, from: number, to: number): Promise<number> {
  const engine = await open('/store', { ...SMALL, ...settings }, { fileSystem: disk });
  for (let i = from; i < to; i++) await engine.put(key((i * 7919) % KEYS), value((i * 7919) % KEYS), { durability: 'buffered' });
  await engine.flush();
  await engine.settled();
  const { levels } = engine.metrics().tables;
  await engine.close();
  return levels.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function readAll(disk: SimFileSystem): Promise<void> {
  const engine = await open('/store', SMALL, { fileSystem: disk });
  for (let i = 0; i < KEYS; i += 13) expect(Buffer.from(engine.getSync(key(i))!).toString()).toBe(value(i));
  let count = 0;
  for (const [k, v] of engine.scanSync()) {
    expect([Buffer.from(k).toString(), Buffer.from(v).toString()]).toEqual([key(count), value(count)]);
    count++;
  }
  expect(count).toBe(KEYS);
  count = 0;
  for (const [k] of engine.scanSync({ reverse: true })) expect(Buffer.from(k).toString()).toBe(key(KEYS - ++count));
  await engine.close();
}

describe('compression of tables', () => {
  test('takes less room, and every read is right; tables of before stay readable, whatever the setting is then', async () => {
    const disk = new SimFileSystem();
    const plain = await fill(disk, {}, 0, KEYS);
    expect(codecs(disk)).toEqual(new Set([0]));
    await fill(disk, { compression: 'lz4' }, 0, KEYS / 2);
    await fill(disk, { compression: 'zstd' }, KEYS / 2, KEYS);
    expect(codecs(disk).has(2)).toBe(true);
    await readAll(disk);
    for (const [compression, share] of [
      ['lz4', 0.5],
      ['zstd', 0.35],
    ] as const) {
      const other = new SimFileSystem();
      expect(await fill(other, { compression }, 0, KEYS)).toBeLessThan(plain * share);
      await readAll(other);
    }
  });

  test('may be one for the deepest level and another for those above', async () => {
    const disk = new SimFileSystem();
    await fill(disk, { compression: { upper: 'none', bottom: 'zstd' }, level0Compact: 2 }, 0, KEYS);
    expect(codecs(disk).has(2)).toBe(true);
    expect(codecs(disk).has(1)).toBe(false);
    await readAll(disk);
  });

  test('is refused at the door when it is none, or this runtime does not have it', async () => {
    const disk = new SimFileSystem();
    const opened = (compression: unknown): Promise<unknown> => open('/store', { compression } as EngineSettingsInput, { fileSystem: disk });
    await expect(opened('snappy')).rejects.toMatchObject({ kind: 'invalid', code: 'OPTION_RANGE', details: { field: 'compression' } });
    await expect(opened({ upper: 'lz4', bottom: 7 })).rejects.toMatchObject({ code: 'OPTION_RANGE' });
    await expect(opened({ lower: 'lz4' })).rejects.toMatchObject({ code: 'OPTION_UNKNOWN', details: { field: 'compression.lower' } });
    await expect(open('/store', { compression: { bottom: 'zstd' } }, { fileSystem: disk, zstd: undefined })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'ZSTD_MISSING',
    });
  });
});
