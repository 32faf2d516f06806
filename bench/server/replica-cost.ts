/**
 * `node bench/server/replica-cost.ts`: what a write costs in a replica of one voter, without clients and network: processor time and bytes written for each
 * operation, on a real disk, with many writes in flight.
 *
 *   --seconds N       of each measurement (default 3)
 *   --rounds N        all of them, so often, the best of each is printed (default 3)
 *   --only A,B        put-100, put-1k, put-16k, batch-100
 *   --dir DIR         where the data lies (default: a temporary directory)
 *   --profile DIR     writes a CPU profile of the first thread
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import xxhash from 'xxhash-wasm';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler } from '../../base/node/index.ts';
import { open } from '../../engine/index.ts';
import { type CommandOperation, encodeWrite, NO_LIMIT, NodeHost, NodeLog, Replica } from '../../server/node/index.ts';
import { Keys, Values } from '../engine/data.ts';
import { type Measured, Meter, repeatInFlight } from '../engine/meter.ts';

const MIB: number = 1024 * 1024;
const KEYS = 200_000;

interface Workload {
  readonly name: string;
  readonly valueBytes: number;
  readonly batch: number;
  readonly inFlight: number;
}

const WORKLOADS: readonly Workload[] = [
  { name: 'put-100', valueBytes: 100, batch: 1, inFlight: 256 },
  { name: 'put-1k', valueBytes: 1024, batch: 1, inFlight: 256 },
  { name: 'put-16k', valueBytes: 16 * 1024, batch: 1, inFlight: 64 },
  { name: 'batch-100', valueBytes: 100, batch: 100, inFlight: 16 },
];

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: WORKLOADS.map(({ name }) => name).join(',') },
    dir: { type: 'string' },
    profile: { type: 'string' },
  },
});
const { h64Raw } = await xxhash();
const best = new Map<Workload, Measured>();
if (options.dir !== undefined) mkdirSync(options.dir, { recursive: true });
for (let round = 0; round < Number(options.rounds); round++) {
  for (const workload of WORKLOADS.filter(({ name }) => options.only.split(',').includes(name))) {
    const result = await measure(workload);
    const before = best.get(workload);
    if (before === undefined || result.cpuUsPerOp < before.cpuUsPerOp) best.set(workload, result);
  }
}
for (const [{ name, valueBytes, batch }, { operations, cpuUsPerOp, opsPerSec, bytesWritten }] of best) {
  const user = batch * (valueBytes + 16);
  const amplification = bytesWritten === undefined ? '' : `, ${(bytesWritten / operations / user).toFixed(2)} bytes written for one`;
  console.log(`${name}: ${(cpuUsPerOp / batch).toFixed(2)} us of CPU each, ${Math.round(opsPerSec * batch)} a second${amplification}`);
}

async function measure({ name, valueBytes, batch, inFlight }: Workload): Promise<Measured> {
  const directory = mkdtempSync(join(options.dir ?? tmpdir(), 'sparrowkv-replica-'));
  const [keys, values] = [new Keys('random', KEYS), new Values(valueBytes)];
  const { replica, close } = await openReplica(directory);
  const client = Buffer.alloc(16, 7);
  let sequence = 0;
  let next = 0;
  const write = (): Promise<unknown> => {
    const operations: CommandOperation[] = Array.from({ length: batch }, () => {
      const i = next++ % KEYS;
      return { type: 'put', key: keys.at(i), value: values.of(i) };
    });
    return replica.propose(encodeWrite({ client, sequence: ++sequence, seen: 0 }, [], operations), NO_LIMIT);
  };
  const session = options.profile === undefined ? undefined : new Session();
  try {
    await repeatInFlight(new Meter(), { operations: 3000 / batch, milliseconds: Infinity }, inFlight, write);
    session?.connect();
    await session?.post('Profiler.enable');
    await session?.post('Profiler.start');
    const meter = new Meter();
    await repeatInFlight(meter, { operations: Infinity, milliseconds: Number(options.seconds) * 1000 }, inFlight, write);
    if (session !== undefined) {
      const { profile } = await session.post('Profiler.stop');
      writeFileSync(join(options.profile!, `${name}.cpuprofile`), JSON.stringify(profile));
      session.disconnect();
    }
    await close();
    return meter.result();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function openReplica(directory: string): Promise<{ replica: Replica; close: () => Promise<void> }> {
  const [fileSystem, scheduler, random, clock] = [new NodeFileSystem(), new NodeScheduler(), new NodeRandom(), new NodeClock()];
  const nodeLog = NodeLog.open({
    fileSystem,
    directory: join(directory, 'log'),
    hash: h64Raw,
    clock,
    scheduler,
    random,
    segmentBytes: 64 * MIB,
    cacheBytes: 0,
  });
  const hosted = { segmentPath: (segment: number) => nodeLog.segmentPath(segment) };
  const engine = await open(join(directory, 'engine'), {}, { hosted });
  const host = new NodeHost({ node: 1, tickMs: 100, scheduler, transport: undefined, nodeLog, logBytesMax: 1024 * MIB });
  const replica = await Replica.open(
    {
      group: 1,
      id: 1,
      voters: [1],
      tickMs: 100,
      electionTicks: 10,
      heartbeatTicks: 1,
      sleepTicks: Infinity,
      keptBytesMax: 0,
      logKeptBytesMax: 0,
      writeBytesInFlightMax: 64 * MIB,
      writesWaitingMax: 16_384,
      checkpointBytes: 128 * MIB,
    },
    { engine, nodeLog, log: nodeLog.group(1), clock, scheduler, random, host, onStopped: (error) => console.error(error) },
  );
  const close = async (): Promise<void> => {
    await replica.close();
    host.close();
    await nodeLog.close();
    await engine.close();
  };
  return { replica, close };
}
