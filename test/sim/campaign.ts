/**
 * Many runs of the simulation: node test/sim/campaign.ts --seed 1 --seeds 1000 [--seconds 600]
 *
 * Stops at the first run that fails, shrinks its plan of faults, prints what is left of it and how to repeat it, and exits with 1.
 *
 *   --nodes N         a cluster of so many nodes, instead of one server
 *   --voters V        the first V of them begin as the group; the others are taken in, and members come and go
 *   --no-shrink       does not shrink
 *   --replay          runs the one seed and prints its plan, verdict and hash; with --trace also everything that happened
 *   --plan FILE       with --replay: the faults of that file (one JSON object a line) instead of those of the seed
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Counters } from './counters.ts';
import { type Fault, planText } from './fault-plan.ts';
import { shrinkPlan, simulate } from './simulate.ts';

const REPORT_EVERY = 100;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '0' },
    replay: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    plan: { type: 'string' },
    nodes: { type: 'string', default: '0' },
    voters: { type: 'string' },
    'no-shrink': { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const seeds = Number(values.seeds);
const nodes = Number(values.nodes);
const voters = values.voters === undefined ? {} : { voters: Number(values.voters) };
const secondsMax = Number(values.seconds) || Infinity;

process.exit(values.replay ? await replay() : await campaign());

async function replay(): Promise<number> {
  const plan = values.plan === undefined ? {} : { plan: parsePlan(readFileSync(values.plan, 'utf8')) };
  const result = await simulate({ seed: first, nodes, ...voters, traced: values.trace, ...plan });
  for (const line of result.trace) console.log(line);
  console.log(`faults:\n${planText(result.plan)}`);
  console.log(`hash ${result.hash}, ${result.answered} operations in ${Math.round(result.simulatedMs)} ms of the world`);
  console.log(result.counters.text);
  console.log(result.failure ?? 'all right');
  return result.failure === undefined ? 0 : 1;
}

async function campaign(): Promise<number> {
  const counters = new Counters();
  const beganMs = performance.now();
  let [answered, simulatedMs, events, runs] = [0, 0, 0, 0];
  for (let seed = first; seed < first + seeds; seed++) {
    const result = await simulate({ seed, nodes, ...voters });
    if (result.failure !== undefined) {
      console.error(`seed ${seed} is wrong: ${result.failure}`);
      if (values['no-shrink']) return 1;
      const plan = await shrinkPlan({ seed, nodes, ...voters }, result.plan);
      console.error(`${plan.length} of its ${result.plan.length} faults are enough:\n${planText(plan)}`);
      const shrunk = await simulate({ seed, nodes, ...voters, plan });
      if (shrunk.failure !== undefined) console.error(`with these: ${shrunk.failure}`);
      console.error(
        `repeat it with: node test/sim/campaign.ts ${nodes > 0 ? `--nodes ${nodes} ` : ''}${values.voters === undefined ? '' : `--voters ${values.voters} `}--seed ${seed} --replay`,
      );
      return 1;
    }
    counters.addAll(result.counters);
    answered += result.answered;
    simulatedMs += result.simulatedMs;
    events += result.events;
    runs++;
    const seconds = (performance.now() - beganMs) / 1000;
    const over = seconds > secondsMax || seed === first + seeds - 1;
    if (runs % REPORT_EVERY === 0 || over) {
      const simulated = `${Math.round(simulatedMs / 1000)} s of the world in ${seconds.toFixed(1)} s`;
      console.log(`${runs} seeds, ${answered} operations, ${events} events, ${simulated}: all right`);
    }
    if (over) break;
  }
  console.log(counters.text);
  return 0;
}

function parsePlan(text: string): Fault[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Fault);
}
