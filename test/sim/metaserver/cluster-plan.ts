/** The cluster of these runs: five nodes in three zones, of which three begin it; and by which bounds its metaserver decides, drawn from a seed, all of them quick. */
import type { Policy } from '../../../server/meta/policy.ts';
import { SimRandom } from '../sim-random.ts';

export const CLUSTER_ID = '00000000c1a57e12';
const ZONE_OF_NODE: readonly string[] = ['a', 'a', 'b', 'b', 'c'];
export const NODES: readonly string[] = ZONE_OF_NODE.map((_, i) => `node${i + 1}`);
export const ZONES: readonly string[] = [...new Set(ZONE_OF_NODE)];
/** One of each zone. */
export const VOTERS: readonly number[] = [1, 3, 5];
export const REPLICAS: number = VOTERS.length;

export function zoneOf(node: number): string {
  return ZONE_OF_NODE[node - 1]!;
}

export function nodesIn(zone: string): readonly string[] {
  return NODES.filter((_, i) => ZONE_OF_NODE[i] === zone);
}

export function drawPolicy(random: SimRandom): Partial<Policy> {
  return {
    settleMs: random.pick([200, 1000]),
    suspectAfterMs: 1000,
    probeMs: random.pick([100, 500]),
    downAfterMs: random.pick([200, 1000, 3000]),
    stepMs: random.pick([1000, 3000, 10_000]),
    splitTraffic: random.pick([5, 20, NEVER]),
    hotSplitBytesMin: 0,
    shardsPerTableMax: random.pick([4, 8]),
    mergeGuardMs: random.pick([0, 1000, 3000]),
    mergesMax: random.pick([0, 1, 8]),
    balanceBytesMin: random.pick([0, MUCH, MUCH]),
    balanceReplicasMin: random.pick([1, 2, 3]),
    balanceTrafficMin: random.pick([2, 500]),
  };
}

/** Whether tables come and go beside the one of the clients. Drawn apart from all else. */
export function drawsTables(seed: number): boolean {
  return SimRandom.mixed(seed ^ 0x7ab1).chance(TABLES_CHANCE);
}

const TABLES_CHANCE = 0.4;
const NEVER = 1e9;
const MUCH: number = 2 ** 20;

/** Nothing is split or merged by itself any more. */
export const CALM: Partial<Policy> = { splitTraffic: NEVER, mergesMax: 0, paused: false };
