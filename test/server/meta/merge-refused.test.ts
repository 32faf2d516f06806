/** A merge whose source was written after it was copied: the source says so, and is as it was; nothing else leads back from there. */
import { expect, it } from 'vitest';
import { advanceOperators, cancelOperator, orderEnded, startOperators } from '../../../server/meta/changes/index.ts';
import type { OperatorRecord } from '../../../server/meta/operator.ts';
import { ordersOf } from '../../../server/meta/placement/index.ts';
import { World } from './world.ts';

it('a merge whose source refuses to be retired is undone, one that is only late is not, and one whose source is retired all the same goes on', () => {
  const { world, target, source } = divided();
  const group = world.groups.get(source)!;
  group.descriptor = { ...group.descriptor, state: 'sealed' };
  world.touch(source);
  const steps: OperatorRecord['steps'] = [
    { shard: target, type: 'retire', source },
    { shard: target, type: 'commit-merge', source, epoch: 2 },
    { shard: source, type: 'destroy-shard' },
  ];
  const proposal = { shard: target, other: source, kind: 'merge', reason: 'a test', steps } as const;
  const [operator] = world.commit(startOperators(world.cluster, [proposal], 'a test', world.nowMs));
  world.tick(1000, false);
  const now = (): OperatorRecord => world.cluster.operators.get(operator!.id)!;
  // Whether it has happened nobody knows.
  group.descriptor = { ...group.descriptor, state: 'sealed' };
  expect(() => cancelOperator(world.cluster, operator!.id, 'a test', world.nowMs)).toThrow('past the point');
  world.commit(advanceOperators(world.cluster, world.nowMs + 86_400_000));
  expect(now().undoing).toBeUndefined();
  expect(now().steps[now().at]!.type).toBe('retire');
  world.commit(orderEnded(world.cluster, operator!.id, now().at, 'it was written since', world.nowMs));
  expect(now()).toMatchObject({ undoing: 'failed', ending: expect.stringContaining('written since') as string });
  expect(
    now()
      .steps.slice(now().at)
      .map(({ type }) => type),
  ).toEqual(['discard', 'unseal']);
  // Another order to retire it was under way, and came to be carried out after all.
  world.groups.get(target)!.imported = source;
  group.descriptor = { ...group.descriptor, state: 'retired' };
  world.touch(source);
  world.ticks(10);
  expect(now()).toMatchObject({ state: 'done', ending: undefined });
  expect(now().undoing).toBeUndefined();
  expect(world.groups.has(source)).toBe(false);
  expect(world.groups.get(target)!.descriptor).toMatchObject({ epoch: 2, state: 'normal' });
});

it('what becomes of an import that was given up, told late, says nothing of its discard', () => {
  const { world, target, source } = divided();
  const group = world.groups.get(source)!;
  group.descriptor = { ...group.descriptor, state: 'sealed' };
  world.touch(source);
  const steps: OperatorRecord['steps'] = [
    { shard: target, type: 'import', source },
    { shard: target, type: 'retire', source },
  ];
  const proposal = { shard: target, other: source, kind: 'merge', reason: 'a test', steps } as const;
  const [operator] = world.commit(startOperators(world.cluster, [proposal], 'a test', world.nowMs));
  const { at } = operator!;
  world.commit(cancelOperator(world.cluster, operator!.id, 'a test', world.nowMs));
  for (const failure of [undefined, 'its leader is gone']) {
    world.commit(orderEnded(world.cluster, operator!.id, at, failure, world.nowMs));
    const now = world.cluster.operators.get(operator!.id)!;
    expect([now.state, now.steps[now.at]!.type]).toEqual(['running', 'discard']);
  }
});

it('whoever commits has a replica of the source: the lead goes to one that has', () => {
  const { world, target, source } = divided();
  const steps: OperatorRecord['steps'] = [{ shard: target, type: 'commit-merge', source, epoch: 2 }];
  const proposal = { shard: target, other: source, kind: 'merge', reason: 'a test', steps } as const;
  const [operator] = world.commit(startOperators(world.cluster, [proposal], 'a test', world.nowMs));
  const { leader } = world.cluster.shards.get(target)!;
  expect(ordersOf(world.cluster, operator!)).toMatchObject([{ node: leader, order: { type: 'absorb', shard: target, commit: true } }]);
  const { record } = world.cluster.shards.get(source)!;
  const replicas = record.replicas.filter(({ node }) => node !== leader);
  world.commit({ writes: [{ kind: 'shard', id: source, record: { ...record, replicas } }], result: undefined });
  expect(ordersOf(world.cluster, operator!)).toMatchObject([
    { node: leader, order: { type: 'transfer', shard: target, to: replicas[0]!.node } },
  ]);
});

/** A table of two shards on three nodes. */
function divided(): { world: World; target: number; source: number } {
  const world = new World();
  for (const [i, zone] of ['a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.createTable({ name: 'orders', partitioning: { kind: 'range', splitKeys: [Buffer.from('m')] } });
  world.ticks(5);
  const [target, source] = [...world.groups.keys()] as [number, number];
  return { world, target, source };
}

it('a merge that waits for a shard which nobody leads has a member make the replica that it lacks', () => {
  const { world, target, source } = divided();
  const group = world.groups.get(source)!;
  const steps: OperatorRecord['steps'] = [{ shard: target, type: 'unseal', source }];
  group.descriptor = { ...group.descriptor, state: 'sealed' };
  world.touch(source);
  world.tick(1000, false);
  const { leader, copies } = group;
  const other = [...copies.keys()].find((node) => node !== leader)!;
  const proposal = { shard: target, other: source, kind: 'merge', reason: 'a test', steps } as const;
  const [operator] = world.commit(startOperators(world.cluster, [proposal], 'a test', world.nowMs));
  // One of three is lost with the lead, one has none, so the third cannot be elected.
  world.lose(source, other);
  world.kill(leader);
  expect(group.leader).toBe(0);
  world.ticks(60);
  expect(world.cluster.operators.get(operator!.id)).toMatchObject({ state: 'done' });
  expect(world.cluster.shards.get(source)!.record.descriptor.state).toBe('normal');
});
