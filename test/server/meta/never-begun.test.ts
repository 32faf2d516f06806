/** A shard whose first replicas were never made, because that failed on its nodes, or was given up: its members begin it as they were to. */
import { expect, it } from 'vitest';
import { cancelOperator, dropTable } from '../../../server/meta/changes/index.ts';
import { World } from './world.ts';

it('a shard whose first replicas were never made is begun by those that were to begin it, with the voters that it was to have', () => {
  const { world, shard, members } = neverBegun();
  world.ticks(15);
  const [repair] = [...world.cluster.operators.values()].filter(({ kind }) => kind === 'repair');
  expect(repair).toMatchObject({ reason: expect.stringContaining('nobody leads') as string, steps: [{ voters: members }] });
  comeToBeLed(world, shard);
  const { record, leader } = world.cluster.shards.get(shard)!;
  expect(members).toContain(leader);
  expect(record.replicas.map(({ node, votes }) => [node, votes])).toEqual(members.map((node) => [node, true]));
});

it('and so it is when its table was dropped meanwhile: it is told so then', () => {
  const { world, shard } = neverBegun();
  world.commit(dropTable(world.cluster, 'orders', world.nowMs, 86_400_000));
  world.ticks(15);
  comeToBeLed(world, shard);
  for (let i = 0; i < 60 && !isDropped(world, shard); i++) world.tick();
  expect(isDropped(world, shard)).toBe(true);
});

it('and so it is when one of those that were to begin it is lost, and another one is to leave', () => {
  const { world, shard, members } = neverBegun();
  world.kill(members[0]!);
  world.setDuty(members[1]!, 'decommissioning');
  world.ticks(15);
  comeToBeLed(world, shard);
  const there = (): number[] => world.cluster.shards.get(shard)!.record.replicas.map(({ node }) => node);
  for (let i = 0; i < 120 && there().includes(members[1]!); i++) world.tick();
  expect(there()).not.toContain(members[1]);
});

function neverBegun(): { world: World; shard: number; members: readonly number[] } {
  const world = new World({ stepMs: 5000, suspectAfterMs: 2000, downAfterMs: 5000 });
  for (const [i, zone] of ['a', 'b', 'c', 'd'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.createTable({ name: 'orders', partitioning: { kind: 'hash', shards: 1 } });
  const [operator] = world.cluster.running.values();
  world.commit(cancelOperator(world.cluster, operator!.id, 'a test', world.nowMs));
  const { shard } = operator!;
  const members = world.cluster.shards.get(shard)!.record.replicas.map(({ node }) => node);
  expect(members).toHaveLength(3);
  expect(world.groups.has(shard)).toBe(false);
  return { world, shard, members };
}

function comeToBeLed(world: World, shard: number): void {
  for (let i = 0; i < 120 && world.cluster.shards.get(shard)!.leader === 0; i++) world.tick();
  expect(world.cluster.shards.get(shard)!.leader).not.toBe(0);
}

function isDropped(world: World, shard: number): boolean {
  return world.cluster.shards.get(shard)!.record.descriptor.dropped === true;
}
