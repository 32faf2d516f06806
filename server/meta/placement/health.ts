/**
 * Which nodes are up, suspect, down.
 *
 *   up       silent for `suspectAfterMs`: a few peers, of different zones, are asked to reach it
 *              one does: it is up; between it and us something is broken, and nothing that it serves
 *              none does (an answer that takes longer than `probeMs` is none): suspect. Nobody who could be asked: the same
 *   suspect  for `downAfterMs`: down, unless that many nodes would be down that it is more likely that we are cut off
 *   any      heard, or reached by a peer: up. Its replicas are where they were; what is under way for them is taken up by what finds it (mend.ts)
 *
 * Pure. Called by plan.ts.
 */
import { isGone, type Node, type NodeDuty, type NodeHealth, type PeerProbe } from '../node.ts';
import type { ClusterState } from '../state.ts';
import { failureOn } from '../shard.ts';
import { durationText, listText, nodeText, partText } from './words.ts';

export interface NodeVerdict {
  readonly node: number;
  readonly health?: NodeHealth;
  readonly duty?: NodeDuty;
  readonly reason: string;
}

/** Peers that are to be asked whether they reach a node: the shell asks, and tells the state (`Cluster.asked`, `probed`). */
export interface Probing {
  readonly node: number;
  readonly peers: readonly number[];
}

export interface HealthPlan {
  readonly verdicts: readonly NodeVerdict[];
  readonly probes: readonly Probing[];
}

export function healthPlan(state: ClusterState, nowMs: number): HealthPlan {
  const verdicts: NodeVerdict[] = [];
  const probes: Probing[] = [];
  const { suspectAfterMs, downAfterMs } = state.policy;
  const nodes = [...state.nodes.values()].filter(({ record }) => record.duty !== 'decommissioned');
  const tooMany = tooManyDown(state, nowMs) !== undefined;
  for (const node of nodes) {
    const { id, health, healthSinceMs } = node.record;
    const silentMs = nowMs - node.heardAtMs;
    if (silentMs <= suspectAfterMs) {
      if (health !== 'up' && node.load !== undefined) verdicts.push({ node: id, health: 'up', reason: `${nodeText(node)} is heard again` });
      continue;
    }
    const probe = answerOf(node.probe, state, nowMs);
    if (probe === 'reached') {
      if (health !== 'up') verdicts.push({ node: id, health: 'up', reason: `${nodeText(node)} is silent, but a peer reaches it` });
      if (nowMs - node.probe!.askedAtMs > suspectAfterMs) probes.push({ node: id, peers: peersFor(state, node, nowMs) });
      continue;
    }
    if (health === 'up') {
      const peers = peersFor(state, node, nowMs);
      if (probe === 'none' && peers.length > 0) probes.push({ node: id, peers });
      if (probe === 'unreached' || (probe === 'none' && peers.length === 0))
        verdicts.push({ node: id, health: 'suspect', reason: silence(node, silentMs) });
      continue;
    }
    if (probe !== 'open' && nowMs - (node.probe?.askedAtMs ?? 0) > suspectAfterMs)
      probes.push({ node: id, peers: peersFor(state, node, nowMs) });
    if (health !== 'suspect' || nowMs - healthSinceMs < downAfterMs || tooMany) continue;
    const reason = `${nodeText(node)} has been suspect for ${durationText(nowMs - healthSinceMs)}, and ${durationText(downAfterMs)} is how long it is waited for`;
    verdicts.push({ node: id, health: 'down', reason });
  }
  return { verdicts, probes: probes.filter(({ peers }) => peers.length > 0) };
}

/**
 * Nodes that would be down by now, and are not called so because they are too many at once, with those that are down and still have replicas that wait to be
 * made anew.
 */
export function tooManyDown(state: ClusterState, nowMs: number): string | undefined {
  const { downAfterMs, downPartMax } = state.policy;
  const nodes = [...state.nodes.values()].filter(({ record }) => record.duty !== 'decommissioned');
  const waiting = nodes.filter(({ record }) => record.health === 'suspect' && nowMs - record.healthSinceMs >= downAfterMs);
  const down = nodes.filter(({ record, shards }) => record.health === 'down' && shards.size > 0).length;
  if (waiting.length === 0 || waiting.length + down <= Math.max(1, Math.floor(nodes.length * downPartMax))) return undefined;
  return `${waiting.length} of ${nodes.length} nodes are silent beyond the ${partText(downPartMax)} that are believed to fail together: they stay suspect, and nothing is copied for them`;
}

function silence(node: Node, silentMs: number): string {
  const { failed = 0, open = [] } = node.probe ?? {};
  const asked = failed + open.length;
  const peers = asked === 0 ? 'there is no peer to ask' : `none of ${asked} peers that were asked reaches it`;
  return `${nodeText(node)} has been silent for ${durationText(silentMs)}, and ${peers}`;
}

function answerOf(probe: PeerProbe | undefined, { policy }: ClusterState, nowMs: number): 'none' | 'open' | 'reached' | 'unreached' {
  if (probe === undefined) return 'none';
  const { askedAtMs, open, reachedAtMs, failed } = probe;
  if (reachedAtMs >= askedAtMs || (reachedAtMs > 0 && nowMs - reachedAtMs <= policy.suspectAfterMs)) return 'reached';
  if (open.length > 0 && nowMs - askedAtMs <= policy.probeMs) return 'open';
  // Peers that do not even answer prove nothing: others are asked.
  return failed > 0 ? 'unreached' : 'none';
}

/** Up, heard lately, one of a zone as far as there are; others in turn, so that one bad link does not decide. */
function peersFor(state: ClusterState, node: Node, nowMs: number): number[] {
  const { probePeers, suspectAfterMs } = state.policy;
  const able = [...state.nodes.values()]
    .filter(
      ({ record, heardAtMs, load }) =>
        record.id !== node.record.id && record.health === 'up' && load !== undefined && nowMs - heardAtMs <= suspectAfterMs,
    )
    .sort((a, b) => a.record.id - b.record.id);
  if (able.length <= probePeers) return able.map(({ record }) => record.id);
  const first = (node.record.id + Math.floor(nowMs / suspectAfterMs)) % able.length;
  const turned = [...able.slice(first), ...able.slice(0, first)];
  const zones = new Set<string>();
  const fresh = turned.filter(({ record }) => !zones.has(record.zone) && zones.add(record.zone));
  return [...fresh, ...turned.filter((other) => !fresh.includes(other))].slice(0, probePeers).map(({ record }) => record.id);
}

/** Nodes that were to be decommissioned, and of which nothing is left. */
export function emptied(state: ClusterState): NodeVerdict[] {
  return [...state.nodes.values()]
    .filter(({ record, load, shards, replicasHere, replicas }) => {
      // What cannot be opened, and belongs to no group any more, is not waited for.
      const empty = (): boolean => [...replicasHere].every((shard) => failureOn(shard, record.id)?.how === 'failed');
      const out = shards.size === 0 && replicas === 0 && (isGone(record) || (load !== undefined && empty()));
      return record.duty === 'decommissioning' && out;
    })
    .map((node) => ({ node: node.record.id, duty: 'decommissioned', reason: `${nodeText(node)} has no replica any more` }));
}

/** Up nodes that have not reported in this lead: nothing is decided on what they might have. */
export function unheard(state: ClusterState, nowMs: number): string | undefined {
  if (nowMs - state.ledSinceMs >= state.policy.settleMs) return undefined;
  const silent = [...state.nodes.values()]
    .filter(({ record, load }) => record.health === 'up' && load === undefined)
    .map(({ record }) => record.id);
  if (silent.length === 0) return undefined;
  return `this lead is ${durationText(nowMs - state.ledSinceMs)} old, and ${silent.length > 5 ? `${silent.length} nodes have` : `node ${listText(silent)} has`} not reported yet`;
}
