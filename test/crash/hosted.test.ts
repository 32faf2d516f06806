/** Power loss and failing disks at every operation of an engine under a host's log (hosted-life.ts). */
import { describe, expect, it } from 'vitest';
import { CRASH_MODES } from '../sim/sim-file.ts';
import { type HostedLife, type HostedTrouble, liveHosted } from './hosted-life.ts';

async function live(seed: number, trouble: HostedTrouble): Promise<HostedLife> {
  try {
    return await liveHosted(seed, trouble);
  } catch (error) {
    throw new Error(`seed ${seed}, ${JSON.stringify(trouble)}: ${(error as Error).message}`, { cause: error });
  }
}

describe("an engine under a host's log", () => {
  it('passes through links and values that move in its life', async () => {
    const life = await liveHosted(1);
    expect(life).toMatchObject({ crashes: 0, repeated: 0 });
    expect(life.links).toBeGreaterThan(0);
    expect(life.blocks).toBeGreaterThan(0);
    expect(life.operations).toBeGreaterThan(100);
  });

  it('is what its host wrote, whatever operation power is lost at', { timeout: 600_000 }, async () => {
    const { operations } = await liveHosted(1);
    let repeated = 0;
    for (let at = 1; at <= operations; at++) {
      // Two of the forms of loss at each, others at the next.
      for (const mode of [CRASH_MODES[at % CRASH_MODES.length]!, CRASH_MODES[(at + 3) % CRASH_MODES.length]!]) {
        const loss = { at, mode, ...(at % 3 === 0 && { again: 1 + (at % 17) }) };
        repeated += (await live(at, { loss })).repeated;
      }
    }
    expect(repeated).toBeGreaterThan(operations);
  });

  it('is what its host wrote, whatever operation the disk fails at', { timeout: 600_000 }, async () => {
    const { operations } = await liveHosted(1);
    let repeated = 0;
    for (let at = 1; at <= operations; at += 2) {
      const error = (['EIO', 'ENOSPC', 'short'] as const)[at % 3]!;
      repeated += (await live(at, { fault: { at, error, forGood: at % 4 === 1 } })).repeated;
    }
    // Faults ended lives, and what was not in tables yet was applied again.
    expect(repeated).toBeGreaterThan(0);
  });
});
