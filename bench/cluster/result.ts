/** One line of results. Written as JSON lines; results-file.ts parses them, table.ts and report.ts read them. */
import type { Api, System } from './workloads.ts';

export interface Result {
  system: System;
  /** `session` and `unary` are ours, `native` is etcd's gRPC API. */
  api: Api;
  workload: string;
  valueBytes: number;
  inFlight: number;
  opsPerSec: number;
  p50Us: number;
  p99Us: number;
  /** User and system time of all threads of all server processes together; null where the system does not tell. The client's is apart. */
  cpuUsPerOp: number | null;
  /** Mean of the servers, for each operation: log, tables and what else was written in that stretch; null where the system does not tell. */
  bytesWrittenPerReplica: number | null;
}

/** What the terminal shows on top of it. */
export interface Measured extends Result {
  clientCpuUsPerOp: number;
  /** Calls that were sent again, because the lead changed or a node did not answer. */
  resent: number;
}

/** The line of one result, in the order above and with nothing else. */
export function lineOf(measured: Result): string {
  const { system, api, workload, valueBytes, inFlight, opsPerSec, p50Us, p99Us, cpuUsPerOp, bytesWrittenPerReplica } = measured;
  const result: Result = { system, api, workload, valueBytes, inFlight, opsPerSec, p50Us, p99Us, cpuUsPerOp, bytesWrittenPerReplica };
  return JSON.stringify(result);
}
