/**
 * Operators begin, go on, and end.
 *
 *   start     what a plan proposes, or what somebody asks for: persisted before anything is ordered
 *   advance   those whose step is done as nodes report it go on; those that cannot end well, or have stood still for too long, are given up
 *   done      the outcome of an order, for steps that nothing else shows
 *   cancel    given up because somebody says so
 *
 * Giving up leaves members that are too many, or a replica of nobody: the next plan sees and tidies that like anything else. Only a merge is undone by steps of
 * its own, and one that has begun to retire its source goes on to the end, unless the source refuses that: its keys are in two places then, and only one way leads out.
 * Should the source be retired though it is being undone, it goes on, too.
 *
 * Pure. Called by the shell, each round and at each outcome.
 */
import { hopeless, isDone, onwardOf, type Proposal, stepReached, stepText, undoOf } from '../placement/index.ts';
import type { OperatorRecord } from '../operator.ts';
import { bytesOf } from '../shard.ts';
import type { Change, ClusterState, MetaWrite } from '../state.ts';
import { change, invalid } from './change.ts';

/**
 * Those of `proposals` whose shards are free, in their order: a proposal is made of an earlier state, and two may be about one shard. `by`: 'policy',
 * or who asks.
 */
export function startOperators(
  state: ClusterState,
  proposals: readonly Proposal[],
  by: string,
  nowMs: number,
): Change<readonly OperatorRecord[]> {
  const busy = new Set<number>();
  const begun: OperatorRecord[] = [];
  let shards = 0;
  for (const { shard, other, kind, reason, steps } of proposals) {
    const about = [shard, other].filter((id) => id !== undefined);
    if (about.some((id) => busy.has(id) || state.shards.get(id)?.operator !== undefined)) continue;
    if (isBusyWith(state, about)) continue;
    for (const id of about) busy.add(id);
    // The child of a split gets its id here: ids are used up only by what begins.
    const child = steps.some((step) => step.type === 'split') ? state.counters.nextShard + shards++ : undefined;
    begun.push({
      id: state.counters.nextOperator + begun.length,
      shard,
      other: child ?? other,
      kind,
      reason,
      by,
      steps: child === undefined ? steps : steps.map((step) => (step.type === 'split' ? { ...step, child } : step)),
      at: 0,
      state: 'running',
      ending: undefined,
      startedAtMs: nowMs,
      stepAtMs: nowMs,
    });
  }
  const writes = begun.map((record): MetaWrite => ({ kind: 'operator', id: record.id, record }));
  return change(state, [...writes, ...tablesGone(state, begun)], begun, { operators: begun.length, shards });
}

/** Tables of which the first shard is about to be destroyed: nobody can have the whole of one back from then on, and the next leader's clock may be behind. */
function tablesGone(state: ClusterState, begun: readonly OperatorRecord[]): MetaWrite[] {
  const going = new Set(
    begun.filter(({ kind }) => kind === 'drop').map(({ shard }) => state.tables.get(state.shards.get(shard)!.record.table)!),
  );
  return [...going]
    .filter(({ undeleteUntilMs }) => undeleteUntilMs > 0)
    .map((table) => ({ kind: 'table', id: table.id, record: { ...table, undeleteUntilMs: 0, revision: table.revision + 1 } }));
}

/** Those that changed. */
export function advanceOperators(state: ClusterState, nowMs: number): Change<readonly OperatorRecord[]> {
  const writes: MetaWrite[] = [];
  const changed: OperatorRecord[] = [];
  for (const operator of state.running.values()) {
    const next = advanced(state, operator, nowMs);
    if (next === operator) continue;
    changed.push(next);
    writes.push({ kind: 'operator', id: next.id, record: next }, ...goneWith(state, next));
  }
  const ended = changed.filter((operator) => operator.state !== 'running').length;
  if (ended > 0) writes.push(...forgotten(state, ended));
  return change(state, writes, changed);
}

/**
 * The outcome of an order is known: the step is done (`failure` undefined), or will not be. Nothing for what is over by now, or for a step that the reported
 * state shows to be done, or not, anyway.
 */
export function orderEnded(state: ClusterState, id: number, at: number, failure: string | undefined, nowMs: number): Change {
  const operator = state.running.get(id);
  const step = operator?.steps[at];
  if (operator === undefined || step === undefined || operator.at !== at) return change(state, [], undefined);
  if (failure === undefined) {
    if (step.type !== 'import' && step.type !== 'discard') return change(state, [], undefined);
    return write(state, stepped(state, { ...operator, at: at + 1, stepAtMs: nowMs }, nowMs));
  }
  if (isDone(state, step)) return change(state, [], undefined);
  const given = givenUp(operator, `${stepText(step)}: ${failure}`, 'failed', nowMs, true);
  return given === undefined ? change(state, [], undefined) : write(state, given);
}

/** Throws `invalid/OPERATOR_UNKNOWN`, `invalid/OPERATOR_ENDED`, `invalid/OPERATOR_COMMITTED` when it can only go on. */
export function cancelOperator(state: ClusterState, id: number, by: string, nowMs: number): Change<OperatorRecord> {
  const operator = state.operators.get(id);
  if (operator === undefined) throw invalid('OPERATOR_UNKNOWN', `there is no operator ${id}`, { operator: id });
  if (operator.state !== 'running') throw invalid('OPERATOR_ENDED', `operator ${id} is ${operator.state}`, { operator: id });
  const record = givenUp(operator, `cancelled by ${by}`, 'cancelled', nowMs);
  if (record === undefined)
    throw invalid('OPERATOR_COMMITTED', `operator ${id} is past the point from which it can be undone, and will be done soon`, {
      operator: id,
    });
  return change(state, [{ kind: 'operator', id, record }], record);
}

function advanced(state: ClusterState, operator: OperatorRecord, nowMs: number): OperatorRecord {
  const onward = onwardOf(state, operator);
  if (onward !== undefined) {
    const { undoing: _, ...rest } = operator;
    return { ...rest, steps: [...operator.steps.slice(0, operator.at), ...onward], ending: undefined, stepAtMs: nowMs };
  }
  const at = stepReached(state, operator);
  if (at !== operator.at) return stepped(state, { ...operator, at, stepAtMs: nowMs }, nowMs);
  const why = hopeless(state, operator) ?? overdue(state, operator, nowMs);
  return why === undefined ? operator : (givenUp(operator, why, 'failed', nowMs) ?? operator);
}

/** It may have come to its end, further steps being done already. */
function stepped(state: ClusterState, operator: OperatorRecord, nowMs: number): OperatorRecord {
  const at = stepReached(state, operator);
  if (at < operator.steps.length) return { ...operator, at };
  return { ...operator, at, state: operator.undoing ?? 'done', stepAtMs: nowMs };
}

function overdue(state: ClusterState, { steps, at, shard, stepAtMs }: OperatorRecord, nowMs: number): string | undefined {
  const { stepMs, splitBytesMax } = state.policy;
  const about = state.shards.get(shard);
  // A shard that is far too large takes its time.
  const patience = stepMs * Math.max(1, about ? bytesOf(about) / splitBytesMax : 1);
  if (nowMs - stepAtMs <= patience) return undefined;
  return `${stepText(steps[at]!)}: not done within ${Math.round(patience / 1000)} s`;
}

/** Undefined: it goes on, there is no way back. */
function givenUp(
  operator: OperatorRecord,
  ending: string,
  how: 'failed' | 'cancelled',
  nowMs: number,
  refused = false,
): OperatorRecord | undefined {
  if (operator.undoing !== undefined) return undefined;
  const undo = undoOf(operator, refused);
  if (undo === undefined) return undefined;
  if (undo.length === 0) return { ...operator, state: how, ending, stepAtMs: nowMs };
  // Behind the step that is given up, not in its place: the outcome of its order may be told yet, and names a step by its number.
  const at = operator.at + 1;
  return { ...operator, steps: [...operator.steps.slice(0, at), ...undo], at, ending, undoing: how, stepAtMs: nowMs };
}

/** What is no more when an operator is done. */
function goneWith(state: ClusterState, { steps, state: how }: OperatorRecord): MetaWrite[] {
  if (how !== 'done') return [];
  return steps
    .filter((step) => step.type === 'destroy-shard' && state.shards.has(step.shard))
    .map(({ shard }): MetaWrite => ({ kind: 'shard', id: shard, record: undefined }));
}

/** The oldest of those that ended, so that as many remain as the policy says. */
function forgotten(state: ClusterState, more: number): MetaWrite[] {
  const ended = [...state.operators.values()].filter((operator) => operator.state !== 'running');
  const surplus = ended.length + more - state.policy.endedKept;
  if (surplus <= 0) return [];
  return ended
    .sort((a, b) => a.stepAtMs - b.stepAtMs || a.id - b.id)
    .slice(0, surplus)
    .map(({ id }): MetaWrite => ({ kind: 'operator', id, record: undefined }));
}

/** Of shards without a record: replicas of nobody. */
function isBusyWith(state: ClusterState, about: readonly number[]): boolean {
  if (about.every((id) => state.shards.has(id))) return false;
  for (const { shard, other } of state.running.values())
    if (about.includes(shard) || (other !== undefined && about.includes(other))) return true;
  return false;
}

function write(state: ClusterState, record: OperatorRecord): Change {
  return change(state, [{ kind: 'operator', id: record.id, record }, ...goneWith(state, record)], undefined);
}
