/**
 * A long run of what engine-model.test.ts samples: node test/model/campaign.ts --seed 1 --runs 100000 --processes 2
 *
 * Sequences come in rounds of ROUND_RUNS, each of a seed of its own: the rounds seed, seed + 1, ... are dealt out to the processes. When a
 * sequence fails, it is shrunk, printed with its round and path, and the campaign ends with exit code 1; `--seed ROUND --path PATH` repeats it.
 * `--hosted`: of engines under a host's log.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { anyRun } from './commands.ts';
import { Interpreter, NOTHING_REACHED, type Reached } from './interpreter.ts';

const ROUND_RUNS = 250;
const COMMANDS_MAX = 80;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '10000' },
    processes: { type: 'string', default: '1' },
    path: { type: 'string' },
    rounds: { type: 'string' },
    hosted: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);

/** Runs a round. Returns what it reached, or says what is wrong. */
async function round(of: number, path: string | undefined): Promise<Reached | undefined> {
  const total: Reached = { ...NOTHING_REACHED };
  const property = fc.asyncProperty(anyRun(COMMANDS_MAX, values.hosted), async (run) => {
    const reached = await new Interpreter(run).run();
    for (const what of Object.keys(total) as (keyof Reached)[]) total[what] += reached[what];
  });
  const result = await fc.check(property, { seed: of, numRuns: ROUND_RUNS, ...(path !== undefined && { path }) });
  if (!result.failed) return total;
  console.error(`round ${of} fails: ${String(result.errorInstance)}\n${JSON.stringify(result.counterexample?.[0])}`);
  console.error(
    `repeat it with: node test/model/campaign.ts ${values.hosted ? '--hosted ' : ''}--seed ${of} --path ${result.counterexamplePath}`,
  );
  return undefined;
}

/** A process of the campaign: every round from the seed on that is its. */
async function work(first: number, step: number, rounds: number): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    const reached = await round(first + i * step, undefined);
    process.send!(reached ?? 'failed');
    if (reached === undefined) return;
  }
}

function lead(processes: number, runs: number): void {
  const rounds = Math.ceil(runs / ROUND_RUNS);
  const total: Reached = { ...NOTHING_REACHED };
  const began = performance.now();
  let done = 0;
  const children = Array.from({ length: Math.min(processes, rounds) }, (_, i) => {
    const own = Math.ceil((rounds - i) / processes);
    const child = fork(fileURLToPath(import.meta.url), [
      '--seed',
      String(seed + i),
      '--processes',
      String(processes),
      '--rounds',
      String(own),
      ...(values.hosted ? ['--hosted'] : []),
    ]);
    child.on('message', (message: Reached | 'failed') => {
      if (message === 'failed') {
        process.exitCode = 1;
        for (const each of children) each.kill();
        return;
      }
      for (const what of Object.keys(total) as (keyof Reached)[]) total[what] += message[what];
      done++;
      const seconds = (performance.now() - began) / 1000;
      const facts = Object.entries(total).map(([what, times]) => `${what} ${times}`);
      if (done % 10 === 0 || done === rounds) {
        console.log(`${done * ROUND_RUNS} sequences, ${Math.round((done * ROUND_RUNS) / seconds)} a second: ${facts.join(', ')}`);
      }
    });
    child.on('exit', (code, signal) => {
      if (code !== 0 && signal !== 'SIGTERM') process.exitCode = 1;
    });
    return child;
  });
}

if (values.path !== undefined) process.exitCode = (await round(seed, values.path)) === undefined ? 1 : 0;
else if (values.rounds === undefined) lead(Number(values.processes), Number(values.runs));
else await work(seed, Number(values.processes), Number(values.rounds));
