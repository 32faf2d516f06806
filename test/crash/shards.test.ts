/** Power loss at operations of a node whose shards are split and merged (shards-life.ts): here at each third or fifth one, SPARROWKV_CRASH_STEP=1 for all of them. */
import { describe, expect, it } from 'vitest';
import { CRASH_MODES } from '../sim/sim-file.ts';
import type { Trouble } from './failing-machine.ts';
import { liveShards, type ShardsLife } from './shards-life.ts';

type Kind = Parameters<typeof liveShards>[2];

async function live(seed: number, trouble: Trouble, kind: Kind): Promise<ShardsLife> {
  try {
    return await liveShards(seed, trouble, kind);
  } catch (error) {
    throw new Error(`seed ${seed}, ${kind}, ${JSON.stringify(trouble)}: ${(error as Error).message}`, { cause: error });
  }
}

describe.each([
  ['range', 3, 3],
  ['hash', 2, 5],
] as const)('shards of a %s that are split and merged', (kind, shards, step) => {
  const STEP = Number(process.env['SPARROWKV_CRASH_STEP'] ?? step);

  it('pass through children that share segments of the log, and merges', async () => {
    const life = await liveShards(1, {}, kind);
    expect(life).toMatchObject({ crashes: 0, replayed: 0, repeated: 0, shards });
    expect(life.blocks).toBeGreaterThan(0);
    expect(life.operations).toBeGreaterThan(400);
  });

  it('have every key once, and every write once, whatever operation power is lost at', { timeout: 900_000 }, async () => {
    const { operations } = await liveShards(1, {}, kind);
    const modes = [...CRASH_MODES, 'process'] as const;
    let [crashes, repeated, replayed] = [0, 0, 0];
    for (let at = 1; at <= operations; at += STEP) {
      const loss = { at, mode: modes[at % modes.length]!, ...(at % 3 === 0 && { again: 1 + (at % 17) }) };
      const life = await live(at, { loss }, kind);
      crashes += life.crashes;
      repeated += life.repeated;
      replayed += life.replayed;
    }
    expect(crashes).toBeGreaterThan((operations / STEP) * 0.9);
    expect(repeated).toBeGreaterThan((operations / STEP) * 0.5);
    expect(replayed).toBeGreaterThan(operations / STEP);
  });

  it('have every key once, whatever operation the disk fails at', { timeout: 900_000 }, async () => {
    const { operations } = await liveShards(1, {}, kind);
    let crashes = 0;
    for (let at = 1; at <= operations; at += 7 * STEP) {
      const error = (['EIO', 'ENOSPC', 'short'] as const)[at % 3]!;
      crashes += (await live(at, { fault: { at, error, forGood: at % 4 === 1 && error === 'EIO' } }, kind)).crashes;
    }
    expect(crashes).toBeGreaterThan(operations / (60 * STEP));
  });
});
