/** Callers that do operations of a workload, each awaiting its own before its next, for a while. */
import type { Meter } from '../engine/meter.ts';
import type { Caller } from '../server/callers.ts';
import type { Records } from './records.ts';
import type { Workload } from './workloads.ts';

export interface Driven {
  readonly caller: Caller;
  readonly workload: Workload;
  readonly records: Records;
  readonly meter: Meter;
}

export interface StretchLimits {
  readonly milliseconds: number;
  readonly operations: number;
  /** It is at an end, whatever is left of both. */
  readonly over?: () => boolean;
}

export async function drive({ caller, workload, records, meter }: Driven, inFlight: number, limits: StretchLimits): Promise<void> {
  const { milliseconds, operations, over = () => false } = limits;
  const { getsPercent } = workload;
  let begun = 0;
  let done = 0;
  meter.start();
  const deadline = performance.now() + milliseconds;
  const one = async (id: number): Promise<void> => {
    while (begun < operations && !over()) {
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
export async function each(inFlight: number, count: number, operation: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await operation(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, one));
}
