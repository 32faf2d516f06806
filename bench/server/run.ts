/**
 * `node bench/server/run.ts`: drives a real server process by the SDK and by plain unary calls, with 1, 16, 64 and 256 calls in flight:
 * puts of 100 bytes to 1 MiB, durable, and gets, linearizable. Prints a table; --json FILE appends a line a result.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Choice, Keys, Values } from '../engine/data.ts';
import { Meter, repeatInFlight, type Operation, type RunLimits } from '../engine/meter.ts';
import { aligned, bytes, rate, time } from '../engine/report.ts';
import { CALLERS, type Caller } from './callers.ts';
import { ServerProcess } from './server-process.ts';

const MILLISECONDS = 5_000;
const MILLISECONDS_QUICK = 400;
const IN_FLIGHT = [1, 16, 64, 256];
const KEYS = 200_000;
const KEYS_QUICK = 20_000;
const LOAD_IN_FLIGHT = 256;

/** One line of results. Times and CPU are per call; what the system does not tell is null. */
export interface ServerResult {
  workload: string;
  client: string;
  inFlight: number;
  valueBytes: number;
  opsPerSec: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
  serverCpuUsPerOp: number | null;
  clientCpuUsPerOp: number;
  serverPeakRssBytes: number | null;
  operations: number;
}

interface Workload {
  name: string;
  title: string;
  valueBytes: number;
  operation(caller: Caller, keys: Keys, values: Values): Operation;
}

const WORKLOADS: readonly Workload[] = [
  { name: 'put-100', title: 'put 100 B', valueBytes: 100, operation: put },
  { name: 'put-1k', title: 'put 1 KiB', valueBytes: 1024, operation: put },
  { name: 'put-64k', title: 'put 64 KiB', valueBytes: 64 * 1024, operation: put },
  { name: 'put-1m', title: 'put 1 MiB', valueBytes: 1024 * 1024, operation: put },
  { name: 'get', title: 'get 100 B', valueBytes: 100, operation: get },
];

const HELP = `node bench/server/run.ts [options]
  --quick            ${MILLISECONDS_QUICK} ms a measurement (else ${MILLISECONDS / 1000} s)
  --only A,B         ${WORKLOADS.map(({ name }) => name).join(', ')}
  --clients A,B      ${Object.keys(CALLERS).join(', ')}
  --in-flight A,B    default: ${IN_FLIGHT.join(',')}
  --json FILE        append results as JSON lines
  --dir DIR          where the server keeps its data (default: a temporary directory)
  --profile DIR      write CPU profiles of the servers`;

function put(caller: Caller, keys: Keys, values: Values): Operation {
  return (i) => caller.put(keys.at(i % keys.count), values.of(i));
}

function get(caller: Caller, keys: Keys): Operation {
  const choice = new Choice(1);
  return () => caller.get(keys.at(choice.below(keys.count)));
}

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: WORKLOADS.map(({ name }) => name).join(',') },
      clients: { type: 'string', default: Object.keys(CALLERS).join(',') },
      'in-flight': { type: 'string', default: IN_FLIGHT.join(',') },
      json: { type: 'string' },
      dir: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (options.help) return console.log(HELP);
  const workloads = options.only.split(',').map((name) =>
    known(
      WORKLOADS.find((workload) => workload.name === name),
      name,
    ),
  );
  const clients = options.clients.split(',').map((name) => [name, known(CALLERS[name], name)] as const);
  const inFlights = options['in-flight'].split(',').map(Number);
  const limits = { operations: Infinity, milliseconds: options.quick ? MILLISECONDS_QUICK : MILLISECONDS };
  const keys = new Keys('random', options.quick ? KEYS_QUICK : KEYS);
  if (options.dir) mkdirSync(options.dir, { recursive: true });
  if (options.json) mkdirSync(dirname(resolve(options.json)), { recursive: true });
  const profile = options.profile ? ['--cpu-prof', `--cpu-prof-dir=${resolve(options.profile)}`] : [];

  console.log(`${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.versions.node}`);
  const results: ServerResult[] = [];
  for (const workload of workloads) {
    const values = new Values(workload.valueBytes);
    for (const [name, connect] of clients) {
      // Each gets a server and data of its own, so that none inherits another's backlog.
      await using server = await ServerProcess.start(options.dir, profile);
      const caller = await connect(server.address);
      await prepare(caller, workload, keys, values);
      for (const inFlight of inFlights) {
        const result = await measure(server, caller, workload, name, inFlight, keys, values, limits);
        results.push(result);
        if (options.json) appendFileSync(options.json, `${JSON.stringify(result)}\n`);
      }
      await caller.close();
    }
  }
  print(results);
}

/** Stores what gets will ask for, and checks that it comes back. */
async function prepare(caller: Caller, workload: Workload, keys: Keys, values: Values): Promise<void> {
  const count = workload.operation === get ? keys.count : LOAD_IN_FLIGHT;
  await repeatInFlight(new Meter(), { operations: count, milliseconds: Infinity }, LOAD_IN_FLIGHT, (i) =>
    caller.put(keys.at(i), values.of(i)),
  );
  for (const i of [0, count - 1]) {
    const value = await caller.get(keys.at(i));
    if (!value || values.of(i).compare(value) !== 0) throw new Error(`the server did not return what was written to key ${i}`);
  }
}

async function measure(
  server: ServerProcess,
  caller: Caller,
  workload: Workload,
  client: string,
  inFlight: number,
  keys: Keys,
  values: Values,
  limits: RunLimits,
): Promise<ServerResult> {
  const operation = workload.operation(caller, keys, values);
  await repeatInFlight(new Meter(), { ...limits, milliseconds: limits.milliseconds / 4 }, inFlight, operation);
  const meter = new Meter();
  const before = server.cpuUs();
  await repeatInFlight(meter, limits, inFlight, operation);
  const after = server.cpuUs();
  const { operations, opsPerSec, p50Us, p99Us, maxUs, cpuUsPerOp } = meter.result();
  return {
    workload: workload.name,
    client,
    inFlight,
    valueBytes: workload.valueBytes,
    opsPerSec,
    p50Us,
    p99Us,
    maxUs,
    serverCpuUsPerOp: before === undefined || after === undefined ? null : (after - before) / operations,
    clientCpuUsPerOp: cpuUsPerOp,
    serverPeakRssBytes: server.peakRssBytes() ?? null,
    operations,
  };
}

function print(results: readonly ServerResult[]): void {
  const rows = results.map((result) => [
    WORKLOADS.find(({ name }) => name === result.workload)!.title,
    result.client,
    String(result.inFlight),
    rate(result.opsPerSec),
    time(result.p50Us),
    time(result.p99Us),
    result.serverCpuUsPerOp === null ? '' : `${result.serverCpuUsPerOp.toFixed(1)} us`,
    `${result.clientCpuUsPerOp.toFixed(1)} us`,
    result.serverPeakRssBytes === null ? '' : bytes(result.serverPeakRssBytes),
  ]);
  console.log(`\n${aligned([['', 'client', 'in flight', 'calls/s', 'p50', 'p99', 'server CPU', 'client CPU', 'server peak'], ...rows])}`);
}

function known<T>(found: T | undefined, name: string): T {
  if (found === undefined) throw new Error(`no '${name}' (see --help)`);
  return found;
}

if (import.meta.main) await main();
