/**
 * Power loss and failing disks at every operation of a scripted life (script.ts). After each the store opens, holds a whole number of
 * batches no fewer than were acknowledged, and lives on to the end of the script.
 */
import { describe, expect, it } from 'vitest';
import { Disagreement, type End, Interpreter, type Reached, type Trouble } from '../model/interpreter.ts';
import type { Fault } from '../sim/sim-file-system.ts';
import { CRASH_MODES } from '../sim/sim-file.ts';
import { type Script, SCRIPT_NAMES, scriptedRun } from './script.ts';

const MODES: readonly End[] = [...CRASH_MODES, 'process'];

async function dryRun(script: Script): Promise<{ operations: number; reached: Reached }> {
  const interpreter = new Interpreter(scriptedRun(1, script));
  const reached = await interpreter.run();
  return { operations: interpreter.fs.operations, reached };
}

async function run(script: Script, seed: number, trouble: Trouble): Promise<Reached> {
  try {
    return await new Interpreter(scriptedRun(seed, script), trouble).run();
  } catch (error) {
    throw new Disagreement(`${script}, seed ${seed}, ${JSON.stringify(trouble)}: ${(error as Error).message}`, { cause: error });
  }
}

describe('a store that loses power', () => {
  it('passes through flushes and compactions in the script', async () => {
    const { operations, reached } = await dryRun('life');
    expect(operations).toBeGreaterThan(100);
    for (const what of ['flushes', 'compactions', 'pointers', 'relocations', 'rolls'] as const)
      expect(reached[what], what).toBeGreaterThan(0);
    expect((await dryRun('parts')).reached.parted).toBeGreaterThan(0);
  });

  it.each(SCRIPT_NAMES)(
    'keeps what was acknowledged, whatever the operation and whatever is left (%s)',
    { timeout: 600_000 },
    async (script) => {
      const { operations } = await dryRun(script);
      let losses = 0;
      // The long one in other states each time: of its parts every operation is like the next.
      for (let after = 0; after < operations; after += script === 'parts' ? 3 : 1) {
        for (const mode of MODES) losses += (await run(script, after * 8 + 1, { powerLosses: [{ after, mode }] })).losses;
      }
      expect(losses).toBeGreaterThan(0);
    },
  );

  it.each(SCRIPT_NAMES)('keeps it when power is lost again while it recovers (%s)', { timeout: 600_000 }, async (script) => {
    const { operations } = await dryRun(script);
    for (let after = 0; after < operations; after += 5) {
      const mode = MODES[after % MODES.length]!;
      await run(script, after + 1, {
        powerLosses: [
          { after, mode },
          { after: after % 7, mode: 'torn' },
          { after: after % 11, mode },
        ],
      });
    }
  });
});

describe('a store whose disk fails', () => {
  it.each(SCRIPT_NAMES)('keeps what was acknowledged, whatever the operation and the error (%s)', { timeout: 600_000 }, async (script) => {
    const { operations } = await dryRun(script);
    for (let at = 1; at <= operations; at += 3) {
      for (const error of ['EIO', 'ENOSPC', 'short'] as const satisfies Fault['error'][]) {
        await run(script, at, { fault: { at, error, forGood: at % 2 === 0 } });
      }
    }
  });
});
