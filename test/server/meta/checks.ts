/** What holds in a world at all times, and what holds when nothing is left to do. Each throws with what is wrong. */
import { membersOf } from '../../../server/raft/index.ts';
import { isLeaving } from '../../../server/meta/node.ts';
import { kindOf } from '../../../server/meta/shard.ts';
import { overlap } from '../../../server/meta/shard-order.ts';
import { type World, WorldError } from './world.ts';

/** Each key of a table is one shard's: those that have keys do not overlap, and leave no gap (counted in 2^-32 of all hashes; ranges by their borders). */
export function checkKeys(world: World, table: number): void {
  const all = [...world.groups.values()].map(({ descriptor }) => descriptor).filter((descriptor) => descriptor.table === table);
  const owning = all.filter(({ state }) => state !== 'retired');
  // For a moment of a merge nobody serves the source's keys: it is retired, and the target has not got them yet.
  const serving = [...owning, ...all.filter((one) => one.state === 'retired' && !owning.some((other) => overlap(one.keys, other.keys)))];
  for (const [i, a] of serving.entries()) {
    const b = serving.slice(i + 1).find((other) => overlap(a.keys, other.keys));
    if (b) throw new WorldError(`shards ${a.shard} and ${b.shard} have keys in common`);
  }
  let hashes = 0;
  let starts = 0;
  let ends = 0;
  for (const { keys } of serving) {
    if (keys.kind === 'hash') hashes += 2 ** (32 - keys.bits);
    else if (keys.start.length === 0) starts++;
    else if (keys.end === undefined) ends++;
  }
  if (serving[0]?.keys.kind === 'hash' && hashes !== 2 ** 32) throw new WorldError(`shards of table ${table} have ${hashes} of all hashes`);
  if (serving[0]?.keys.kind === 'range' && serving.length > 1 && (starts !== 1 || ends !== 1))
    throw new WorldError(`shards of table ${table} leave a gap`);
}

/** No shard has more members than the rules say while nothing works on it, and none has two in a zone while zones suffice. */
export function checkRules(world: World): void {
  const { cluster } = world;
  for (const [id, { record, operator }] of cluster.shards) {
    const table = cluster.tables.get(record.table);
    if (table === undefined || table.droppedAtMs > 0 || operator !== undefined) continue;
    const group = world.groups.get(id);
    if (group === undefined) throw new WorldError(`shard ${id} has no replica`);
    const members = membersOf(group.configuration);
    const kinds = { voter: 0, learner: 0, witness: 0 };
    for (const replica of record.replicas) kinds[kindOf(replica)]++;
    const { voters, learners, witnesses } = table.replicas;
    if (kinds.voter !== voters || kinds.learner !== learners || kinds.witness !== witnesses)
      throw new WorldError(`shard ${id} has ${JSON.stringify(kinds)}, and its table wants ${JSON.stringify(table.replicas)}`);
    const zones = new Map<string, number>();
    for (const node of members) {
      const { zone, pool } = world.nodes.get(node)!;
      if (pool !== table.pool) throw new WorldError(`shard ${id} has a replica on node ${node} of pool ${pool}`);
      zones.set(zone, (zones.get(zone) ?? 0) + 1);
      if (isLeaving(cluster.nodes.get(node)!.record))
        throw new WorldError(`shard ${id} has a replica on node ${node}, which is leaving or down`);
    }
    const share = Math.ceil(members.length / cluster.zonesFor(table));
    for (const [zone, count] of zones)
      if (count > share) throw new WorldError(`shard ${id} has ${count} replicas in zone ${zone}, and ${share} are its share`);
  }
}

/** At every moment: who votes has all that it votes on. */
export function checkSafety(world: World): void {
  for (const [id, { descriptor, configuration, copies }] of world.groups) {
    if (descriptor.state === 'retired') continue;
    const lacking = configuration.voters.find((node) => (copies.get(node) ?? Infinity) !== Infinity);
    if (lacking !== undefined) throw new WorldError(`shard ${id}: node ${lacking} votes and has not caught up`);
  }
}
