/** Power loss at every operation of a checkpoint: the store has all that it had; the copy is whole, refused, or not there; then it is made anew. */
import { describe, expect, it } from 'vitest';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import type { CrashMode } from '../sim/sim-file.ts';
import { contents, contentsOf, live, openStore, type Contents } from '../engine/upkeep/store-life.ts';

const MODES: readonly CrashMode[] = ['none', 'all', 'random', 'torn'];

/** The store just before its checkpoint, all of it on disk. */
async function lived(seed: number): Promise<{ fs: SimFileSystem; before: Contents; make: () => Promise<unknown> }> {
  const fs = new SimFileSystem({ seed });
  const engine = await openStore(fs, '/data');
  await live(engine, 2);
  await engine.sync();
  return { fs, before: await contents(engine), make: () => engine.checkpoint('/copy') };
}

describe('a checkpoint that loses power', () => {
  it('is whole or refused, whatever the operation and whatever is left', { timeout: 120_000 }, async () => {
    const dry = await lived(1);
    const begin = dry.fs.operations;
    await dry.make();
    const operations = dry.fs.operations - begin;
    expect(operations).toBeGreaterThan(15);
    const ends = { whole: 0, refused: 0, absent: 0 };
    for (let k = 1; k <= operations; k++) {
      const mode = MODES[k % MODES.length]!;
      for (const each of k % 2 === 0 ? [mode] : [mode, 'random' as const]) {
        const { fs, before, make } = await lived(k);
        fs.killAt(fs.operations + k);
        await make().catch(() => undefined);
        fs.crash(each);
        const there = fs.existsSync('/copy') && fs.listSync('/copy').length > 0;
        if (!there) ends.absent++;
        else {
          const held = await contentsOf(fs, '/copy').catch((error: unknown) => error);
          if (held instanceof Map) {
            expect(held).toEqual(before);
            ends.whole++;
          } else {
            expect(held, `operation ${k}, ${each}`).toMatchObject({ code: 'INCOMPLETE' });
            ends.refused++;
          }
        }
        await using engine = await openStore(fs, '/data');
        expect(await contents(engine)).toEqual(before);
        if (fs.existsSync('/copy/CURRENT') && !fs.existsSync('/copy/INCOMPLETE')) continue;
        await engine.checkpoint('/copy');
        fs.crash('none');
        expect(await contentsOf(fs, '/copy')).toEqual(before);
      }
    }
    expect(Object.values(ends).every((count) => count > 0)).toBe(true);
  });
});
