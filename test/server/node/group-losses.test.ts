/** Groups of a node whose directory was taken away, or does not say what they began with: nothing begins anew, and nobody waits for what never comes. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeHarness } from './node-harness.ts';
import { LinkedNodes } from './linked-nodes.ts';
import { wholeTable } from '../../../server/shard/descriptor.ts';

const NODES: readonly number[] = [1, 2, 3];
const SHARD = 20;
const DIRECTORY = '/node/groups/000020';

describe('a group of which a node has lost files', () => {
  let cluster: LinkedNodes;
  const descriptor = wholeTable(SHARD, 5);
  let follower: number;

  beforeEach(async () => {
    cluster = new LinkedNodes({ checkpointBytes: 1024 });
    for (const node of NODES) await cluster.start(node, NODES);
    await Promise.all(NODES.map((node) => cluster.node(node).replicas.create(descriptor, NODES)));
    for (let i = 0; i < 20; i++) await put(`k${i}`);
    follower = NODES.find((node) => cluster.node(node) !== cluster.leaderOf(SHARD))!;
    await expect.poll(() => cluster.node(follower).get(SHARD, 'k19')).toBe('v'.repeat(200));
    await cluster.node(follower).replicas.get(SHARD)!.flush();
  });

  afterEach(() => cluster.close());

  async function put(key: string): Promise<void> {
    const again = (): Promise<boolean> =>
      cluster
        .leaderOf(SHARD)!
        .put(SHARD, key, 'v'.repeat(200))
        .then(
          () => true,
          () => false,
        );
    await expect.poll(() => cluster.leaderOf(SHARD) !== undefined && again()).toBe(true);
  }

  async function expectWhole(node: () => NodeHarness): Promise<void> {
    await put('after');
    await expect.poll(() => node().replicas.get(SHARD) !== undefined && node().get(SHARD, 'after')).toBe('v'.repeat(200));
    expect(node().get(SHARD, 'k0')).toBe('v'.repeat(200));
    expect(node().replicas.get(SHARD)!.shard.descriptor).toMatchObject({ shard: SHARD, table: 5 });
    expect(node().replicas.failures.size).toBe(0);
    expect(node().replicas.waiting.size).toBe(0);
  }

  function takeAway(node: number): void {
    const disk = cluster.disk(node);
    for (const directory of [`${DIRECTORY}/a/files`, `${DIRECTORY}/a`, DIRECTORY]) {
      for (const name of disk.listSync(directory))
        if (!['a', 'b', 'files', 'outgoing'].includes(name)) disk.unlinkSync(`${directory}/${name}`);
    }
  }

  it('does not begin it anew where its directory is gone, and gets it back when it is asked for', async () => {
    await cluster.stop(follower);
    takeAway(follower);
    const node = await cluster.start(follower, NODES);
    expect(node.replicas.get(SHARD)).toBeUndefined();
    // What it promised is in the node's log still: it is no new member.
    const { term } = node.log.group(SHARD).contents().hardState;
    expect(term).toBeGreaterThan(0);
    await expect(node.replicas.create(descriptor, NODES)).rejects.toMatchObject({ code: 'REPLICA_WAITS' });
    expect(node.log.group(SHARD).contents().hardState.term).toBe(term);
    await expectWhole(() => node);
  });

  it('gets it back where nothing says what it began with', async () => {
    await cluster.stop(follower);
    cluster.disk(follower).flip(`${DIRECTORY}/beginning`, 30);
    const node = await cluster.start(follower, NODES);
    await expectWhole(() => node);
  });

  it('gets it back, and removes nothing before, where only `current` is gone', async () => {
    await cluster.stop(follower);
    const disk = cluster.disk(follower);
    disk.unlinkSync(`${DIRECTORY}/current`);
    const files = disk.listSync(`${DIRECTORY}/a/files`);
    const node = await cluster.start(follower, NODES);
    expect(disk.listSync(`${DIRECTORY}/a/files`)).toEqual(files);
    await expect(node.replicas.create(descriptor, [])).rejects.toMatchObject({ code: 'REPLICA_WAITS' });
    await expectWhole(() => node);
  });

  it('gives up waiting for what nobody can give it any more, when it is to be destroyed', async () => {
    await cluster.stop(follower);
    cluster.disk(follower).flip(`${DIRECTORY}/current`, 20);
    for (const other of NODES) if (other !== follower) await cluster.node(other).replicas.destroy(SHARD);
    const node = await cluster.start(follower, NODES);
    expect([...node.replicas.waiting]).toMatchObject([[SHARD, { code: 'ENGINE_DAMAGED' }]]);
    await expect(node.replicas.create(descriptor, [])).rejects.toMatchObject({ code: 'REPLICA_WAITS' });
    await node.replicas.destroy(SHARD);
    expect([node.replicas.waiting.size, node.replicas.failures.size]).toEqual([0, 0]);
    await node.replicas.create(descriptor, []);
    expect(node.replicas.get(SHARD)!.members).toEqual([]);
  });
});
