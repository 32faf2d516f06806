/**
 * A node whose cores others keep busy can do less than its share. What was taken away from it for that, leads or replicas, is not brought back to even something out, to be
 * taken away again.
 */
import { expect, it } from 'vitest';
import { checkRules } from './checks.ts';
import { World } from './world.ts';

it('leads that a busy node gave away are not brought back because it has few', () => {
  const world = new World({ balanceTrafficMin: 10_000 });
  for (const [i, zone] of ['a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.createTable({ name: 'orders', partitioning: { kind: 'hash', shards: 64 } });
  world.ticks(10);
  for (const [id, group] of world.groups) {
    group.reads = 400;
    world.touch(id);
  }
  world.ticks(30);
  world.nodes.get(2)!.foreignCpu = 0.58;
  comesToRest(world);
  const busy = world.cluster.nodes.get(2)!;
  expect(busy.over.cpu).toBe(false);
  expect(busy.leads).toBeLessThan(21);
});

it('replicas that a busy node gave away are not brought back because it has little traffic, or few bytes', () => {
  const world = new World({ balanceTrafficMin: 1000 });
  for (const [i, zone] of ['a', 'b', 'c', 'a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.createTable({ name: 'orders', partitioning: { kind: 'hash', shards: 16 } });
  world.ticks(10);
  for (const [id, group] of world.groups) {
    group.writes = 2000;
    group.bytes = 90 * 2 ** 20;
    world.touch(id);
  }
  world.ticks(60);
  world.nodes.get(1)!.foreignCpu = 0.39;
  comesToRest(world);
  expect(world.cluster.nodes.get(1)!.over.cpu).toBe(false);
});

function comesToRest(world: World): void {
  world.ticks(300);
  expect(world.cluster.running.size).toBe(0);
  expect(world.lastPlan.proposals).toEqual([]);
  const copied = world.copiedBytes;
  const { transfers } = world;
  world.ticks(300);
  expect([world.copiedBytes - copied, world.transfers - transfers]).toEqual([0, 0]);
  checkRules(world);
}
