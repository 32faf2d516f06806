/**
 * Groups in which nothing happens cost nothing: with everything replicated, committed and applied everywhere, and everybody there, the
 * leader sends one last heartbeat and all sleep. No ticks, no heartbeats, no elections, until
 *
 *   - a proposal, a read, a transfer or any message comes, or
 *   - the host wakes the group, because it has lost the connection to a node that is in it. It must: nobody else notices then.
 *
 * Who missed the last heartbeat, or could not take it, speaks up after an election timeout at most, and that wakes the others.
 */
import { isJoint } from './configuration.ts';
import { isActive, sendHeartbeats } from './leader.ts';
import type { RaftState } from './state.ts';

/** A leader's tick: sleeps when there was nothing to do for long enough. */
export function tickSleep(state: RaftState): void {
  if (state.role !== 'leader') return;
  const { sleepTicks = Infinity } = state.options;
  state.idleTicks = sleepTicks < Infinity && isIdle(state) ? state.idleTicks + 1 : 0;
  if (state.idleTicks < sleepTicks) return;
  sendHeartbeats(state, true);
  state.asleep = true;
}

/** A follower's: the leader sleeps, and says that everything up to `commit` is all there is. */
export function fallAsleep(state: RaftState, commit: number): boolean {
  state.asleep = state.log.lastIndex === commit;
  return state.asleep;
}

export function wake(state: RaftState): void {
  state.idleTicks = 0;
  if (!state.asleep) return;
  state.asleep = false;
  state.elapsed = 0;
  // A leader is heard with the next tick. Nobody was asked to answer in the meantime.
  state.heartbeatElapsed = state.options.heartbeatTicks;
  for (const progress of state.progress.values()) progress.heardAt = state.now;
}

function isIdle(state: RaftState): boolean {
  const { log, configuration, forced, progress } = state;
  const last = log.lastIndex;
  if (log.applied !== last || isJoint(configuration) || forced !== undefined) return false;
  if (state.transferee !== 0 || state.readIndex.busy) return false;
  for (const [id, { match }] of progress) if (match !== last || (id !== state.id && !isActive(state, id))) return false;
  return true;
}
