/** Power loss at every operation of an ingest: afterwards all of it is there or nothing, and what was there before is. */
import { describe, expect, it } from 'vitest';
import { createTableWriter, type Engine, verify } from '../../engine/index.ts';
import { type Contents, contents, contentsOf, live, openStore, value } from '../engine/upkeep/store-life.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import type { CrashMode } from '../sim/sim-file.ts';
import { SimRandom } from '../sim/sim-random.ts';

const MODES: readonly CrashMode[] = ['none', 'all', 'random', 'torn'];
const COUNT = 80;

async function lived(seed: number): Promise<{ fs: SimFileSystem; engine: Engine; before: Contents }> {
  const fs = new SimFileSystem({ seed });
  const writer = createTableWriter('/made', { inlineThreshold: 512, tableBytes: 65536 }, { fileSystem: fs, random: new SimRandom(3) });
  for (let i = 0; i < COUNT; i++) writer.put(`bulk/${String(i).padStart(3, '0')}`, value(i, i % 9 === 0 ? 2000 : 100));
  writer.finish();
  const engine = await openStore(fs, '/data');
  await live(engine, 1);
  await engine.put('bulk/005', 'older', { durability: 'synced' });
  return { fs, engine, before: await contents(engine) };
}

function ingested(held: Contents): number {
  return [...held.keys()].filter((key) => key.startsWith('bulk/')).length;
}

describe.each(['link', 'move', 'copy'] as const)('an ingest by %s that loses power', (mode) => {
  it('is there whole or not at all', { timeout: 120_000 }, async () => {
    const dry = await lived(1);
    const begin = dry.fs.operations;
    await dry.engine.ingest('/made', { mode });
    const operations = dry.fs.operations - begin;
    const after = await contents(dry.engine);
    expect(ingested(after)).toBe(COUNT);
    const ends = { nothing: 0, all: 0 };
    for (let k = 1; k <= operations + 1; k++) {
      const { fs, engine, before } = await lived(k);
      fs.killAt(fs.operations + k);
      await engine.ingest('/made', { mode }).catch(() => undefined);
      fs.crash(MODES[k % MODES.length]!);
      expect((await verify('/data', {}, { fileSystem: fs })).problems, `operation ${k}`).toEqual([]);
      const held = await contentsOf(fs, '/data');
      if (ingested(held) === 1) {
        expect(held).toEqual(before);
        ends.nothing++;
        await using again = await openStore(fs, '/data');
        await again.ingest('/made', { mode });
        expect(await contents(again)).toEqual(after);
      } else {
        expect(held, `operation ${k}`).toEqual(after);
        ends.all++;
        await using going = await openStore(fs, '/data');
        await going.put('bulk/005', 'newer');
        expect(Buffer.from(going.getSync('bulk/005')!).toString()).toBe('newer');
      }
    }
    expect([ends.nothing > 5, ends.all > 0]).toEqual([true, true]);
  });
});
