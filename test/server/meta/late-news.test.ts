/** What nodes say may come before what it is about is known, or after something was decided without it. */
import { expect, it } from 'vitest';
import { cancelOperator, startOperators } from '../../../server/meta/changes/index.ts';
import type { OperatorRecord } from '../../../server/meta/operator.ts';
import { askMove, askSplit, type Proposal } from '../../../server/meta/placement/index.ts';
import { membersOf } from '../../../server/raft/index.ts';
import { checkRules } from './checks.ts';
import { World } from './world.ts';

it('a replica that cannot be opened is known to be there, though its node said so before anybody said that there is such a shard', () => {
  const { world, shard } = oneShard();
  world.elect(shard, 3);
  const { other: child } = begun(world, askSplit(world.cluster, shard, undefined, world.nowMs));
  world.tick(1000, false);
  // Nodes report in their order, and node 3 leads: node 1 says it once, and first.
  world.fail(child!, 1, 'failed');
  world.tick(1000, false);
  expect(world.cluster.ailing('failed')).toContain(world.cluster.shards.get(child!));
  expect(world.cluster.shards.get(child!)!.hosts.get(1)?.failure?.how).toBe('failed');
  world.ticks(60);
  expect(membersOf(world.groups.get(child!)!.configuration)).not.toContain(1);
  checkRules(world);
});

it('a member that has got a vote, which nobody had heard when its removal was decided, is not removed', () => {
  const { world, shard } = oneShard();
  world.elect(shard, 2);
  const move = begun(world, askMove(world.cluster, shard, 1, 4, world.nowMs));
  const step = (): string => move.steps[world.cluster.operators.get(move.id)!.at]!.type;
  for (let i = 0; i < 20 && step() !== 'replace'; i++) world.tick();
  // It has been ordered, and done.
  expect(world.groups.get(shard)!.configuration.voters).toEqual([2, 3, 4]);
  world.nodes.get(2)!.heard = false;
  world.commit(cancelOperator(world.cluster, move.id, 'a test', world.nowMs));
  world.tick();
  const removal = [...world.cluster.running.values()].find((operator) => operator.shard === shard)!;
  expect(removal.steps[0]).toMatchObject({ type: 'remove', node: 4 });
  world.nodes.get(2)!.heard = true;
  world.ticks(5);
  expect(world.cluster.operators.get(removal.id)).toMatchObject({ state: 'failed', ending: 'node 4 has a vote by now' });
  expect(membersOf(world.groups.get(shard)!.configuration)).toEqual([2, 3, 4]);
  checkRules(world);
});

it('what a node has of a shard is not destroyed while the leader is silent, which may have taken the node in', () => {
  const { world, shard } = oneShard();
  const move = takenIn(world, shard);
  world.nodes.get(2)!.heard = false;
  world.ticks(4);
  world.commit(cancelOperator(world.cluster, move.id, 'a test', world.nowMs));
  expect(world.cluster.ailing('stray')).toContain(world.cluster.shards.get(shard));
  world.ticks(20);
  expect(world.hostedBy(4)).toContain(shard);
  world.nodes.get(2)!.heard = true;
  world.ticks(10);
  expect(world.hostedBy(4)).not.toContain(shard);
  checkRules(world);
});

it("what a node has is not destroyed as nobody's when the leader says that it has taken the node in", () => {
  const { world, shard } = oneShard();
  const move = takenIn(world, shard);
  world.nodes.get(2)!.heard = false;
  world.commit(cancelOperator(world.cluster, move.id, 'a test', world.nowMs));
  world.nodes.get(4)!.heard = false;
  world.tick();
  const removal = [...world.cluster.running.values()].find((operator) => operator.shard === shard)!;
  expect(removal.steps).toEqual([{ shard, type: 'destroy-replica', node: 4 }]);
  for (const node of [2, 4]) world.nodes.get(node)!.heard = true;
  world.tick();
  expect(world.cluster.operators.get(removal.id)).toMatchObject({ state: 'failed', ending: 'node 4 is a member by now' });
  expect(world.hostedBy(4)).toContain(shard);
});

/** The leader, node 2, has taken node 4 in, and has not said so; nor has it sent anything. */
function takenIn(world: World, shard: number): OperatorRecord {
  world.groups.get(shard)!.bytes = 2 ** 20;
  world.copyBytesPerTick = 0;
  world.elect(shard, 2);
  const move = begun(world, askMove(world.cluster, shard, 1, 4, world.nowMs));
  for (let i = 0; i < 20 && !world.groups.get(shard)!.configuration.learners.includes(4); i++) world.tick();
  expect(world.cluster.shards.get(shard)!.record.replicas.map(({ node }) => node)).toEqual([1, 2, 3]);
  return move;
}

/** A table of one shard, on nodes 1 to 3, each in a zone of its own; node 4 is in that of node 1. */
function oneShard(): { world: World; shard: number } {
  const world = new World({ downAfterMs: 10_000 });
  for (const [i, zone] of ['a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.createTable({ name: 'orders', partitioning: { kind: 'hash', shards: 1 } });
  world.ticks(5);
  world.addNode({ id: 4, zone: 'a' });
  world.tick(1000, false);
  const [shard] = world.groups.keys();
  return { world, shard: shard! };
}

function begun(world: World, proposal: Proposal): OperatorRecord {
  return world.commit(startOperators(world.cluster, [proposal], 'a test', world.nowMs))[0]!;
}
