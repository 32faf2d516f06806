/** Tables of several shards on a scripted cluster, with a client: what the tests of tables begin with. */
import type { ScriptedShard } from './scripted-shard.ts';
import { ShardedCluster } from './scripted-shards.ts';
import { ShardedClient } from './sharded-client.ts';

/** Shard i has replicas on three of the nodes, from node i + 1 on. */
export function spread(nodes: number): (shard: number) => number[] {
  return (shard) => [0, 1, 2].map((i) => 1 + ((shard + i) % nodes));
}

export function rangeCluster(
  starts: readonly string[] = ['h', 'p'],
  nodes = 3,
): { cluster: ShardedCluster; shards: ScriptedShard[]; client: ShardedClient } {
  const cluster = new ShardedCluster(nodes);
  const shards = cluster.rangeTable('t', starts, spread(nodes));
  return { cluster, shards, client: new ShardedClient(cluster) };
}

export function hashCluster(count = 4, nodes = 3): { cluster: ShardedCluster; shards: ScriptedShard[]; client: ShardedClient } {
  const cluster = new ShardedCluster(nodes);
  const shards = cluster.hashTable('t', count, spread(nodes));
  return { cluster, shards, client: new ShardedClient(cluster) };
}

type ScriptedTable = ReturnType<ShardedClient['table']>;

export const LETTERS: readonly string[] = 'abcdefghijklmnopqrstuvwxyz'.split('');

export async function fill(
  client: ShardedClient,
  keys: readonly string[] = LETTERS,
  table: ScriptedTable = client.table('t'),
): Promise<void> {
  await client.run(Promise.all(keys.map((key) => table.put(key, key.toUpperCase()))));
}

/** What `fill` writes. */
export const ENTRIES: readonly [string, string][] = LETTERS.map((key): [string, string] => [key, key.toUpperCase()]);

/** Merges it with its neighbour, if it has one that fits. */
export function mergeOne(cluster: ShardedCluster, shard: ScriptedShard): void {
  const { keys } = shard;
  const other = cluster
    .shardsOf('t')
    .find(({ keys: theirs }) =>
      keys.kind === 'hash'
        ? theirs.kind === 'hash' && theirs.bits === keys.bits && keys.bits > 0 && (theirs.index ^ keys.index) === 2 ** (keys.bits - 1)
        : theirs.kind === 'range' && keys.end !== undefined && Buffer.compare(theirs.start, keys.end) === 0,
    );
  if (other !== undefined) cluster.merge(shard, other);
}

/** Splits a range at a letter that the choice falls on, if it has that. */
export function splitOne(cluster: ShardedCluster, shard: ScriptedShard, choice: number): void {
  const { keys } = shard;
  if (keys.kind === 'hash') {
    if (keys.bits < 6) cluster.split(shard);
    return;
  }
  const at = LETTERS[choice % 26]!;
  if (shard.has(at) && Buffer.compare(keys.start, Buffer.from(at)) < 0) cluster.split(shard, at);
}
