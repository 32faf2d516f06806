/**
 * What a group's log must hold, the simple way: the state that was acknowledged, and what was issued since. After a crash, any of the states in
 * between may be found, with a beginning of the entries of the step that was under way.
 */
import type { GroupContents } from '../../../../server/node/log/index.ts';
import type { HardState, LogEntry } from '../../../../server/raft/index.ts';
import { textOf } from './open-log.ts';

export interface ModelState {
  term: number;
  commit: number;
  begin: number;
  /** As text, from `begin + 1` on. */
  entries: readonly string[];
  /** It was destroyed once. */
  retired: boolean;
}

export type ModelStep =
  | { kind: 'append'; hardState: HardState | undefined; entries: readonly LogEntry[]; mustSync: boolean }
  | { kind: 'restore'; index: number }
  | { kind: 'compact'; index: number }
  | { kind: 'remove' }
  | { kind: 'retire' };

export const EMPTY: ModelState = { term: 0, commit: 0, begin: 0, entries: [], retired: false };

export function lastOf({ begin, entries }: ModelState): number {
  return begin + entries.length;
}

/** Who a member of this model votes for: the term tells, so that a vote that was lost shows. */
export function voteIn(term: number): number {
  return term % 4;
}

/** The state after a step, of whose entries only `count` arrived. */
export function stepped(state: ModelState, step: ModelStep, count: number = Infinity): ModelState {
  switch (step.kind) {
    case 'append': {
      const { term, commit } = step.hardState ?? state;
      const entries = step.entries.slice(0, count);
      const first = entries[0]?.index ?? Infinity;
      return { ...state, term, commit, entries: [...state.entries.slice(0, Math.max(0, first - state.begin - 1)), ...entries.map(textOf)] };
    }
    case 'restore':
      return { ...state, begin: step.index, entries: [] };
    case 'compact':
      return { ...state, begin: step.index, entries: state.entries.slice(step.index - state.begin) };
    case 'remove':
      return EMPTY;
    case 'retire':
      return { ...EMPTY, term: state.term, retired: true };
  }
}

/** All that may be found when these steps were issued after `state` and none is known to be durable. */
export function* possible(state: ModelState, steps: readonly ModelStep[]): Generator<ModelState, void, undefined> {
  let current = state;
  yield current;
  for (const step of steps) {
    if (step.kind === 'append') for (let count = 0; count < step.entries.length; count++) yield stepped(current, step, count);
    current = stepped(current, step);
    yield current;
  }
}

/** Whether this is that state: compaction may be behind, and so may be hard states that were not synced. */
export function isState(found: GroupContents, texts: readonly string[], state: ModelState, synced: ModelState): boolean {
  const { hardState, compactedIndex, lastIndex } = found;
  if (lastIndex !== lastOf(state) || compactedIndex > state.begin || found.retired !== state.retired) return false;
  if (state.entries.some((text, i) => texts[state.begin - compactedIndex + i] !== text)) return false;
  const removed = state === EMPTY;
  if (hardState.vote !== voteIn(hardState.term)) return false;
  return removed ? hardState.term === 0 : hardState.term >= synced.term && hardState.commit >= Math.min(synced.commit, lastIndex);
}
