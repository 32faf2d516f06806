/** Upkeep on a disk that fails at any operation: told, nothing touched, and done anew when the disk is well. All of it: io-campaign.ts --upkeep. */
import { beforeAll, describe, expect, it } from 'vitest';
import { UPKEEP_TASKS, type UpkeepTask } from '../crash/upkeep-tasks.ts';
import { layeredStore, type StoreImage } from '../corruption/stores.ts';
import type { Fault } from '../sim/sim-file-system.ts';
import { type FailingTask, runFailing } from './upkeep-errors.ts';

let image: StoreImage;

beforeAll(async () => {
  image = await layeredStore();
});

async function fail(task: UpkeepTask, fault: Fault, end: 'process' | 'power'): Promise<FailingTask> {
  try {
    return await runFailing(task, image, fault, end);
  } catch (error) {
    throw new Error(`${JSON.stringify(fault)}, ${end}: ${String(error)}`, { cause: error });
  }
}

describe.each(UPKEEP_TASKS)('$name on a disk that fails', (task) => {
  it('at any operation is told, and done anew', { timeout: 600_000 }, async () => {
    const { operations } = await runFailing(task, image);
    for (let at = 1; at <= operations; at += 2) {
      const fault: Fault = { at, error: at % 3 === 0 ? 'ENOSPC' : 'EIO', forGood: at % 4 === 1 };
      const { hit } = await fail(task, fault, at % 8 < 4 ? 'process' : 'power');
      expect(hit, `operation ${at}`).toBe(true);
    }
  });

  it('for lack of space goes on when there is some, by the same engine', { timeout: 600_000 }, async () => {
    const { operations } = await runFailing(task, image);
    for (let at = 1; at <= operations; at += 3) {
      const fault: Fault = { at, error: at % 2 === 0 ? 'short' : 'ENOSPC', forGood: at % 4 < 2, on: 'space' };
      expect(await fail(task, fault, at % 2 === 0 ? 'process' : 'power')).toMatchObject({ stopped: false });
    }
  });

  it('when it is read is told, and done anew', { timeout: 600_000 }, async () => {
    const { reads } = await runFailing(task, image);
    for (let at = 1; at <= reads; at += 5) await fail(task, { at, error: 'EIO', on: 'read', forGood: at % 2 === 0 }, 'power');
  });
});
