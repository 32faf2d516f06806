/** What clients do in a cluster of shards: operations of one key each, of keys that any split may divide. */
import type { SimRandom } from '../sim-random.ts';
import { CounterWorkload, Lists, Registers, type Workload } from '../workloads/index.ts';

const KEYS = 8;
const NAMES: readonly string[] = ['counter', 'list', 'register'];

export interface ShardWorkloads {
  readonly workloads: readonly Workload[];
  readonly merges: boolean;
  readonly splitKeys: readonly string[];
}

/**
 * What is merged gets new versions: registers, whose versions clients are told, are for runs without. They alone are written without conditions, and so may be answered
 * early.
 */
export function drawShardWorkloads(nowMs: () => number, random: SimRandom, clocksLose: boolean, earlyAnswers: boolean): ShardWorkloads {
  const merges = random.chance(0.7) && !earlyAnswers;
  const all: readonly Workload[] = [
    new CounterWorkload(nowMs, KEYS),
    new Lists(nowMs, KEYS),
    ...(merges ? [] : [new Registers(nowMs, random, !clocksLose, KEYS)]),
  ];
  const drawn = all.filter(() => random.chance(0.7));
  const keys = Array.from({ length: KEYS }, (_, key) => key);
  const splitKeys = NAMES.flatMap((name) => [name, ...keys.map((key) => `${name}/${key}`)]);
  return { workloads: drawn.length > 0 ? drawn : [all[0]!, all.at(-1)!], merges, splitKeys };
}
