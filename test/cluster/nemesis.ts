/**
 * All faults, at random, for a while: node test/cluster/nemesis.ts [--minutes 10] [--seed 1] [--nodes 3] [--from dist] [--only PATTERN]
 *
 * What this machine cannot do (no root, no strace, no libfaketime) is named and left out. Exits with 1 at the first thing that is not as it must be
 * (rounds.ts).
 */
import { parseArgs } from 'node:util';
import { CLOCK_FAULTS } from './clock-faults.ts';
import { Clocks } from './clocks.ts';
import { DISK_FAULTS } from './disk-faults.ts';
import type { Fault } from './fault.ts';
import { Network } from './network.ts';
import { PARTITIONS } from './network-faults.ts';
import { exitOnSignals, type RunFrom } from './node-process.ts';
import { PROCESS_FAULTS } from './process-faults.ts';
import { resultText, runRounds } from './rounds.ts';
import { SmallDisks } from './small-disks.ts';
import { withCluster } from './test-cluster.ts';

const DISK_BYTES: number = 512 * 1024 * 1024;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    nodes: { type: 'string', default: '3' },
    from: { type: 'string', default: 'source' },
    only: { type: 'string', default: '' },
  },
});
exitOnSignals();
const nodes = Number(values.nodes);
const only = new RegExp(values.only);
const network = ifPossible(() => Network.create(nodes));
const disks = ifPossible(() => new SmallDisks(nodes, DISK_BYTES));
const clocks = ifPossible(() => new Clocks(nodes));
const faults = [...PROCESS_FAULTS, ...PARTITIONS, ...DISK_FAULTS, ...CLOCK_FAULTS].filter(({ name }) => only.test(name));
try {
  const places = { hosts: network?.hosts, dataOf: (id: number) => disks?.dataOf(id), envOf: (id: number) => clocks?.envOf(id) ?? {} };
  const result = await withCluster({ nodes, from: values.from as RunFrom, ...places }, (cluster) => {
    const target = { cluster, network, disks, clocks };
    for (const fault of faults) tellMissing(fault, fault.missing(target));
    return runRounds(target, {
      seed: Number(values.seed),
      rounds: Infinity,
      faults,
      auditEvery: 15,
      lastsMs: [200, 4000],
      secondsMax: Number(values.minutes) * 60,
      onRound: console.log,
    });
  });
  console.log(resultText(result));
} finally {
  network?.remove();
  disks?.remove();
  clocks?.remove();
}

function ifPossible<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    console.log(`not here: ${(error as Error).message}`);
    return undefined;
  }
}

function tellMissing({ name }: Fault, why: string | undefined): void {
  if (why !== undefined) console.log(`SKIPPED: ${name}: ${why}`);
}
