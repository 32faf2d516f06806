import { afterEach, describe, expect, it } from 'vitest';
import type { FileSystem, Scheduler } from '../../../base/env.ts';
import { NodeScheduler } from '../../../base/node/index.ts';
import { NO_LIMIT } from '../../../server/node/index.ts';
import { splitShard } from '../../../server/node/shard-verbs.ts';
import { META_GROUP, type ShardDescriptor, wholeTable } from '../../../server/shard/descriptor.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { NodeHarness, type NodeOptions } from './node-harness.ts';

/** Files of a disk that opens none below a path, for as long as it is refused. */
class PickyFiles {
  refused: string | undefined;
  refusals = 0;
  readonly fileSystem: FileSystem;

  constructor(disk: SimFileSystem) {
    this.fileSystem = new Proxy(disk, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]): unknown => {
          if (this.refused !== undefined && String(name).startsWith('open') && String(given[0]).startsWith(this.refused)) {
            this.refusals++;
            throw Object.assign(new Error(`permission denied: ${String(given[0])}`), { code: 'EACCES' });
          }
          return (value as (...all: unknown[]) => unknown).apply(target, given);
        };
      },
    });
  }
}

const SHARDS = Array.from({ length: 100 }, (_, i) => 16 + i);
const descriptorOf = (shard: number): ShardDescriptor => ({ ...wholeTable(shard, 5), epoch: 3 });

describe('the replicas of a node', () => {
  const open = new Set<NodeHarness>();

  async function start(disk: FileSystem, options?: NodeOptions): Promise<NodeHarness> {
    const node = await NodeHarness.open(disk, options);
    open.add(node);
    return node;
  }

  async function stop(node: NodeHarness): Promise<void> {
    open.delete(node);
    await node.close();
  }

  afterEach(async () => {
    for (const node of open) await node.close();
    open.clear();
  });

  it('are shard 1 and the metaserver where the cluster begins, and shard 1 alone, waiting, where it is joined', async () => {
    const founder = await start(new SimFileSystem());
    expect(founder.groups).toEqual([1, META_GROUP]);
    for (const { members } of founder.replicas) expect(members).toEqual([1]);
    expect(founder.replicas.get(META_GROUP)!.shard.descriptor.table).toBe(0);
    const joined = await start(new SimFileSystem(), { voters: [] });
    expect(joined.groups).toEqual([1]);
    expect(joined.replicas.first.members).toEqual([]);
  });

  it('a hundred are made, found again after a restart, and destroyed, each for itself', { timeout: 120_000 }, async () => {
    const disk = new SimFileSystem();
    let node = await start(disk);
    const changes: number[] = [];
    node.replicas.onChanged((group) => changes.push(group));
    await Promise.all(SHARDS.map((shard) => node.replicas.create(descriptorOf(shard), [1])));
    expect(node.groups).toEqual([1, META_GROUP, ...SHARDS]);
    expect(changes.toSorted((a, b) => a - b)).toEqual(SHARDS);
    expect(node.host.replicas).toBe(102);
    // One log, one memory, one budget for all of them.
    expect(node.resources.stats().engines).toBe(102);
    await Promise.all(SHARDS.map((shard) => node.put(shard, 'key', `of ${shard}`, 3)));
    expect(node.log.stats().groups).toBe(102);
    await stop(node);
    expect(disk.openFiles).toEqual([]);

    node = await start(disk);
    expect(node.groups).toEqual([1, META_GROUP, ...SHARDS]);
    for (const shard of SHARDS) {
      expect(node.get(shard, 'key')).toBe(`of ${shard}`);
      expect(node.replicas.get(shard)!.shard.descriptor).toEqual(descriptorOf(shard));
    }
    const [gone, kept] = [SHARDS.slice(0, 50), SHARDS.slice(50)];
    await Promise.all(gone.map((shard) => node.replicas.destroy(shard)));
    expect(node.groups).toEqual([1, META_GROUP, ...kept]);
    expect(node.resources.stats().engines).toBe(52);
    await Promise.all(kept.map((shard) => node.put(shard, 'key', 'again')));
    for (const shard of gone)
      expect(disk.listSync(`/node/groups/0000${shard}`).filter((name) => !['a', 'b', 'outgoing'].includes(name))).toEqual([]);
    await stop(node);

    node = await start(disk);
    expect(node.groups).toEqual([1, META_GROUP, ...kept]);
    for (const shard of kept) expect(node.get(shard, 'key')).toBe('again');
    for (const shard of gone) expect(node.log.isRetired(shard)).toBe(true);
    expect(node.stopped).toEqual([]);
  });

  it('are made and destroyed once, however often that is ordered', async () => {
    const node = await start(new SimFileSystem());
    const made = await Promise.all([1, 2, 3].map(() => node.replicas.create(descriptorOf(20), [1]).then(() => node.replicas.get(20))));
    expect(new Set(made).size).toBe(1);
    await node.put(20, 'a', '1');
    await node.replicas.create({ ...descriptorOf(20), epoch: 9 }, [1]);
    expect(node.get(20, 'a')).toBe('1');
    const replica = node.replicas.get(20)!;
    await Promise.all([node.replicas.destroy(20), node.replicas.destroy(20), node.replicas.destroy(99)]);
    // Whoever has still got it may ask: a node reports its replicas while one of them goes.
    expect(replica.stats().stoppedBecause).toMatchObject({ code: 'NO_REPLICA' });
    expect(node.replicas.get(20)).toBeUndefined();
    expect(node.replicas.knows(20)).toBe(true);
    expect(node.replicas.knows(99)).toBe(false);
  });

  it('that were destroyed come back with their term and vote, and only to be taken in', async () => {
    const disk = new SimFileSystem();
    const node = await start(disk);
    await node.replicas.create(descriptorOf(20), [1]);
    await node.put(20, 'a', '1');
    const { term } = node.replicas.get(20)!.stats();
    expect(term).toBeGreaterThan(0);
    await node.replicas.destroy(20);
    await expect(node.replicas.create(descriptorOf(20), [1])).rejects.toMatchObject({ kind: 'conflict', code: 'SHARD_DESTROYED' });
    await node.replicas.create(descriptorOf(20), []);
    expect(node.replicas.get(20)!.stats()).toMatchObject({ term, role: 'follower', lastIndex: 0 });
    expect(node.replicas.get(20)!.members).toEqual([]);
    expect(node.log.group(20).contents().hardState).toMatchObject({ term, vote: 1 });
    await stop(node);
    const again = await start(disk);
    expect(again.replicas.get(20)!.stats()).toMatchObject({ term, lastIndex: 0 });
  });

  it('shard 1 that was destroyed waits to be taken in, also after a restart; the metaserver does not come back by itself', async () => {
    const disk = new SimFileSystem();
    let node = await start(disk);
    await node.put(1, 'a', '1');
    const first = node.replicas.first;
    await node.replicas.destroy(1);
    await node.replicas.destroy(META_GROUP);
    expect(node.replicas.first).not.toBe(first);
    for (let life = 0; life < 2; life++) {
      expect(node.groups).toEqual([1]);
      expect(node.replicas.first.members).toEqual([]);
      expect(node.get(1, 'a')).toBeUndefined();
      await stop(node);
      node = await start(disk);
    }
  });

  it('that cannot be opened are left as they are, and the others run', async () => {
    const disk = new SimFileSystem();
    const node = await start(disk);
    for (const shard of [20, 21]) await node.replicas.create(descriptorOf(shard), [1]);
    await node.put(20, 'a', '1');
    await node.put(21, 'b', '2');
    await stop(node);
    disk.flip('/node/groups/000020/current', 20);
    const again = await start(disk);
    expect(again.groups).toEqual([1, META_GROUP, 21]);
    expect(again.get(21, 'b')).toBe('2');
    expect([...again.replicas.failures]).toMatchObject([[20, { code: 'ENGINE_DAMAGED' }]]);
    await expect(again.replicas.create(descriptorOf(20), [1])).rejects.toMatchObject({ code: 'ENGINE_DAMAGED' });
    expect(again.stopped).toHaveLength(1);
    // Its data are elsewhere: an order takes it away.
    await again.replicas.destroy(20);
    expect(again.replicas.failures.size).toBe(0);
    await again.replicas.create(descriptorOf(20), []);
    expect(again.replicas.get(20)!.members).toEqual([]);
  });

  it('that could not be opened are tried again, and run when what was in their way has gone', async () => {
    const disk = new SimFileSystem();
    const node = await start(disk);
    for (const shard of [20, 21]) await node.replicas.create(descriptorOf(shard), [1]);
    await node.put(20, 'a', '1', 3);
    await stop(node);
    const files = new PickyFiles(disk);
    files.refused = '/node/groups/000020/';
    const real = new NodeScheduler();
    const quick: Scheduler = {
      after: (ms, task, background) => real.after(ms === 10_000 ? 10 : ms, task, background),
      soon: (task) => real.soon(task),
    };
    const again = await start(files.fileSystem, { scheduler: quick });
    expect(again.groups).toEqual([1, META_GROUP, 21]);
    expect([...again.replicas.failures]).toMatchObject([[20, { code: 'REPLICA_NOT_OPENED' }]]);
    const refusals = files.refusals;
    await expect.poll(() => files.refusals).toBeGreaterThan(refusals);
    expect(
      again.stopped.map(({ error }) => error.message),
      'said once',
    ).toHaveLength(1);
    files.refused = undefined;
    await expect.poll(() => again.groups).toEqual([1, META_GROUP, 20, 21]);
    expect(again.get(20, 'a')).toBe('1');
    expect(again.replicas.failures.size).toBe(0);
  });

  it('one that stopped for its disk’s sake is destroyed as soon as the disk lets it, and can be made anew', async () => {
    const files = new PickyFiles(new SimFileSystem());
    const node = await start(files.fileSystem, { checkpointBytes: 4096 });
    await node.replicas.create(descriptorOf(20), [1]);
    files.refused = '/node/groups/000020/';
    const replica = node.replicas.get(20)!;
    await node.put(20, 'a', 'v'.repeat(10_000), 3);
    await expect.poll(() => replica.stopped).toMatchObject({ code: 'REPLICA_STOPPED' });
    expect(node.stopped).toMatchObject([{ group: 20 }]);
    await expect(node.replicas.destroy(20)).rejects.toMatchObject({ code: 'EACCES' });
    files.refused = undefined;
    await node.replicas.destroy(20);
    expect(node.groups).toEqual([1, META_GROUP]);
    await node.replicas.create(descriptorOf(20), []);
    expect(node.replicas.get(20)!.members).toEqual([]);
  });

  it('are made with ids that shards have', async () => {
    const node = await start(new SimFileSystem());
    for (const shard of [3, 15]) await expect(node.replicas.create(descriptorOf(shard), [1])).rejects.toMatchObject({ code: 'SHARD' });
    await expect(node.replicas.create({ ...descriptorOf(20), epoch: 0 }, [1])).rejects.toMatchObject({ code: 'SHARD_DESCRIPTOR' });
  });

  it('one that is split off runs as soon as its parent is divided, and after a restart', async () => {
    const disk = new SimFileSystem();
    let node = await start(disk);
    for (const key of ['a', 'm', 'z']) await node.put(1, key, `value of ${key}`);
    const { child } = await splitShard(node.replicas.first, { epoch: 1, child: 16, at: { how: 'key', key: Buffer.from('m') } }, NO_LIMIT);
    expect(child).toMatchObject({ shard: 16, epoch: 2 });
    await expect.poll(() => node.replicas.get(16)?.stats().role).toBe('leader');
    await node.put(16, 'n', 'new', 2);
    await expect(node.put(1, 'b', 'late', 1)).rejects.toThrow('other-epoch');
    for (let life = 0; life < 2; life++) {
      expect(node.groups).toEqual([1, META_GROUP, 16]);
      expect(['a', 'm', 'z'].map((key) => node.get(1, key))).toEqual(['value of a', undefined, undefined]);
      expect(['a', 'm', 'n', 'z'].map((key) => node.get(16, key))).toEqual([undefined, 'value of m', 'new', 'value of z']);
      await stop(node);
      node = await start(disk);
    }
    expect(node.stopped).toEqual([]);
  });

  it('one that waits for room while it is made holds up nobody who stops at once', async () => {
    let armed = false;
    const disk: SimFileSystem = new SimFileSystem({
      observe: (operation) => {
        if (armed && operation.includes('/node/log/')) disk.capacityBytes = 0;
      },
    });
    const node = await NodeHarness.open(disk, { segmentBytes: 500 });
    // What is appended next begins another segment.
    await node.put(1, 'a', 'x'.repeat(1000));
    armed = true;
    const made = node.replicas.create(descriptorOf(20), [1]);
    made.catch(() => undefined);
    await expect.poll(() => node.log.full).toBe(true);
    node.abandon();
    await node.replicas.release();
    await expect(made).rejects.toThrow();
    expect(node.resources.stats().engines).toBe(0);
  });

  it('share the room for writes: what one of them has on its way, the others wait for', async () => {
    const node = await start(new SimFileSystem());
    await node.replicas.create(descriptorOf(20), [1]);
    const large = 'x'.repeat(700_000);
    let relieved = 0;
    node.replicas.writes.onRelieved(() => relieved++);
    const puts = [node.put(1, 'a', large), node.put(20, 'b', large)];
    expect(node.replicas.writes.congested).toBe(true);
    expect(node.replicas.get(20)!.stats()).toMatchObject({ writesInFlight: 1, writesWaiting: 1 });
    expect(node.replicas.first.stats()).toMatchObject({ writesInFlight: 1, writesWaiting: 0 });
    await Promise.all(puts);
    expect(relieved).toBe(1);
    expect(node.replicas.writes.congested).toBe(false);
  });
});
