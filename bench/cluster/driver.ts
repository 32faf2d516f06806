/**
 * The client, in a process of its own: one workload by one way in, against servers that run already, with each number of calls in flight in turn. The parent is
 * run.ts; it sends one assignment and gets a message for each measurement. An exit code other than 0 means failure, its reason on stderr.
 */
import { Meter } from '../engine/meter.ts';
import { bytesWrittenBy, cpuUsOf } from '../server/process-figures.ts';
import { Records } from './records.ts';
import type { Measured } from './result.ts';
import { type ClusterCaller, enter } from './ways-in.ts';
import { keysOf, type Participant, type Plan, type Workload, workloadOf } from './workloads.ts';

const LOAD_IN_FLIGHT = 256;
const WARM_UP_IN_FLIGHT = 64;
/** Values that are read back and compared after a measurement. */
const READ_BACK_KEYS = 300;

export interface Assignment {
  readonly participant: Participant;
  readonly addresses: readonly string[];
  /** Of the servers. */
  readonly processIds: readonly number[];
  readonly workload: string;
  readonly inFlights: readonly number[];
  readonly plan: Plan;
}

process.once('message', (message) => {
  run(message as Assignment).then(
    () => process.disconnect(),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
// The parent has gone.
process.once('disconnect', () => process.exit());

async function run({ participant, addresses, processIds, workload: name, inFlights, plan }: Assignment): Promise<void> {
  const workload = workloadOf(name);
  const records = new Records(keysOf(plan, workload), workload.valueBytes);
  const caller = await enter(participant.api, addresses);
  const stretch = (inFlight: number, milliseconds: number, meter: Meter = new Meter()): Promise<void> =>
    drive(caller, workload, records, inFlight, { milliseconds, operations: Math.floor(plan.stretchBytesMax / workload.valueBytes) }, meter);

  if (workload.getsPercent > 0) await each(LOAD_IN_FLIGHT, records.count, (i) => records.put(caller, i));
  await stretch(WARM_UP_IN_FLIGHT, plan.warmUpMs);
  for (const inFlight of inFlights) {
    await stretch(inFlight, plan.settleMs);
    const meter = new Meter();
    const [cpuBefore, writtenBefore, resentBefore] = [sumOf(processIds, cpuUsOf), sumOf(processIds, bytesWrittenBy), caller.resent()];
    await stretch(inFlight, plan.measureMs, meter);
    const [cpuAfter, writtenAfter] = [sumOf(processIds, cpuUsOf), sumOf(processIds, bytesWrittenBy)];
    const { operations, opsPerSec, p50Us, p99Us, cpuUsPerOp: clientCpuUsPerOp } = meter.result();
    const measured: Measured = {
      ...participant,
      workload: workload.name,
      valueBytes: workload.valueBytes,
      inFlight,
      opsPerSec,
      p50Us,
      p99Us,
      cpuUsPerOp: difference(cpuBefore, cpuAfter, operations),
      bytesWrittenPerReplica: difference(writtenBefore, writtenAfter, operations * processIds.length),
      clientCpuUsPerOp,
      resent: caller.resent() - resentBefore,
    };
    process.send!(measured);
    await each(WARM_UP_IN_FLIGHT, READ_BACK_KEYS, () => records.get(caller, records.choose(0, 1)));
  }
  await caller.close();
}

/** `inFlight` callers, each awaiting its own operation before its next, until time or operations are used up. */
async function drive(
  caller: ClusterCaller,
  { getsPercent }: Workload,
  records: Records,
  inFlight: number,
  limits: { milliseconds: number; operations: number },
  meter: Meter,
): Promise<void> {
  let begun = 0;
  let done = 0;
  meter.start();
  const deadline = performance.now() + limits.milliseconds;
  const one = async (id: number): Promise<void> => {
    while (begun < limits.operations) {
      begun++;
      const index = records.choose(id, inFlight);
      const gets = getsPercent > 0 && records.percent() < getsPercent;
      const before = performance.now();
      await (gets ? records.get(caller, index) : records.put(caller, index));
      const after = performance.now();
      done++;
      meter.sample(after - before);
      if (after > deadline) return;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, id) => one(id)));
  meter.stop(done);
}

/** `operation` for each of `count`, `inFlight` at a time. */
async function each(inFlight: number, count: number, operation: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await operation(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, one));
}

/** Undefined when it is not known of one of them. */
function sumOf(processIds: readonly number[], figure: (pid: number) => number | undefined): number | undefined {
  let sum = 0;
  for (const pid of processIds) {
    const value = figure(pid);
    if (value === undefined) return undefined;
    sum += value;
  }
  return sum;
}

function difference(before: number | undefined, after: number | undefined, share: number): number | null {
  return before === undefined || after === undefined ? null : (after - before) / share;
}
