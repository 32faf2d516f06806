/** All nodes restarted in order under load, again and again: node test/cluster/rolling-restart.ts [--times 10] [--seed 1] [--nodes 3] [--from dist] */
import { parseArgs } from 'node:util';
import { exitOnSignals, type RunFrom } from './node-process.ts';
import { restartUnderLoad } from './rolling.ts';
import { withCluster } from './test-cluster.ts';

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    nodes: { type: 'string', default: '3' },
    from: { type: 'string', default: 'source' },
  },
});
exitOnSignals();
const { restarts, calls, slowestMs } = await withCluster({ nodes: Number(values.nodes), from: values.from as RunFrom }, (cluster) =>
  restartUnderLoad(cluster, { seed: Number(values.seed), times: Number(values.times), onRound: console.log }),
);
console.log(`${restarts} restarts, ${calls} calls, none failed, the slowest took ${Math.round(slowestMs)} ms`);
