/**
 * The client, in a process of its own: one workload by one way in, against servers that run already, with each number of calls in flight in turn. The parent is
 * run.ts; it sends one assignment and gets a message for each measurement. An exit code other than 0 means failure, its reason on stderr.
 */
import { Meter } from '../engine/meter.ts';
import { bytesWrittenBy, cpuUsOf, sumOf } from '../server/process-figures.ts';
import { Records } from './records.ts';
import type { Measured } from './result.ts';
import { drive, each } from './stretch.ts';
import { enter } from './ways-in.ts';
import { keysOf, type Participant, type Plan, workloadOf } from './workloads.ts';

const LOAD_IN_FLIGHT = 256;
const WARM_UP_IN_FLIGHT = 64;
/** Values that are read back and compared after a measurement. */
const READ_BACK_KEYS = 300;

export interface Assignment {
  readonly participant: Participant;
  readonly addresses: readonly string[];
  /** Of the servers. */
  readonly processIds: readonly number[];
  /** Of ours; undefined: the one that every cluster has. */
  readonly table?: string | undefined;
  /** Of each key; undefined: each server has one. */
  readonly copies?: number | undefined;
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

async function run({ participant, addresses, processIds, table, copies, workload: name, inFlights, plan }: Assignment): Promise<void> {
  const workload = workloadOf(name);
  const records = new Records(keysOf(plan, workload), workload.valueBytes);
  const caller = await enter(participant.api, addresses, table);
  const stretch = (inFlight: number, milliseconds: number, meter: Meter = new Meter()): Promise<void> =>
    drive({ caller, workload, records, meter }, inFlight, {
      milliseconds,
      operations: Math.floor(plan.stretchBytesMax / workload.valueBytes),
    });

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
      bytesWrittenPerReplica: difference(writtenBefore, writtenAfter, operations * (copies ?? processIds.length)),
      clientCpuUsPerOp,
      resent: caller.resent() - resentBefore,
    };
    process.send!(measured);
    await each(WARM_UP_IN_FLIGHT, READ_BACK_KEYS, () => records.get(caller, records.choose(0, 1)));
  }
  await caller.close();
}

function difference(before: number | undefined, after: number | undefined, share: number): number | null {
  return before === undefined || after === undefined ? null : (after - before) / share;
}
