/** Power loss at every operation of a replica whose engine is under the node's log (replica-life.ts). */
import { describe, expect, it } from 'vitest';
import { CRASH_MODES } from '../sim/sim-file.ts';
import type { Trouble } from './failing-machine.ts';
import { liveReplica, type ReplicaLife } from './replica-life.ts';

async function live(seed: number, trouble: Trouble): Promise<ReplicaLife> {
  try {
    return await liveReplica(seed, trouble);
  } catch (error) {
    throw new Error(`seed ${seed}, ${JSON.stringify(trouble)}: ${(error as Error).message}`, { cause: error });
  }
}

describe('a replica under the node log', () => {
  it('passes through links, segments that are dropped, and values that move, in its life', async () => {
    const life = await liveReplica(1);
    expect(life).toMatchObject({ crashes: 0, replayed: 0 });
    expect(life.links).toBeGreaterThan(0);
    expect(life.blocks).toBeGreaterThan(0);
    expect(life.dropped).toBeGreaterThan(2);
    expect(life.emptied).toBeGreaterThan(0);
    expect(life.operations).toBeGreaterThan(200);
  });

  it(
    'has what it acknowledged, and nothing that was not asked for, whatever operation power is lost at',
    { timeout: 600_000 },
    async () => {
      const { operations } = await liveReplica(1);
      const modes = [...CRASH_MODES, 'process'] as const;
      let replayed = 0;
      let crashes = 0;
      for (let at = 1; at <= operations; at++) {
        const loss = { at, mode: modes[at % modes.length]!, ...(at % 3 === 0 && { again: 1 + (at % 17) }) };
        const life = await live(at, { loss });
        replayed += life.replayed;
        crashes += life.crashes;
      }
      expect(crashes).toBeGreaterThan(operations * 0.9);
      expect(replayed).toBeGreaterThan(operations);
    },
  );

  it('has what it acknowledged, whatever operation the disk fails at', { timeout: 600_000 }, async () => {
    const { operations } = await liveReplica(1);
    let crashes = 0;
    for (let at = 1; at <= operations; at += 3) {
      const error = (['EIO', 'ENOSPC', 'short'] as const)[at % 3]!;
      crashes += (await live(at, { fault: { at, error, forGood: at % 4 === 1 && error === 'EIO' } })).crashes;
    }
    // A failure of the disk stops a replica; a lack of room is waited out.
    expect(crashes).toBeGreaterThan(operations / 30);
  });
});
