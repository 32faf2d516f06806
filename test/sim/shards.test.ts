import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runSample } from './campaign-workers.ts';
import { simulate } from './simulate.ts';

const CAMPAIGN = fileURLToPath(new URL('campaign.ts', import.meta.url));
const SEEDS = 60;
/** What so few seeds reach. */
const REACHED: readonly string[] = [
  ...['split', 'split by hash', 'merged', 'moved', 'merge cut off'].map((what) => `shards: ${what}`),
  ...['unseal', 'destroy-replica', 'create-replica'].map((order) => `shards: tidied by ${order}`),
  ...['WRONG_SHARD', 'NO_REPLICA', 'NOT_LEADER'].map((code) => `refused: ${code}`),
  'shards serving, seen',
  'snapshots installed',
];

describe('a cluster of shards in the simulation', () => {
  it(
    'has each key in one shard and stays linearizable while shards are split, merged and moved under faults',
    { timeout: 600_000 },
    async () => {
      const counters = await runSample(['--nodes', '3', '--shards'], SEEDS);
      expect(counters.get('operations')).toBeGreaterThan(6000);
      counters.assertReached(REACHED);
    },
  );

  it('runs the same way for the same seed, in another process too', { timeout: 600_000 }, async () => {
    const { hash } = await simulate({ seed: 1, nodes: 3, shards: true });
    const output = execFileSync(process.execPath, [CAMPAIGN, '--nodes', '3', '--shards', '--seed', '1', '--replay'], { encoding: 'utf8' });
    expect(output).toContain(`hash ${hash}`);
  });
});
