/**
 * Random schedules over the pure core: members crash, messages are lost, duplicated by retries and delayed, disks take their time. After
 * every output script-cluster.ts checks Raft's promises; when the faults end, the group must get on.
 */
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../server/raft/index.ts';
import { ScriptCluster } from './script-cluster.ts';

const SEEDS = 300;
const STEPS = 400;

function schedule(seed: number): number {
  const random = new SeededRandom(seed);
  const members = 1 + 2 * random.below(3);
  const cluster = new ScriptCluster();
  const done: string[] = [];
  const execute = (line: string): void => {
    done.push(line);
    try {
      cluster.execute(line);
    } catch (error) {
      throw new Error(`seed ${seed}, after ${done.slice(-30).join('; ')}`, { cause: error });
    }
  };
  const someone = (): number => 1 + random.below(members);
  const ids = Array.from({ length: members }, (_, i) => i + 1);
  execute(`cluster ${ids.join(' ')} inflight ${1 + random.below(4)} append ${random.below(8)}`);
  for (let step = 0; step < STEPS; step++) {
    const dice = random.below(100);
    if (dice < 25) execute(`run ${someone()}`);
    else if (dice < 45) execute(`store ${someone()}`);
    else if (dice < 75) execute(`deliver ${someone()} ${someone()}`);
    else if (dice < 80) execute(`drop ${someone()} ${someone()}`);
    else if (dice < 83) execute(`cut ${someone()}`);
    else if (dice < 87) execute(`join ${someone()}`);
    else if (dice < 89) execute(`crash ${someone()}`);
    else if (dice < 93) execute(`tick ${someone()} ${1 + random.below(12)}`);
    else if (dice < 95) execute(`read ${someone()}`);
    else execute(`propose ${someone()} ${step}`);
  }
  for (const id of ids) execute(`join ${id}`);
  const before = cluster.applied;
  for (let round = 0; round < 60; round++) {
    for (const id of ids) execute(`tick ${id}`);
    execute('settle');
  }
  for (const id of ids) execute(`propose ${id} last`);
  execute('settle');
  expect(cluster.applied, `seed ${seed}: nothing is applied after the faults`).toBeGreaterThan(before);
  return cluster.applied;
}

describe('the core under random schedules', () => {
  it(`keeps its promises in ${SEEDS} of them, and gets on afterwards`, () => {
    let applied = 0;
    for (let seed = 1; seed <= SEEDS; seed++) applied += schedule(seed);
    // They are not empty: entries were committed while things went wrong.
    expect(applied).toBeGreaterThan(SEEDS * 4);
  });
});
