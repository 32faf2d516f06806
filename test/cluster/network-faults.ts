/** Partitions: nodes that do not hear each other, both ways or one. Clients reach all of them all the time, except where a fault says otherwise. */
import type { SimRandom } from '../sim/sim-random.ts';
import type { Fault } from './fault.ts';
import { CLIENTS, type Network } from './network.ts';

interface Parted {
  readonly what: string;
  readonly serves: boolean;
}

/** `others`: all but the leader. */
type Cut = (network: Network, leader: number, others: readonly number[], random: SimRandom) => Parted;

function partition(name: string, cut: Cut): Fault {
  return {
    name,
    missing: ({ network }) => (network === undefined ? 'no network namespaces' : undefined),
    async begin({ cluster, network }, random) {
      const leader = (await cluster.led()).id;
      const others = cluster.nodes.map(({ id }) => id).filter((id) => id !== leader);
      return {
        ...cut(network!, leader, others, random),
        heal() {
          network!.heal();
          return Promise.resolve();
        },
      };
    },
  };
}

const cutOffLeader: Cut = (network, leader, others) => {
  network.part([leader], others);
  return { what: `leader ${leader} from ${others.join(', ')}`, serves: true };
};

const cutOffFollower: Cut = (network, leader, others, random) => {
  const alone = random.pick(others);
  network.part([alone], [leader, ...others.filter((id) => id !== alone)]);
  return { what: `follower ${alone}`, serves: true };
};

const allAlone: Cut = (network, leader, others) => {
  const nodes = [leader, ...others];
  for (const a of nodes) for (const b of nodes) if (a < b) network.part([a], [b]);
  return { what: 'every node by itself', serves: false };
};

/** One node hears all others, which do not hear each other. */
const bridge: Cut = (network, leader, others, random) => {
  const [between, a, b] = random.chance(0.5) ? [leader, ...others] : [others[0]!, leader, ...others.slice(1)];
  network.part([a!], [b!]);
  return { what: `${a} and ${b}, with ${between} between them`, serves: true };
};

const deafLeader: Cut = (network, leader, others) => {
  for (const other of others) network.cut(other, leader);
  return { what: `leader ${leader} hears nobody`, serves: true };
};

const muteLeader: Cut = (network, leader, others) => {
  for (const other of others) network.cut(leader, other);
  return { what: `leader ${leader} is heard by nobody`, serves: true };
};

const oneWay: Cut = (network, leader, others, random) => {
  const [from, to] = random.chance(0.5) ? [leader, random.pick(others)] : [random.pick(others), leader];
  network.cut(from, to);
  return { what: `${from} to ${to}, one way`, serves: true };
};

const ring: Cut = (network, leader, others) => {
  const nodes = [leader, ...others];
  for (const [i, from] of nodes.entries()) network.cut(from, nodes[(i + 1) % nodes.length]!);
  return { what: 'each node does not reach the next', serves: false };
};

const clientsFromLeader: Cut = (network, leader) => {
  network.part([CLIENTS], [leader]);
  return { what: `clients from leader ${leader}`, serves: false };
};

const leaderAndClientsFromRest: Cut = (network, leader, others) => {
  network.part([leader, CLIENTS], others);
  return { what: `leader ${leader} and the clients from ${others.join(', ')}`, serves: false };
};

export const PARTITIONS: readonly Fault[] = [
  partition('cut off the leader', cutOffLeader),
  partition('cut off a follower', cutOffFollower),
  partition('cut off everybody', allAlone),
  partition('a bridge', bridge),
  partition('a deaf leader', deafLeader),
  partition('a mute leader', muteLeader),
  partition('one way', oneWay),
  partition('a ring', ring),
  partition('clients cut off from the leader', clientsFromLeader),
  partition('leader and clients cut off', leaderAndClientsFromRest),
];
