/** Results of the parts about shards and nodes as people read them: a table each, of the same cells on the terminal and in docs. */
import { bytes, rate, time } from '../engine/report.ts';
import type { IdleResult, PartResult, RebuildResult, ShardsResult } from './part-result.ts';
import { workloadOf } from './workloads.ts';

export interface PartTable {
  readonly title: string;
  /** The first row is of titles. */
  readonly rows: readonly (readonly string[])[];
}

export function partTablesOf(results: readonly PartResult[]): PartTable[] {
  const of = <P extends PartResult['part']>(part: P): Extract<PartResult, { part: P }>[] =>
    results.filter((result): result is Extract<PartResult, { part: P }> => result.part === part);
  const tables = [shardsTable(of('shards')), idleTable(of('idle')), rebuildTable(of('rebuild'))];
  return tables.filter(({ rows }) => rows.length > 1);
}

/** A row for each number of shards, columns for those of nodes. */
function shardsTable(results: readonly ShardsResult[]): PartTable {
  const nodeCounts = unique(results.map(({ nodes }) => nodes));
  const rows = unique(results.map(({ workload }) => workload)).flatMap((workload) =>
    unique(results.map(({ inFlight }) => inFlight)).flatMap((inFlight) =>
      unique(results.map(({ shards }) => shards)).map((shards) => [
        workloadOf(workload).title,
        String(inFlight),
        String(shards),
        ...nodeCounts.flatMap((nodes) => {
          const one = results.find((r) => r.nodes === nodes && r.shards === shards && r.workload === workload && r.inFlight === inFlight);
          return one === undefined
            ? ['', '', '']
            : [rate(one.opsPerSec), `${time(one.p50Us)} / ${time(one.p99Us)}`, known(one.cpuUsPerOp, time)];
        }),
      ]),
    ),
  );
  const titles = nodeCounts.flatMap((nodes) => [`${nodes} nodes`, 'p50 / p99', "servers' CPU"]);
  return {
    title: 'A table divided by hash, three replicas of each shard, by session. Operations a second.',
    rows: [['', 'in flight', 'shards', ...titles], ...rows],
  };
}

function idleTable(results: readonly IdleResult[]): PartTable {
  const rows = results.map(({ nodes, shards, cpuShare, rssBytes, bytesWrittenPerSec }) => [
    `${nodes} nodes`,
    String(shards),
    known(cpuShare, (share) => `${(share * 100).toFixed(2)} %`),
    known(rssBytes, bytes),
    known(bytesWrittenPerSec, bytes),
  ]);
  return {
    title: 'Shards in which nothing happens, a replica of each on every node: what a server takes.',
    rows: [['', 'shards', 'of a core', 'memory', 'written a second'], ...rows],
  };
}

function rebuildTable(results: readonly RebuildResult[]): PartTable {
  const rows = results.map(({ nodes, shards, dataBytes, tookMs, bytesWritten, cpuMs, inFlight, before, during }) => [
    inFlight === 0 ? 'no load' : `half gets, half puts, ${inFlight} in flight`,
    `1 of ${nodes}`,
    String(shards),
    bytes(dataBytes),
    `${(tookMs / 1000).toFixed(1)} s`,
    known(bytesWritten, bytes),
    known(cpuMs, (ms) => `${(ms / 1000).toFixed(1)} s`),
    loadCell(before),
    loadCell(during),
  ]);
  return {
    title:
      'A node dies for good and is decommissioned: until all that it had is on others, and what those wrote meanwhile. The load in operations a second, p50 / p99 / longest.',
    rows: [['', 'nodes', 'shards', 'it had', 'took', 'written', "servers' CPU", 'load before', 'load meanwhile'], ...rows],
  };
}

function loadCell(load: RebuildResult['before']): string {
  return load === null ? '' : `${rate(load.opsPerSec)}: ${time(load.p50Us)} / ${time(load.p99Us)} / ${time(load.maxUs)}`;
}

function known(figure: number | null, text: (figure: number) => string): string {
  return figure === null ? 'unknown' : text(figure);
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
