/** Power loss at every operation of checkpoints, repairs and keyspaces: what they were made from is whole, what they make is whole or refused. */
import { beforeAll, describe, expect, it } from 'vitest';
import { layeredStore, type StoreImage } from '../corruption/stores.ts';
import { CRASH_MODES } from '../sim/sim-file.ts';
import { runTask, UPKEEP_TASKS } from './upkeep-life.ts';

let image: StoreImage;

beforeAll(async () => {
  image = await layeredStore();
});

describe('power lost', () => {
  it.each(UPKEEP_TASKS)('in the midst of $name', { timeout: 600_000 }, async (task) => {
    const operations = await runTask(task, image, 0, 'all');
    expect(operations).toBeGreaterThan(5);
    for (let at = 1; at <= operations; at++) {
      for (const mode of CRASH_MODES) {
        try {
          await runTask(task, image, at, mode);
        } catch (error) {
          throw new Error(`at operation ${at} of ${operations} (${mode}): ${String(error)}`, { cause: error });
        }
      }
    }
  });
});
