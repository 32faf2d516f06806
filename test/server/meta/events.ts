/**
 * What may happen to a cluster of nine nodes with two tables, at random: nodes that die, are drained, slow, busy (with others' work, too), filled by others or cut off from the metaserver, replicas that fail, shards that
 * grow or are busy, a metaserver that fails over, operators that are cancelled. Only what a cluster bears: one node away, or one replica, at a time.
 */
import fc from 'fast-check';
import { SparrowError } from '../../../base/errors.ts';
import { cancelOperator } from '../../../server/meta/changes/index.ts';
import { membersOf } from '../../../server/raft/index.ts';
import { type Group, World } from './world.ts';

const MIB = 2 ** 20;
const POLICY = { downAfterMs: 60_000, mergeGuardMs: 120_000, balanceBytesMin: 32 * MIB, balanceTrafficMin: 1000, settleMs: 5000 };

export type Event =
  | { readonly kind: 'kill' | 'revive' | 'drain' | 'undrain' | 'slow' | 'busy' | 'deaf'; readonly node: number }
  | { readonly kind: 'elsewhere' | 'filled'; readonly node: number; readonly percent: number }
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
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('elsewhere'), node, percent: fc.integer({ min: 0, max: 90 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('filled'), node, percent: fc.integer({ min: 0, max: 60 }) }) },
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

export function events(max: number): fc.Arbitrary<Event[]> {
  return fc.array(event, { minLength: 5, maxLength: max });
}

/** Before the first event: a table of hashes, one of a range with a witness, and the ids of both. */
export function begin(zones: number): { readonly world: World; readonly tables: readonly number[] } {
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
export function happen(world: World, what: Event): void {
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
    case 'elsewhere':
      at!.foreignCpu = what.percent / 100;
      return;
    case 'filled':
      at!.foreignBytes = (at!.diskBytes * what.percent) / 100;
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
        if (!(error instanceof SparrowError) || error.code !== 'OPERATOR_COMMITTED') throw error;
      }
      return;
    }
    case 'voters':
      return world.alterTable('h', { replicas: { voters: what.count } });
    case 'pass':
  }
}

/** Replicas of those groups run again. */
export function healed(world: World, which: (group: Group) => boolean): void {
  for (const [id, group] of world.groups)
    if (which(group)) for (const member of [...group.failed.keys()]) world.fail(id, member, undefined);
}
