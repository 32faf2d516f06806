/** Processes that die, stand still, or are asked to stop. */
import type { SimRandom } from '../sim/sim-random.ts';
import type { ClusterNode } from './cluster-node.ts';
import { type Fault, type Ongoing, POSSIBLE } from './fault.ts';
import type { TestCluster } from './test-cluster.ts';

type Choose = (cluster: TestCluster, random: SimRandom) => Promise<readonly ClusterNode[]>;

const leader: Choose = async (cluster) => [await cluster.led()];
const follower: Choose = async (cluster, random) => {
  const led = await cluster.led();
  return [random.pick(cluster.nodes.filter((node) => node !== led))];
};
const two: Choose = (cluster, random) => {
  const spared = random.pick(cluster.nodes);
  return Promise.resolve(cluster.nodes.filter((node) => node !== spared).slice(0, 2));
};
const all: Choose = (cluster) => Promise.resolve(cluster.nodes);

const whole = (name: string, choose: Choose, end: 'SIGKILL' | 'SIGTERM'): Fault => ({
  name,
  missing: POSSIBLE,
  async begin({ cluster }, random) {
    const chosen = await choose(cluster, random);
    const ends = await Promise.all(chosen.map((node) => node.end(end)));
    if (end === 'SIGTERM' && ends.some((code) => code !== 0)) throw new Error(`asked to stop, nodes ended with ${ends.join(', ')}`);
    return ongoing(cluster, chosen, async () => {
      await Promise.all(chosen.map((node) => node.start()));
    });
  },
});

const paused = (name: string, choose: Choose): Fault => ({
  name,
  missing: POSSIBLE,
  async begin({ cluster }, random) {
    const chosen = await choose(cluster, random);
    for (const node of chosen) node.pause();
    return ongoing(cluster, chosen, () => {
      for (const node of chosen) node.resume();
      return Promise.resolve();
    });
  },
});

/** A node that gets a twentieth to a half of its time. */
const slow: Fault = {
  name: 'slow node',
  missing: POSSIBLE,
  begin({ cluster }, random) {
    const node = random.pick(cluster.nodes);
    const share = random.pick([0.05, 0.2, 0.5]);
    let on = true;
    const crawl = (): void => {
      if (!on || !node.running) return;
      if (node.paused) node.resume();
      else node.pause();
      timer = setTimeout(crawl, node.paused ? 100 * (1 - share) : 100 * share);
    };
    let timer = setTimeout(crawl, 0);
    const what = `node ${node.id} at ${share * 100} %`;
    // It may lead, slowly.
    return Promise.resolve({
      what,
      serves: share >= 0.2,
      heal() {
        on = false;
        clearTimeout(timer);
        if (node.paused) node.resume();
        return Promise.resolve();
      },
    });
  },
};

/** One after another, each when the one before is there again. Done when it begins. */
const restartInOrder: Fault = {
  name: 'restart in order',
  missing: POSSIBLE,
  async begin({ cluster }) {
    await restartOneByOne(cluster);
    return { what: 'all nodes', serves: true, heal: () => Promise.resolve() };
  },
};

const CAUGHT_UP_MS_MAX = 60_000;

export async function restartOneByOne(cluster: TestCluster): Promise<void> {
  for (const node of cluster.nodes) {
    const end = await node.end('SIGTERM');
    if (end !== 0) throw new Error(`asked to stop, node ${node.id} ended with ${end}\n${node.process.logEnd()}`);
    await node.start();
    await cluster.caughtUp(node, CAUGHT_UP_MS_MAX);
  }
}

export const KILLS: readonly Fault[] = [
  whole('kill a follower', follower, 'SIGKILL'),
  whole('kill the leader', leader, 'SIGKILL'),
  whole('kill two', two, 'SIGKILL'),
  whole('kill all', all, 'SIGKILL'),
];

export const PROCESS_FAULTS: readonly Fault[] = [
  ...KILLS,
  whole('stop the leader', leader, 'SIGTERM'),
  whole('stop a follower', follower, 'SIGTERM'),
  paused('pause the leader', leader),
  paused('pause a follower', follower),
  paused('pause two', two),
  paused('pause all', all),
  slow,
  restartInOrder,
];

function ongoing(cluster: TestCluster, met: readonly ClusterNode[], heal: () => Promise<void>): Ongoing {
  const left = cluster.nodes.length - met.length;
  const ids = met.map(({ id }) => id).join(' and ');
  return { what: `${met.length === 1 ? 'node' : 'nodes'} ${ids}`, serves: left > cluster.nodes.length / 2, heal };
}
