import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeScheduler } from '../../../base/node/index.ts';
import type { Order, OrderOutcome } from '../../../server/meta/orders.ts';
import { NO_LIMIT, type Replica, retireShard } from '../../../server/node/index.ts';
import type { ConfigurationChange } from '../../../server/raft/index.ts';
import { type ShardDescriptor, wholeTable } from '../../../server/shard/descriptor.ts';
import { NodeAgent } from '../../../server/shard/node-agent.ts';
import { LinkedNodes } from '../node/linked-nodes.ts';

const DESCRIPTOR: ShardDescriptor = { ...wholeTable(16, 5), epoch: 3 };
const DONE: OrderOutcome = { outcome: 'done' };
const change = (...members: (ConfigurationChange & { type: 'simple' })['members']): Order => ({
  type: 'change-members',
  shard: 16,
  change: { type: 'simple', members },
});

describe('the orders of the metaserver', () => {
  let cluster: LinkedNodes;
  let agents: Map<number, NodeAgent>;

  async function start(node: number): Promise<void> {
    const { replicas } = await cluster.start(node, node === 1 ? [1] : []);
    agents.set(node, new NodeAgent({ replicas, scheduler: new NodeScheduler(), reachable: (id) => cluster.isReachable(id) }));
  }

  const order = (node: number, given: Order): Promise<OrderOutcome> => agents.get(node)!.execute({ id: 'o', order: given });
  const leaderOf = (shard: number): number => cluster.leaderOf(shard)?.replicas.get(shard)?.stats().id ?? 0;

  /** To whoever leads, until it is done; as the metaserver does. */
  async function ordered(given: Order, shard = 16): Promise<void> {
    let outcome: OrderOutcome | undefined;
    await expect
      .poll(async () => {
        const leader = leaderOf(shard);
        if (leader === 0) return 'no leader';
        outcome = await order(leader, given);
        return outcome.outcome === 'done' ? 'done' : outcome.again ? 'again' : `${outcome.code}: ${outcome.message}`;
      })
      .toBe('done');
  }

  async function made(nodes: readonly number[]): Promise<void> {
    const create: Order = { type: 'create-replica', descriptor: DESCRIPTOR, voters: nodes };
    expect(await Promise.all(nodes.map((node) => order(node, create)))).toEqual(nodes.map(() => DONE));
    await expect.poll(() => leaderOf(16)).toBeGreaterThan(0);
  }

  /** Shard 16 with `a`, and its child 17, whose descriptor it is, with `z`; each key's value is itself. */
  async function divided(): Promise<ShardDescriptor> {
    await made([1, 2, 3]);
    for (const key of ['a', 'z']) await cluster.leaderOf(16)!.put(16, key, key, 3);
    await ordered({ type: 'split', shard: 16, epoch: 3, child: 17, at: { kind: 'key', key: Buffer.from('m') } });
    await expect.poll(() => leaderOf(17)).toBeGreaterThan(0);
    return cluster.leaderOf(17)!.replicas.get(17)!.shard.descriptor;
  }

  beforeEach(async () => {
    cluster = new LinkedNodes();
    agents = new Map();
    for (const node of [1, 2, 3, 4]) await start(node);
  });

  afterEach(() => cluster.close());

  it('make a shard, move it to another node, and take it away where it was', async () => {
    await made([1, 2, 3]);
    await cluster.leaderOf(16)!.put(16, 'a', 'kept', 3);
    expect(await order(4, { type: 'create-replica', descriptor: DESCRIPTOR, voters: [] })).toEqual(DONE);
    for (const type of ['make-learner', 'make-voter'] as const) {
      await ordered(change({ type, id: 4 }));
      // What is so already is done.
      await ordered(change({ type, id: 4 }));
    }
    const from = leaderOf(16);
    await ordered({ type: 'transfer', shard: 16, to: 4 });
    expect(leaderOf(16)).toBe(4);
    await ordered({ type: 'transfer', shard: 16, to: 4 });
    for (const type of ['make-learner', 'remove'] as const) await ordered(change({ type, id: from }));
    const destroy: Order = { type: 'destroy-replica', shard: 16 };
    expect([await order(from, destroy), await order(from, destroy)]).toEqual([DONE, DONE]);
    expect(cluster.node(from).replicas.get(16)).toBeUndefined();
    expect(cluster.node(4).get(16, 'a')).toBe('kept');
    expect(cluster.node(4).replicas.get(16)!.shard.descriptor).toEqual(DESCRIPTOR);
    // Orders of before come late.
    expect(await order(from, { type: 'create-replica', descriptor: DESCRIPTOR, voters: [1, 2, 3] })).toMatchObject({
      outcome: 'refused',
      code: 'SHARD_DESTROYED',
      again: false,
    });
    // It may be taken in again, and stays with what it promised.
    const { term } = cluster.node(from).log.group(16).contents().hardState;
    expect(term).toBeGreaterThan(0);
    expect(await order(from, { type: 'create-replica', descriptor: DESCRIPTOR, voters: [] })).toEqual(DONE);
    expect(cluster.node(from).replicas.get(16)!.stats().term).toBeGreaterThanOrEqual(term);
    await ordered(change({ type: 'make-learner', id: from }));
    await expect.poll(() => cluster.node(from).replicas.get(16)!.applied > 0 && cluster.node(from).get(16, 'a')).toBe('kept');
  });

  it('are tried again where the disk has no room for now', async () => {
    const create: Order = { type: 'create-replica', descriptor: DESCRIPTOR, voters: [1] };
    const disk = cluster.disk(1);
    disk.capacityBytes = 0;
    expect(await order(1, create)).toMatchObject({
      outcome: 'refused',
      again: true,
      message: expect.stringMatching(/ENOSPC|room|full/) as string,
    });
    disk.capacityBytes = Infinity;
    expect(await order(1, create)).toEqual(DONE);
    await expect.poll(() => leaderOf(16)).toBe(1);
    expect(cluster.node(1).replicas.failures.size).toBe(0);
  });

  it('are refused by whoever does not lead, with who does, and where there is no replica', async () => {
    await made([1, 2, 3]);
    const leader = leaderOf(16);
    const other = [1, 2, 3].find((node) => node !== leader)!;
    await expect.poll(() => cluster.node(other).replicas.get(16)!.stats().leader).toBe(leader);
    for (const given of [change({ type: 'make-learner', id: 4 }), { type: 'seal', shard: 16 }] as const)
      expect(await order(other, given)).toMatchObject({ outcome: 'refused', code: 'NOT_LEADER', again: true, leader });
    expect(await order(4, { type: 'seal', shard: 16 })).toMatchObject({ outcome: 'refused', code: 'NO_REPLICA', again: true, leader: 0 });
    expect(await order(leader, { type: 'transfer', shard: 16, to: 9 })).toMatchObject({
      outcome: 'refused',
      code: 'NO_VOTER',
      again: false,
    });
  });

  it('a learner that has nothing yet gets no vote, and the last majority is not given away', async () => {
    await made([1, 2, 3]);
    // Nobody takes it in: there is no replica on node 4.
    await ordered(change({ type: 'make-learner', id: 4 }));
    expect(await order(leaderOf(16), change({ type: 'make-voter', id: 4 }))).toMatchObject({
      outcome: 'refused',
      code: 'NOT_CAUGHT_UP',
      again: true,
    });
    const leader = leaderOf(16);
    const [one, two] = [1, 2, 3].filter((node) => node !== leader);
    await cluster.stop(one!);
    expect(await order(leader, change({ type: 'make-learner', id: two! }))).toMatchObject({
      outcome: 'refused',
      code: 'NO_MAJORITY_AFTER',
      again: true,
    });
  });

  it('split a shard at a key, or in its middle, and merge it again', async () => {
    await made([1, 2, 3]);
    const leader = (): ReturnType<LinkedNodes['node']> => cluster.leaderOf(16)!;
    for (let i = 0; i < 40; i++) await leader().put(16, `key ${String(i).padStart(2, '0')}`, 'v'.repeat(200), 3);
    await ordered({ type: 'split', shard: 16, epoch: 3, child: 17, at: { kind: 'middle' } });
    await ordered({ type: 'split', shard: 16, epoch: 3, child: 17, at: { kind: 'middle' } });
    await expect.poll(() => [1, 2, 3].every((node) => cluster.node(node).replicas.get(17) !== undefined)).toBe(true);
    await expect.poll(() => leaderOf(17)).toBeGreaterThan(0);
    const [parent, child] = [16, 17].map((shard) => cluster.leaderOf(shard)!.replicas.get(shard)!.shard.descriptor);
    expect([parent!.epoch, child!.epoch]).toEqual([4, 4]);
    if (parent!.keys.kind !== 'range' || child!.keys.kind !== 'range') throw new Error('a range is divided into ranges');
    const at = Number(Buffer.from(child!.keys.start).toString().slice(4));
    expect(Buffer.compare(parent!.keys.end!, child!.keys.start)).toBe(0);
    // About half.
    expect(at).toBeGreaterThan(10);
    expect(at).toBeLessThan(30);
    expect(cluster.leaderOf(17)!.get(17, 'key 39')).toBe('v'.repeat(200));

    // The leader of the target has a replica of the source; both are on all three.
    await ordered({ type: 'seal', shard: 17 }, 17);
    await expect(cluster.leaderOf(17)!.put(17, 'key 39', 'late')).rejects.toThrow('sealed');
    const absorb = (commit: boolean): Order => ({ type: 'absorb', shard: 16, source: child!, commit });
    expect(await order(leaderOf(16), absorb(true))).toMatchObject({ outcome: 'refused', code: 'MERGE_ORDER', again: true });
    await ordered(absorb(false));
    await ordered(absorb(false));
    await ordered({ type: 'retire', shard: 17, into: 16 }, 17);
    await ordered(absorb(true));
    await ordered(absorb(true));
    const merged = cluster.leaderOf(16)!.replicas.get(16)!.shard.descriptor;
    expect(merged.epoch).toBe(5);
    expect(merged.keys).toMatchObject({ kind: 'range', end: undefined });
    for (let i = 0; i < 40; i++) expect(leader().get(16, `key ${String(i).padStart(2, '0')}`)).toBe('v'.repeat(200));
  });

  it('retire no shard that was written since it was imported, by whatever orders came late', async () => {
    const source = await divided();
    const retire: Order = { type: 'retire', shard: 17, into: 16 };
    expect(await order(leaderOf(17), retire)).toMatchObject({ outcome: 'refused', code: 'NOT_IMPORTED', again: false });
    await ordered({ type: 'seal', shard: 17 }, 17);
    await ordered({ type: 'absorb', shard: 16, source, commit: false });
    await ordered({ type: 'unseal', shard: 17 }, 17);
    expect(await order(leaderOf(17), retire)).toMatchObject({ outcome: 'refused', again: false });
    await cluster.leaderOf(17)!.put(17, 'z', 'since');
    await ordered({ type: 'seal', shard: 17 }, 17);
    expect(await order(leaderOf(17), retire)).toMatchObject({ outcome: 'refused', code: 'OTHER_SESSION', again: false });
    expect(cluster.leaderOf(17)!.get(17, 'z')).toBe('since');
    await ordered({ type: 'absorb', shard: 16, source, commit: false });
    await ordered(retire, 17);
    await ordered(retire, 17);
    await ordered({ type: 'absorb', shard: 16, source, commit: true });
    expect(cluster.leaderOf(16)!.get(16, 'z')).toBe('since');
  });

  it('copy again what a late order made a target give up, or lack, after its source was retired', async () => {
    const source = await divided();
    const target = (): Replica => cluster.leaderOf(16)!.replicas.get(16)!;
    const absorb = (commit: boolean): Order => ({ type: 'absorb', shard: 16, source, commit });
    await ordered({ type: 'seal', shard: 17 }, 17);
    await ordered(absorb(false));
    const { sealed } = target().shard.imported!;
    await ordered({ type: 'unseal', shard: 17 }, 17);
    await cluster.leaderOf(17)!.put(17, 'z', 'since');
    await ordered({ type: 'seal', shard: 17 }, 17);
    // Whole, and of before: as an import that came late would leave it.
    expect(await order(leaderOf(16), absorb(true))).toMatchObject({ outcome: 'refused', code: 'MERGE_ORDER', again: true });
    expect(target().shard.imported!.sealed).toBe(sealed);
    const retired = cluster.leaderOf(17)!.replicas.get(17)!;
    await retireShard(retired, retired.shard.descriptor.epoch, retired.shard.sealed!, NO_LIMIT);
    await ordered(absorb(true));
    expect(cluster.leaderOf(16)!.get(16, 'z')).toBe('since');
    expect(target().shard.importing).toBeUndefined();
    await ordered({ type: 'forget', shard: 16, source });
    await ordered(absorb(true));
    expect(cluster.leaderOf(16)!.get(16, 'z')).toBe('since');
  });

  it('copy again what was given up after its source was retired', async () => {
    const source = await divided();
    await ordered({ type: 'seal', shard: 17 }, 17);
    await ordered({ type: 'absorb', shard: 16, source, commit: false });
    await ordered({ type: 'retire', shard: 17, into: 16 }, 17);
    await ordered({ type: 'forget', shard: 16, source });
    expect(cluster.leaderOf(16)!.replicas.get(16)!.shard.imported).toBeUndefined();
    for (let twice = 0; twice < 2; twice++) await ordered({ type: 'absorb', shard: 16, source, commit: true });
    for (const key of ['a', 'z']) expect(cluster.leaderOf(16)!.get(16, key)).toBe(key);
  });

  it('tell a shard the settings of its table, and leave its keys and epoch alone', async () => {
    await made([1, 2, 3]);
    const told: ShardDescriptor = { ...DESCRIPTOR, epoch: 99, inlineThreshold: 2048, ttlMs: 5000 };
    for (let twice = 0; twice < 2; twice++) await ordered({ type: 'describe', descriptor: told });
    expect(cluster.leaderOf(16)!.replicas.get(16)!.shard.descriptor).toEqual({ ...DESCRIPTOR, inlineThreshold: 2048, ttlMs: 5000 });
    const before = cluster.leaderOf(16)!.replicas.get(16)!.applied;
    await ordered({ type: 'describe', descriptor: told });
    expect(cluster.leaderOf(16)!.replicas.get(16)!.applied).toBe(before);
  });

  it('tell a shard that its table is dropped, and that it is back', async () => {
    await made([1, 2, 3]);
    const now = (): ShardDescriptor => cluster.leaderOf(16)!.replicas.get(16)!.shard.descriptor;
    await ordered({ type: 'describe', descriptor: { ...DESCRIPTOR, dropped: true } });
    expect(now()).toEqual({ ...DESCRIPTOR, dropped: true });
    await ordered({ type: 'describe', descriptor: DESCRIPTOR });
    expect(now()).toEqual(DESCRIPTOR);
  });

  it('come before a replica does: what it is told meanwhile waits for it', async () => {
    const create: Order = { type: 'create-replica', descriptor: DESCRIPTOR, voters: [1, 2] };
    expect(await order(1, create)).toEqual(DONE);
    // It asks for votes where nobody is yet.
    await expect.poll(() => cluster.node(2).host.messagesHeld).toBeGreaterThan(0);
    expect(await order(2, create)).toEqual(DONE);
    expect(cluster.node(2).host.messagesHeld).toBe(0);
    await expect.poll(() => leaderOf(16)).toBeGreaterThan(0);
  });

  it('of a merge are taken back before the source is retired', async () => {
    const source = await divided();
    expect(await order(leaderOf(16), { type: 'absorb', shard: 16, source, commit: false })).toMatchObject({
      code: 'MERGE_ORDER',
      again: true,
    });
    await ordered({ type: 'seal', shard: 17 }, 17);
    await ordered({ type: 'absorb', shard: 16, source, commit: false });
    for (let twice = 0; twice < 2; twice++) {
      await ordered({ type: 'forget', shard: 16, source });
      await ordered({ type: 'unseal', shard: 17 }, 17);
    }
    await cluster.leaderOf(17)!.put(17, 'z', 'again');
    expect(cluster.leaderOf(16)!.replicas.get(16)!.shard.importing).toBeUndefined();
    expect(cluster.leaderOf(16)!.get(16, 'z')).toBeUndefined();
  });
});
