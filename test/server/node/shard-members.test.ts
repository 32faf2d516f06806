/** Splits and merges of a shard with three members, of which some lag. */
import { afterEach, describe, expect, it } from 'vitest';
import {
  commitMerge,
  encodeWrite,
  importShard,
  NO_LIMIT,
  type Replica,
  retireShard,
  sealShard,
  splitShard,
  userKey,
} from '../../../server/node/index.ts';
import { LinkedNodes } from './linked-nodes.ts';
import type { NodeHarness } from './node-harness.ts';

const NODES: readonly number[] = [1, 2, 3];
const key = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

function keysOf(replica: Replica | undefined): string[] {
  if (replica === undefined) return [];
  return [...replica.engine.scanSync({ gte: Uint8Array.of(1), keysOnly: true })].map(([name]) => Buffer.from(userKey(name)).toString());
}

describe('a shard of three members', () => {
  let cluster: LinkedNodes;

  async function begin(logKeptBytesMax: number): Promise<void> {
    cluster = new LinkedNodes({ logKeptBytesMax });
    for (const node of NODES) await cluster.start(node, NODES);
  }

  afterEach(() => cluster.close());

  async function leaderOf(shard: number): Promise<NodeHarness> {
    await expect.poll(() => cluster.leaderOf(shard) !== undefined).toBe(true);
    return cluster.leaderOf(shard)!;
  }

  /** By whoever leads; again while nobody does. */
  async function put(shard: number, name: string): Promise<void> {
    await expect
      .poll(async () => {
        const replica = (await leaderOf(shard)).replicas.get(shard)!;
        const command = encodeWrite(
          undefined,
          [],
          [{ type: 'put', key: key(name), value: key(`${name} value`) }],
          replica.shard.descriptor.epoch,
        );
        return replica.propose(command, NO_LIMIT).then(
          ({ outcome }) => outcome,
          () => 'again',
        );
      })
      .toBe('applied');
  }

  async function split(shard: number, child: number, at: string): Promise<void> {
    const replica = (await leaderOf(shard)).replicas.get(shard)!;
    await splitShard(replica, { epoch: replica.shard.descriptor.epoch, child, at: { how: 'key', key: key(at) } }, NO_LIMIT);
  }

  async function expectAlike(shard: number, keys: readonly string[], nodes = NODES): Promise<void> {
    await expect.poll(() => nodes.map((node) => keysOf(cluster.node(node).replicas.get(shard)))).toEqual(nodes.map(() => keys));
  }

  it('is split on all of them, and the child is led where its parent is', async () => {
    await begin(1 << 20);
    for (const name of ['a', 'b', 'c', 'd']) await put(1, name);
    const before = await leaderOf(1);
    await split(1, 16, 'c');
    expect(await leaderOf(16)).toBe(before);
    await put(16, 'e');
    await put(1, 'aa');
    await expectAlike(1, ['a', 'aa', 'b']);
    await expectAlike(16, ['c', 'd', 'e']);
    const terms = NODES.map((node) => cluster.node(node).replicas.get(16)!.stats().configuration.voters);
    expect(terms).toEqual([NODES, NODES, NODES]);
  });

  it('makes the child of a member that was away when it comes to the split', async () => {
    await begin(1 << 20);
    for (const name of ['a', 'b', 'c', 'd']) await put(1, name);
    const leader = (await leaderOf(1)).replicas.get(1)!.stats().id;
    const away = NODES.find((node) => node !== leader)!;
    await cluster.stop(away);
    await split(1, 16, 'c');
    await split(16, 17, 'd');
    await put(16, 'cc');
    await put(17, 'e');
    await cluster.start(away, NODES);
    await expectAlike(1, ['a', 'b']);
    await expectAlike(16, ['c', 'cc']);
    await expectAlike(17, ['d', 'e']);
  });

  it('a member that is brought beyond the split by a snapshot has no child until it is told to have one', async () => {
    await begin(0);
    for (const name of ['a', 'b', 'c', 'd']) await put(1, name);
    const leading = (await leaderOf(1)).replicas.get(1)!;
    const away = NODES.find((node) => node !== leading.stats().id)!;
    await cluster.stop(away);
    await split(1, 16, 'c');
    await put(16, 'e');
    // Nothing of the log is kept for who lags.
    for (let i = 0; i < 3; i++) {
      await put(1, `b${i}`);
      (await leaderOf(1)).replicas.get(1)!.upkeep.releaseLog();
      await leading.flush();
    }
    await expect.poll(() => leading.stats().firstIndex > 10).toBe(true);
    const late = await cluster.start(away, NODES);
    await expectAlike(1, ['a', 'b', 'b0', 'b1', 'b2']);
    expect(late.replicas.get(1)!.stats().snapshotsInstalled).toBe(1);
    expect(late.replicas.get(16)).toBeUndefined();
    await late.replicas.create((await leaderOf(16)).replicas.get(16)!.shard.descriptor, []);
    await expectAlike(16, ['c', 'd', 'e']);
    await put(16, 'f');
    await expectAlike(16, ['c', 'd', 'e', 'f']);
  });

  it('takes in its neighbour on all of them', async () => {
    await begin(1 << 20);
    for (const name of ['a', 'b', 'c', 'd']) await put(1, name);
    await split(1, 16, 'c');
    for (let i = 0; i < 8; i++) await put(1, 'a');
    const leader = await leaderOf(1);
    await expect.poll(() => cluster.leaderOf(16) === leader).toBe(true);
    const [target, source] = [leader.replicas.get(1)!, leader.replicas.get(16)!];
    const sealed = await sealShard(source, 2, NO_LIMIT);
    const { session, entries } = await importShard(target, 2, source, sealed, NO_LIMIT);
    expect(entries).toBe(2);
    await retireShard(source, 2, sealed, NO_LIMIT);
    await commitMerge(target, 2, session, source.shard.descriptor, NO_LIMIT);
    await expectAlike(1, ['a', 'b', 'c', 'd']);
    await Promise.all(NODES.map((node) => cluster.node(node).replicas.destroy(16)));
    await put(1, 'e');
    await expectAlike(1, ['a', 'b', 'c', 'd', 'e']);
    const descriptors = NODES.map((node) => cluster.node(node).replicas.get(1)!.shard.descriptor);
    for (const descriptor of descriptors) expect(descriptor).toMatchObject({ epoch: 3, state: 'normal', keys: { end: undefined } });
  });
});
