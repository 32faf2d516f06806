import { describe, expect, it } from 'vitest';
import type { TableDemand } from '../../../server/meta/attending.ts';
import { quotaShares } from '../../../server/meta/quota-shares.ts';
import { World } from './world.ts';

const QUOTAS = { bytes: 1000, readsPerSecond: 100, writesPerSecond: 0 };

/** Three nodes, of which all have a replica of table `t` (id 16 at first), and one more that has none. */
function world(): World {
  const made = new World();
  for (const id of [1, 2, 3]) made.addNode({ id, zone: `z${id}` });
  made.createTable({ name: 't', quotas: QUOTAS });
  made.createTable({ name: 'free' });
  for (let i = 0; i < 20; i++) made.tick();
  made.addNode({ id: 4, zone: 'z4' });
  return made;
}

const asked = (readsPerSecond: number, table = 16): TableDemand[] => [{ table, readsPerSecond, writesPerSecond: 3 }];

describe('shares of quotas', () => {
  it('are even where nobody is asked for anything, and add up', () => {
    const shares = quotaShares(world().cluster, new Map([1, 2, 3, 4].map((node) => [node, []])));
    expect([...shares.keys()]).toEqual([1, 2, 3]);
    for (const own of shares.values())
      expect(own).toEqual([{ table: 16, name: 't', ...QUOTAS, isFull: false, readShare: 33.3, writeShare: 0 }]);
  });

  it('go to where calls are, and leave everybody something', () => {
    const { cluster } = world();
    const demands = new Map([
      [1, asked(900)],
      [2, asked(100)],
      [3, []],
    ]);
    const shares = quotaShares(cluster, demands);
    expect([1, 2, 3].map((node) => shares.get(node)![0]!.readShare)).toEqual([84.3, 12.3, 3.3]);
    // Of another table.
    expect(quotaShares(cluster, new Map([...demands, [3, asked(1e9, 17)]])).get(3)![0]!.readShare).toBe(3.3);
  });

  it('leave each of many nodes something of a small quota', () => {
    const made = new World();
    const nodes = Array.from({ length: 30 }, (_, i) => i + 1);
    for (const id of nodes) made.addNode({ id, zone: `z${id % 3}` });
    made.createTable({
      name: 't',
      partitioning: { kind: 'hash', shards: 32 },
      quotas: { bytes: 0, readsPerSecond: 1, writesPerSecond: 0 },
    });
    for (let i = 0; i < 20; i++) made.tick();
    const shares = [...quotaShares(made.cluster, new Map(nodes.map((node) => [node, []]))).values()].map(([own]) => own!.readShare);
    expect(shares.length).toBeGreaterThan(20);
    for (const share of shares) expect(share).toBeGreaterThan(0.03);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeLessThanOrEqual(1);
  });

  it('are of nodes that attend, and of tables that are there', () => {
    const made = world();
    expect(quotaShares(made.cluster, new Map([[2, []]])).get(2)![0]!.readShare).toBe(100);
    made.alterTable('t', { quotas: { bytes: 0, readsPerSecond: 0 } });
    expect(quotaShares(made.cluster, new Map([[2, []]]))).toEqual(new Map());
  });

  it('say that a table is full as its leaders report it', () => {
    const made = world();
    const isFull = (): boolean => quotaShares(made.cluster, new Map([[1, []]])).get(1)![0]!.isFull;
    const [shard] = made.cluster.shardsOf(16);
    const has = (bytes: number): void => {
      made.groups.get(shard!.id)!.bytes = bytes;
      made.touch(shard!.id);
      made.tick();
    };
    has(999);
    expect(isFull()).toBe(false);
    has(1000);
    expect(isFull()).toBe(true);
  });
});
