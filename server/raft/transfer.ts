/**
 * Handing leadership over (Raft thesis, 3.10): no proposals meanwhile; when the other one has the whole log, timeout-now lets it campaign at
 * once, past withheld votes. It may not be able to yet (a change of the members that it has not applied), and messages get lost: it is told again with each
 * heartbeat. Given up after electionTicks, in which the leader leads on.
 *
 * A leader that cannot go on abdicates instead: whoever has most of its log campaigns at once. One that goes on, and must not lead, steps down with that.
 */
import { canLead } from './configuration.ts';
import type { Refusal, TimeoutNow } from './messages.ts';
import type { RaftState } from './state.ts';

/** Returns why not. */
export function transferTo(state: RaftState, to: number): Refusal | undefined {
  if (state.role !== 'leader') return 'not-leader';
  if (!canLead(state.configuration, to)) return 'cannot-lead';
  if (to === state.id) {
    state.transferee = 0;
  } else if (to !== state.transferee) {
    state.transferee = to;
    state.transferElapsed = 0;
    state.transferSent = false;
  }
  return undefined;
}

/** Tells the other one when it has everything. */
export function continueTransfer(state: RaftState): void {
  const { id, term, transferee, log } = state;
  if (transferee === 0 || state.transferSent || state.progress.get(transferee)!.match !== log.lastIndex) return;
  state.transferSent = true;
  // Given up or not, this message may arrive at any time in this term: no lease can be relied on.
  state.lease.revoke();
  state.messages.push({ type: 'timeout-now', from: id, to: transferee, term });
}

/** With a heartbeat: the other one may not have been able to, or may not have heard. */
export function remindTransferee(state: RaftState): void {
  if (state.transferee === 0 || !state.transferSent || state.messages.some(({ type }) => type === 'timeout-now')) return;
  state.transferSent = false;
  continueTransfer(state);
}

/** Not where nobody else could lead. */
export function stepDown(state: RaftState): void {
  const { term } = state;
  const message = abdicate(state);
  if (message === undefined) return;
  state.messages.push(message);
  state.becomeFollower(term, 0);
}

/** Undefined: this member does not lead, or nobody else could. */
export function abdicate(state: RaftState): TimeoutNow | undefined {
  const { id, term, configuration } = state;
  if (state.role !== 'leader') return undefined;
  let to = 0;
  let most = 0;
  for (const [member, { match }] of state.progress) {
    if (member !== id && match > most && canLead(configuration, member)) [to, most] = [member, match];
  }
  if (to === 0) return undefined;
  state.lease.revoke();
  return { type: 'timeout-now', from: id, to, term };
}
