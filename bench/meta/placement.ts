/**
 * What decisions cost at the size of a large cluster: 1,000 nodes in 10 zones, 100,000 shards of three replicas, sizes and traffic at random, nodes of unequal
 * size, nobody balanced anything yet. The pure core decides and a simulated cluster carries it out (test/server/meta/world.ts).
 *
 *   node bench/meta/placement.ts [--nodes 1000] [--shards 100000] [--rounds 60] [--fail 10]
 *
 * Rounds: `plan` on the state as it is, milliseconds of the processor, each round, with how many nodes, replicas and shards it looked at. `--fail` nodes die
 * a third into the run, and are down at once (downAfterMs 0). Upkeep: what one report of a shard costs, indices included. Timestamps: how many one
 * oracle gives in a second, in batches of 1, 100 and 10,000. Prints what nodes have of their fair share before and after.
 */
import { parseArgs } from 'node:util';
import { TimestampOracle } from '../../server/meta/timestamp-oracle.ts';
import { plan } from '../../server/meta/placement/index.ts';
import { largeWorld, spreadOf } from '../../test/server/meta/large-world.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    shards: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '60' },
    fail: { type: 'string', default: '10' },
  },
});
const [nodes, shards, rounds, fail] = [values.nodes, values.shards, values.rounds, values.fail].map(Number) as [
  number,
  number,
  number,
  number,
];

const world = largeWorld({
  nodes,
  zones: 10,
  shards,
  seed: 1,
  policy: { downAfterMs: 0, copiesMax: 4 * nodes, balanceCopiesMax: 2 * nodes },
});
const began = cpuMs();
world.tick(1000, false);
world.tick(1000, false);
const reported = cpuMs() - began;
process.stdout.write(
  `${nodes} nodes, ${shards} shards\nfull reports of all nodes: ${reported.toFixed(0)} ms, ${((reported * 1000) / (shards * 3)).toFixed(1)} us a replica\n`,
);
tellSpread('before');

const times: number[] = [];
let looked = 0;
for (let round = 0; round < rounds; round++) {
  if (round === Math.floor(rounds / 3)) for (let id = 1; id <= fail; id++) world.kill(id * Math.floor(nodes / (fail + 1)));
  // The first look of a round diagnoses what changed since: part of the decision.
  const from = cpuMs();
  const decided = plan(world.cluster, world.nowMs);
  times.push(cpuMs() - from);
  looked = Math.max(looked, decided.looked);
  world.tick();
}
const [first = 0, ...rest] = times;
rest.sort((a, b) => a - b);
const at = (part: number): string => rest[Math.min(rest.length - 1, Math.floor(rest.length * part))]!.toFixed(1);
process.stdout.write(
  `a round: first ${first.toFixed(0)} ms (diagnoses every shard), then median ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms; looked at ${looked} at most\n`,
);
process.stdout.write(
  `copies begun: ${[...world.copies].map(([kind, count]) => `${kind} ${count}`).join(', ')}; leads moved: ${world.transfers}\n`,
);
tellSpread('after');

for (const batch of [1, 100, 10_000]) {
  const oracle = new TimestampOracle(0);
  let given = 0;
  const start = cpuMs();
  while (cpuMs() - start < 500) {
    for (let i = 0; i < 1000; i++) {
      const nowMs = 1_800_000_000_000 + given / 8192;
      const bound = oracle.wanted(batch, nowMs);
      if (bound !== undefined) oracle.raised(bound);
      oracle.take(batch, nowMs);
      given += batch;
    }
  }
  process.stdout.write(`timestamps in batches of ${batch}: ${(((given / (cpuMs() - start)) * 1000) / 1e6).toFixed(1)} million a second\n`);
}

function tellSpread(when: string): void {
  const spread = Object.entries(spreadOf(world)).map(
    ([dimension, { low, high }]) => `${dimension} ${low.toFixed(2)} to ${high.toFixed(2)}`,
  );
  process.stdout.write(`parts of the fair share ${when}: ${spread.join(', ')}\n`);
}

/** Milliseconds that this thread has used. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
