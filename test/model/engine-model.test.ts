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
/** Under a host's log a few less: it is the same engine behind. */
const HOSTED_RUNS: number = Math.ceil(RUNS / 3);
const SEED = process.env['SPARROWKV_MODEL_SEED'];

/** Runs that agree; throws where one does not. Returns what none of them has reached and should have. */
async function unreached(runs: number, hosted: boolean, unasked: readonly (keyof Reached)[]): Promise<string[]> {
  const total: Partial<Reached> = { ...NOTHING_REACHED };
  await fc.assert(
    fc.asyncProperty(anyRun(80, hosted), async (run) => {
      const reached = await new Interpreter(run).run();
      for (const what of Object.keys(total) as (keyof Reached)[]) total[what]! += reached[what];
    }),
    { numRuns: runs, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
  );
  for (const what of unasked) delete total[what];
  return Object.keys(total).filter((what) => total[what as keyof Reached] === 0);
}

describe('the engine against a sorted map', () => {
  it(
    'agrees at every step: writes and their conditions, reads, iterators, snapshots, time, keyspaces, flushes, compactions, reopening, crashes',
    { timeout: RUNS * 3000 },
    async () => expect(await unreached(RUNS, false, [...RARE, 'repeated'])).toEqual([]),
  );

  it("agrees under a host's log, too, which writes again what is lost", { timeout: HOSTED_RUNS * 3000 }, async () =>
    expect(await unreached(HOSTED_RUNS, true, RARE)).toEqual([]),
  );
});
