/**
 * Every error at every operation and read of the life in io-errors.ts, once and for good: node test/faults/io-campaign.ts
 *
 * Prints how many lives were lived; exits with 1 at the end when one went wrong. `--upkeep`: instead, of the upkeep tasks in upkeep-errors.ts.
 */
import { parseArgs } from 'node:util';
import { UPKEEP_TASKS } from '../crash/upkeep-tasks.ts';
import { layeredStore } from '../corruption/stores.ts';
import type { Fault } from '../sim/sim-file-system.ts';
import { type LifeOptions, liveThrough } from './io-errors.ts';
import { runFailing } from './upkeep-errors.ts';

const { values } = parseArgs({ options: { upkeep: { type: 'boolean', default: false } } });
if (values.upkeep) await failInUpkeep();

const whole = await liveThrough({});
let lives = 0;
let stopped = 0;
let wrong = 0;

async function live(fault: Fault, more: Omit<LifeOptions, 'fault'>): Promise<void> {
  lives++;
  try {
    if ((await liveThrough({ fault, ...more })).stopped) stopped++;
  } catch (error) {
    wrong++;
    console.error(`${JSON.stringify({ fault, ...more })}: ${String(error)}`);
  }
}

for (const forGood of [false, true]) {
  for (const end of ['process', 'power'] as const) {
    for (let at = 1; at <= whole.operations; at++) {
      for (const error of ['EIO', 'ENOSPC', 'short'] as const) {
        for (const callerSyncMs of [0, 0.5]) await live({ at, error, forGood }, { end, callerSyncMs });
        if (error !== 'EIO') await live({ at, error, forGood, on: 'space' }, { end });
      }
    }
    for (let at = 1; at <= whole.reads; at++) await live({ at, error: 'EIO', on: 'read', forGood }, { end });
  }
}
console.log(`${lives} lives, ${stopped} stopped for good, ${wrong} wrong`);
process.exit(wrong > 0 ? 1 : 0);

async function failInUpkeep(): Promise<never> {
  const image = await layeredStore();
  let [tasks, stops, failures] = [0, 0, 0];
  for (const task of UPKEEP_TASKS) {
    const dry = await runFailing(task, image);
    const faults: Fault[] = [];
    for (const forGood of [false, true]) {
      for (let at = 1; at <= dry.operations; at++) {
        for (const error of ['EIO', 'ENOSPC', 'short'] as const) {
          faults.push({ at, error, forGood });
          if (error !== 'EIO') faults.push({ at, error, forGood, on: 'space' });
        }
      }
      for (let at = 1; at <= dry.reads; at++) faults.push({ at, error: 'EIO', on: 'read', forGood });
    }
    for (const fault of faults) {
      for (const end of ['process', 'power'] as const) {
        tasks++;
        try {
          if ((await runFailing(task, image, fault, end)).stopped) stops++;
        } catch (error) {
          failures++;
          console.error(`${task.name}, ${end}: ${JSON.stringify(fault)}: ${String(error)}`);
        }
      }
    }
    console.log(`${task.name}: ${dry.operations} operations, ${dry.reads} reads`);
  }
  console.log(`${tasks} faults in upkeep, ${stops} stopped the engine, ${failures} wrong`);
  process.exit(failures > 0 ? 1 : 0);
}
