/** Part `shards`: what a table does a second by session, by the number of its shards and of the nodes that have them. Each pair gets a new cluster. */
import { measureBy } from './client-process.ts';
import type { ShardsResult } from './part-result.ts';
import type { PartStage } from './part-stage.ts';
import type { Measured } from './result.ts';
import { REPLICAS, TABLE, Topology } from './topology.ts';
import type { Plan } from './workloads.ts';

export const WORKLOADS_OF_SHARDS: readonly string[] = ['put-1k', 'get-100'];

export interface ShardsPlan {
  readonly nodes: readonly number[];
  readonly shards: readonly number[];
  readonly inFlights: readonly number[];
}

export async function measureShards(
  { start, onResult, profile }: PartStage<ShardsResult>,
  { nodes: nodeCounts, shards: shardCounts, inFlights }: ShardsPlan,
  plan: Plan,
): Promise<void> {
  for (const nodes of nodeCounts) {
    for (const shards of shardCounts) {
      const name = `shards-${nodes}-${shards}`;
      await using cluster = await start(name, nodes);
      using topology = new Topology(cluster);
      await topology.makeTable(shards);
      for (const workload of WORKLOADS_OF_SHARDS) {
        const drive = {
          participant: { system: 'sparrowkv', api: 'session' } as const,
          table: TABLE,
          copies: REPLICAS,
          workload,
          inFlights,
          plan,
        };
        await measureBy(cluster, drive, profile(name), (measured) => onResult(resultOf(nodes, shards, measured)));
      }
    }
  }
}

function resultOf(nodes: number, shards: number, measured: Measured): ShardsResult {
  const { workload, valueBytes, inFlight, opsPerSec, p50Us, p99Us, cpuUsPerOp, bytesWrittenPerReplica } = measured;
  return { part: 'shards', nodes, shards, workload, valueBytes, inFlight, opsPerSec, p50Us, p99Us, cpuUsPerOp, bytesWrittenPerReplica };
}
