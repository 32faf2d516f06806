/**
 * Stops a cluster that nobody writes to, and looks at what each node has: all of them the same, and every write of the loads that was acknowledged. Then starts
 * it again.
 */
import { FIRST_SHARD } from '../../server/shard/descriptor.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { Load } from './load.ts';
import { readStoppedNode } from './stopped-node.ts';
import { SMALL, type TestCluster } from './test-cluster.ts';

const CALM_MS_MAX = 90_000;

export async function audit(
  cluster: TestCluster,
  loads: readonly Load[],
  settings: Readonly<Record<string, unknown>> = SMALL,
): Promise<void> {
  const index = await cluster.calm(CALM_MS_MAX);
  await cluster.stop();
  let first: { node: ClusterNode; digest: string } | undefined;
  for (const node of cluster.nodes) {
    const { contents, digest } = (await readStoppedNode(node.place.data, settings, new Map([[FIRST_SHARD, index]]))).get(FIRST_SHARD)!;
    for (const load of loads) {
      const wrong = load.ledger.check(withPrefix(contents, load.prefix));
      if (wrong !== undefined) throw new Error(`node ${node.id}, at ${index}: ${load.prefix}${wrong}`);
    }
    first ??= { node, digest };
    if (digest !== first.digest) throw new Error(`nodes ${first.node.id} and ${node.id} have different data at ${index}`);
  }
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await cluster.led();
}

/** The ledger's part of it, without the prefix. */
function withPrefix(contents: ReadonlyMap<string, string>, prefix: string): Map<string, string> {
  const begin = `${prefix}ledger/`;
  return new Map([...contents].flatMap(([key, value]) => (key.startsWith(begin) ? [[key.slice(prefix.length), value]] : [])));
}
