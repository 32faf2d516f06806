/**
 * Leading: the answers of followers move the commit index; heartbeats keep followers quiet; a leader that has not heard a majority for
 * electionTicks steps down.
 *
 * An entry is committed when majorities have it durably and it is of the leader's own term; all before it with it (Raft, 5.4.2).
 */
import { NO_DATA } from './entries.ts';
import type { ConfigurationChange } from './configuration.ts';
import type { AppendResponse, HeartbeatResponse } from './messages.ts';
import { Progress } from './progress.ts';
import { hasQuorum, jointQuorumIndex } from './quorum.ts';
import type { RaftState } from './state.ts';
import { remindTransferee } from './transfer.ts';

export function becomeLeader(state: RaftState): void {
  const { forced, options } = state;
  const heard = state.votes;
  state.reset(state.term);
  state.role = 'leader';
  state.forced = forced;
  state.leader = state.id;
  state.uncommittedBytes = state.log.unappliedBytes();
  for (const read of state.forwardedReads.drop()) state.readIndex.ask({ from: state.id, read });
  // Who has not answered the election counts as active only until it had time to answer a heartbeat.
  const unheardAt = 2 * options.heartbeatTicks - options.electionTicks;
  for (const id of state.members) trackMember(state, id, heard.has(id) ? 0 : unheardAt);
  // Entries of older terms are committed only through one of this term: at once. It is empty, or says who is left.
  const change: ConfigurationChange | undefined = forced === undefined ? undefined : { type: 'force', voters: forced };
  const index = state.log.lastIndex + 1;
  state.log.append([{ index, term: state.term, data: NO_DATA, change }]);
  // Entries before may change the configuration. No other change until all of them are applied, and with them this one.
  state.pendingChange = index;
  ownLogPersisted(state);
}

export function trackMember(state: RaftState, id: number, heardAt: number): void {
  const progress = new Progress(state.log.lastIndex + 1, state.options.inflight, heardAt);
  if (id === state.id) progress.state = 'replicate';
  state.progress.set(id, progress);
}

/** The leader's own log counts as far as it is durable. */
export function ownLogPersisted(state: RaftState): void {
  const { log } = state;
  const own = state.progress.get(state.id);
  if (own !== undefined && log.persisted > own.match) {
    own.accepted(log.persisted, log.firstIndex, state.now);
    advanceCommit(state);
  }
}

export function onAppendResponse(state: RaftState, response: AppendResponse): void {
  const progress = state.progress.get(response.from);
  if (state.role !== 'leader' || progress === undefined) return;
  const { log } = state;
  progress.heardAt = state.now;
  if (response.accepted) {
    if (progress.accepted(response.index, log.firstIndex, state.now)) advanceCommit(state);
  } else {
    // The follower's log at the hint is of hintTerm: the leader skips everything of larger terms at once.
    progress.refused(response.index, log.agreement(response.hintIndex, response.hintTerm).index);
  }
}

export function onHeartbeatResponse(state: RaftState, { from, round }: HeartbeatResponse): void {
  const progress = state.progress.get(from);
  if (state.role !== 'leader' || progress === undefined) return;
  progress.heard(state.now);
  state.readIndex.heard(from, round);
  if (state.lease.enabled) state.lease.confirmed(state.readIndex.confirmed(state.id, state.voterSets));
}

export function advanceCommit(state: RaftState): void {
  const { log } = state;
  const index = jointQuorumIndex(state.voterSets, (id) => state.progress.get(id)!.match);
  if (index > log.committed && log.term(index) === state.term) log.committed = index;
}

export function tickLeader(state: RaftState): void {
  const { electionTicks, heartbeatTicks } = state.options;
  state.now++;
  if (++state.elapsed >= electionTicks) {
    state.elapsed = 0;
    if (!hasQuorum(state.voterSets, (id) => id === state.id || isActive(state, id))) return state.becomeFollower(state.term, 0);
  }
  if (state.transferee !== 0 && ++state.transferElapsed >= electionTicks) state.transferee = 0;
  if (++state.heartbeatElapsed < heartbeatTicks) return;
  sendHeartbeats(state);
  remindTransferee(state);
}

/** Whether it was heard within an election timeout. */
export function isActive(state: RaftState, id: number): boolean {
  return state.now - state.progress.get(id)!.heardAt < state.options.electionTicks;
}

export function sendHeartbeats(state: RaftState, sleep = false): void {
  state.heartbeatElapsed = 0;
  state.round++;
  state.lease.sent(state.round);
  for (const [to, progress] of state.progress) {
    if (to === state.id) continue;
    // Not beyond what the follower is known to have: it might hold other entries there.
    const commit = Math.min(progress.match, state.log.committed);
    state.messages.push({ type: 'heartbeat-request', from: state.id, to, term: state.term, commit, round: state.round, sleep });
  }
}
