/** Scans and range deletes of tables of several shards, against a scripted cluster under virtual time. */
import { describe, expect, it } from 'vitest';

import type { AnyCall } from '../../client/call.ts';
import type { ScanRequest } from '../../proto/index.ts';
import type { ScriptedShard } from './scripted-shard.ts';
import type { ShardedCluster } from './scripted-shards.ts';
import { ENTRIES, fill, hashCluster, mergeOne, rangeCluster, splitOne } from './scripted-tables.ts';
import type { ShardedClient } from './sharded-client.ts';

describe.each(['range', 'hash'])('a scan of a %s table', (kind) => {
  function make(): { cluster: ShardedCluster; shards: ScriptedShard[]; client: ShardedClient } {
    return kind === 'range' ? rangeCluster(['e', 'h', 'p', 'w']) : hashCluster(8);
  }

  it('gives all entries in order, both ways, within bounds', async () => {
    const { client } = make();
    await fill(client);
    const table = client.table('t');
    expect(await client.collect(table.scan())).toEqual(ENTRIES);
    expect(await client.collect(table.scan({ reverse: true }))).toEqual(ENTRIES.toReversed());
    const some: [object, readonly [string, string][]][] = [
      [{ gte: 'd', lt: 'q' }, ENTRIES.slice(3, 16)],
      [{ gt: 'd', lte: 'q' }, ENTRIES.slice(4, 17)],
      [{ gte: 'h', lt: 'p' }, ENTRIES.slice(7, 15)],
      [{ gt: 'h', lte: 'p' }, ENTRIES.slice(8, 16)],
      [{ prefix: 'k' }, ENTRIES.slice(10, 11)],
      [{ prefix: 'k', gt: 'k' }, []],
      [{ prefix: '' }, ENTRIES],
      [{ gte: 'x', lt: 'c' }, []],
      [{ gte: 'zz' }, []],
    ];
    for (const [options, expected] of some) {
      expect(await client.collect(table.scan(options))).toEqual(expected);
      expect(await client.collect(table.scan({ ...options, reverse: true }))).toEqual(expected.toReversed());
    }
    for (const limit of [0, 1, 7, 8, 26, 100]) {
      expect(await client.collect(table.scan({ limit }))).toEqual(ENTRIES.slice(0, limit));
      expect(await client.collect(table.scan({ limit, reverse: true }))).toEqual(ENTRIES.toReversed().slice(0, limit));
    }
    expect(await client.collect(table.scan({ keysOnly: true }))).toEqual(ENTRIES.map(([key]) => [key, '']));
  });

  it.each([false, true])('goes on where shards split, merge, move and change leaders in the middle (reverse: %s)', async (reverse) => {
    for (let at = 1; at < 26; at += 2) {
      const { cluster, client } = make();
      await fill(client);
      const found = await client.collect(client.table('t').scan({ reverse }), (count) => {
        if (count !== at) return;
        for (const shard of cluster.shardsOf('t')) if (cluster.shards.has(shard.id) && shard.id % 3 === at % 3) mergeOne(cluster, shard);
        for (const shard of cluster.shardsOf('t')) if (shard.id % 2 === 0) splitOne(cluster, shard, at * 7);
        for (const shard of cluster.shardsOf('t')) cluster.lead(shard, shard.replicas[at % 3]!);
      });
      expect(found).toEqual(reverse ? ENTRIES.toReversed() : ENTRIES);
    }
  });

  it('outlasts the loss of a node', async () => {
    const { cluster, client } = make();
    await fill(client);
    const found = await client.collect(client.table('t').scan(), (count) => {
      if (count !== 10) return;
      cluster.node(2).kill();
      for (const shard of cluster.shardsOf('t')) if (shard.leader === 2) cluster.lead(shard, 3);
    });
    expect(found).toEqual(ENTRIES);
  });

  it('does not wait for shards that it does not come to', async () => {
    const { cluster, client } = rangeCluster(['e', 'h', 'p', 'w']);
    await fill(client);
    cluster.lead(cluster.shardsOf('t')[4]!, 0);
    expect(await client.collect(client.table('t').scan({ limit: 20 }))).toEqual(ENTRIES.slice(0, 20));
  });

  it('ends with its consumer', async () => {
    const { client } = make();
    await fill(client);
    const entries = client.table('t').scan();
    const first = await client.run(entries.next());
    expect(Buffer.from((first.value as [Uint8Array, Uint8Array])[0]).toString()).toBe('a');
    await client.run(entries.return!());
    expect((await client.run(entries.next())).done).toBe(true);
  });

  it('deletes ranges over shards, also while they change', async () => {
    for (let step = 0; step < 12; step++) {
      const { cluster, client } = make();
      await fill(client);
      let calls = 0;
      cluster.before = (call: AnyCall | ScanRequest) => {
        if ((call as AnyCall).method?.name !== 'deleteRange' || calls++ !== step) return;
        for (const shard of cluster.shardsOf('t')) if (shard.id % 2 === 0) splitOne(cluster, shard, step * 5);
      };
      const { deleted } = await client.run(client.table('t').deleteRange({ gte: 'c', lt: 'x' }));
      expect(deleted).toBe(21);
      expect([...cluster.entries('t').keys()].sort()).toEqual(['a', 'b', 'x', 'y', 'z']);
    }
  });
});
