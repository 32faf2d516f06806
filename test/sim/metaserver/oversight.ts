/**
 * Of a cluster that runs itself: people ask for things, the metaserver decides, and both are left alone in the end. Then it comes to rest by itself:
 *
 *   - no operator is under way, and what ended has ended in one of the ways in which operators do
 *   - every shard has as many voters as its table wants, on nodes that are up, no two in a zone while there are zones enough, and a leader
 *   - nodes have replicas of shards that they are members of, and no others
 *   - nobody's hands are believed to have been at any shard: nobody's were
 */
import type { ClusterState, Shard } from '../../../server/meta/state.ts';
import { isWelcoming } from '../../../server/meta/state.ts';
import { META_GROUP } from '../../../server/shard/descriptor.ts';
import type { Oversight } from '../oversight.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimRandom } from '../sim-random.ts';
import type { World } from '../world.ts';
import type { Ledgers } from '../shards/node-program.ts';
import { UNREST } from '../shards/oversight.ts';
import { ShardWatch } from '../shards/shard-watch.ts';
import { REPLICAS, zoneOf } from './cluster-plan.ts';
import { People, type PeopleOptions } from './people.ts';

export class ClusterOversight implements Oversight {
  readonly #world: World;
  readonly #nodes: readonly SimNode[];
  readonly #healedMsMax: number;
  readonly #people: People;
  readonly #watch: ShardWatch;

  constructor(world: World, nodes: readonly SimNode[], ledgers: Ledgers, random: SimRandom, options: PeopleOptions, healedMsMax: number) {
    this.#world = world;
    this.#nodes = nodes;
    this.#healedMsMax = healedMsMax;
    this.#people = new People(world, nodes, random.fork(), options);
    this.#watch = new ShardWatch(world, nodes, ledgers, REPLICAS);
  }

  begin(): void {
    this.#people.begin();
    this.#watch.begin();
  }

  end(): void {
    this.#people.end();
  }

  async unrest(): Promise<string | undefined> {
    const isAtRest = await this.#world.run(this.#healedMsMax, () => this.#whyNotAtRest() === undefined);
    return isAtRest ? undefined : `${UNREST}: ${this.#whyNotAtRest()}`;
  }

  async difference(): Promise<string | undefined> {
    const equal = await this.#world.run(this.#healedMsMax, () => this.#watch.unequal() === undefined);
    return equal ? this.#watch.problemAtRest() : `the replicas do not come to be equally far: ${this.#watch.unequal()}`;
  }

  #whyNotAtRest(): string | undefined {
    const state = this.#people.lead?.state;
    if (state === undefined) return 'nobody leads the metaserver';
    const unsettled = this.#people.unsettled(state);
    if (unsettled !== undefined) return unsettled;
    for (const [i, { isLost }] of this.#nodes.entries()) {
      const node = state.nodes.get(i + 1);
      if (node === undefined) return `node ${i + 1} has not registered`;
      const { health } = node.record;
      if (isLost ? health !== 'down' : health !== 'up' || node.load === undefined) return `node ${i + 1} is ${health}`;
    }
    const [operator] = state.running.values();
    if (operator !== undefined) {
      const { id, kind, shard, steps, at } = operator;
      return `operator ${id} (${kind} of shard ${shard}) is at ${JSON.stringify(steps[at])}: ${this.#people.lead!.whyWaiting(id)}`;
    }
    const [stray] = state.strays.keys();
    if (stray !== undefined) return `there are replicas of shard ${stray}, which is gone`;
    for (const shard of state.shards.values()) {
      const why = whyNotWell(state, shard);
      if (why !== undefined) return `shard ${shard.id} ${why}; ${placesText(shard)}`;
    }
    return undefined;
  }
}

function placesText({ record, hosts, leader }: Shard): string {
  const there = [...hosts].map(([node, { applied }]) => `${node} at ${applied}`).join(', ');
  return `members ${record.replicas.map(({ node, votes }) => `${node}${votes ? '' : ' (no vote)'}`).join(', ')}, led by ${leader}; replicas on ${there}`;
}

function whyNotWell(state: ClusterState, { id, record, leader, ailment, hosts }: Shard): string | undefined {
  if (record.byHand) return 'is looked after by hand, as is believed';
  if (ailment !== undefined) return `is ${ailment}`;
  if (leader === 0) return 'is led by nobody';
  const members = record.replicas.map(({ node }) => node);
  if (record.joint || members.length !== REPLICAS || !record.replicas.every(({ votes }) => votes))
    return `has members ${members.join(', ')}`;
  const zones = new Set([...state.nodes.values()].filter((node) => isWelcoming(node.record)).map((node) => node.record.zone));
  const used = new Set(members.map(zoneOf)).size;
  if (used < Math.min(REPLICAS, zones.size)) return `has members ${members.join(', ')} in ${used} zones, and there are ${zones.size}`;
  // Each node keeps a place for shard 1.
  const strangers = id === META_GROUP ? [] : [...hosts].filter(([node, { applied }]) => applied > 0 && !members.includes(node));
  return strangers.length === 0 ? undefined : `has replicas on ${strangers.map(([node]) => node).join(', ')}, which are no members`;
}
