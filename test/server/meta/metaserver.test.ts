import { afterEach, describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import {
  alterTable,
  createTable,
  dropTable,
  setDuty,
  setPolicy,
  startOperators,
  type TableSpec,
} from '../../../server/meta/changes/index.ts';
import { askMove, askSplit } from '../../../server/meta/placement/index.ts';
import type { OperatorRecord } from '../../../server/meta/operator.ts';
import { surveyShard } from '../../../server/gateway/meta-answers.ts';
import { failureOn, type Shard } from '../../../server/meta/shard.ts';
import type { ClusterState } from '../../../server/meta/state.ts';
import { membersOf } from '../../../server/raft/index.ts';
import { FIRST_SHARD } from '../../../server/shard/descriptor.ts';
import { MetaWorld } from './meta-world.ts';

let world: MetaWorld;
afterEach(() => world.close());

describe('the metaserver', () => {
  it('writes what a cluster begins with, and hears its nodes', async () => {
    await begin([1, 2, 3]);
    expect(world.written('')).toEqual([
      'counters',
      'lead',
      'node/0000000001',
      'node/0000000002',
      'node/0000000003',
      'shard/0000000001',
      'shard/0000000002',
      'table/0000000000',
      'table/0000000001',
    ]);
    expect(shard(FIRST_SHARD).leader).toBe(1);
    expect(world.nodes.get(3)!.nodes.map(({ node, address }) => [node, address])).toEqual([
      [1, 'node-1:1'],
      [2, 'node-2:1'],
      [3, 'node-3:1'],
    ]);
  });

  it('makes a table: its shards have replicas in all zones, and leaders', async () => {
    await begin([1, 2, 3]);
    await makeTable({ name: 'orders', partitioning: { kind: 'hash', shards: 4 } });
    const shards = state().shardsOf(table('orders'));
    expect(shards).toHaveLength(4);
    for (const { leader, record, hosts } of shards) {
      expect(leader).not.toBe(0);
      expect(record.replicas.map(({ node }) => node)).toEqual([1, 2, 3]);
      expect(ordered(hosts.keys())).toEqual([1, 2, 3]);
    }
  });

  it('refuses a table that is there already, and one that has no room, and writes nothing for them', async () => {
    await begin([1, 2, 3]);
    await makeTable({ name: 'orders' });
    const { version } = state().counters;
    await expect(change((now, ms) => createTable(now, { name: 'orders' }, 'test', ms))).rejects.toMatchObject({ code: 'TABLE_EXISTS' });
    await expect(change((now, ms) => createTable(now, { name: 'b', replicas: { voters: 5 } }, 'test', ms))).rejects.toMatchObject({
      code: 'TOO_FEW_NODES',
    });
    expect(state().counters.version).toBe(version);
  });

  it('moves a replica: the new one votes, the old one is destroyed', async () => {
    await begin([1, 2, 3]);
    await makeTable({ name: 'orders' });
    const [{ id }] = state().shardsOf(table('orders')) as [Shard];
    await joinNode(4, 'b');
    await move(id, 2, 4);
    expect(membersOf(world.groups.get(id)!.configuration)).toEqual([1, 3, 4]);
    expect(ordered(world.groups.get(id)!.hosts.keys())).toEqual([1, 3, 4]);
    expect(shard(id).record.byHand).toBe(false);
  });

  it('knows which replicas nodes cannot open, and why, whoever leads it, until they can', async () => {
    await begin([1, 2, 3]);
    await makeTable({ name: 'orders' });
    const [{ id, leader }] = state().shardsOf(table('orders')) as [Shard];
    const node = [1, 2, 3].find((each) => each !== leader && each !== world.metaLeader)!;
    const shown = (): unknown => {
      const { role, failedBecause } = surveyShard(shard(id)).replicas.find((replica) => replica.node === node)!;
      return { role, failedBecause };
    };
    expect(shown()).toEqual({ role: 'follower', failedBecause: '' });
    const { unopened } = world.nodes.get(node)!;
    unopened.set(id, 'permission denied');
    await world.until(() => failureOn(shard(id), node) !== undefined, 5_000);
    expect(shown()).toEqual({ role: 'failed', failedBecause: 'permission denied' });
    expect([...state().ailing('failed')].map((each) => each.id)).toEqual([id]);
    unopened.set(id, 'the disk is full');
    await world.until(() => failureOn(shard(id), node)!.why === 'the disk is full', 5_000, 'the new reason');
    world.leadMeta([1, 2, 3].find((each) => each !== world.metaLeader)!);
    await ready();
    expect(shown()).toEqual({ role: 'failed', failedBecause: 'the disk is full' });
    await world.scheduler.advance(20_000);
    expect(state().running.size, 'it is not taken for one that is not there').toBe(0);
    unopened.delete(id);
    await world.until(() => failureOn(shard(id), node) === undefined, 5_000);
    expect(shown()).toEqual({ role: 'follower', failedBecause: '' });
    expect(state().ailing('failed').size).toBe(0);
  });

  it('splits a shard: the child is known by what is reported of it', async () => {
    await begin([1, 2, 3]);
    await makeTable({ name: 'orders', partitioning: { kind: 'hash', shards: 1 } });
    const [{ id }] = state().shardsOf(table('orders')) as [Shard];
    const operator = await ask((now, ms) => askSplit(now, id, undefined, ms));
    await ended(operator);
    const shards = state().shardsOf(table('orders'));
    expect(shards.map(({ record }) => record.descriptor.keys)).toEqual([
      { kind: 'hash', bits: 1, index: 0 },
      { kind: 'hash', bits: 1, index: 1 },
    ]);
    expect(shards.map(({ record }) => record.descriptor.epoch)).toEqual([2, 2]);
  });

  it('goes on with a move when its leader fails, whichever step it is at', async () => {
    for (let at = 0; at < 6; at++) {
      await begin([1, 2, 3]);
      await makeTable({ name: 'orders' });
      const [{ id }] = state().shardsOf(table('orders')) as [Shard];
      await joinNode(4, 'b');
      const operator = await ask((now, ms) => askMove(now, id, 2, 4, ms));
      await world.until(() => (state().operators.get(operator)?.at ?? 0) >= Math.min(at, operatorOf(operator).steps.length - 1), 30_000);
      world.leadMeta(world.metaLeader === 1 ? 3 : 1);
      await ready();
      await ended(operator);
      expect(membersOf(world.groups.get(id)!.configuration), `step ${at}`).toEqual([1, 3, 4]);
      expect(ordered(world.groups.get(id)!.hosts.keys())).toEqual([1, 3, 4]);
      world.close();
    }
  });

  it('keeps tables to their quotas when another node leads, also before it has heard everybody', async () => {
    await begin([1, 2, 3]);
    const quotas = { bytes: 0, readsPerSecond: 300, writesPerSecond: 0 };
    await makeTable({ name: 'orders', partitioning: { kind: 'hash', shards: 4 }, quotas });
    const told = (): number => [...world.nodes.values()].reduce((sum, { shares }) => sum + (shares[0]?.readShare ?? 0), 0);
    await world.until(() => [...world.nodes.values()].every(({ shares }) => shares.length === 1), 5_000, 'shares');
    expect(told()).toBeCloseTo(300, 0);
    const late = world.nodes.get(3)!;
    late.cutFromLeader = true;
    world.leadMeta(2);
    await world.until(() => world.lead.attending === 2, 20_000, 'the others');
    for (let i = 0; i < 30; i++) {
      await world.scheduler.advance(100);
      expect(told()).toBeLessThanOrEqual(300);
    }
    late.cutFromLeader = false;
    await ready();
    await world.until(() => state().tables.get(table('orders')) !== undefined && told() > 299, 5_000, 'shares again');
    await change((now, ms) => alterTable(now, 'orders', { quotas: { ...quotas, readsPerSecond: 30 } }, ms));
    await world.until(() => told() <= 30, 5_000, 'new shares');
  });

  it('goes on with a table that is being made when its leader fails after each order', async () => {
    for (let orders = 1; orders <= 6; orders++) {
      await begin([1, 2, 3]);
      let left = orders;
      world.beforeOrder = () => {
        if (--left === 0) world.leadMeta(2);
      };
      const made = change((now, ms) => createTable(now, { name: 'orders', partitioning: { kind: 'hash', shards: 2 } }, 'test', ms));
      await world.scheduler.until(made);
      await world.until(() => world.metaLeader === 2 && ledShards('orders') === 2, 30_000, `leaders after order ${orders}`);
      await world.until(() => state().running.size === 0, 30_000);
      expect([...world.groups.values()].filter(({ descriptor }) => descriptor.table === table('orders'))).toHaveLength(2);
      world.close();
    }
  });

  it('does not mind orders that come twice, and streams that break all the time', async () => {
    await begin([1, 2, 3]);
    world.twice = true;
    await joinNode(4, 'b');
    const made = change((now, ms) => createTable(now, { name: 'orders', partitioning: { kind: 'hash', shards: 4 } }, 'test', ms));
    await world.scheduler.until(made);
    for (let i = 0; i < 20; i++) {
      await world.scheduler.advance(137);
      world.breakStreams();
    }
    await world.until(() => ledShards('orders') === 4 && state().running.size === 0, 60_000);
    const [{ id, record }] = state().shardsOf(table('orders')) as [Shard];
    const from = record.replicas[0]!;
    const to = [1, 2, 3, 4].find((node) => !record.replicas.some((replica) => replica.node === node))!;
    const sameZone = world.nodes.get(from.node)!.zone === world.nodes.get(to)!.zone;
    const victim = sameZone ? from.node : record.replicas.find(({ node }) => world.nodes.get(node)!.zone === 'b')!.node;
    const operator = await ask((now, ms) => askMove(now, id, victim, to, ms));
    for (let i = 0; i < 10; i++) {
      await world.scheduler.advance(61);
      world.breakStreams();
    }
    await ended(operator);
    expect(membersOf(world.groups.get(id)!.configuration)).toContain(to);
    expect(membersOf(world.groups.get(id)!.configuration)).not.toContain(victim);
  });

  it('does nothing more with what a leader that was replaced had in hand', async () => {
    await begin([1, 2, 3]);
    const old = world.lead;
    const pending = old.change((now, ms) => createTable(now, { name: 'late' }, 'test', ms));
    world.leadMeta(2);
    await expect(world.scheduler.until(pending)).rejects.toMatchObject({ code: 'META_LEAD_LOST' });
    await ready();
    expect(state().tableNamed('late')).toBeUndefined();
    await expect(world.scheduler.until(old.view(() => 1))).rejects.toMatchObject({ code: 'META_LEAD_LOST' });
  });

  it('suspects a node that nobody reaches, gives it up in time, and makes its replicas anew', async () => {
    await begin([1, 2, 3], ['a', 'b', 'c']);
    await policy({ suspectAfterMs: 1000, probeMs: 200, downAfterMs: 3000 });
    await makeTable({ name: 'orders', partitioning: { kind: 'hash', shards: 2 } });
    await joinNode(4, 'c');
    world.kill(3);
    await world.until(() => state().nodes.get(3)!.record.health === 'suspect', 10_000, 'suspicion');
    await world.until(() => state().nodes.get(3)!.record.health === 'down', 10_000, 'giving up');
    await world.until(
      () =>
        state()
          .shardsOf(table('orders'))
          .every(({ record }) => members(record) === '1,2,4'),
      60_000,
      'repair',
    );
    // It comes back, and its replicas are of no use to anybody.
    world.restart(3);
    await world.until(() => state().nodes.get(3)!.record.health === 'up', 10_000, 'return');
    const ids = state()
      .shardsOf(table('orders'))
      .map(({ id }) => id);
    await world.until(
      () => ids.every((id) => !world.groups.get(id)!.hosts.has(3) || members(shard(id).record).includes('3')),
      60_000,
      'tidying',
    );
    // It is empty by then, and balance may move something to it.
    await world.until(() => ids.every((id) => world.groups.get(id)!.hosts.size === 3), 60_000, 'three replicas of each');
    for (const id of ids) expect(members(shard(id).record)).toMatch(/^1,2,[34]$/);
  });

  it('does not suspect a node that others reach', async () => {
    await begin([1, 2, 3]);
    await policy({ suspectAfterMs: 1000, probeMs: 200, downAfterMs: 2000 });
    const cut = world.metaLeader === 3 ? 2 : 3;
    world.nodes.get(cut)!.cutFromLeader = true;
    world.breakStreams();
    await world.scheduler.advance(15_000);
    expect(state().nodes.get(cut)!.record.health).toBe('up');
    world.nodes.get(cut)!.cutFromLeader = false;
    world.kill(cut);
    await world.until(() => state().nodes.get(cut)!.record.health !== 'up', 10_000, 'suspicion');
  });

  it('a node that comes back in time finds its replicas as they were', async () => {
    await begin([1, 2, 3]);
    await policy({ suspectAfterMs: 1000, probeMs: 200, downAfterMs: 60_000 });
    await makeTable({ name: 'orders', partitioning: { kind: 'hash', shards: 2 } });
    await joinNode(4, 'c');
    await world.until(() => state().running.size === 0, 30_000);
    world.kill(2);
    await world.until(() => state().nodes.get(2)!.record.health === 'suspect', 10_000);
    const before = state().counters.nextOperator;
    world.restart(2);
    await world.until(() => state().nodes.get(2)!.record.health === 'up', 10_000);
    await world.scheduler.advance(5000);
    const copies = [...state().operators.values()].filter(({ id, steps }) => id >= before && steps.some(({ type }) => type === 'catch-up'));
    expect(copies).toEqual([]);
  });

  it('a node that drains loses its replicas, and gets some again when that is over', async () => {
    await begin([1, 2, 3]);
    await joinNode(4, 'c');
    await makeTable({ name: 'orders', partitioning: { kind: 'hash', shards: 2 } });
    await world.until(() => state().running.size === 0, 30_000);
    await change((now) => setDuty(now, 3, 'draining'));
    await world.until(() => state().nodes.get(3)!.shards.size === 0 && state().running.size === 0, 120_000, 'draining');
    expect([...world.groups.values()].filter(({ hosts }) => hosts.has(3))).toEqual([]);
    await change((now) => setDuty(now, 3, 'active'));
    expect(state().nodes.get(3)!.record.duty).toBe('active');
  });

  it('a node that is decommissioned is told to nobody any more, and does not come back', async () => {
    await begin([1, 2, 3]);
    await joinNode(4, 'c');
    await joinNode(5, 'c');
    await change((now) => setDuty(now, 4, 'decommissioning'));
    await world.until(() => state().nodes.get(4)!.record.duty === 'decommissioned', 60_000, 'the end of node 4');
    await world.until(() => !world.nodes.get(1)!.nodes.some(({ node }) => node === 4), 10_000);
    world.kill(4);
    world.restart(4);
    await world.scheduler.advance(3000);
    expect(world.nodes.get(4)!.attendance!.attending).toBeUndefined();
  });

  it('a node that has lost its directory is ordered nothing under its old id, whoever leads, and is not heard', async () => {
    await begin([1, 2, 3]);
    await joinNode(4, 'c');
    await makeTable({ name: 'orders', replicas: { voters: 3 } });
    const [{ id }] = state().shardsOf(table('orders')) as [Shard];
    if (!membersOf(world.groups.get(id)!.configuration).includes(4)) await move(id, 3, 4);
    world.kill(4);
    const group = world.groups.get(id)!;
    group.hosts.delete(4);
    const node = world.nodes.get(4)!;
    node.directoryId = 'another';
    world.restart(4);
    const ordered = node.ordered.length;
    const heardAtMs = state().nodes.get(4)!.heardAtMs;
    await world.scheduler.advance(15_000);
    expect(state().nodes.get(4)!.heardAtMs).toBe(heardAtMs);
    world.leadMeta(2);
    await world.until(() => world.lead.state?.nodes.get(1)?.load !== undefined, 10_000);
    await world.scheduler.advance(15_000);
    expect(state().nodes.get(4)!.load).toBeUndefined();
    expect(node.attendance!.attending).toBeUndefined();
    expect(node.ordered).toHaveLength(ordered);
    expect([...group.hosts.keys()]).not.toContain(4);
  });

  it('leaves a shard alone whose members were changed by hand', async () => {
    await begin([1, 2, 3]);
    await joinNode(4, 'c');
    const group = world.groups.get(FIRST_SHARD)!;
    group.hosts.set(4, world.scheduler.nowMs);
    group.configuration = { ...group.configuration, learners: [4] };
    group.lastIndex++;
    await world.until(() => shard(FIRST_SHARD).record.byHand, 10_000, 'the mark');
    group.configuration = { ...group.configuration, voters: [1, 2, 3, 4], learners: [] };
    group.lastIndex++;
    await world.scheduler.advance(10_000);
    expect(membersOf(group.configuration)).toEqual([1, 2, 3, 4]);
    expect(group.hosts.has(4)).toBe(true);
  });

  it('tells shards of a table what is altered', async () => {
    await begin([1, 2, 3]);
    await makeTable({ name: 'orders', partitioning: { kind: 'hash', shards: 2 } });
    await change((now) => alterTable(now, 'orders', { inlineThreshold: 5000 }, 0));
    await world.until(
      () =>
        state()
          .shardsOf(table('orders'))
          .every(({ record }) => record.descriptor.inlineThreshold === 5000),
      30_000,
      'telling',
    );
    const told = [...world.groups.values()].filter(({ descriptor }) => descriptor.table === table('orders'));
    expect(told.map(({ descriptor }) => [descriptor.inlineThreshold, descriptor.epoch])).toEqual([
      [5000, 1],
      [5000, 1],
    ]);
  });

  it('destroys a dropped table when it can be had back no longer', async () => {
    await begin([1, 2, 3]);
    await makeTable({ name: 'orders', partitioning: { kind: 'hash', shards: 2 } });
    const ids = state()
      .shardsOf(table('orders'))
      .map(({ id }) => id);
    await change((now, ms) => dropTable(now, 'orders', ms, 2000));
    expect(state().tableNamed('orders')).toBeUndefined();
    expect(ids.every((id) => world.groups.get(id)!.hosts.size === 3)).toBe(true);
    await world.until(() => ids.every((id) => world.groups.get(id)!.hosts.size === 0), 60_000, 'destruction');
    await world.until(() => state().tables.size === 2, 10_000, 'forgetting');
    expect(world.written('shard/')).toHaveLength(2);
  });

  it('gives timestamps that only grow, over leaders', async () => {
    await begin([1, 2, 3]);
    let last = 0;
    for (let i = 0; i < 6; i++) {
      for (const count of [1, 1000, 1_000_000]) {
        const first = await world.scheduler.until(world.lead.timestamps(count));
        expect(first).toBeGreaterThan(last);
        last = first + count - 1;
      }
      world.leadMeta((world.metaLeader % 3) + 1);
      await ready();
    }
    expect(Number.isSafeInteger(last)).toBe(true);
  });

  it('gives no timestamp when another node leads, though it has not heard of it', async () => {
    await begin([1, 2, 3]);
    const old = world.lead;
    await world.scheduler.until(old.timestamps(1));
    world.deposeMeta(2);
    await world.until(() => world.nodes.get(2)!.metaserver!.lead?.state !== undefined, 10_000, 'the beginning of its successor');
    await world.scheduler.until(world.lead.timestamps(1000));
    expect(old.state).toBeDefined();
    await expect(world.scheduler.until(old.timestamps(1))).rejects.toMatchObject({ code: 'NOT_LEADER', details: { applied: false } });
  });

  it('gives no timestamp that was asked for before another node led, when it is told only then', async () => {
    await begin([1, 2, 3]);
    const old = world.lead;
    const asked = old.timestamps(1);
    world.leadMeta(2);
    await expect(world.scheduler.until(asked)).rejects.toBeInstanceOf(SparrowError);
  });
});

function ordered(ids: Iterable<number>): number[] {
  return [...ids].sort((a, b) => a - b);
}

async function begin(voters: readonly number[], zones: readonly string[] = ['a', 'b', 'c']): Promise<void> {
  world = new MetaWorld(voters, zones);
  world.leadMeta(1);
  await ready();
}

/** The leader has read what there is, and all nodes that are up attend. */
async function ready(): Promise<void> {
  await world.until(
    () => {
      const now = world.lead.state;
      if (now === undefined) return false;
      return [...world.nodes.values()].every(({ id, up }) => !up || now.nodes.get(id)?.load !== undefined);
    },
    30_000,
    'a beginning',
  );
}

async function joinNode(id: number, zone: string): Promise<void> {
  world.join(id, zone);
  await world.until(() => state().nodes.get(id)?.load !== undefined, 10_000, `node ${id}`);
}

function state(): ClusterState {
  const now = world.lead.state;
  if (now === undefined) throw new Error('the leader has not begun');
  return now;
}

function shard(id: number): Shard {
  return state().shards.get(id)!;
}

function table(name: string): number {
  return state().tableNamed(name)!.id;
}

function members({ replicas }: Shard['record']): string {
  return replicas.map(({ node }) => node).join();
}

function ledShards(name: string): number {
  const now = world.lead.state;
  const found = now?.tableNamed(name);
  return found === undefined ? 0 : now!.shardsOf(found.id).filter(({ leader }) => leader !== 0).length;
}

function change<T>(make: Parameters<typeof world.lead.change<T>>[0]): Promise<T> {
  const made = world.lead.change(make);
  return world.scheduler.until(made);
}

async function policy(fields: Parameters<typeof setPolicy>[1]): Promise<void> {
  await change((now) => setPolicy(now, fields));
}

async function makeTable(spec: TableSpec): Promise<void> {
  await change((now, ms) => createTable(now, spec, 'test', ms));
  const shards = spec.partitioning?.kind === 'hash' ? spec.partitioning.shards : 1;
  await world.until(() => ledShards(spec.name) === shards, 30_000, 'leaders of all shards');
  await world.until(() => state().running.size === 0, 30_000, 'the end of all operators');
}

async function ask(propose: (now: ClusterState, ms: number) => ReturnType<typeof askMove>): Promise<number> {
  await world.until(() => state().running.size === 0, 30_000);
  const [operator] = await change((now, ms) => startOperators(now, [propose(now, ms)], 'test', ms));
  return operator!.id;
}

async function move(id: number, from: number, to: number): Promise<void> {
  await ended(await ask((now, ms) => askMove(now, id, from, to, ms)));
}

function operatorOf(id: number): OperatorRecord {
  return state().operators.get(id)!;
}

async function ended(operator: number): Promise<void> {
  await world.until(
    () => world.lead.state?.operators.get(operator)?.state !== 'running' && world.lead.state !== undefined,
    60_000,
    'the end of an operator',
  );
  expect(operatorOf(operator)).toMatchObject({ state: 'done' });
}
