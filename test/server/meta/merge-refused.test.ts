/** A merge whose source was written after it was copied: the source says so, and is as it was; nothing else leads back from there. */
import { expect, it } from 'vitest';
import { advanceOperators, cancelOperator, orderEnded, startOperators } from '../../../server/meta/changes/index.ts';
import type { OperatorRecord } from '../../../server/meta/operator.ts';
import { World } from './world.ts';

it('a merge whose source refuses to be retired is undone, and one that is only late is not', () => {
  const world = new World();
  for (const [i, zone] of ['a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.createTable({ name: 'orders', partitioning: { kind: 'range', splitKeys: [Buffer.from('m')] } });
  world.ticks(5);
  const [target, source] = [...world.groups.keys()] as [number, number];
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
});
