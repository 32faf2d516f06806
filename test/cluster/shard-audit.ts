/**
 * Stops a cluster that nobody writes to, and compares what the members of each shard have on their disks: keys, values, versions, what shard and group remember. The end of a
 * test: nothing is started again.
 */
import { META_GROUP } from '../../server/shard/descriptor.ts';
import { SMALL, type TestCluster } from './test-cluster.ts';
import type { Operator } from './operator.ts';
import { readStoppedNode } from './stopped-node.ts';
import { until } from './until.ts';

const CALM_MS_MAX = 90_000;

export interface ShardAudit {
  readonly shards: number;
  readonly replicas: number;
  readonly entries: number;
}

/** A shard, the nodes that have it, and the index up to which all of them have applied their whole logs. */
interface CalmShard {
  readonly shard: number;
  readonly nodes: readonly number[];
  readonly index: number;
}

/** Throws when two members of a shard differ. */
export async function auditShards(cluster: TestCluster, operator: Operator): Promise<ShardAudit> {
  const calm = await calmShards(cluster, operator);
  await cluster.stop();
  const digests = new Map<number, string>();
  let entries = 0;
  for (const node of cluster.nodes) {
    const mine = calm.filter(({ nodes }) => nodes.includes(node.id));
    if (mine.length === 0) continue;
    const replicas = await readStoppedNode(node.place.data, SMALL, new Map(mine.map(({ shard, index }) => [shard, index])));
    for (const [shard, { contents, digest }] of replicas) {
      entries += contents.size;
      const other = digests.get(shard) ?? digest;
      if (other !== digest) throw new Error(`node ${node.id} has other data of shard ${shard} than the members before it`);
      digests.set(shard, digest);
    }
  }
  return { shards: calm.length, replicas: calm.reduce((sum, { nodes }) => sum + nodes.length, 0), entries };
}

async function calmShards(cluster: TestCluster, operator: Operator): Promise<readonly CalmShard[]> {
  let ails = '';
  const look = async (): Promise<CalmShard[] | undefined> => {
    const { shards } = await operator.survey();
    const found: CalmShard[] = [];
    for (const { entry } of shards) {
      // It is written for as long as there are nodes.
      if (entry!.shard === META_GROUP) continue;
      const { shard, replicas } = entry!;
      const nodes = replicas.map(({ node }) => node);
      const states = await Promise.all(nodes.map((node) => cluster.node(node).statusOf(shard)));
      const index = states[0]?.lastIndex;
      ails = `shard ${shard}: ${states.map((state, i) => `node ${nodes[i]} applied ${state?.appliedIndex} of ${state?.lastIndex}`).join(', ')}`;
      if (index === undefined || states.some((state) => state?.appliedIndex !== index || state.lastIndex !== index)) return undefined;
      found.push({ shard, nodes, index });
    }
    return found;
  };
  try {
    return await until('the members of a shard are not equally far', CALM_MS_MAX, look);
  } catch (error) {
    throw new Error(`${(error as Error).message} (${ails})`, { cause: error });
  }
}
