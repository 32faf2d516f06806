/**
 * Measures one run of a workload: operations a second, latency, CPU, peak memory and bytes written.
 *
 * Latency is sampled: every operation when one takes more than 4 us, else each eighth, so that reading the clock (about 40 ns) does not
 * weigh on what is measured. CPU is the whole process's (all threads) from start to stop. Bytes written are what the kernel accounts to
 * the process (write_bytes of /proc/self/io: pages dirtied, so it needs a file system on a disk); undefined where there is no such file.
 * Peak memory is the high-water mark since start where it can be reset (Linux), else since the process began.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const SAMPLES_MAX = 200_000;
/** A promise's cost is measured, a synchronous result's is not inflated by awaiting it. */
export type Operation = (i: number) => unknown;

export interface Measured {
  operations: number;
  opsPerSec: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
  cpuUsPerOp: number;
  peakRssBytes: number;
  bytesWritten: number | undefined;
}

export class Meter {
  readonly #samples = new Float64Array(SAMPLES_MAX);
  #sampled = 0;
  #max = 0;
  #startMs = 0;
  #stopMs = 0;
  #cpu: NodeJS.CpuUsage = { user: 0, system: 0 };
  #cpuUs = 0;
  #written: number | undefined;
  #operations = 0;

  start(): void {
    resetPeak();
    this.#sampled = 0;
    this.#max = 0;
    this.#written = bytesWrittenByProcess();
    this.#cpu = process.cpuUsage();
    this.#startMs = performance.now();
  }

  /** One latency, in milliseconds. */
  sample(milliseconds: number): void {
    if (milliseconds > this.#max) this.#max = milliseconds;
    // Beyond the limit later samples overwrite earlier ones: the tail of a long run counts as much as its head.
    this.#samples[this.#sampled++ % SAMPLES_MAX] = milliseconds;
  }

  stop(operations: number): void {
    this.#stopMs = performance.now();
    const cpu = process.cpuUsage(this.#cpu);
    this.#cpuUs = cpu.user + cpu.system;
    this.#operations = operations;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startMs;
  }

  /** Call after the store is closed when what closing writes belongs to the workload. */
  result(): Measured {
    const sorted = this.#samples.subarray(0, Math.min(this.#sampled, SAMPLES_MAX)).sort();
    const quantile = (q: number): number =>
      sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]! * 1000;
    const written = bytesWrittenByProcess();
    return {
      operations: this.#operations,
      opsPerSec: (this.#operations / (this.#stopMs - this.#startMs)) * 1000,
      p50Us: quantile(0.5),
      p99Us: quantile(0.99),
      maxUs: this.#max * 1000,
      cpuUsPerOp: this.#cpuUs / this.#operations,
      peakRssBytes: peakRssBytes(),
      bytesWritten: written === undefined || this.#written === undefined ? undefined : written - this.#written,
    };
  }
}

export interface RunLimits {
  /** Stop after this many operations ... */
  operations: number;
  /** ... or after this time, whichever is first; at least one operation is run. */
  milliseconds: number;
}

/**
 * Runs `operation(i)` for i = 0, 1 ... one at a time, between start and stop. Each counts as `weight` operations in the result.
 * Returns how many were run.
 */
export async function repeat(meter: Meter, limits: RunLimits, operation: Operation, weight: number = 1): Promise<number> {
  meter.start();
  let every = 1;
  let i = 0;
  const deadline = performance.now() + limits.milliseconds;
  while (i < limits.operations) {
    if (i % every === 0) {
      const before = performance.now();
      const pending = operation(i++);
      if (pending instanceof Promise) await pending;
      const after = performance.now();
      meter.sample(after - before);
      if (after > deadline) break;
      if (i === 256 && (meter.elapsedMs * 1000) / 256 < 4) every = 8;
    } else {
      const pending = operation(i++);
      if (pending instanceof Promise) await pending;
    }
  }
  meter.stop(i * weight);
  return i;
}

/** Runs `operation` by `callers` at once, each awaiting its own before its next. Returns how many were run. */
export async function repeatInFlight(meter: Meter, limits: RunLimits, callers: number, operation: Operation): Promise<number> {
  let next = 0;
  meter.start();
  const deadline = performance.now() + limits.milliseconds;
  let done = 0;
  async function caller(): Promise<void> {
    while (next < limits.operations) {
      const before = performance.now();
      await operation(next++);
      const after = performance.now();
      done++;
      meter.sample(after - before);
      if (after > deadline) return;
    }
  }
  await Promise.all(Array.from({ length: callers }, caller));
  meter.stop(done);
  return done;
}

function bytesWrittenByProcess(): number | undefined {
  try {
    const match = /^write_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'latin1'));
    return match ? Number(match[1]) : undefined;
  } catch {
    return undefined; // Not Linux, or hidden by the container: the result says so.
  }
}

function resetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Not Linux or not permitted: the peak is then that of the process's whole life, which is what getrusage gives.
  }
}

function peakRssBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
