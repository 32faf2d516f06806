/**
 * Plants each bug of planted-bugs.ts, planted-cluster-bugs.ts and planted-shard-bugs.ts in a copy of the sources and says which seed of the simulation finds it first, and by what:
 *
 *   node test/sim/planted.ts [--only PATTERN] [--seeds 500] [--seed 1] [--processes 2] [--cluster] [--table FILE]
 *
 * Prints a line for each, and exits with 1 when a bug was not found or does not fit the sources any more. `--cluster` leaves those of a single server out;
 * `--table` writes Markdown. plant.ts does the planting.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Found, PlantingGround } from './plant.ts';
import { PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts';
import { PLANTED_CLUSTER_BUGS } from './planted-cluster-bugs.ts';
import { PLANTED_SHARD_BUGS } from './planted-shard-bugs.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '500' },
    processes: { type: 'string', default: '1' },
    cluster: { type: 'boolean', default: false },
    table: { type: 'string' },
  },
});
const clusters = [...PLANTED_CLUSTER_BUGS, ...PLANTED_SHARD_BUGS];
const all = values.cluster ? clusters : [...PLANTED_BUGS, ...clusters];
const bugs = all.filter(({ name }) => values.only === undefined || new RegExp(values.only).test(name));
const SOUND_SEEDS = 3;
const found: Map<PlantedBug, Found> = new Map();
const left = [...bugs];
await Promise.all(Array.from({ length: Number(values.processes) }, work));

const missed = [...found.values()].filter(({ seed }) => seed === undefined).length;
if (values.table !== undefined) {
  const rows = bugs.map((bug) => {
    const { seed, by } = found.get(bug)!;
    return `| ${bug.name} | \`${bug.file}\` | ${seed === undefined ? '' : by} | ${seed === undefined ? `**${by}**` : seed - Number(values.seed) + 1} |`;
  });
  writeFileSync(values.table, ['| bug | planted in | found by | seeds |', '|---|---|---|---|', ...rows, ''].join('\n'));
}
console.log(`${bugs.length} bugs planted, ${bugs.length - missed} found`);
process.exitCode = missed > 0 ? 1 : 0;

async function work(): Promise<void> {
  const ground = new PlantingGround();
  try {
    for (const cluster of new Set(left.map((bug) => (bug.cluster ?? []).join(' ')))) {
      await ground.assertSound(cluster === '' ? [] : cluster.split(' '), SOUND_SEEDS);
    }
    for (let bug = left.shift(); bug !== undefined; bug = left.shift()) {
      const result = await ground.plant(bug, Number(values.seed), Number(values.seeds));
      found.set(bug, result);
      console.log(
        `${bug.name}: ${result.seed === undefined ? `${result.by} ${result.as}` : `seed ${result.seed} by ${result.by}: ${result.as}`}`,
      );
    }
  } finally {
    ground.clear();
  }
}
