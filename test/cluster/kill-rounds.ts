/**
 * kill -9 of one node, of the leader, of two, of all, under load: node test/cluster/kill-rounds.ts [--rounds 300] [--seed 1] [--nodes 3] [--from dist]
 *
 * Exits with 1 at the first thing that is not as it must be (rounds.ts says what that is), and names the directory with data and logs.
 */
import { parseArgs } from 'node:util';
import { exitOnSignals, type RunFrom } from './node-process.ts';
import { KILLS } from './process-faults.ts';
import { resultText, runRounds } from './rounds.ts';
import { withCluster } from './test-cluster.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
    nodes: { type: 'string', default: '3' },
    from: { type: 'string', default: 'source' },
  },
});
exitOnSignals();
const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
const result = await withCluster({ nodes: Number(values.nodes), from: values.from as RunFrom }, (cluster) =>
  runRounds({ cluster }, { seed, rounds, faults: KILLS, auditEvery: 20, onRound: console.log }),
);
console.log(resultText(result));
