/**
 * Of a cluster that runs itself: people ask for things, the metaserver decides, and both are left alone in the end. Then it comes to rest by itself:
 *
 *   - no operator is under way, and what ended has ended in one of the ways in which operators do
 *   - every shard has as many voters as its table wants, on nodes that are up, no two in a zone while there are zones enough, and a leader
 *   - nodes have replicas of shards that they are members of, and no others
 *   - nodes that have nothing to do say little
 *   - nobody's hands are believed to have been at any shard: nobody's were
 */
import { AILMENTS, type Shard } from '../../../server/meta/shard.ts';
import type { ClusterState } from '../../../server/meta/state.ts';
import { isWelcoming } from '../../../server/meta/node.ts';
import { META_GROUP } from '../../../server/shard/descriptor.ts';
import type { Oversight } from '../oversight.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimRandom } from '../sim-random.ts';
import type { World } from '../world.ts';
import type { Ledgers } from '../shards/node-program.ts';
import { UNREST } from '../shards/oversight.ts';
import { ShardWatch } from '../shards/shard-watch.ts';
import type { ClusterNode } from './cluster-node.ts';
import { NODES, REPLICAS, zoneOf } from './cluster-plan.ts';
import { People, type PeopleOptions } from './people.ts';

/** So long is watched whether nodes that have nothing to do are quiet. */
const IDLE_MS = 1000;
const SLACK = 10;
/** Commits are told, and a round may have something to do. */
const TIMES = 3;
/** What a run says of nodes that are not. */
export const STORM = 'a storm';

export interface ClusterTimes {
  /** Between two reports of a node. */
  readonly reportMs: number;
  /** Of Raft. */
  readonly tickMs: number;
}

export class ClusterOversight implements Oversight {
  readonly #world: World;
  readonly #nodes: readonly SimNode[];
  readonly #healedMsMax: number;
  readonly #times: ClusterTimes;
  readonly #people: People;
  readonly #watch: ShardWatch;

  constructor(
    world: World,
    nodes: readonly SimNode[],
    ledgers: Ledgers,
    random: SimRandom,
    options: PeopleOptions & ClusterTimes,
    healedMsMax: number,
  ) {
    this.#times = options;
    this.#world = world;
    this.#nodes = nodes;
    this.#healedMsMax = healedMsMax;
    this.#people = new People(world, nodes, random.fork(), options);
    const hasLeft = (node: SimNode): boolean =>
      this.#people.lead?.state?.nodes.get(nodes.indexOf(node) + 1)?.record.duty === 'decommissioned';
    this.#watch = new ShardWatch(world, nodes, ledgers, REPLICAS, hasLeft);
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
    if (!equal) return `the replicas do not come to be equally far: ${this.#watch.unequal()}`;
    return this.#watch.problemAtRest() ?? this.#storm();
  }

  /** Who has nothing to do says little: reports at their time, heartbeats of groups that are awake. */
  async #storm(): Promise<string | undefined> {
    const before = this.#said();
    await this.#world.run(IDLE_MS);
    const after = this.#said();
    const { reportMs, tickMs } = this.#times;
    const groups = this.#people.lead?.state?.shards.size;
    if (groups === undefined) return `${UNREST}: nobody leads the metaserver after ${IDLE_MS} ms of nothing to do`;
    const reportsMax = TIMES * NODES.length * (IDLE_MS / reportMs + SLACK);
    // A question and an answer for each follower at each tick.
    const messagesMax = TIMES * groups * (REPLICAS - 1) * 2 * (IDLE_MS / tickMs + SLACK);
    const [reports, messages] = [after.reports - before.reports, after.messages - before.messages];
    if (reports > reportsMax) return `${STORM}: ${reports} reports in ${IDLE_MS} ms of nothing to do, and ${reportsMax} would do`;
    if (messages > messagesMax) return `${STORM}: ${messages} messages in ${IDLE_MS} ms of nothing to do, and ${messagesMax} would do`;
    return undefined;
  }

  #said(): { reports: number; messages: number } {
    let [reports, messages] = [0, 0];
    for (const { program } of this.#nodes) {
      const node = program as ClusterNode | undefined;
      reports += node?.attendCounts.reports ?? 0;
      messages += node?.messages.all ?? 0;
    }
    return { reports, messages };
  }

  #whyNotAtRest(): string | undefined {
    const state = this.#people.lead?.state;
    if (state === undefined) return 'nobody leads the metaserver';
    const unsettled = this.#people.unsettled(state);
    if (unsettled !== undefined) return unsettled;
    for (const [i, { isLost }] of this.#nodes.entries()) {
      const node = state.nodes.get(i + 1);
      if ((node === undefined && isLost) || node?.record.duty === 'decommissioned') continue;
      if (node === undefined) return `node ${i + 1} has not registered`;
      const { health } = node.record;
      if (isLost ? health !== 'down' : health !== 'up' || node.load === undefined) return `node ${i + 1} is ${health}`;
    }
    const [operator] = state.running.values();
    if (operator !== undefined) {
      const { id, kind, shard, steps, at } = operator;
      return `operator ${id} (${kind} of shard ${shard}) is at ${JSON.stringify(steps[at])}: ${this.#people.lead!.whyWaiting(id)}`;
    }
    // Of one that was never open nobody knows whether the shard is gone.
    const [stray] = [...state.strays].find(([, at]) => [...at.values()].some(({ report }) => report !== undefined)) ?? [];
    if (stray !== undefined) return `there are replicas of shard ${stray}, which is gone`;
    // What is wrong with shards is found out when somebody asks; a leader that has just begun has not asked yet.
    for (const ailment of AILMENTS) {
      const [shard] = state.ailing(ailment);
      if (shard !== undefined) return `shard ${shard.id} is ${ailment}; ${placesText(shard)}`;
    }
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

function whyNotWell(state: ClusterState, { id, record, leader, hosts }: Shard): string | undefined {
  if (record.byHand) return 'is looked after by hand, as is believed';
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
