/**
 * What holds whatever happens to a cluster (events.ts), as properties: properties.test.ts has them checked on a few lists of events, campaign.ts on any number. Each throws
 * with what is wrong.
 */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import type { Cluster } from '../../../server/meta/cluster.ts';
import { stepText } from '../../../server/meta/placement/index.ts';
import { AILMENTS, SIZE_CLASSES } from '../../../server/meta/shard.ts';
import { hasQuorum, membersOf } from '../../../server/raft/index.ts';
import { checkKeys, checkRules, checkSafety } from './checks.ts';
import { begin, type Event, events, happen, healed } from './events.ts';
import { type World, WorldError } from './world.ts';

/** By the name under which campaign.ts repeats it. */
export const PROPERTIES: Readonly<Record<string, () => fc.IProperty<[Event[]]>>> = {
  'rest-3': () => fc.property(events(30), (list) => checkRest(3, list, 1)),
  'rest-4': () => fc.property(events(30), (list) => checkRest(4, list, 1)),
  'rest-means': () => fc.property(events(30), (list) => checkRest(3, list, 1, true)),
  indices: () => fc.property(events(20), checkIndices),
};

/** It keeps to its rules, and comes to rest within them when nothing happens any more. `between`: seconds after an event that is none itself; `meanReads`: as leaders report them. */
export function checkRest(zones: number, list: readonly Event[], between: number, meanReads: boolean = false): void {
  const { world, tables } = begin(zones);
  world.meanReads = meanReads;
  for (const each of list) {
    happen(world, each);
    for (let i = 0; i < (each.kind === 'pass' ? each.ticks : between); i++) step(world, tables);
  }
  settle(world, tables);
  checkRules(world);
  for (const [id, { configuration, failed }] of world.groups)
    for (const member of membersOf(configuration))
      if (failed.has(member)) throw new WorldError(`shard ${id}: node ${member} is a member, and its replica has failed`);
}

/** Indices are a function of what is recorded and reported: a new leader of META_GROUP has the same ones. */
export function checkIndices(list: Event[]): void {
  const { world, tables } = begin(3);
  for (const each of list) {
    happen(world, each);
    if (each.kind === 'pass') for (let i = 0; i < each.ticks; i++) step(world, tables);
  }
  settle(world, tables);
  // What leaders of before had reported counts no more.
  for (let i = 0; i <= 30; i++) world.tick(1000, false);
  const before = figures(world.cluster);
  world.failOver();
  world.tick(1000, false);
  deepStrictEqual(figures(world.cluster), before);
}

function step(world: World, tables: readonly number[]): void {
  world.tick();
  checkSafety(world);
  for (const table of tables) checkKeys(world, table);
  const busy = new Set<number>();
  for (const { shard: own, other } of world.cluster.running.values()) {
    for (const about of own === other ? [own] : [own, other]) {
      if (about === undefined) continue;
      if (busy.has(about)) throw new WorldError(`two operators are at work on shard ${about}`);
      busy.add(about);
    }
  }
}

/** Every node is well again, and time passes until nothing is proposed and nothing runs: replicas that fail have been made anew then, if they were not all there was. */
function settle(world: World, tables: readonly number[]): void {
  for (const { id, alive } of world.nodes.values()) {
    if (!alive) world.revive(id);
    Object.assign(world.nodes.get(id)!, { slowDisk: 1, cpu: undefined, heard: true });
    world.setDuty(id, 'active');
  }
  for (let ticks = 1; ticks < 1500; ticks++) {
    // Of two voters, on the way to one, neither is a majority without the other.
    healed(world, ({ configuration, failed }) => !hasQuorum(configuration, (member) => !failed.has(member)));
    step(world, tables);
    if (ticks > 150 && world.cluster.running.size === 0 && world.lastPlan.proposals.length === 0) return;
  }
  const proposed = [...world.cluster.operators.values()]
    .slice(-12)
    .map(({ kind, shard: id, reason, ending, startedAtMs }) => `at ${startedAtMs} ${kind} ${id}: ${reason} ${ending ?? ''}`);
  const running = [...world.cluster.running.values()].map(
    ({ kind, shard: id, steps, at }) => `running ${kind} ${id}: ${stepText(steps[at]!)}`,
  );
  throw new WorldError(['no rest after 1,500 s', ...running, ...proposed].join('\n'));
}

function figures(cluster: Cluster): unknown {
  return {
    nodes: [...cluster.nodes.values()].map((each) => ({
      id: each.record.id,
      shards: [...each.shards].map(({ id }) => id).sort((a, b) => a - b),
      replicas: each.replicas,
      bytes: each.bytes,
      memberBytes: each.memberBytes,
      memberTraffic: each.memberTraffic,
      leads: each.leads,
      traffic: each.traffic,
      arriving: each.arriving,
      departing: each.departing,
    })),
    ailing: AILMENTS.map((ailment) => [ailment, [...cluster.ailing(ailment)].map(({ id }) => id).sort((a, b) => a - b)]),
    sized: SIZE_CLASSES.map((size) => [size, [...cluster.sized(size)].map(({ id }) => id).sort((a, b) => a - b)]),
  };
}
