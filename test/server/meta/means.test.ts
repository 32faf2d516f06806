/** What nodes report of reads, cores and disk are means of some ten seconds: what was decided shows late, and is not decided again until then. */
import { expect, it } from 'vitest';
import { setPolicy } from '../../../server/meta/changes/index.ts';
import type { Policy } from '../../../server/meta/policy.ts';
import { CORE_RATE, World } from './world.ts';

it('the reads of a shard count for who leads it as who led before reported them, until the mean of the new one is its own', () => {
  const world = ledByOne({ balanceTrafficMin: 1e9, balanceReplicasMin: 1000 });
  const [shard] = world.groups.keys();
  const seen = (): number[] => [1, 2].map((node) => world.cluster.nodes.get(node)!.traffic);
  const [all] = seen() as [number];
  const { reads } = world.groups.get(shard!)!;
  world.elect(shard!, 2);
  for (let i = 0; i < 25; i++) {
    world.tick();
    expect(seen()).toEqual([all - reads, reads]);
  }
  world.groups.get(shard!)!.reads = 0;
  world.ticks(60);
  const [, after] = seen();
  expect(after).toBeLessThan(reads / 10);
});

it('and no longer, though the new one has nothing new to say', () => {
  const world = ledByOne({ balanceTrafficMin: 1e9, balanceReplicasMin: 1000 });
  const [shard] = world.groups.keys();
  const group = world.groups.get(shard!)!;
  world.ticks(2);
  world.meanReads = false;
  const { reads } = group;
  group.reads = 0;
  world.elect(shard!, 2);
  const seen = (): number => world.cluster.nodes.get(2)!.traffic;
  expect(seen()).toBe(reads);
  world.ticks(31);
  expect(seen()).toBe(0);
});

it('leads are evened out with a move or so for each that is too many, though reads of new leaders show late', () => {
  const world = ledByOne({});
  let least = Infinity;
  resume(world, 300, () => (least = Math.min(least, servedBy(world, 1))));
  expect(world.transfers).toBeLessThan(50);
  expect(least / servedBy(world, 1)).toBeGreaterThan(0.9);
  const rates = [1, 2, 3].map((node) => servedBy(world, node));
  expect(Math.max(...rates) / Math.min(...rates)).toBeLessThan(1.3);
});

it('leads do not go to and fro between nodes of which one is busy with others work', () => {
  const world = ledByOne({});
  world.nodes.get(2)!.foreignCpu = 0.5;
  resume(world, 400);
  expect(world.transfers).toBeLessThan(120);
  const { transfers } = world;
  world.ticks(200);
  expect(world.transfers).toBe(transfers);
  expect(world.cluster.nodes.get(2)!.over.cpu).toBe(false);
});

it('a busy node gives away no more than makes it idle enough, though its cores show that late', () => {
  const world = ledByOne({ balanceTrafficMin: 1e9, balanceReplicasMin: 1000 });
  const capacity = 8 * CORE_RATE;
  expect(servedBy(world, 1) / capacity).toBeGreaterThan(0.9);
  let least = Infinity;
  resume(world, 300, () => (least = Math.min(least, servedBy(world, 1) / capacity)));
  expect(world.cluster.nodes.get(1)!.over.cpu).toBe(false);
  expect(least).toBeGreaterThan(0.4);
});

/** A table of 64 shards with reads, all led by node 1 of three, which has been so for long: nothing has been decided since. */
function ledByOne(policy: Partial<Policy>): World {
  const world = new World({ mergeGuardMs: 1e9, ...policy });
  for (const [i, zone] of ['a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.createTable({ name: 'orders', partitioning: { kind: 'hash', shards: 64 } });
  world.ticks(20);
  world.commit(setPolicy(world.cluster, { paused: true }));
  world.meanReads = true;
  for (const [i, [id, group]] of [...world.groups].entries()) {
    group.reads = 300 * ((i % 3) + 1);
    if (group.leader !== 1) world.elect(id, 1);
  }
  world.ticks(100);
  world.transfers = 0;
  return world;
}

function resume(world: World, seconds: number, each?: () => void): void {
  world.commit(setPolicy(world.cluster, { paused: false }));
  for (let i = 0; i < seconds; i++) {
    world.tick();
    each?.();
  }
}

/** Reads each second, in truth. */
function servedBy(world: World, node: number): number {
  return [...world.groups.values()].filter(({ leader }) => leader === node).reduce((sum, { reads }) => sum + reads, 0);
}
