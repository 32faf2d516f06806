/** Results of the parts that are about shards and nodes: a line each, told from others by `part`. Ours only; part-report.ts and table.ts read them. */
import type { Result } from './result.ts';

/** Operations a second of a table, by how many shards and nodes it is spread over. */
export type ShardsResult = { part: 'shards'; nodes: number; shards: number } & Omit<Result, 'system' | 'api'>;

/** Of a cluster in which nothing happens. Means of its servers; null where the system does not tell. */
export interface IdleResult {
  part: 'idle';
  nodes: number;
  shards: number;
  /** Of a core. */
  cpuShare: number | null;
  rssBytes: number | null;
  bytesWrittenPerSec: number | null;
}

export interface LoadFigures {
  opsPerSec: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
}

/** A node died for good: from its decommissioning until everything that it had is on others. */
export interface RebuildResult {
  part: 'rebuild';
  nodes: number;
  shards: number;
  /** What the node had, in keys and values. */
  dataBytes: number;
  tookMs: number;
  /** By the nodes that are left, all together; with a load, what that wrote is in it. null where the system does not tell. */
  bytesWritten: number | null;
  cpuMs: number | null;
  /** 0: no load. */
  inFlight: number;
  /** Of the load, before the death and from the death to the end of the rebuilding; null without one. */
  before: LoadFigures | null;
  during: LoadFigures | null;
}

export type PartResult = ShardsResult | IdleResult | RebuildResult;

export function isPartResult(line: Result | PartResult): line is PartResult {
  return 'part' in line;
}
