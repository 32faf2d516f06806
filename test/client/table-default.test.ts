/** Table `default`, of which a client needs no map while it is one shard, against a scripted cluster under virtual time. */
import { describe, expect, it } from 'vitest';

import { SparrowError } from '../../base/errors.ts';
import type { AnyCall } from '../../client/call.ts';
import { LATENCY_MS } from './scripted-cluster.ts';
import type { ScriptedShard } from './scripted-shard.ts';
import { ShardedCluster } from './scripted-shards.ts';
import { ENTRIES, fill, LETTERS } from './scripted-tables.ts';
import { ShardedClient } from './sharded-client.ts';

describe('table default', () => {
  function begin(): { cluster: ShardedCluster; first: ScriptedShard; client: ShardedClient } {
    const cluster = new ShardedCluster(3);
    const [first] = cluster.rangeTable('default', [], () => [1, 2, 3]);
    return { cluster, first: first!, client: new ShardedClient(cluster) };
  }

  it('is called without a map as long as it is one shard', async () => {
    const { cluster, client } = begin();
    const table = client.table();
    await fill(client, LETTERS, table);
    expect(await client.collect(table.scan())).toEqual(ENTRIES);
    expect(cluster.topologies).toBe(0);
  });

  it.each(['get', 'put', 'multiGet', 'write', 'deleteRange', 'scan'])('goes on by its map when it was split: %s', async (verb) => {
    const { cluster, first, client } = begin();
    const table = client.table();
    await fill(client, LETTERS, table);
    const child = cluster.split(first, 'm');
    cluster.lead(child, 2);
    if (verb === 'get') expect(Buffer.from((await client.run(table.get('z')))!).toString()).toBe('Z');
    if (verb === 'put') await client.run(table.put('z', 'new'));
    if (verb === 'multiGet')
      expect((await client.run(table.multiGet(['a', 'z', 'none']))).map((value) => value?.length)).toEqual([1, 1, undefined]);
    if (verb === 'write') {
      await expect(client.run(table.write(table.batch().put('a', 'new').put('z', 'new')))).rejects.toMatchObject({
        code: 'BATCH_SPANS_SHARDS',
      });
      await client.run(table.write(table.batch().put('y', 'new').put('z', 'new')));
    }
    if (verb === 'deleteRange') expect(await client.run(table.deleteRange({ gte: 'k', lt: 'p' }))).toEqual({ deleted: 5 });
    if (verb === 'scan') expect(await client.collect(table.scan())).toEqual(ENTRIES);
    expect(client.calls.defaultIsSplit).toBe(true);
    await client.run(table.put('z', 'last'));
    await client.run(table.put('a', 'last'));
    expect([child.data.get('z')?.value, first.data.get('a')?.value]).toEqual(['last', 'last']);
  });

  it('goes on in the middle of a scan and of a range delete', async () => {
    for (let at = 1; at < 26; at += 3) {
      const { cluster, first, client } = begin();
      const table = client.table();
      await fill(client, LETTERS, table);
      const found = await client.collect(table.scan(), (count) => {
        if (count !== at) return;
        const child = cluster.split(first, 'm');
        cluster.lead(child, 3);
        cluster.metaLeader = 3;
        cluster.node(1).kill();
        cluster.lead(first, 2);
        cluster.elect(2);
      });
      expect(found).toEqual(ENTRIES);
    }
    const { cluster, first, client } = begin();
    const table = client.table();
    await fill(client, LETTERS, table);
    let calls = 0;
    cluster.before = (call) => {
      if ((call as AnyCall).method?.name === 'deleteRange' && calls++ === 2) cluster.split(first, 'm');
    };
    expect(await client.run(table.deleteRange({ gte: 'b', lt: 'z' }))).toEqual({ deleted: 24 });
    expect([...cluster.entries('default').keys()].sort()).toEqual(['a', 'z']);
  });

  it('writes once what was sent before the split and answered after it', async () => {
    const { cluster, first, client } = begin();
    const table = client.table();
    await fill(client, ['a'], table);
    // Applied, and the answer is lost with the connection.
    const write = table.put('z', 'once');
    await cluster.scheduler.advance(LATENCY_MS);
    expect(first.data.get('z')?.value).toBe('once');
    for (const connection of cluster.node(1).connections) connection.close(new SparrowError('unavailable', 'CONNECTION_LOST', 'cut'));
    const child = cluster.split(first, 'm');
    await client.run(write);
    expect(child.writes).toBe(0);
    expect(child.data.get('z')?.value).toBe('once');
  });
});
