/** Calls of tables of several shards, against a scripted cluster under virtual time: where they go, and what is done when shards change meanwhile. */
import { describe, expect, it } from 'vitest';

import type { AnyCall } from '../../client/call.ts';
import { TRIP_MS } from './scripted-cluster.ts';
import { ShardedCluster } from './scripted-shards.ts';
import { fill, hashCluster, LETTERS, mergeOne, rangeCluster, splitOne, spread } from './scripted-tables.ts';
import { ShardedClient } from './sharded-client.ts';

describe('calls of a table', () => {
  it('go to the leaders of their shards, over one connection to each node', async () => {
    const { cluster, client } = rangeCluster();
    await fill(client);
    expect(Object.fromEntries(cluster.served)).toEqual({ '1/16': 7, '2/17': 8, '3/18': 11 });
    expect(cluster.nodes.map(({ opened }) => opened.length)).toEqual([1, 1, 1]);
    expect(cluster.topologies).toBe(1);
    const table = client.table('t');
    expect(Buffer.from((await client.run(table.get('q')))!).toString()).toBe('Q');
    expect(await client.run(table.get('qq'))).toBe(undefined);
    expect((await client.run(table.getEntry('b')))!.version).toBeGreaterThan(0);
    expect(await client.run(table.getVersion('zz'))).toBe(undefined);
    await client.run(table.delete('q'));
    expect(await client.run(table.get('q'))).toBe(undefined);
  });

  it('go by hash in a hash table', async () => {
    const { cluster, shards, client } = hashCluster(8);
    const keys = Array.from({ length: 200 }, (_, i) => `key ${i}`);
    await fill(client, keys);
    expect([...cluster.entries('t').keys()].sort()).toEqual([...keys].sort());
    for (const shard of shards) expect([...shard.data.keys()].every((key) => shard.has(key))).toBe(true);
    expect(cluster.topologies).toBe(1);
  });

  it('fail at once for a table that is not there, and ask again the next time', async () => {
    const { cluster, client } = rangeCluster();
    const table = client.table('other');
    await expect(client.run(table.get('a'))).rejects.toMatchObject({ kind: 'invalid', code: 'TABLE_UNKNOWN' });
    cluster.rangeTable('other', [], () => [2, 1, 3]);
    await client.run(table.put('a', 'x'));
    expect(cluster.entries('other').get('a')).toBe('x');
  });

  it('follow the metaserver to where it leads', async () => {
    const { cluster, client } = rangeCluster();
    cluster.metaLeader = 3;
    await fill(client);
    expect(cluster.topologies).toBe(1);
  });

  it('wait while nobody leads the metaserver, and no longer than they may', async () => {
    const { cluster } = rangeCluster();
    cluster.metaLeader = 0;
    const client = new ShardedClient(cluster, { waitForLeaderMs: 500 });
    await expect(client.run(client.table('t').get('a'))).rejects.toMatchObject({ code: 'NO_LEADER' });
    const patient = new ShardedClient(cluster, {}, 2);
    const answer = patient.table('t').put('a', 'x');
    cluster.scheduler.after(2_000, () => (cluster.metaLeader = 2));
    await patient.run(answer);
    expect(cluster.entries('t').get('a')).toBe('x');
  });

  it('are corrected by what a node knows instead, without asking the metaserver', async () => {
    const { cluster, shards, client } = rangeCluster();
    await fill(client);
    const [topologies] = [cluster.topologies];
    cluster.split(shards[1]!, 'm');
    await fill(client);
    expect(cluster.topologies).toBe(topologies);
    expect([...cluster.entries('t')].length).toBe(26);
  });

  it('ask the metaserver where a node tells nothing, with pauses while its map is old', async () => {
    const { cluster, shards, client } = rangeCluster();
    await fill(client);
    cluster.tellsShards = false;
    cluster.oldTopology = cluster.topology('t');
    cluster.split(shards[1]!, 'm');
    const asked = cluster.topologies;
    const writes = Promise.all(Array.from({ length: 200 }, (_, i) => client.table('t').put('n', `${i}`)));
    cluster.scheduler.after(3_000, () => (cluster.oldTopology = undefined));
    await client.run(writes);
    expect(cluster.scheduler.nowMs).toBeLessThan(3_400);
    expect(cluster.topologies - asked).toBeLessThan(40);
  });

  it('find a leader that has changed, by what the old one says', async () => {
    const { cluster, shards, client } = rangeCluster();
    await fill(client);
    cluster.lead(shards[0]!, 3);
    const begunMs = cluster.scheduler.nowMs;
    await client.run(client.table('t').put('a', 'x'));
    expect(cluster.scheduler.nowMs - begunMs).toBeLessThanOrEqual(2 * TRIP_MS);
    expect(cluster.served.get('3/16')).toBe(1);
  });

  it('of a shard that nobody leads are parked, those of others are not', async () => {
    const { cluster, shards, client } = rangeCluster();
    await fill(client);
    cluster.lead(shards[0]!, 0);
    const table = client.table('t');
    const parked = Promise.all(Array.from({ length: 100 }, (_, i) => table.put('a', `${i}`)));
    await client.run(table.put('z', 'x'));
    await cluster.scheduler.advance(2_000);
    const served = [...cluster.served.values()].reduce((sum, count) => sum + count, 0);
    cluster.lead(shards[0]!, 2);
    await client.run(parked);
    expect(served).toBe(27);
    expect(shards[0]!.writes).toBe(107);
  });

  it('survive the loss of a node: its shards are led by others', async () => {
    const { cluster, shards, client } = rangeCluster();
    await fill(client);
    cluster.node(2).kill();
    const writes = Promise.all(LETTERS.map((key) => client.table('t').put(key, 'again')));
    cluster.scheduler.after(1_500, () => cluster.lead(shards[1]!, 3));
    await client.run(writes);
    expect([...cluster.entries('t').values()].every((value) => value === 'again')).toBe(true);
  });

  it('leave a node that is silent when another one leads their shard, and stay with it for the shards that it still leads', async () => {
    const { cluster, shards, client } = rangeCluster(['h', 'p'], 3);
    cluster.moveTo(shards[2]!, [2, 3, 1]);
    await fill(client);
    cluster.node(2).stop();
    const moved = client.table('t').put('i', 'moved');
    const stays = client.table('t').put('z', 'stays');
    let settled = false;
    void stays.then(() => (settled = true));
    cluster.scheduler.after(1_000, () => cluster.lead(shards[1]!, 3));
    await client.run(moved);
    expect(cluster.scheduler.nowMs).toBeLessThan(3_000);
    expect(settled).toBe(false);
    cluster.node(2).resume();
    await client.run(stays);
    expect(cluster.entries('t').get('z')).toBe('stays');
    expect(shards[2]!.writes).toBe(12);
  });

  it('find a shard that was moved to other nodes', async () => {
    const { cluster, shards } = rangeCluster(['h', 'p'], 6);
    const client = new ShardedClient(cluster);
    await fill(client);
    cluster.moveTo(shards[0]!, [5, 6, 4]);
    await fill(client);
    expect(cluster.served.get('5/16')).toBe(7);
  });

  it('are applied once each while shards split, merge and change leaders', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new ShardedCluster(5, seed);
      const hash = seed % 2 === 0;
      if (hash) cluster.hashTable('t', 2, spread(5));
      else cluster.rangeTable('t', ['m'], spread(5));
      const client = new ShardedClient(cluster, {}, seed);
      const random = cluster.random.fork();
      const change = (): void => {
        const shards = cluster.shardsOf('t');
        const shard = shards[random.u32() % shards.length]!;
        const what = random.u32() % 4;
        if (what === 0) cluster.lead(shard, shard.replicas[random.u32() % 3]!);
        else if (what === 1) mergeOne(cluster, shard);
        else splitOne(cluster, shard, random.u32());
        if (cluster.scheduler.nowMs < 400) cluster.scheduler.after(1 + (random.u32() % 20), change);
      };
      cluster.scheduler.after(3, change);
      const table = client.table('t');
      const keys = Array.from({ length: 100 }, (_, i) => `${LETTERS[i % 26]}${i}`);
      const written = new Map<string, number>();
      const work = Promise.all(
        keys.map(async (key) => {
          for (let i = 1; i <= 10; i++) {
            await table.put(key, `${i}`);
            written.set(key, i);
            const value = await table.get(key);
            expect(Buffer.from(value!).toString()).toBe(`${i}`);
          }
        }),
      );
      await client.run(work);
      expect([...written.values()].every((count) => count === 10)).toBe(true);
      expect(cluster.entries('t').size).toBe(100);
    }
  });
});

describe('a shard that is being merged', () => {
  it('takes writes when it is through, and is read meanwhile', async () => {
    const { cluster, shards, client } = rangeCluster();
    await fill(client);
    const table = client.table('t');
    shards[1]!.state = 'sealed';
    const writes = Promise.all(Array.from({ length: 300 }, (_, i) => table.put('i', `${i}`)));
    expect(Buffer.from((await client.run(table.get('j')))!).toString()).toBe('J');
    let calls = 0;
    cluster.before = () => calls++;
    cluster.scheduler.after(500, () => cluster.merge(shards[0]!, shards[1]!));
    await client.run(writes);
    expect(cluster.scheduler.nowMs).toBeLessThan(1_000);
    expect(shards[0]!.writes).toBe(307);
    // One finds out for all.
    expect(calls).toBeLessThan(330);
  });

  it('takes writes again when the merge is cancelled, also when the write that finds out is given up', async () => {
    const { cluster, shards, client } = rangeCluster();
    await fill(client);
    const table = client.table('t');
    shards[1]!.state = 'sealed';
    const hasty = table.put('i', 'hasty', { timeoutMs: 100 });
    const writes = Promise.all(Array.from({ length: 300 }, (_, i) => table.put('i', `${i}`)));
    await expect(client.run(hasty)).rejects.toMatchObject({ code: 'TIMEOUT', details: { applied: false } });
    cluster.scheduler.after(500, () => (shards[1]!.state = 'normal'));
    await client.run(writes);
    expect(cluster.scheduler.nowMs).toBeLessThan(1_200);
    expect(shards[1]!.writes).toBe(308);
  });
});

describe('keys of several shards', () => {
  it('are read with one call for each shard', async () => {
    const { cluster, client } = rangeCluster();
    await fill(client);
    cluster.served.clear();
    const values = await client.run(client.table('t').multiGet(['z', 'a', 'none', 'i', 'b', 'y']));
    expect(values.map((value) => value && Buffer.from(value).toString())).toEqual(['Z', 'A', undefined, 'I', 'B', 'Y']);
    expect(Object.fromEntries(cluster.served)).toEqual({ '1/16': 1, '2/17': 1, '3/18': 1 });
  });

  it('are divided again when a shard is split as they are read', async () => {
    const { cluster, shards, client } = rangeCluster([]);
    await fill(client);
    let left = 1;
    cluster.before = (call) => {
      if ((call as AnyCall).method?.name === 'multiGet' && left-- === 1) cluster.split(shards[0]!, 'm');
    };
    const values = await client.run(client.table('t').multiGet(LETTERS));
    expect(values.map((value) => Buffer.from(value!).toString())).toEqual(LETTERS.map((key) => key.toUpperCase()));
    expect(await client.run(client.table('t').multiGet([]))).toEqual([]);
  });

  it('are refused as a batch, which names their shards', async () => {
    const { shards, client, cluster } = rangeCluster();
    const table = client.table('t');
    const batch = table.batch().put('a', '1').put('z', '2');
    await expect(client.run(table.write(batch))).rejects.toMatchObject({
      kind: 'invalid',
      code: 'BATCH_SPANS_SHARDS',
      details: { shards: '16, 18', count: 2, applied: false },
    });
    expect(shards.every(({ writes }) => writes === 0)).toBe(true);
    await client.run(table.write(table.batch().put('a', '1').put('b', '2').ifAbsent('c')));
    expect(Object.fromEntries(cluster.entries('t'))).toEqual({ a: '1', b: '2' });
    await expect(client.run(table.write(table.batch().put('a', '1').ifAbsent('z')))).rejects.toMatchObject({ code: 'BATCH_SPANS_SHARDS' });
  });
});
