/**
 * Power loss at every operation of upkeep: what there was is whole, what was made is whole, refused or not there, and the work can be done anew.
 * Two forms of loss each; campaign.ts --upkeep has all.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { layeredStore, type StoreImage } from '../corruption/stores.ts';
import { CRASH_MODES } from '../sim/sim-file.ts';
import { type PowerLossAt, runTask } from './upkeep-life.ts';
import { type Outcome, UPKEEP_TASKS, type UpkeepTask } from './upkeep-tasks.ts';

let image: StoreImage;

beforeAll(async () => {
  image = await layeredStore();
});

async function lose(task: UpkeepTask, loss: PowerLossAt): Promise<Outcome> {
  try {
    return (await runTask(task, image, loss)).outcome;
  } catch (error) {
    throw new Error(`${JSON.stringify(loss)}: ${String(error)}`, { cause: error });
  }
}

describe('power lost', () => {
  it.each(UPKEEP_TASKS)('in the midst of $name', { timeout: 600_000 }, async (task) => {
    const { operations } = await runTask(task, image);
    expect(operations).toBeGreaterThan(2);
    const outcomes = new Set<Outcome>();
    for (let at = 1; at <= operations + 1; at++)
      for (const step of [0, 3]) outcomes.add(await lose(task, { at, mode: CRASH_MODES[(at + step) % CRASH_MODES.length]! }));
    // It was cut off before it counted, and after.
    expect([outcomes.size > 1, outcomes.has('whole')]).toEqual([true, true]);
  });

  it.each(UPKEEP_TASKS)('in the midst of $name, and again while it is done anew', { timeout: 600_000 }, async (task) => {
    const { operations } = await runTask(task, image);
    for (let at = 1; at <= operations; at += 2)
      await lose(task, { at, mode: CRASH_MODES[(at * 5) % CRASH_MODES.length]!, again: 1 + ((at * 7) % 40) });
  });
});
