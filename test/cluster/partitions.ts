/**
 * Partitions of a cluster in network namespaces, under load: node test/cluster/partitions.ts [--rounds 60] [--seed 1] [--nodes 3] [--from dist]
 *
 * Needs root and iproute2; says SKIPPED and why otherwise. Exits with 1 at the first thing that is not as it must be (rounds.ts).
 */
import { parseArgs } from 'node:util';
import { Network } from './network.ts';
import { PARTITIONS } from './network-faults.ts';
import { exitOnSignals, type RunFrom } from './node-process.ts';
import { resultText, runRounds } from './rounds.ts';
import { withCluster } from './test-cluster.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    nodes: { type: 'string', default: '3' },
    from: { type: 'string', default: 'source' },
  },
});
exitOnSignals();
const nodes = Number(values.nodes);
let network: Network;
try {
  network = Network.create(nodes);
} catch (error) {
  console.log(`SKIPPED: no network of its own here: ${(error as Error).message}`);
  process.exit(0);
}
try {
  const result = await withCluster({ nodes, from: values.from as RunFrom, hosts: network.hosts }, (cluster) =>
    runRounds(
      { cluster, network },
      {
        seed: Number(values.seed),
        rounds: Number(values.rounds),
        faults: PARTITIONS,
        auditEvery: 10,
        lastsMs: [500, 4000],
        onRound: console.log,
      },
    ),
  );
  console.log(resultText(result));
} finally {
  network.remove();
}
