/** A sample of rolling-restart.ts. */
import { expect, it } from 'vitest';
import { restartUnderLoad } from './rolling.ts';
import { withCluster } from './test-cluster.ts';

it('no call fails while three nodes are restarted one after another', { timeout: 600_000 }, async () => {
  const { restarts, calls } = await withCluster({ nodes: 3 }, (cluster) => restartUnderLoad(cluster, { seed: 1, times: 1 }));
  expect(restarts).toBe(3);
  expect(calls).toBeGreaterThan(100);
});
