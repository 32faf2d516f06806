/**
 * Five nodes in three zones, under load on two tables of several shards, while one thing after another is done to them or befalls them:
 *
 *   split, move          by command, of a shard of either table
 *   merge                of two neighbours of the range table: shards of a hash table are not merged
 *   kill                 kill -9 of any node, which comes back
 *   cut off              all nodes of a zone stand still, and go on
 *   die                  kill -9 of a node that never comes back; it is decommissioned, and what it had is made anew on others. The last of all
 *
 * Each is a part of its own, with keys of its own: what clients saw is linearizable. After each the cluster must become whole by itself. In the end all that was
 * acknowledged in any part is there, once, and all replicas of a shard have the same on their disks (shard-audit.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ClusterOperation } from '../../client/index.ts';
import { SimRandom } from '../sim/sim-random.ts';
import type { ClusterNode } from './cluster-node.ts';
import { Operator } from './operator.ts';
import type { RunFrom } from './node-process.ts';
import { auditShards, type ShardAudit } from './shard-audit.ts';
import { contentsOf, HASH_TABLE, LETTERS, type LoadTimes, RANGE_TABLE, TableLoad } from './table-load.ts';
import { type TestCluster, withCluster } from './test-cluster.ts';
import { until } from './until.ts';

export interface ZonesOptions {
  readonly seed: number;
  /** Each does all that is in `deeds`, in an order that is drawn. */
  readonly rounds: number;
  /** Default: all. */
  readonly deeds?: readonly DeedName[];
  readonly secondsMax?: number;
  readonly from?: RunFrom;
  /** Of a part, beside what it takes. */
  readonly calmMs?: number;
  readonly onPart?: (part: Part) => void;
}

export interface Part {
  readonly name: string;
  readonly what: string;
  readonly tookMs: number;
  readonly times: LoadTimes;
}

interface World {
  readonly cluster: TestCluster;
  readonly operator: Operator;
  readonly random: SimRandom;
  readonly calmMs: number;
}

type Deed = (world: World) => Promise<string>;

/** Of nodes 1 to 5. The first three have the metaserver, one in each zone. */
const ZONES: readonly string[] = ['a', 'b', 'c', 'b', 'c'];
const FOUNDERS = 3;
const TABLES: readonly string[] = [RANGE_TABLE, HASH_TABLE];
/** The nodes that are up are known, and each shard is where the rules want it: a minute for what a loaded machine does in ten seconds. */
const WHOLE_MS_MAX = 90_000;
const REBUILT_MS_MAX = 180_000;
const PATIENT_MS = 60_000;
const IMPATIENT_MS = 1000;
const CALM_MS = 5000;
/** Longer than elections, shorter than a node that is silent is suspected. */
const AWAY_MS = 5000;

function splitOf(table: string, { operator, random }: World): Promise<string> {
  return operator.change(async () => {
    const { shard, keys } = random.pick(await operator.shardsOf(table)).entry!;
    if (keys!.keys!.$case === 'hash') return { $case: 'split', value: { shard, at: undefined } };
    const { start, end } = keys!.keys!.value;
    const inside = LETTERS.filter(
      (letter) => Buffer.from(letter).compare(start) > 0 && (end === undefined || Buffer.from(letter).compare(end) < 0),
    );
    // A shard of one letter is divided within it.
    const at = inside.length > 0 ? random.pick(inside) : `${Buffer.from(start).toString().slice(0, 1)}/part-${random.below(10)}/register`;
    return { $case: 'split', value: { shard, at: Buffer.from(at) } };
  });
}

/** One of each table: so there is always a border that may be merged away. */
const split: Deed = async (world) => `${await splitOf(RANGE_TABLE, world)}, ${await splitOf(HASH_TABLE, world)}`;

const move: Deed = ({ operator, random }) =>
  operator.change(async () => {
    const { shard, replicas } = random.pick(await operator.shardsOf(random.pick(TABLES))).entry!;
    return { $case: 'move', value: { shard, from: random.pick(replicas).node, to: 0 } };
  });

const merge: Deed = ({ operator, random }) =>
  operator.change(async (): Promise<ClusterOperation> => {
    const { shard } = random.pick(await operator.shardsOf(RANGE_TABLE)).entry!;
    return { $case: 'merge', value: { shard, with: 0 } };
  });

const kill: Deed = async ({ cluster, random, calmMs }) => {
  const node = random.pick(alive(cluster));
  await node.end('SIGKILL');
  await sleep(calmMs / 2);
  await node.start();
  return `node ${node.id}`;
};

const cutOff: Deed = async ({ cluster, random }) => {
  const zone = random.pick([...new Set(ZONES)]);
  const nodes = alive(cluster).filter(({ id }) => ZONES[id - 1] === zone);
  for (const node of nodes) node.pause();
  await sleep(AWAY_MS);
  for (const node of nodes) node.resume();
  return `zone ${zone}, nodes ${nodes.map(({ id }) => id).join()}`;
};

/** Another one of its zone is left. */
const die: Deed = async ({ cluster, operator, random }) => {
  const node = random.pick(cluster.nodes.slice(FOUNDERS));
  await node.end('SIGKILL');
  await operator.change(() => Promise.resolve({ $case: 'decommission', value: { node: node.id } }));
  await until(`what node ${node.id} had is not made anew`, REBUILT_MS_MAX, async () => {
    const { nodes, shards } = await operator.survey();
    const gone = nodes.find(({ entry }) => entry!.node === node.id);
    return (
      (gone === undefined || gone.state === 'removed') &&
      shards.every(({ entry }) => entry!.replicas.every((each) => each.node !== node.id))
    );
  });
  return `node ${node.id}`;
};

export type DeedName = 'split' | 'move' | 'merge' | 'kill' | 'cut off';

const DEEDS: Readonly<Record<DeedName, Deed>> = { split, move, merge, kill, 'cut off': cutOff };

export interface ZonesResult {
  readonly parts: readonly Part[];
  readonly audit: ShardAudit;
}

/** Throws at the first thing that is not as it must be. */
export function runZones(options: ZonesOptions): Promise<ZonesResult> {
  const { seed, rounds, secondsMax = Infinity, from, calmMs = CALM_MS, onPart, deeds = Object.keys(DEEDS) as DeedName[] } = options;
  const argsOf = (id: number): readonly string[] => ['--zone', ZONES[id - 1]!];
  return withCluster({ nodes: ZONES.length, founders: FOUNDERS, argsOf, from }, async (cluster) => {
    using operator = new Operator(cluster.addresses);
    const random = SimRandom.mixed(seed);
    const world: World = { cluster, operator, random, calmMs };
    const clients = [PATIENT_MS, PATIENT_MS, IMPATIENT_MS].map((timeoutMs) => cluster.connect({ timeoutMs }));
    const loads: TableLoad[] = [];
    const parts: Part[] = [];
    try {
      await made(clients[0]!, operator);
      await part('before', () => sleep(calmMs).then(() => ''));
      const beganMs = performance.now();
      for (let round = 1; round <= rounds && (performance.now() - beganMs) / 1000 < secondsMax; round++) {
        for (const name of shuffled(deeds, random)) await part(name, DEEDS[name]);
      }
      await part('die', die);
      await part('after', () => sleep(calmMs).then(() => ''));
      await auditTables();
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
    return { parts, audit: await auditShards(cluster, operator) };

    async function part(name: string, deed: Deed): Promise<void> {
      const load = new TableLoad(clients, { seed: random.u32(), part: parts.length, merges: deed === merge });
      loads.push(load);
      let what = '';
      try {
        load.begin();
        const beganMs = performance.now();
        what = await deed(world);
        await operator.whole(WHOLE_MS_MAX);
        const tookMs = performance.now() - beganMs;
        const done: Part = { name, what, tookMs, times: await load.end() };
        parts.push(done);
        onPart?.(done);
      } catch (error) {
        throw new Error(`part ${parts.length} of seed ${seed}, ${name} (${what}): ${(error as Error).message}`, { cause: error });
      }
    }

    async function auditTables(): Promise<void> {
      const contents = new Map<string, Map<string, string>>();
      for (const table of TABLES) contents.set(table, await contentsOf(clients[0]!.table(table)));
      for (const load of loads) load.audit(contents);
    }
  });
}

async function made(client: Client, operator: Operator): Promise<void> {
  await until('not all nodes are up', WHOLE_MS_MAX, async () => {
    const { nodes } = await operator.survey();
    return nodes.filter(({ state }) => state === 'up').length === ZONES.length;
  });
  await client.tables.create(RANGE_TABLE, { partitioning: { range: ['e', 'm'] }, replicas: 3 });
  await client.tables.create(HASH_TABLE, { partitioning: { hash: 4 }, replicas: 3 });
  await operator.whole(WHOLE_MS_MAX);
  // Borders that a table is made with are never merged away.
  await operator.change(async () => {
    const [, middle] = await operator.shardsOf(RANGE_TABLE);
    return { $case: 'split', value: { shard: middle!.entry!.shard, at: Buffer.from('i') } };
  });
  await operator.whole(WHOLE_MS_MAX);
}

function alive(cluster: TestCluster): readonly ClusterNode[] {
  return cluster.nodes.filter((node) => node.running);
}

function shuffled<T>(items: readonly T[], random: SimRandom): T[] {
  return items
    .map((item) => ({ item, at: random.fraction() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
