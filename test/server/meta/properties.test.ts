/**
 * Whatever happens to a cluster: rules hold, nothing that somebody counts on is destroyed, indices are what they would be if made anew, and when nothing
 * happens any more the cluster comes to rest within its rules.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cancelOperator } from '../../../server/meta/changes/index.ts';
import type { Cluster } from '../../../server/meta/cluster.ts';
import { plan, stepText } from '../../../server/meta/placement/index.ts';
import { AILMENTS, SIZE_CLASSES } from '../../../server/meta/shard.ts';
import { hasQuorum, membersOf } from '../../../server/raft/index.ts';
import { checkKeys, checkRules, checkSafety } from './checks.ts';
import { type Group, World } from './world.ts';

const MIB = 2 ** 20;
const POLICY = { downAfterMs: 60_000, mergeGuardMs: 120_000, balanceBytesMin: 32 * MIB, balanceTrafficMin: 1000, settleMs: 5000 };

type Event =
  | { readonly kind: 'kill' | 'revive' | 'drain' | 'undrain' | 'slow' | 'busy' | 'deaf'; readonly node: number }
  | { readonly kind: 'size'; readonly shard: number; readonly bytes: number }
  | { readonly kind: 'traffic'; readonly shard: number; readonly rate: number }
  | { readonly kind: 'fail'; readonly shard: number; readonly member: number; readonly how: 'stopped' | 'failed' }
  | { readonly kind: 'heal' }
  | { readonly kind: 'failOver' }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'voters'; readonly count: number }
  | { readonly kind: 'pass'; readonly ticks: number };

const node = fc.integer({ min: 1, max: 9 });
const shard = fc.integer({ min: 0, max: 30 });
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('kill', 'revive', 'drain', 'undrain', 'slow', 'busy', 'deaf'), node }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('size'), shard, bytes: fc.integer({ min: 0, max: 200 * MIB }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('traffic'), shard, rate: fc.integer({ min: 0, max: 30_000 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('fail'),
      shard,
      member: fc.integer({ min: 0, max: 4 }),
      how: fc.constantFrom('stopped', 'failed'),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'heal' }) },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'failOver' }) },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'cancel' }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('voters'), count: fc.constantFrom(1, 3, 5) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('pass'), ticks: fc.integer({ min: 1, max: 40 }) }) },
);

function begin(zones: number): { readonly world: World; readonly tables: readonly number[] } {
  const world = new World(POLICY);
  for (let id = 1; id <= 9; id++)
    world.addNode({ id, zone: `z${id % zones}`, diskBytes: (id % 2 === 0 ? 20 : 10) * 1024 * MIB, cores: id % 2 === 0 ? 8 : 4 });
  world.ticks(2);
  const tables = [
    world.createTable({ name: 'h', partitioning: { kind: 'hash', shards: 8 } }),
    world.createTable({ name: 'r', partitioning: { kind: 'range', splitKeys: [] }, replicas: { voters: 2, witnesses: 1 } }),
  ];
  world.ticks(8);
  return { world, tables };
}

/** At most one node is away, or one replica fails, at a time, so that no majority is lost: what a cluster bears. */
function happen(world: World, what: Event): void {
  const groups = [...world.groups.values()];
  const at = 'node' in what ? world.nodes.get(what.node)! : undefined;
  const away = [...world.nodes.values()].some(({ alive }) => !alive) || groups.some(({ failed }) => failed.size > 0);
  switch (what.kind) {
    case 'kill':
      if (!away) world.kill(what.node);
      return;
    case 'revive':
      if (!at!.alive) world.revive(what.node);
      at!.slowDisk = 1;
      at!.cpu = undefined;
      at!.heard = true;
      return;
    case 'drain':
    case 'undrain':
      return world.setDuty(
        what.node,
        what.kind === 'drain' && ![...world.cluster.nodes.values()].some(({ record }) => record.duty !== 'active') ? 'draining' : 'active',
      );
    case 'slow':
      at!.slowDisk = 10;
      return;
    case 'busy':
      at!.cpu = 0.9;
      return;
    case 'deaf':
      at!.heard = false;
      return;
    case 'size': {
      const group = groups[what.shard % groups.length]!;
      group.bytes = what.bytes;
      group.keys = Math.round(what.bytes / 1000);
      return world.touch(group.descriptor.shard);
    }
    case 'traffic': {
      const group = groups[what.shard % groups.length]!;
      group.reads = Math.round(what.rate / 2);
      group.writes = Math.round(what.rate / 2);
      return world.touch(group.descriptor.shard);
    }
    case 'fail': {
      const group = groups[what.shard % groups.length]!;
      const members = membersOf(group.configuration).filter((member) => group.copies.has(member));
      if (!away && members.length > 0) world.fail(group.descriptor.shard, members[what.member % members.length]!, what.how);
      return;
    }
    case 'heal':
      return healed(world, () => true);
    case 'failOver':
      return world.failOver();
    case 'cancel': {
      const [operator] = world.cluster.running.values();
      if (operator === undefined || operator.kind === 'create') return;
      try {
        world.commit(cancelOperator(world.cluster, operator.id, 'a test', world.nowMs));
      } catch (error) {
        expect(error).toMatchObject({ code: 'OPERATOR_COMMITTED' });
      }
      return;
    }
    case 'voters':
      return world.alterTable('h', { replicas: { voters: what.count } });
    case 'pass':
  }
}

function healed(world: World, which: (group: Group) => boolean): void {
  for (const [id, group] of world.groups)
    if (which(group)) for (const member of [...group.failed.keys()]) world.fail(id, member, undefined);
}

function step(world: World, tables: readonly number[]): void {
  world.tick();
  checkSafety(world);
  for (const table of tables) checkKeys(world, table);
  const busy = new Map<number, number>();
  for (const { id, shard: own, other } of world.cluster.running.values()) {
    for (const about of [own, other]) {
      if (about === undefined) continue;
      expect(busy.get(about) ?? id, `two operators on shard ${about}`).toBe(id);
      busy.set(about, id);
    }
  }
}

/** Every node is well again, and time passes until nothing is proposed and nothing runs: replicas that fail have been made anew then, if they were not all there was. */
function settle(world: World, tables: readonly number[]): number {
  for (const { id, alive } of world.nodes.values()) {
    if (!alive) world.revive(id);
    Object.assign(world.nodes.get(id)!, { slowDisk: 1, cpu: undefined, heard: true });
    world.setDuty(id, 'active');
  }
  for (let ticks = 1; ticks < 1500; ticks++) {
    // Of two voters, on the way to one, neither is a majority without the other.
    healed(world, ({ configuration, failed }) => !hasQuorum(configuration, (member) => !failed.has(member)));
    step(world, tables);
    if (ticks > 150 && world.cluster.running.size === 0 && world.lastPlan.proposals.length === 0) return ticks;
  }
  const proposed = [...world.cluster.operators.values()]
    .slice(-12)
    .map(({ kind, shard: id, reason, ending, startedAtMs }) => `at ${startedAtMs} ${kind} ${id}: ${reason} ${ending ?? ''}`);
  const running = [...world.cluster.running.values()].map(
    ({ kind, shard: id, steps, at }) => `running ${kind} ${id}: ${stepText(steps[at]!)}`,
  );
  throw new Error(['no rest after 1,500 s', ...running, ...proposed].join('\n'));
}

function figures(cluster: Cluster): unknown {
  return {
    nodes: [...cluster.nodes.values()].map((each) => ({
      id: each.record.id,
      shards: [...each.shards].map(({ id }) => id).sort((a, b) => a - b),
      replicas: each.replicas,
      bytes: each.bytes,
      memberBytes: each.memberBytes,
      leads: each.leads,
      traffic: each.traffic,
      arriving: each.arriving,
      departing: each.departing,
    })),
    ailing: AILMENTS.map((ailment) => [ailment, [...cluster.ailing(ailment)].map(({ id }) => id).sort((a, b) => a - b)]),
    sized: SIZE_CLASSES.map((size) => [size, [...cluster.sized(size)].map(({ id }) => id).sort((a, b) => a - b)]),
  };
}

/** Comes to rest within its rules. `between`: steps after an event. */
function checkRest(zones: number, events: readonly Event[], between: number): void {
  const { world, tables } = begin(zones);
  for (const each of events) {
    happen(world, each);
    for (let i = 0; i < (each.kind === 'pass' ? each.ticks : between); i++) step(world, tables);
  }
  settle(world, tables);
  checkRules(world);
}

describe('placement', () => {
  it.each([3, 4])('keeps to its rules, and comes to rest, in %i zones', (zones) => {
    fc.assert(
      fc.property(fc.array(event, { minLength: 5, maxLength: 30 }), (events) => {
        const { world, tables } = begin(zones);
        for (const each of events) {
          happen(world, each);
          for (let i = 0; i < (each.kind === 'pass' ? each.ticks : 1); i++) step(world, tables);
        }
        settle(world, tables);
        checkRules(world);
        for (const [id, { configuration, failed }] of world.groups)
          expect(
            membersOf(configuration).filter((member) => failed.has(member)),
            `shard ${id}`,
          ).toEqual([]);
      }),
      { numRuns: 25, seed: 7, endOnFailure: true },
    );
  });

  it('has indices that are a function of what is recorded and reported', () => {
    fc.assert(
      fc.property(fc.array(event, { minLength: 5, maxLength: 20 }), (events) => {
        const { world, tables } = begin(3);
        for (const each of events) {
          happen(world, each);
          if (each.kind === 'pass') for (let i = 0; i < each.ticks; i++) step(world, tables);
        }
        for (const { id, alive } of world.nodes.values()) {
          if (!alive) world.revive(id);
          Object.assign(world.nodes.get(id)!, { slowDisk: 1, cpu: undefined, heard: true });
        }
        settle(world, tables);
        world.tick(1000, false);
        const before = figures(world.cluster);
        world.failOver();
        world.tick(1000, false);
        expect(figures(world.cluster)).toEqual(before);
      }),
      { numRuns: 15, seed: 11, endOnFailure: true },
    );
  });

  // Zones of unequal traffic: a node has its part of the pool's, and too much of its zone's.
  it.each<{ readonly zones: number; readonly events: readonly Event[] }>([
    {
      zones: 3,
      events: [
        { kind: 'size', shard: 7, bytes: 163_382_667 },
        { kind: 'traffic', shard: 16, rate: 9241 },
        { kind: 'traffic', shard: 22, rate: 19_167 },
        { kind: 'voters', count: 5 },
        { kind: 'pass', ticks: 16 },
        { kind: 'size', shard: 13, bytes: 31_772_398 },
        { kind: 'pass', ticks: 13 },
        { kind: 'pass', ticks: 38 },
      ],
    },
  ])('does not exchange two replicas for ever, by traffic and by bytes in turn', ({ zones, events }) => checkRest(zones, events, 0));

  it('does not hand a lead back and forth for ever, for its CPU and for its traffic', () => {
    const events: Event[] = [
      { kind: 'kill', node: 8 },
      { kind: 'pass', ticks: 2 },
      { kind: 'traffic', shard: 3, rate: 15259 },
      { kind: 'size', shard: 23, bytes: 53494290 },
      { kind: 'size', shard: 28, bytes: 209715198 },
      { kind: 'size', shard: 28, bytes: 189424670 },
      { kind: 'pass', ticks: 6 },
      { kind: 'voters', count: 5 },
      { kind: 'size', shard: 19, bytes: 51070572 },
      { kind: 'traffic', shard: 24, rate: 11051 },
      { kind: 'failOver' },
      { kind: 'traffic', shard: 19, rate: 29996 },
      { kind: 'heal' },
      { kind: 'traffic', shard: 0, rate: 17183 },
      { kind: 'traffic', shard: 3, rate: 5749 },
      { kind: 'pass', ticks: 2 },
    ];
    checkRest(3, events, 1);
  });

  it('plans the same for the same state', () => {
    const { world } = begin(3);
    world.kill(5);
    world.ticks(90);
    expect(plan(world.cluster, world.nowMs)).toEqual(plan(world.cluster, world.nowMs));
  });
});
