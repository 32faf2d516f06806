/**
 * The seeds of a campaign, dealt out to processes: each runs every so many-th one and tells what it came to. Used by campaign.ts, and by tests for the samples that CI runs.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Counters } from './counters.ts';

/** What one run came to, or several together. */
export interface Tally {
  runs: number;
  failed: number;
  answered: number;
  events: number;
  simulatedMs: number;
  counts: Readonly<Record<string, number>>;
  /** Left out: all is right. */
  readonly wrong?: WrongSeed;
}

export interface WrongSeed {
  readonly seed: number;
  /** What noticed it (SimulationResult.foundBy), and what it said. */
  readonly by: string;
  readonly failure: string;
}

export interface Seeds {
  readonly first: number;
  readonly count: number;
  readonly processes: number;
  /** Past a run that fails. */
  readonly goesOn: boolean;
}

const CAMPAIGN = fileURLToPath(new URL('campaign.ts', import.meta.url));
/** Of CI's machines. */
const SAMPLE_PROCESSES = 2;

/** As whoever reads it is to repeat a run. `cluster`: what campaign.ts is told of what runs. */
export function replayCommand(cluster: readonly string[], seed: number): string {
  return `node test/sim/campaign.ts ${[...cluster, '--seed', seed].join(' ')} --replay`;
}

/** `options`: what campaign.ts is told besides. Settles when all processes have ended, with those exit codes that say that a process has not ended by itself. */
export async function dealOut(options: readonly string[], seeds: Seeds, report: (tally: Tally) => void): Promise<readonly number[]> {
  const { first, count, processes, goesOn } = seeds;
  const children = Array.from({ length: Math.min(processes, count) }, (_, i) => {
    const mine = ['--seed', String(first + i), '--seeds', String(count - i), '--step', String(processes)];
    return fork(CAMPAIGN, [...mine, ...options, ...(goesOn ? ['--go-on'] : [])], { execArgv: [] });
  });
  let failed = 0;
  const codes = await Promise.all(
    children.map(
      (child) =>
        new Promise<number>((resolve) => {
          child.on('message', (tally: Tally) => {
            report(tally);
            failed += tally.failed;
            if (tally.failed > 0 && !goesOn) for (const other of children) if (other !== child) other.kill();
          });
          child.on('exit', (code) => resolve(code ?? 0));
        }),
    ),
  );
  return failed > 0 ? [] : codes.filter((code) => code !== 0);
}

/** Runs the first seeds of such a cluster. Rejects with all that are wrong, and how to repeat them. */
export async function runSample(cluster: readonly string[], count: number): Promise<Counters> {
  const counters = new Counters();
  const wrong: WrongSeed[] = [];
  let runs = 0;
  const seeds = { first: 1, count, processes: SAMPLE_PROCESSES, goesOn: true };
  await dealOut([...cluster, '--no-shrink'], seeds, (tally) => {
    runs += tally.runs;
    if (tally.wrong !== undefined) wrong.push(tally.wrong);
    for (const [name, reached] of Object.entries(tally.counts)) counters.add(name, reached);
  });
  if (wrong.length > 0) {
    const said = wrong.map(
      ({ seed, by, failure }) => `seed ${seed} is wrong (${by}): ${failure}\nrepeat it with: ${replayCommand(cluster, seed)}`,
    );
    throw new Error(said.join('\n\n'));
  }
  if (runs !== count) throw new Error(`a process of the campaign has ended too soon: ${runs} of ${count} seeds were run`);
  return counters;
}
