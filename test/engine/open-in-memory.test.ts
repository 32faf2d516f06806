import { expect, it } from 'vitest';
import { MemoryFileSystem, openInMemory } from '../../engine/index.ts';
import { resolveSettings } from '../../engine/settings.ts';

const code = (value: string): unknown => expect.objectContaining({ code: value });
const MIB = 1024 * 1024;
const key = (i: number): string => `key:${String(i).padStart(8, '0')}`;

it('holds a store through flush and compaction, and gives memory back for what was overwritten', async () => {
  const fileSystem = new MemoryFileSystem();
  await using engine = await openInMemory({ memtableBytes: 256 * 1024, segmentBytes: MIB, tableBytes: 256 * 1024 }, { fileSystem });
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 1000; i++) await engine.put(key(i), `${round}`.repeat(i % 10 === 0 ? 5000 : 300));
  }
  await engine.flush();
  await engine.settled();
  const { flushes, compactions, memory } = engine.metrics();
  expect(flushes.count).toBeGreaterThan(3);
  expect(compactions.count).toBeGreaterThan(0);
  expect(memory.fileBytes).toBe(fileSystem.heldBytes);
  for (let i = 0; i < 1000; i++) expect(engine.getSync(key(i))?.length).toBe(i % 10 === 0 ? 5000 : 300);
  // 0.8 MB are live; each round wrote as much.
  expect(fileSystem.heldBytes).toBeLessThan(2.5 * MIB);
});

it('opens again what an engine left in its file system; another one knows nothing of it', async () => {
  const fileSystem = new MemoryFileSystem();
  const first = await openInMemory({}, { fileSystem });
  await first.put('a', 'one');
  await expect(openInMemory({}, { fileSystem })).rejects.toThrow(code('LOCKED'));
  await first.close();
  await using again = await openInMemory({}, { fileSystem });
  await using other = await openInMemory();
  expect(new TextDecoder().decode(again.getSync('a'))).toBe('one');
  expect(other.getSync('a')).toBeUndefined();
});

it('is full at its bound, and goes on when space comes back', async () => {
  const fileSystem = new MemoryFileSystem({ bytesMax: 16 * MIB });
  await using engine = await openInMemory({ durability: 'os' }, { fileSystem });
  const value = new Uint8Array(100_000);
  let written = 0;
  await expect(
    (async () => {
      for (; written < 1000; written++) await engine.put(key(written), value);
    })(),
  ).rejects.toThrow(code('DISK_FULL'));
  expect(written).toBeGreaterThan(100);
  await expect(engine.put('more', 'x')).rejects.toThrow(code('DISK_FULL'));
  expect(engine.getSync(key(0))?.length).toBe(100_000);
  fileSystem.bytesMax = 64 * MIB;
  await engine.put('more', 'x');
  expect(engine.getSync('more')?.length).toBe(1);
});

it('refuses settings that make no sense, by name', async () => {
  await expect(openInMemory({ fileBytesMax: 1000 })).rejects.toThrow('fileBytesMax');
  await expect(openInMemory({ fileBytesMax: 64 * MIB }, { fileSystem: new MemoryFileSystem() })).rejects.toThrow('fileBytesMax');
  await expect(openInMemory({ memtableByte: 1 } as never)).rejects.toThrow(code('OPTION_UNKNOWN'));
  expect(resolveSettings().durability).toBe('os');
});
