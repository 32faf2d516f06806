/** Table default, which clients use that know no shards, is split by policy once there are nodes that do not have all of it. */
import { expect, it } from 'vitest';
import { beginning } from '../../../server/meta/beginning.ts';
import { DEFAULT_TABLE } from '../../../server/shard/descriptor.ts';
import { World } from './world.ts';

const MIB = 1024 * 1024;

it('table default is split by policy where there are more nodes than its shards have replicas', () => {
  const world = new World();
  for (const [i, zone] of ['a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.commit(beginning([1, 2, 3], world.nowMs));
  for (const { record } of [...world.cluster.shards.values()]) {
    const load = record.table === DEFAULT_TABLE ? { bytes: 300 * MIB, keys: 3_000_000 } : {};
    world.addGroup(
      record.descriptor,
      record.replicas.map(({ node }) => node),
      load,
    );
  }
  const shards = (): number => [...world.cluster.shards.values()].filter(({ record }) => record.table === DEFAULT_TABLE).length;
  world.ticks(120);
  expect(shards()).toBe(1);
  world.addNode({ id: 4, zone: 'a' });
  world.ticks(120);
  expect(shards()).toBeGreaterThan(1);
});
