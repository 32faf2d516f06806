/** A sample of partitions.ts. */
import { expect, it } from 'vitest';
import { Network } from './network.ts';
import { PARTITIONS } from './network-faults.ts';
import { runRounds } from './rounds.ts';
import { withCluster } from './test-cluster.ts';

const ROUNDS = 4;

it('partitions, both ways and one way, lose and show nothing wrong', { timeout: 600_000 }, async ({ skip }) => {
  let network: Network;
  try {
    network = Network.create(3);
  } catch (error) {
    return skip(`no network of its own here: ${(error as Error).message}`);
  }
  try {
    const result = await withCluster({ nodes: 3, hosts: network.hosts }, (cluster) =>
      runRounds({ cluster, network }, { seed: 1, rounds: ROUNDS, faults: PARTITIONS, auditEvery: ROUNDS, lastsMs: [500, 2500] }),
    );
    expect(result).toMatchObject({ rounds: ROUNDS, audits: 1 });
    expect(result.answered).toBeGreaterThan(50 * ROUNDS);
  } finally {
    network.remove();
  }
});
