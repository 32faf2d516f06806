/**
 * `npm run bench:cluster`: a cluster of three of our server processes and one of three of etcd's, in turn, on loopback, with fsync, driven by the same client process. Prints
 * tables; --json FILE appends a line a result. Exit code 1 when something failed; that etcd is not to be had is told and is no failure.
 *
 * Each workload gets a new cluster by each way in, one after another, so that none inherits another's backlog and a slow minute of the machine meets all of them.
 */
import { fork } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { aligned, rate, time } from '../engine/report.ts';
import { type Cluster, type ClusterOptions, startEtcd, startSparrowkv } from './cluster.ts';
import { makeDiskPlace } from './disk-place.ts';
import type { Assignment } from './driver.ts';
import { findEtcd } from './etcd-program.ts';
import { endAll, endLater } from './member.ts';
import { costs, COST_TITLES, rowsOf, SPEED_TITLES, speeds } from './report.ts';
import { lineOf, type Measured } from './result.ts';
import { IN_FLIGHT, keysOf, type Participant, PARTICIPANTS, PLAN, PLAN_QUICK, type Plan, WORKLOADS, type Workload } from './workloads.ts';

const RESULTS: string = fileURLToPath(new URL('../results', import.meta.url));
const DRIVER: string = fileURLToPath(new URL('driver.ts', import.meta.url));
const NODES = 3;
/** What is written on a cluster's disks at most, times the values: etcd writes them to its log and its file and keeps those that were overwritten. */
const WRITTEN_TIMES = 2;
/** A run that takes so many times as long as it should is ended. */
const PATIENCE = 4;
const START_MS_MAX = 60_000;

const HELP = `npm run bench:cluster -- [options]
  --quick            ${PLAN_QUICK.measureMs} ms a measurement (else ${PLAN.measureMs / 1000} s): under 5 minutes in all (else under 20)
  --only A,B         workloads (${WORKLOADS.map(({ name }) => name).join(', ')}),
                     systems or ways in (${[...new Set(PARTICIPANTS.flatMap(({ system, api }) => [system, api]))].join(', ')})
  --in-flight A,B    default: ${IN_FLIGHT.join(',')}
  --nodes N          of each cluster, default ${NODES}
  --seconds N        a measurement; what warms up before it in proportion
  --json FILE        append results as JSON lines
  --dir DIR          where the servers keep their data while it runs, on a disk (default: bench/results)
  --profile DIR      write CPU profiles of our servers and of the client`;

interface Options {
  readonly workloads: readonly Workload[];
  readonly participants: readonly Participant[];
  readonly inFlights: readonly number[];
  readonly nodes: number;
  readonly plan: Plan;
  readonly json: string | undefined;
  readonly parent: string;
  readonly profile: string | undefined;
}

async function main(): Promise<void> {
  const options = parseOptions();
  if (options === undefined) return console.log(HELP);
  const started = performance.now();
  const { workloads, nodes, plan, json } = options;
  console.log(
    `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.versions.node}, ${nodes} nodes, ${new Date().toISOString()}`,
  );
  const { participants, start, without } = findSystems(options);
  const directory = makeDiskPlace(options.parent, spaceOf(options));
  // However this process ends, nothing of it is left.
  process.once('exit', () => {
    endAll();
    rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  for (const [signal, number] of [['SIGINT', 2] as const, ['SIGTERM', 15] as const, ['SIGHUP', 1] as const]) {
    process.once(signal, () => process.exit(128 + number));
  }
  if (json !== undefined) mkdirSync(dirname(resolve(json)), { recursive: true });

  const results: Measured[] = [];
  for (const workload of workloads) {
    for (const participant of participants) {
      const name = `${workload.name}-${participant.api}`;
      const profile = options.profile === undefined ? undefined : join(options.profile, name);
      try {
        await using cluster = await start[participant.system]({ nodes, directory: join(directory, name), profile });
        await drive(cluster, participant, workload, options, profile, (measured) => {
          results.push(measured);
          if (json !== undefined) appendFileSync(json, `${lineOf(measured)}\n`);
          console.log(progressOf(measured));
        });
      } catch (error) {
        console.error(`${participant.system} by ${participant.api} failed ${workload.name}: ${(error as Error).message}`);
        process.exitCode = 1;
      }
    }
  }
  print(results);
  console.log(`\n${((performance.now() - started) / 1000).toFixed(0)} s; ${plan.measureMs} ms a measurement`);
  if (without !== undefined) console.log(without);
}

/** Who takes part, how each system is started, and what is said when etcd is not there. */
function findSystems({ participants }: Options): {
  participants: readonly Participant[];
  start: Record<Participant['system'], (options: ClusterOptions) => Promise<Cluster>>;
  without: string | undefined;
} {
  let path = '';
  let without: string | undefined;
  try {
    if (participants.some(({ system }) => system === 'etcd')) {
      const etcd = findEtcd(join(RESULTS, 'etcd'));
      path = etcd.path;
      console.log(`etcd ${etcd.version}`);
    }
  } catch (error) {
    without = `WITHOUT ETCD, nothing is compared: ${(error as Error).message}`;
    console.log(without);
  }
  return {
    participants: participants.filter(({ system }) => system !== 'etcd' || without === undefined),
    start: { sparrowkv: startSparrowkv, etcd: (options) => startEtcd(path, options) },
    without,
  };
}

function drive(
  cluster: Cluster,
  participant: Participant,
  workload: Workload,
  { inFlights, plan }: Options,
  profile: string | undefined,
  onMeasured: (measured: Measured) => void,
): Promise<void> {
  const execArgv = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profile, 'client')}`];
  const child = endLater(fork(DRIVER, { execArgv, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] }));
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.on('message', (message) => onMeasured(message as Measured));
  const { addresses, processIds } = cluster;
  const assignment: Assignment = { participant, addresses, processIds, workload: workload.name, inFlights, plan };
  child.send(assignment);
  const millisecondsMax = START_MS_MAX + PATIENCE * (plan.warmUpMs + inFlights.length * (plan.settleMs + plan.measureMs));
  return new Promise((settled, failed) => {
    const timer = setTimeout(() => {
      said = `not done within ${Math.round(millisecondsMax / 1000)} s\n${said}`;
      child.kill('SIGKILL');
    }, millisecondsMax);
    child.once('error', failed);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      try {
        cluster.check();
        if (code !== 0) throw new Error(said.trim() || `the client ended with ${signal ?? `code ${code}`}`);
        settled();
      } catch (error) {
        failed(error);
      }
    });
  });
}

/** Bytes on disk that a cluster takes at most; each is removed before the next. */
function spaceOf({ workloads, nodes, plan, inFlights }: Options): number {
  const values = workloads.map(
    (workload) => keysOf(plan, workload) * workload.valueBytes + (1 + 2 * inFlights.length) * plan.stretchBytesMax,
  );
  return Math.max(...values) * nodes * WRITTEN_TIMES;
}

function progressOf({ workload, api, inFlight, opsPerSec, p50Us, p99Us, cpuUsPerOp, clientCpuUsPerOp, resent }: Measured): string {
  return [
    workload.padEnd(8),
    api.padEnd(8),
    String(inFlight).padStart(4),
    `${rate(opsPerSec)}/s`.padStart(9),
    `p50 ${time(p50Us)} p99 ${time(p99Us)}`.padEnd(26),
    `CPU an operation: servers ${cpuUsPerOp === null ? 'unknown' : `${cpuUsPerOp.toFixed(1)} us`}, client ${clientCpuUsPerOp.toFixed(1)} us`,
    ...(resent > 0 ? [`${resent} calls sent again`] : []),
  ].join('  ');
}

function print(results: readonly Measured[]): void {
  const rows = rowsOf(results);
  if (rows.length === 0) return;
  console.log(`\noperations a second\n${aligned([SPEED_TITLES, ...rows.map(speeds)])}`);
  console.log(`\n${aligned([COST_TITLES, ...rows.map(costs)])}`);
}

function parseOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      'in-flight': { type: 'string', default: IN_FLIGHT.join(',') },
      nodes: { type: 'string', default: String(NODES) },
      seconds: { type: 'string' },
      json: { type: 'string' },
      dir: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const plan = values.quick ? PLAN_QUICK : PLAN;
  const measureMs = values.seconds === undefined ? plan.measureMs : Number(values.seconds) * 1000;
  if (!(measureMs > 0)) throw new Error('--seconds is a number above 0');
  const stretched = measureMs / plan.measureMs;
  const only = new Set(values.only.split(',').filter((name) => name !== ''));
  const workloads = chosen(WORKLOADS, only, ({ name }) => [name]);
  const participants = chosen(PARTICIPANTS, only, ({ system, api }) => [system, api]);
  const known = new Set([...WORKLOADS.map(({ name }) => name), ...PARTICIPANTS.flatMap(({ system, api }) => [system, api])]);
  for (const name of only) if (!known.has(name)) throw new Error(`no '${name}'; there are: ${[...known].join(', ')}`);
  const keysMin = Math.min(...workloads.map((workload) => keysOf(plan, workload)));
  return {
    workloads,
    participants,
    inFlights: values['in-flight'].split(',').map((text) => whole(text, '--in-flight', keysMin)),
    nodes: whole(values.nodes, '--nodes', 9),
    plan: { ...plan, measureMs, warmUpMs: plan.warmUpMs * stretched, settleMs: plan.settleMs * stretched },
    json: values.json,
    parent: resolve(values.dir ?? RESULTS),
    profile: values.profile === undefined ? undefined : resolve(values.profile),
  };
}

/** Those that `only` names; all when it names none of them. */
function chosen<T>(all: readonly T[], only: ReadonlySet<string>, namesOf: (item: T) => readonly string[]): readonly T[] {
  const named = all.filter((item) => namesOf(item).some((name) => only.has(name)));
  return named.length > 0 ? named : all;
}

function whole(text: string, option: string, max: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1 || value > max)
    throw new Error(`${option} is a whole number from 1 to ${max}, not '${text}'`);
  return value;
}

if (import.meta.main) await main();
