/**
 * Round after round on one cluster: load, a fault in the midst of it, healing, and then what must hold:
 *
 *   while a majority is left    a write is acknowledged within SERVES_MS_MAX
 *   when it is healed           a write is acknowledged within HEALED_MS_MAX, and all nodes come to agree on a leader
 *   in the end                  what clients saw is linearizable
 *
 * Each so many rounds the nodes are stopped and compared with each other and with all that was acknowledged (audit.ts); then the rounds before are deleted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SparrowError } from '../../base/errors.ts';
import type { Client } from '../../client/index.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { audit } from './audit.ts';
import type { Fault, Target } from './fault.ts';
import { Load } from './load.ts';

export interface RoundsOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Of these one is drawn for each round; those that cannot be done here are left out. */
  readonly faults: readonly Fault[];
  readonly auditEvery: number;
  /** How long a fault lasts, beyond what is waited for. */
  readonly lastsMs?: readonly [least: number, most: number];
  readonly secondsMax?: number;
  readonly onRound?: (report: string) => void;
}

export interface RoundsResult {
  rounds: number;
  readonly byFault: Map<string, number>;
  answered: number;
  acknowledged: number;
  open: number;
  audits: number;
  /** Longest waits for an acknowledged write: from the beginning of a fault that leaves a majority, and from the healing. Milliseconds. */
  servedMsMax: number;
  healedMsMax: number;
  /** Failed calls by kind and code. */
  readonly failures: Map<string, number>;
}

/** A majority that is left may have to elect a leader, several times when votes split. */
export const SERVES_MS_MAX = 30_000;
export const HEALED_MS_MAX = 45_000;
/** Calls of impatient clients end while the cluster is without a leader. */
const IMPATIENT_MS = 1000;
const PATIENT_MS = 60_000;
const PROBE_MS = 500;

export async function runRounds(target: Target, options: RoundsOptions): Promise<RoundsResult> {
  const { cluster } = target;
  const { seed, rounds, auditEvery, lastsMs = [0, 1500], secondsMax = Infinity, onRound } = options;
  const faults = options.faults.filter((fault) => fault.missing(target) === undefined);
  const random = SimRandom.mixed(seed);
  const clients = [PATIENT_MS, PATIENT_MS, IMPATIENT_MS].map((timeoutMs) => cluster.connect({ timeoutMs }));
  const prober = cluster.connect({ timeoutMs: PROBE_MS });
  const result: RoundsResult = {
    rounds: 0,
    byFault: new Map(),
    answered: 0,
    acknowledged: 0,
    open: 0,
    audits: 0,
    servedMsMax: 0,
    healedMsMax: 0,
    failures: new Map(),
  };
  const beganMs = performance.now();
  let loads: Load[] = [];
  try {
    while (result.rounds < rounds && (performance.now() - beganMs) / 1000 < secondsMax) {
      const fault = random.pick(faults);
      loads.push(await round(fault));
      result.rounds++;
      if (result.rounds % auditEvery !== 0 && result.rounds !== rounds) continue;
      await auditLoads();
    }
    if (loads.length > 0) await auditLoads();
  } finally {
    await Promise.all([...clients, prober].map((client) => client.close()));
  }
  return result;

  async function auditLoads(): Promise<void> {
    await audit(cluster, loads);
    for (const { prefix } of loads) await clients[0]!.deleteRange({ prefix });
    loads = [];
    result.audits++;
  }

  async function round(fault: Fault): Promise<Load> {
    const number = result.rounds + 1;
    const load = new Load(clients, { seed: random.u32(), prefix: `round-${number}/` });
    let stage = 'before the fault';
    let what = '';
    load.begin();
    try {
      await sleep(100 + random.below(400));
      stage = 'beginning the fault';
      const ongoing = await fault.begin(target, random);
      what = ongoing.what;
      stage = 'during the fault';
      const servedMs = ongoing.serves ? await acknowledgedWithin(prober, SERVES_MS_MAX) : undefined;
      await sleep(lastsMs[0] + random.below(lastsMs[1] - lastsMs[0] + 1));
      stage = 'healing';
      await ongoing.heal();
      stage = 'after the fault';
      const healedMs = await acknowledgedWithin(prober, HEALED_MS_MAX);
      await cluster.led();
      await sleep(random.below(300));
      await load.end();
      await load.look();
      const wrong = load.check();
      if (wrong !== undefined) throw new Error(wrong);
      note(fault, load, servedMs, healedMs);
      const served = servedMs === undefined ? '' : `, served after ${ms(servedMs)}`;
      onRound?.(`round ${number}: ${fault.name} (${what})${served}, healed after ${ms(healedMs)}, ${load.counts.answered} operations`);
      return load;
    } catch (error) {
      const text = `round ${number} of seed ${seed}: ${fault.name} (${what}), ${stage}: ${(error as Error).message}`;
      throw new Error(text, { cause: error });
    }
  }

  function note(fault: Fault, load: Load, servedMs: number | undefined, healedMs: number): void {
    const { answered, acknowledged, open } = load.counts;
    result.byFault.set(fault.name, (result.byFault.get(fault.name) ?? 0) + 1);
    result.answered += answered;
    result.acknowledged += acknowledged;
    result.open += open;
    result.servedMsMax = Math.max(result.servedMsMax, servedMs ?? 0);
    result.healedMsMax = Math.max(result.healedMsMax, healedMs);
    for (const [name, count] of load.calls.failures) result.failures.set(name, (result.failures.get(name) ?? 0) + count);
  }
}

/** Milliseconds until a write is acknowledged; it is tried again and again. */
async function acknowledgedWithin(client: Client, msMax: number): Promise<number> {
  const beganMs = performance.now();
  for (;;) {
    try {
      await client.put('probe', 'x');
      return performance.now() - beganMs;
    } catch (error) {
      if (!(error instanceof SparrowError) || !['unavailable', 'rerouted', 'exhausted'].includes(error.kind)) throw error;
      const tookMs = performance.now() - beganMs;
      if (tookMs > msMax)
        throw new Error(`no write was acknowledged within ${msMax} ms: ${error.kind}/${error.code}: ${error.message}`, { cause: error });
      await sleep(20);
    }
  }
}

export function resultText(result: RoundsResult): string {
  const { rounds, answered, acknowledged, open, audits, servedMsMax, healedMsMax, byFault, failures } = result;
  const list = (counts: ReadonlyMap<string, number>): string =>
    [...counts]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, count]) => `  ${count} ${name}`)
      .join('\n');
  return [
    `${rounds} rounds, ${answered} operations checked, ${acknowledged} writes of ledgers acknowledged, ${open} open, ${audits} audits: all right`,
    `longest wait with a majority left ${ms(servedMsMax)}, after healing ${ms(healedMsMax)}`,
    list(byFault),
    ...(failures.size > 0 ? [`calls that failed:\n${list(failures)}`] : []),
  ].join('\n');
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}
