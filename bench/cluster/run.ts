/**
 * `npm run bench:cluster`: a cluster of three of our server processes and one of three of etcd's, in turn, on loopback, with fsync, driven by the same client process. Prints
 * tables; --json FILE appends a line a result. Exit code 1 when something failed; that etcd is not to be had is told and is no failure.
 *
 * Each workload gets a new cluster by each way in, one after another, so that none inherits another's backlog and a slow minute of the machine meets all of them. Then come the
 * parts that are about shards and nodes, of ours only (parts.ts).
 */
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { aligned, rate, time } from '../engine/report.ts';
import { measureBy } from './client-process.ts';
import { type Cluster, type ClusterOptions, startEtcd, startSparrowkv } from './cluster.ts';
import { makeDiskPlace } from './disk-place.ts';
import { findEtcd } from './etcd-program.ts';
import { endAll } from './member.ts';
import { partTablesOf } from './part-report.ts';
import type { PartResult } from './part-result.ts';
import { bytesOfParts, measurePart, type PartName, PARTS, PARTS_PLAN, PARTS_PLAN_QUICK, type PartsPlan } from './parts.ts';
import { costs, COST_TITLES, rowsOf, SPEED_TITLES, speeds } from './report.ts';
import { lineOf, type Measured } from './result.ts';
import { IN_FLIGHT, keysOf, type Participant, PARTICIPANTS, PLAN, PLAN_QUICK, type Plan, WORKLOADS, type Workload } from './workloads.ts';

const RESULTS: string = fileURLToPath(new URL('../results', import.meta.url));
const NODES = 3;
/** What is written on a cluster's disks at most, times the values: etcd writes them to its log and its file and keeps those that were overwritten. */
const WRITTEN_TIMES = 2;
/** Of a part's clusters: so many have the metaserver, the others join them. */
const FOUNDERS = 3;

const HELP = `npm run bench:cluster -- [options]
  --quick            ${PLAN_QUICK.measureMs} ms a measurement (else ${PLAN.measureMs / 1000} s): under 8 minutes in all (else under 40)
  --only A,B         parts about shards (${PARTS.join(', ')}), workloads (${WORKLOADS.map(({ name }) => name).join(', ')}),
                     systems or ways in (${[...new Set(PARTICIPANTS.flatMap(({ system, api }) => [system, api]))].join(', ')})
  --in-flight A,B    default: ${IN_FLIGHT.join(',')}
  --nodes N          of each cluster that is compared, default ${NODES}
  --seconds N        a measurement; what warms up before it in proportion
  --json FILE        append results as JSON lines
  --dir DIR          where the servers keep their data while it runs, on a disk (default: bench/results)
  --profile DIR      write CPU profiles of our servers and of the client`;

interface Options {
  readonly workloads: readonly Workload[];
  readonly parts: readonly PartName[];
  readonly partsPlan: PartsPlan;
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
        await measureBy(cluster, { participant, workload: workload.name, inFlights: options.inFlights, plan }, profile, (measured) => {
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
  const partResults = await measureParts(options, directory);
  print(results);
  for (const { title, rows } of partTablesOf(partResults)) console.log(`\n${title}\n${aligned(rows)}`);
  console.log(`\n${((performance.now() - started) / 1000).toFixed(0)} s; ${plan.measureMs} ms a measurement`);
  if (without !== undefined) console.log(without);
}

async function measureParts({ parts, partsPlan, plan, json, profile: profiles }: Options, directory: string): Promise<PartResult[]> {
  const results: PartResult[] = [];
  const profile = (name: string): string | undefined => (profiles === undefined ? undefined : join(profiles, name));
  for (const part of parts) {
    const stage = {
      start: (name: string, nodes: number): Promise<Cluster> =>
        startSparrowkv({ nodes, founders: Math.min(nodes, FOUNDERS), directory: join(directory, name), profile: profile(name) }),
      onResult: (result: PartResult): void => {
        results.push(result);
        if (json !== undefined) appendFileSync(json, `${JSON.stringify(result)}\n`);
        console.log(JSON.stringify(result));
      },
      profile,
    };
    try {
      await measurePart(part, stage, partsPlan, plan);
    } catch (error) {
      console.error(`part ${part} failed: ${(error as Error).message}`);
      process.exitCode = 1;
    }
  }
  return results;
}

/** Who takes part, how each system is started, and what is said when etcd is not there. */
function findSystems({ workloads, participants }: Options): {
  participants: readonly Participant[];
  start: Record<Participant['system'], (options: ClusterOptions) => Promise<Cluster>>;
  without: string | undefined;
} {
  let path = '';
  let without: string | undefined;
  try {
    if (workloads.length > 0 && participants.some(({ system }) => system === 'etcd')) {
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

/** Bytes on disk that a cluster takes at most; each is removed before the next. */
function spaceOf({ workloads, parts, partsPlan, nodes, plan, inFlights }: Options): number {
  const values = workloads.map(
    (workload) => keysOf(plan, workload) * workload.valueBytes + (1 + 2 * inFlights.length) * plan.stretchBytesMax,
  );
  return WRITTEN_TIMES * Math.max(Math.max(0, ...values) * nodes, parts.length > 0 ? bytesOfParts(partsPlan) : 0);
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
  const parts = only.size === 0 ? PARTS : PARTS.filter((part) => only.has(part));
  const compares = only.size === 0 || parts.length < only.size;
  const workloads = compares ? chosen(WORKLOADS, only, ({ name }) => [name]) : [];
  const participants = chosen(PARTICIPANTS, only, ({ system, api }) => [system, api]);
  const known = new Set<string>([
    ...PARTS,
    ...WORKLOADS.map(({ name }) => name),
    ...PARTICIPANTS.flatMap(({ system, api }) => [system, api]),
  ]);
  for (const name of only) if (!known.has(name)) throw new Error(`no '${name}'; there are: ${[...known].join(', ')}`);
  const keysMin = Math.min(...WORKLOADS.map((workload) => keysOf(plan, workload)));
  return {
    workloads,
    parts,
    partsPlan: values.quick ? PARTS_PLAN_QUICK : PARTS_PLAN,
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
