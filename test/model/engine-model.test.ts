/**
 * The engine against a sorted map, over a disk that loses what was not synced: every verb, over several keyspaces, on a clock that lets
 * values expire. A failing run prints its seed and the shrunk commands; SPARROWKV_MODEL_RUNS makes more of them, SPARROWKV_MODEL_SEED repeats
 * one. For very many: campaign.ts.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyRun } from './commands.ts';
import { Interpreter, NOTHING_REACHED, type Reached } from './interpreter.ts';

const RUNS = Number(process.env['SPARROWKV_MODEL_RUNS'] ?? 150);
/** One run in fifty gets there (its own tests are in test/engine/compaction): not to be asked of so few runs as a rule. */
const RARE: readonly (keyof Reached)[] = RUNS < 1000 ? ['parted'] : [];
const SEED = process.env['SPARROWKV_MODEL_SEED'];

describe('the engine against a sorted map', () => {
  it(
    'agrees at every step: writes and their conditions, reads, iterators, snapshots, time, keyspaces, flushes, compactions, reopening, crashes',
    { timeout: RUNS * 3000 },
    async () => {
      const total: Partial<Reached> = { ...NOTHING_REACHED };
      await fc.assert(
        fc.asyncProperty(anyRun(80), async (run) => {
          const reached = await new Interpreter(run).run();
          for (const what of Object.keys(total) as (keyof Reached)[]) total[what]! += reached[what];
        }),
        { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
      );
      for (const what of RARE) delete total[what];
      for (const [what, times] of Object.entries(total)) expect(times, what).toBeGreaterThan(0);
    },
  );
});
