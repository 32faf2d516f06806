import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Counters } from './counters.ts';
import { simulate } from './simulate.ts';

const CAMPAIGN = fileURLToPath(new URL('campaign.ts', import.meta.url));
const SEEDS = 10;
/** What so few seeds reach. */
const REACHED: readonly string[] = [
  ...['split', 'merged', 'moved', 'merge cut off'].map((what) => `shards: ${what}`),
  ...['unseal', 'destroy-replica', 'create-replica'].map((order) => `shards: tidied by ${order}`),
  ...['WRONG_SHARD', 'NO_REPLICA', 'NOT_LEADER'].map((code) => `refused: ${code}`),
  'shards serving, seen',
  'snapshots installed',
];

describe('a cluster of shards in the simulation', () => {
  it(
    'has each key in one shard and stays linearizable while shards are split, merged and moved under faults',
    { timeout: 300_000 },
    async () => {
      const counters = new Counters();
      for (let seed = 1; seed <= SEEDS; seed++) {
        const { failure, counters: reached } = await simulate({ seed, nodes: 3, shards: true });
        expect(failure, `node test/sim/campaign.ts --nodes 3 --shards --seed ${seed} --replay`).toBeUndefined();
        counters.addAll(reached);
      }
      expect(counters.get('operations')).toBeGreaterThan(500);
      counters.assertReached(REACHED);
    },
  );

  it('runs the same way for the same seed, in another process too', { timeout: 60_000 }, async () => {
    const { hash } = await simulate({ seed: 1, nodes: 3, shards: true });
    const output = execFileSync(process.execPath, [CAMPAIGN, '--nodes', '3', '--shards', '--seed', '1', '--replay'], { encoding: 'utf8' });
    expect(output).toContain(`hash ${hash}`);
  });
});
