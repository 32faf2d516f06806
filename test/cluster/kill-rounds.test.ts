/** A sample of what kill-rounds.ts does three hundred times. */
import { expect, it } from 'vitest';
import { KILLS } from './process-faults.ts';
import { runRounds } from './rounds.ts';
import { withCluster } from './test-cluster.ts';

const ROUNDS = 10;

it('three processes that are killed under load lose nothing that was acknowledged', { timeout: 600_000 }, async () => {
  const result = await withCluster({ nodes: 3 }, (cluster) =>
    runRounds({ cluster }, { seed: 1, rounds: ROUNDS, faults: KILLS, auditEvery: ROUNDS, lastsMs: [0, 300] }),
  );
  expect(result).toMatchObject({ rounds: ROUNDS, audits: 1 });
  expect(result.answered).toBeGreaterThan(50 * ROUNDS);
  expect(result.acknowledged).toBeGreaterThan(5 * ROUNDS);
});
