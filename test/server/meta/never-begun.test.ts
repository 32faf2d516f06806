/** A shard whose first replicas were never made, because that failed on its nodes, or was given up: its members begin it as they were to. */
import { expect, it } from 'vitest';
import { cancelOperator } from '../../../server/meta/changes/index.ts';
import { World } from './world.ts';

it('a shard whose first replicas were never made is begun by those that were to begin it, with the voters that it was to have', () => {
  const world = new World();
  for (const [i, zone] of ['a', 'b', 'c', 'd'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.createTable({ name: 'orders', partitioning: { kind: 'hash', shards: 1 } });
  const [operator] = world.cluster.running.values();
  world.commit(cancelOperator(world.cluster, operator!.id, 'a test', world.nowMs));
  const shard = operator!.shard;
  const members = world.cluster.shards.get(shard)!.record.replicas.map(({ node }) => node);
  expect(members).toHaveLength(3);
  expect(world.groups.has(shard)).toBe(false);
  world.ticks(15);
  const [repair] = [...world.cluster.operators.values()].filter(({ kind }) => kind === 'repair');
  expect(repair).toMatchObject({ reason: expect.stringContaining('nobody leads') as string, steps: [{ voters: members }] });
  for (let i = 0; i < 60 && world.cluster.shards.get(shard)!.leader === 0; i++) world.tick();
  const { record, leader } = world.cluster.shards.get(shard)!;
  expect(members).toContain(leader);
  expect(record.replicas.map(({ node, votes }) => [node, votes])).toEqual(members.map((node) => [node, true]));
});
