/**
 * What should be done about the cluster now: a function of the state and the time. Reading order of this folder:
 *
 *   plan.ts        one round: who is up, then what is wrong with shards, then splits and merges, then balance
 *   health.ts      which nodes are up, suspect, down
 *   diagnosis.ts   what is worst about a shard; rules.ts: where replicas may be
 *   mend.ts        members that are missing, too many or misplaced; tidy.ts: what nobody wants any more
 *   split.ts, merge.ts, leads.ts, balance.ts
 *   round.ts       what a round has proposed, what room is left, how nodes would stand; shares.ts: what a node may take over or give away;
 *                  targets.ts: the best place for a replica
 *   steps.ts       the steps of an operator; progress.ts: how it goes, and what nodes are told
 *   manual.ts      what somebody asks for, checked against the same rules
 *
 * Nothing is changed: a dry run is a plan that is not carried out. One operator at a time works on a shard.
 *
 * Called by the shell, about once a second, and by whoever asks what would happen.
 */
import type { ClusterState } from '../state.ts';
import { balance } from './balance.ts';
import { emptied, healthPlan, type NodeVerdict, type Probing, tooManyDown, unheard } from './health.ts';
import { moveLeads } from './leads.ts';
import { mend } from './mend.ts';
import { merge } from './merge.ts';
import { type Blocked, type Proposal, Round } from './round.ts';
import { split } from './split.ts';
import { tidy } from './tidy.ts';

export interface Plan {
  /** What nodes are from now on. They are taken in before anything else: the next plan builds on them. */
  readonly verdicts: readonly NodeVerdict[];
  /** Who is to be asked whether a node can be reached. */
  readonly probes: readonly Probing[];
  /** What is to begin, in this order. */
  readonly proposals: readonly Proposal[];
  /** Examples of what should be, and cannot be now. */
  readonly blocked: readonly Blocked[];
  /** Why nothing new is decided, if so. */
  readonly paused: string | undefined;
  /** What this cost: nodes, replicas and shards that were looked at. */
  readonly looked: number;
}

/**
 * Nodes and shards that mending, leads and balance may each look at in a round: fifty places for replicas among a thousand nodes. So a round takes a
 * bounded time, however much there is to do.
 */
export const LOOKS_MAX = 50_000;

export function plan(state: ClusterState, nowMs: number): Plan {
  const waits = unheard(state, nowMs);
  if (waits !== undefined) return { verdicts: [], probes: [], proposals: [], blocked: [], paused: waits, looked: 0 };
  const { verdicts, probes } = healthPlan(state, nowMs);
  const all = [...verdicts, ...emptied(state)];
  const paused = state.policy.paused ? 'an operator has paused it' : tooManyDown(state, nowMs);
  if (paused !== undefined) return { verdicts: all, probes, proposals: [], blocked: [], paused, looked: state.nodes.size };
  const round = new Round(state, nowMs);
  round.allow(LOOKS_MAX);
  mend(round);
  tidy(round);
  split(round);
  merge(round);
  round.allow(LOOKS_MAX);
  moveLeads(round);
  round.allow(LOOKS_MAX);
  balance(round);
  const { proposals, blocked, looked } = round;
  return { verdicts: all, probes, proposals, blocked, paused: undefined, looked };
}
