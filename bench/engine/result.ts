/** One line of results: a workload by one variant of an engine. Written as JSON lines; table.ts and report.ts read them. */
export interface Result {
  workload: string;
  /** `sparrowkv`, `lmdb:sync` ... */
  engine: string;
  /** Records in the database, or to be written when it begins empty. */
  records: number;
  valueBytes: number;
  /** In the workload's unit: records for batches, keys for multi-gets, entries for scans. */
  opsPerSec: number;
  /** Latency of one call (a batch, a multi-get, 1,000 entries of a scan). */
  p50Us: number;
  p99Us: number;
  /** User and system time of all the process's threads. */
  cpuUsPerOp: number;
  peakRssBytes: number;
  /** null where the system does not tell. */
  bytesWritten: number | null;
  /** After the store was closed. */
  bytesOnDisk: number;
  /** Operations run within the time limit. */
  operations: number;
  maxUs: number;
}

export function parseResults(text: string): Result[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Result);
}
