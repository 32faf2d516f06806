/** A shard that was split off, and that nobody leads before the metaserver has heard of it: two of its three members were to be there, and one of them is lost. */
import { expect, it } from 'vitest';
import type { ShardReport } from '../../../server/meta/attending.ts';
import { dropTable, startOperators, takeStrays } from '../../../server/meta/changes/index.ts';
import { askSplit } from '../../../server/meta/placement/index.ts';
import { votersOnly } from '../../../server/raft/index.ts';
import type { ShardDescriptor } from '../../../server/shard/descriptor.ts';
import { World } from './world.ts';

const LATER_MS = 20_000;

it.each(['hash', 'range'] as const)(
  'a shard by %s that was split off at two of three members, of which one is lost before it is heard of, is led again',
  (kind) => {
    const { world, parent, child } = splitUnheard(kind);
    world.ticks(9);
    expect(world.cluster.shards.has(child)).toBe(false);
    world.ticks(6);
    expect(world.cluster.shards.get(child)!.leader).not.toBe(0);
    world.ticks(80);
    const { record, ailment } = world.cluster.shards.get(child)!;
    expect(ailment).toBeUndefined();
    expect(record.replicas).toHaveLength(3);
    expect(record).toMatchObject({ descriptor: { shard: child, epoch: 2, state: 'normal' }, byHand: false });
    expect(world.cluster.shards.get(parent)!.record.descriptor).toMatchObject({ epoch: 2, state: 'normal' });
    expect([...world.cluster.strays.keys()]).toEqual([]);
  },
);

it('what a replica says that nobody leads is believed of keys that certainly nobody else has', () => {
  expect(believed({})).toBe(true);
  expect(believed({ child: { state: 'splitting' } })).toBe(true);
  // The keys were another's after that: it was merged, and left behind.
  expect(believed({ child: { epoch: 1 } })).toBe(false);
  expect(believed({ parent: { epoch: 4 } })).toBe(false);
  // The parent is not known to have parted with them, or parted with more.
  expect(believed({ parent: { epoch: 1, keys: { kind: 'hash', bits: 0, index: 0 } } })).toBe(false);
  expect(believed({ parent: { keys: { kind: 'hash', bits: 2, index: 0 } } })).toBe(false);
  expect(believed({ child: { state: 'sealed' } })).toBe(false);
  expect(believed({ child: { state: 'retired' } })).toBe(false);
  expect(believed({ child: { shard: 4000 } })).toBe(false);
  // It waits to be told what it is.
  expect(believed({ report: { applied: 0 } })).toBe(false);
  expect(believed({ report: { configuration: votersOnly([]) } })).toBe(false);
});

it('a shard of a dropped table that nobody has heard of is not taken in: its keys go with the table', () => {
  const { world, child } = splitUnheard('hash');
  world.commit(dropTable(world.cluster, 'orders', world.nowMs, 3_600_000));
  world.ticks(LATER_MS / 1000);
  expect(world.cluster.shards.has(child)).toBe(false);
});

interface Otherwise {
  readonly child?: Partial<ShardDescriptor>;
  readonly parent?: Partial<ShardDescriptor>;
  readonly report?: Partial<ShardReport>;
}

/** Whether the child is taken in, were it or its parent otherwise. */
function believed({ child: childFields, parent: parentFields, report }: Otherwise): boolean {
  const { world, parent, child } = splitUnheard('hash');
  const { cluster, nowMs } = world;
  const [node, told] = [...cluster.strays.get(child)!].map(([id, stray]) => [id, stray.report!] as const)[0]!;
  const descriptor = { ...told.descriptor, ...childFields };
  const { load } = cluster.nodes.get(node)!;
  cluster.observe(
    node,
    { sequence: 1, load: { ...load!, snapshots: 0 }, shards: [{ ...told, descriptor, ...report }], full: true, gone: [] },
    nowMs,
  );
  const { record } = cluster.shards.get(parent)!;
  cluster.apply([{ kind: 'shard', id: parent, record: { ...record, descriptor: { ...record.descriptor, ...parentFields } } }]);
  return takeStrays(cluster, nowMs + LATER_MS).writes.some(({ kind, id }) => kind === 'shard' && id === descriptor.shard);
}

/** The leader of both is lost; one of the others has come past the split by a snapshot; the split is heard of, the child is not. */
function splitUnheard(by: 'hash' | 'range'): { world: World; parent: number; child: number } {
  const world = new World({ suspectAfterMs: 2000, downAfterMs: 5000 });
  for (const [i, zone] of ['a', 'b', 'c', 'd'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  world.createTable({ name: 'orders', partitioning: by === 'hash' ? { kind: 'hash', shards: 1 } : { kind: 'range', splitKeys: [] } });
  world.ticks(5);
  const [parent] = [...world.groups.keys()] as [number];
  world.commit(startOperators(world.cluster, [askSplit(world.cluster, parent, undefined, world.nowMs)], 'a test', world.nowMs));
  world.tick(1000, false);
  const child = [...world.groups.keys()].find((shard) => shard !== parent)!;
  const { leader, copies } = world.groups.get(child)!;
  world.lose(
    child,
    [...copies.keys()].find((node) => node !== leader)!,
  );
  world.kill(leader);
  expect(world.groups.get(child)!.leader).toBe(0);
  world.tick();
  expect(world.cluster.shards.get(parent)!.record.descriptor.epoch).toBe(2);
  return { world, parent, child };
}
