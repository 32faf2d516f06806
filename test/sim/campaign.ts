/**
 * Many runs of the simulation: node test/sim/campaign.ts --seed 1 --seeds 1000 [--seconds 600]
 *
 * Stops at the first run that fails, shrinks its plan of faults, prints what is left of it and how to repeat it, and exits with 1. At the end it says how
 * often each kind of fault and each rare branch was reached, and which were not (expected.ts).
 *
 *   --nodes N         a cluster of so many nodes, instead of one server
 *   --voters V        the first V of them begin as the group; the others are taken in, and members come and go
 *   --shards          its keys are divided among shards, which are split, merged and moved
 *   --metaserver      a cluster that runs itself: five nodes in three zones, with the metaserver
 *   --processes P     so many at the same time
 *   --go-on           goes on after a run that fails, and only names it
 *   --no-shrink       does not shrink
 *   --replay          runs the one seed and prints its plan, verdict and hash; with --trace also everything that happened
 *   --plan FILE       with --replay: the faults of that file (one JSON object a line) instead of those of the seed
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { dealOut, replayCommand, type Tally } from './campaign-workers.ts';
import { Counters } from './counters.ts';
import { expectedCounters } from './expected.ts';
import { type Fault, planText } from './fault-plan.ts';
import { shrinkPlan, simulate, type SimulationOptions } from './simulate.ts';

const REPORT_EVERY = 100;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '0' },
    processes: { type: 'string', default: '1' },
    // Of a process of several: every so many-th seed is its.
    step: { type: 'string', default: '1' },
    replay: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    plan: { type: 'string' },
    nodes: { type: 'string', default: '0' },
    voters: { type: 'string' },
    shards: { type: 'boolean', default: false },
    metaserver: { type: 'boolean', default: false },
    'go-on': { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const seeds = Number(values.seeds);
const step = Number(values.step);
const processes = Number(values.processes);
const nodes = Number(values.nodes);
const { shards, metaserver } = values;
/** What runs. */
const cluster: Omit<SimulationOptions, 'seed'> = {
  ...(nodes > 0 && { nodes }),
  ...(values.voters !== undefined && { voters: Number(values.voters) }),
  ...(shards && { shards }),
  ...(metaserver && { metaserver }),
};
/** The same, as this program is told. */
const told: readonly string[] = [
  ...['--nodes', values.nodes],
  ...(values.voters === undefined ? [] : ['--voters', values.voters]),
  ...(shards ? ['--shards'] : []),
  ...(metaserver ? ['--metaserver'] : []),
];
const secondsMax = Number(values.seconds) || Infinity;

const beganMs = performance.now();
const total: Tally = { runs: 0, failed: 0, answered: 0, events: 0, simulatedMs: 0, counts: {} };
const counters = new Counters();

if (values.replay) process.exitCode = await replay();
else {
  if (processes > 1) await lead();
  else await work();
  if (process.send === undefined) conclude();
}

async function replay(): Promise<number> {
  const plan = values.plan === undefined ? {} : { plan: parsePlan(readFileSync(values.plan, 'utf8')) };
  const result = await simulate({ seed: first, ...cluster, traced: values.trace, ...plan });
  for (const line of result.trace) console.log(line);
  console.log(`faults:\n${planText(result.plan)}`);
  console.log(`hash ${result.hash}, ${result.answered} operations in ${Math.round(result.simulatedMs)} ms of the world`);
  console.log(result.counters.text);
  console.log(result.failure ?? 'all right');
  return result.failure === undefined ? 0 : 1;
}

/** The seeds of this process, one after another. */
async function work(): Promise<void> {
  for (let seed = first; seed < first + seeds; seed += step) {
    const result = await simulate({ seed, ...cluster });
    const { failure, foundBy, answered, events, simulatedMs } = result;
    if (failure !== undefined) {
      console.error(`seed ${seed} is wrong (${foundBy}): ${failure}`);
      if (!values['no-shrink']) await explain(seed, result.plan);
    }
    const wrong = failure === undefined ? {} : { wrong: { seed, by: foundBy!, failure } };
    const failed = Number(failure !== undefined);
    report({ runs: 1, failed, answered, events, simulatedMs, counts: result.counters.all, ...wrong });
    if (isOver() || (failed > 0 && !values['go-on'])) return;
  }
}

async function explain(seed: number, drawn: readonly Fault[]): Promise<void> {
  const plan = await shrinkPlan({ seed, ...cluster }, drawn);
  console.error(`${plan.length} of its ${drawn.length} faults are enough:\n${planText(plan)}`);
  const shrunk = await simulate({ seed, ...cluster, plan });
  if (shrunk.failure !== undefined) console.error(`with these: ${shrunk.failure}`);
  console.error(`repeat it with: ${replayCommand(told, seed)}`);
}

/** Deals the seeds out. */
async function lead(): Promise<void> {
  const options = [...told, '--seconds', values.seconds, ...(values['no-shrink'] ? ['--no-shrink'] : [])];
  // One that did not end by itself has told nobody why.
  if ((await dealOut(options, { first, count: seeds, processes, goesOn: values['go-on'] }, report)).length > 0) process.exitCode = 1;
}

function report(tally: Tally): void {
  if (process.send !== undefined) {
    process.send(tally);
    if (tally.failed > 0) process.exitCode = 1;
    return;
  }
  for (const name of ['runs', 'failed', 'answered', 'events', 'simulatedMs'] as const) total[name] += tally[name];
  for (const [name, count] of Object.entries(tally.counts)) counters.add(name, count);
  if (total.runs % REPORT_EVERY === 0) tell();
}

function tell(): void {
  const seconds = (performance.now() - beganMs) / 1000;
  const simulated = `${Math.round(total.simulatedMs / 1000)} s of the world in ${seconds.toFixed(1)} s`;
  const verdict = total.failed === 0 ? 'all right' : `${total.failed} wrong`;
  console.log(`${total.runs} seeds, ${total.answered} operations, ${total.events} events, ${simulated}: ${verdict}`);
}

function conclude(): void {
  if (total.runs % REPORT_EVERY !== 0) tell();
  console.log(counters.text);
  const missed = expectedCounters({ nodes, changing: values.voters !== undefined, shards, metaserver }).filter(
    (name) => counters.get(name) === 0,
  );
  console.log(missed.length === 0 ? 'all that is expected was reached' : `never reached: ${missed.join(', ')}`);
  if (total.failed > 0) process.exitCode = 1;
}

function isOver(): boolean {
  return (performance.now() - beganMs) / 1000 > secondsMax;
}

function parsePlan(text: string): Fault[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Fault);
}
