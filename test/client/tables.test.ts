/** Tables of several shards, against a scripted cluster under virtual time: where calls go, and what is done when shards change meanwhile. */
import { describe, expect, it } from 'vitest';

import { SparrowError } from '../../base/errors.ts';
import type { AnyCall } from '../../client/call.ts';
import type { ScanRequest } from '../../proto/index.ts';
import { LATENCY_MS } from './scripted-cluster.ts';
import type { ScriptedShard } from './scripted-shard.ts';
import { ShardedCluster } from './scripted-shards.ts';
import { ShardedClient } from './sharded-client.ts';

const TRIP_MS: number = 2 * LATENCY_MS;

/** Shard i has replicas on three of the nodes, from node i + 1 on. */
function spread(nodes: number): (shard: number) => number[] {
  return (shard) => [0, 1, 2].map((i) => 1 + ((shard + i) % nodes));
}

function rangeCluster(
  starts: readonly string[] = ['h', 'p'],
  nodes = 3,
): { cluster: ShardedCluster; shards: ScriptedShard[]; client: ShardedClient } {
  const cluster = new ShardedCluster(nodes);
  const shards = cluster.rangeTable('t', starts, spread(nodes));
  return { cluster, shards, client: new ShardedClient(cluster) };
}

function hashCluster(count = 4, nodes = 3): { cluster: ShardedCluster; shards: ScriptedShard[]; client: ShardedClient } {
  const cluster = new ShardedCluster(nodes);
  const shards = cluster.hashTable('t', count, spread(nodes));
  return { cluster, shards, client: new ShardedClient(cluster) };
}

const LETTERS: readonly string[] = 'abcdefghijklmnopqrstuvwxyz'.split('');

async function fill(client: ShardedClient, keys: readonly string[] = LETTERS, table = client.table('t')): Promise<void> {
  await client.run(Promise.all(keys.map((key) => table.put(key, key.toUpperCase()))));
}

const ENTRIES: readonly [string, string][] = LETTERS.map((key): [string, string] => [key, key.toUpperCase()]);

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

/** With its neighbour, if it has one that fits. */
function mergeOne(cluster: ShardedCluster, shard: ScriptedShard): void {
  const { keys } = shard;
  const other = cluster
    .shardsOf('t')
    .find(({ keys: theirs }) =>
      keys.kind === 'hash'
        ? theirs.kind === 'hash' && theirs.bits === keys.bits && keys.bits > 0 && (theirs.index ^ keys.index) === 2 ** (keys.bits - 1)
        : theirs.kind === 'range' && keys.end !== undefined && Buffer.compare(theirs.start, keys.end) === 0,
    );
  if (other !== undefined) cluster.merge(shard, other);
}

function splitOne(cluster: ShardedCluster, shard: ScriptedShard, choice: number): void {
  const { keys } = shard;
  if (keys.kind === 'hash') {
    if (keys.bits < 6) cluster.split(shard);
    return;
  }
  const at = LETTERS[choice % 26]!;
  if (shard.has(at) && Buffer.compare(keys.start, Buffer.from(at)) < 0) cluster.split(shard, at);
}

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
