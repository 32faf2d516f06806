/**
 * Every error at every operation and read of the life in io-errors.ts, once and for good: node test/faults/io-campaign.ts
 *
 * Prints how many lives were lived; exits with 1 at the end when one went wrong.
 */
import type { Fault } from '../sim/sim-file-system.ts';
import { type LifeOptions, liveThrough } from './io-errors.ts';

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
