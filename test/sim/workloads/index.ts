/** What clients do in the simulation: workload.ts is the place to start. */
import type { SimRandom } from '../sim-random.ts';
import { Bank } from './bank.ts';
import { CounterWorkload } from './counters.ts';
import { Lists } from './lists.ts';
import { Registers } from './registers.ts';
import { Sets } from './sets.ts';
import type { Workload } from './workload.ts';

export type { Workload } from './workload.ts';
export { Bank, CounterWorkload, Lists, Registers, Sets };

/** `clocksLose`: monotonic clocks lose more time than may be, so that nothing is promised of ages. */
export type MakeWorkload = (nowMs: () => number, random: SimRandom, clocksLose: boolean) => Workload;

export const WORKLOADS: readonly MakeWorkload[] = [
  (nowMs, random, clocksLose) => new Registers(nowMs, random, !clocksLose),
  (nowMs) => new Sets(nowMs),
  (nowMs) => new Lists(nowMs),
  (nowMs) => new CounterWorkload(nowMs),
  (nowMs) => new Bank(nowMs),
];
