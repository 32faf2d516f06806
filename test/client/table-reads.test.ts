/** Reads of tables that may go to other nodes than the leader, or to two, against a scripted cluster under virtual time. */
import { describe, expect, it } from 'vitest';

import { TRIP_MS } from './scripted-cluster.ts';
import { fill, rangeCluster } from './scripted-tables.ts';
import { ShardedClient } from './sharded-client.ts';

describe('reads of a table from other nodes than the leader', () => {
  it('go to all replicas in turn', async () => {
    const { cluster, client } = rangeCluster([]);
    await fill(client);
    const table = client.table('t');
    for (let i = 0; i < 10; i++) await client.run(table.get('a', { from: 'any' }));
    cluster.served.clear();
    for (let i = 0; i < 30; i++) await client.run(table.get('a', { from: 'any' }));
    expect(Object.fromEntries(cluster.served)).toEqual({ '1/16': 10, '2/16': 10, '3/16': 10 });
  });

  it('go to the nearest zone, and elsewhere when it is gone', async () => {
    const { cluster } = rangeCluster([]);
    for (const [i, zone] of ['east', 'west', 'north'].entries()) cluster.zones.set(i + 1, zone);
    const client = new ShardedClient(cluster, { zone: 'west' });
    await fill(client);
    const table = client.table('t');
    for (let i = 0; i < 5; i++) await client.run(table.get('a', { from: 'nearest' }));
    cluster.served.clear();
    for (let i = 0; i < 20; i++) await client.run(table.get('a', { from: 'nearest' }));
    expect(Object.fromEntries(cluster.served)).toEqual({ '2/16': 20 });
    expect((await client.collect(table.scan({ from: 'nearest' }))).length).toBe(26);
    expect(cluster.served.get('2/16')).toBeGreaterThan(20);
    cluster.node(2).kill();
    await cluster.scheduler.advance(10);
    for (let i = 0; i < 20; i++) await client.run(table.get('a', { from: 'nearest' }));
  });
});

describe('a hedged read', () => {
  it('is asked of another node when the first one takes long, and the slower call is cancelled', async () => {
    const { cluster, client } = rangeCluster([]);
    await fill(client);
    const table = client.table('t');
    for (let i = 0; i < 5; i++) await client.run(table.get('a', { from: 'any' }));
    cluster.served.clear();
    cluster.node(1).stop();
    const begunMs = cluster.scheduler.nowMs;
    expect(Buffer.from((await client.run(table.get('a', { hedgeMs: 20 })))!).toString()).toBe('A');
    expect(cluster.scheduler.nowMs - begunMs).toBeLessThanOrEqual(20 + 2 * TRIP_MS);
    expect([...cluster.served.keys()].every((name) => name !== '1/16')).toBe(true);
    expect([...cluster.node(1).connections].map(({ awaited }) => awaited)).toEqual([0]);
  });

  it('is asked once while answers are quick', async () => {
    const { cluster, client } = rangeCluster([]);
    await fill(client);
    cluster.served.clear();
    for (let i = 0; i < 300; i++) await client.run(client.table('t').get('a', { hedgeMs: i % 2 === 0 ? 50 : 'p99.9' }));
    expect(Object.fromEntries(cluster.served)).toEqual({ '1/16': 300 });
  });

  it('waits for what nearly all reads took, once it knows it', async () => {
    const { cluster, client } = rangeCluster([]);
    await fill(client);
    const table = client.table('t');
    for (let i = 0; i < 250; i++) await client.run(table.get('a', { hedgeMs: 'p99.9' }));
    for (let i = 0; i < 5; i++) await client.run(table.get('a', { from: 'any' }));
    cluster.node(1).stop();
    const begunMs = cluster.scheduler.nowMs;
    await client.run(table.get('a', { hedgeMs: 'p99.9' }));
    expect(cluster.scheduler.nowMs - begunMs).toBeLessThan(20);
  });

  it('fails as it would have, when no node answers it', async () => {
    const { cluster, client } = rangeCluster([]);
    await fill(client);
    for (const node of cluster.nodes) node.stop();
    await expect(client.run(client.table('t').get('a', { hedgeMs: 20, timeoutMs: 500 }))).rejects.toMatchObject({ code: 'TIMEOUT' });
    const controller = new AbortController();
    const read = client.table('t').get('a', { hedgeMs: 20, signal: controller.signal });
    cluster.scheduler.after(50, () => controller.abort());
    await expect(client.run(read)).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(client.run(client.table('t').get('a', { hedgeMs: 0 }))).rejects.toMatchObject({ code: 'OPTION_RANGE' });
  });
});
