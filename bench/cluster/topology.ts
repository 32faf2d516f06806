/** What the parts of the bench that are about shards ask of a cluster's metaserver: a table of so many shards, rest, a node taken out. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterSurvey, connect, connectMeta, type MetaAdmin } from '../../client/index.ts';
import type { Cluster } from './cluster.ts';

/** The table of these parts. */
export const TABLE = 'bench';
/** Of each shard. */
export const REPLICAS = 3;

const CALL_MS = 60_000;
const REST_MS_MAX = 300_000;
const LOOK_MS = 100;

export class Topology implements Disposable {
  readonly #cluster: Cluster;
  readonly #meta: MetaAdmin;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#meta = connectMeta(cluster.addresses, { timeoutMs: CALL_MS });
  }

  [Symbol.dispose](): void {
    this.#meta.close();
  }

  /** Divided by hash. Settles when its shards are led, and the metaserver has nothing to do. */
  async makeTable(shards: number): Promise<void> {
    // On all nodes, and not on those that came first.
    await this.atRest();
    await using client = connect(this.#cluster.addresses);
    await client.tables.create(TABLE, { partitioning: { hash: shards }, replicas: REPLICAS, timeoutMs: REST_MS_MAX });
    const { tables, shards: there } = await this.atRest();
    const table = tables.find(({ name }) => name === TABLE)?.table;
    const made = there.filter(({ entry }) => entry!.table === table).length;
    if (made !== shards) throw new Error(`table ${TABLE} has ${made} shards, not ${shards}`);
  }

  /** Settles when every node that lives is up, every shard of the table is led and whole, on living nodes, and the metaserver has nothing to do. */
  async atRest(): Promise<ClusterSurvey> {
    const deadline = performance.now() + REST_MS_MAX;
    for (;;) {
      this.#cluster.check();
      const survey = await this.#meta.survey();
      const why = unrest(survey, this.#cluster.processIds.length);
      if (why === undefined) return survey;
      if (performance.now() > deadline) throw new Error(`the cluster does not come to rest within ${REST_MS_MAX / 1000} s: ${why}`);
      await sleep(LOOK_MS);
    }
  }

  /** Of how many of the table's shards a node has replicas. */
  async replicasOn(node: number): Promise<number> {
    const { tables, shards } = await this.#meta.survey();
    const table = tables.find(({ name }) => name === TABLE)!.table;
    return shards.filter(({ entry }) => entry!.table === table && entry!.replicas.some((each) => each.node === node)).length;
  }

  /** Its replicas are to be made anew on others. */
  async decommission(node: number): Promise<void> {
    await this.#meta.operate({ operation: { $case: 'decommission', value: { node } }, dryRun: false });
  }
}

/** Undefined: there is rest. */
function unrest({ nodes, tables, shards, operators }: ClusterSurvey, living: number): string | undefined {
  const up = new Set(nodes.filter(({ state }) => state === 'up').map(({ entry }) => entry!.node));
  if (up.size !== living) return `${up.size} nodes of ${living} are up`;
  const [operator] = operators;
  if (operator !== undefined) return `${operator.kind} of shard ${operator.shard}: ${operator.note}`;
  const table = tables.find(({ name }) => name === TABLE)?.table;
  const wrong = shards.find(({ entry }) => {
    const { table: its, replicas, leader } = entry!;
    return its === table && (leader === 0 || replicas.length !== REPLICAS || replicas.some(({ node }) => !up.has(node)));
  });
  return wrong && `shard ${wrong.entry!.shard} is on ${wrong.entry!.replicas.map(({ node }) => node).join()}`;
}
