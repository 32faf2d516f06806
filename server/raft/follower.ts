/** Following: taking over the leader's log, commit index and snapshots. What is acknowledged leaves when it is durable. */
import { assert } from '../../base/assert.ts';
import type { AppendRequest, AppendResponse, HeartbeatRequest, Message, SnapshotRequest } from './messages.ts';
import { fallAsleep } from './sleep.ts';
import type { RaftState } from './state.ts';

export function onAppendRequest(state: RaftState, { from, previousIndex, previousTerm, entries, commit }: AppendRequest): void {
  follow(state, from);
  const { log } = state;
  if (state.configuration.voters.length === 0) {
    // Who the members are to begin with is in no entry: a snapshot has to tell. The leader finds out by a refusal of index 0.
    refuse(state, from, previousIndex, 0, 0);
  } else if (previousIndex < log.committed) {
    // A repeated append: what is committed agrees with every later leader.
    accept(state, from, log.committed);
  } else if (log.term(previousIndex) === previousTerm) {
    log.merge(entries);
    const last = previousIndex + entries.length;
    log.committed = Math.max(log.committed, Math.min(commit, last));
    accept(state, from, last);
  } else {
    const hint = log.agreement(previousIndex, previousTerm);
    refuse(state, from, previousIndex, hint.index, hint.term);
  }
}

export function onHeartbeatRequest(state: RaftState, { from, term, commit, round, sleep }: HeartbeatRequest): void {
  follow(state, from);
  const { log } = state;
  log.committed = Math.max(log.committed, Math.min(commit, log.lastIndex));
  if (sleep && fallAsleep(state, commit)) return;
  state.messages.push({ type: 'heartbeat-response', from: state.id, to: from, term, round });
}

/** Any snapshot that brings the log forward is taken, wherever it comes from. */
export function onSnapshotRequest(state: RaftState, { from, snapshot }: SnapshotRequest): void {
  follow(state, from);
  const { log } = state;
  // The entries may be there, and that they are committed is news.
  log.learnCommitted(snapshot.index, snapshot.term);
  if (snapshot.index > log.committed) {
    log.restore(snapshot);
    state.configuration = snapshot.configuration;
  }
  accept(state, from, log.committed);
}

/** A leader or candidate that fell behind learns the new term from the answer: without it neither could get on. */
export function answerOldTerm(state: RaftState, message: Message): void {
  const { type, from } = message;
  const { id, term, log } = state;
  if (type === 'append-request' || type === 'heartbeat-request' || type === 'snapshot-request') {
    // Should it lead this term by the time that it gets this, it learns nothing from it.
    state.messages.push({ type: 'heartbeat-response', from: id, to: from, term, round: 0 });
  } else if (type === 'vote-request') {
    const { committed: commit, committedTerm: commitTerm } = log;
    state.messages.push({ type: 'vote-response', from: id, to: from, term, pre: message.pre, granted: false, commit, commitTerm });
  }
}

/** Somebody leads this term. */
function follow(state: RaftState, leader: number): void {
  assert(state.role !== 'leader', 'a term has one leader');
  if (state.role !== 'follower' || state.leader === 0) state.becomeFollower(state.term, leader);
  state.elapsed = 0;
  state.lease.promise();
}

function accept(state: RaftState, to: number, index: number): void {
  state.messagesAfterSync.push(response(state, to, true, index, 0, 0));
}

function refuse(state: RaftState, to: number, index: number, hintIndex: number, hintTerm: number): void {
  state.messages.push(response(state, to, false, index, hintIndex, hintTerm));
}

function response(
  { id, term }: RaftState,
  to: number,
  accepted: boolean,
  index: number,
  hintIndex: number,
  hintTerm: number,
): AppendResponse {
  return { type: 'append-response', from: id, to, term, accepted, index, hintIndex, hintTerm };
}
