/** Power loss at every operation of a repair: it is done again, and comes to the same as one that nothing came between. */
import { describe, expect, it } from 'vitest';
import { dump, repair, verify } from '../../engine/index.ts';
import { type Contents, contentsOf, live, openStore, value } from '../engine/upkeep/store-life.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import type { CrashMode } from '../sim/sim-file.ts';

const MODES: readonly CrashMode[] = ['none', 'all', 'random', 'torn'];

type Files = ReadonlyMap<string, Uint8Array>;

/** A store with a damaged page, a damaged batch and, by choice, a damaged manifest. */
async function damagedStore(manifest: 'damaged' | 'sound'): Promise<Files> {
  const fs = new SimFileSystem();
  const engine = await openStore(fs, '/data');
  for (let i = 0; i < 300; i++) await engine.put(`wide/${i}`, value(i, 150), { durability: 'buffered' });
  await live(engine, 2);
  await engine.sync();
  fs.endProcess();
  const names = fs.listSync('/data');
  const table = names.find((name) => name.endsWith('.table') && pagesOf(fs, name) > 1)!;
  const logs = names.flatMap((name) => (name.endsWith('.log') ? [{ name, batches: batchesOf(fs, name) }] : []));
  const log = logs.findLast(({ batches }) => batches.length > 9)!;
  fs.flip(`/data/${table}`, 8192 + 100);
  fs.flip(`/data/${log.name}`, log.batches[5]! + 30);
  if (manifest === 'damaged') fs.flip(`/data/${names.find((name) => name.startsWith('MANIFEST'))!}`, 60);
  return new Map(names.map((name) => [name, fs.contents(`/data/${name}`)]));
}

function diskOf(files: Files, seed: number): SimFileSystem {
  const fs = new SimFileSystem({ seed });
  fs.makeDirectorySync('/data');
  for (const [name, bytes] of files) fs.replace(`/data/${name}`, bytes);
  return fs;
}

function pagesOf(fs: SimFileSystem, name: string): number {
  return [...dump(`/data/${name}`, {}, { fileSystem: fs })].filter(({ item }) => item === 'page').length;
}

function batchesOf(fs: SimFileSystem, name: string): number[] {
  return [...dump(`/data/${name}`, {}, { fileSystem: fs })].flatMap((item) => (item.item === 'batch' ? [item.offset] : []));
}

async function outcome(fs: SimFileSystem): Promise<Contents> {
  expect(await verify('/data', {}, { fileSystem: fs })).toMatchObject({ problems: [] });
  return contentsOf(fs, '/data');
}

describe.each(['damaged', 'sound'] as const)('a repair, the manifest being %s, that loses power', (manifest) => {
  it('is done again with the same result', { timeout: 120_000 }, async () => {
    const files = await damagedStore(manifest);
    const dry = diskOf(files, 1);
    const begin = dry.operations;
    const first = await repair('/data', {}, { fileSystem: dry });
    const operations = dry.operations - begin;
    expect([first.wasSound, first.lostCount > 0, operations > 10]).toEqual([false, true, true]);
    const expected = await outcome(dry);
    for (let k = 1; k <= operations; k++) {
      const fs = diskOf(files, k);
      fs.killAt(fs.operations + k);
      await repair('/data', {}, { fileSystem: fs }).catch(() => undefined);
      fs.crash(MODES[k % MODES.length]!);
      await repair('/data', {}, { fileSystem: fs });
      // On disk when it settles.
      fs.crash('none');
      expect(await outcome(fs), `operation ${k}`).toEqual(expected);
      expect(fs.openFiles).toEqual([]);
    }
  });
});
