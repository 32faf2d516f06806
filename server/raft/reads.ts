/**
 * Linearizable reads, at the leader (read-index.ts) and at followers (forwarded-reads.ts): who is asked, and who is told.
 */
import { sendHeartbeats } from './leader.ts';
import type { ReadRequest, ReadResponse } from './messages.ts';
import type { Confirmed } from './read-index.ts';
import type { RaftState } from './state.ts';

/** Takes a read in under this number. False: this member does not lead; with `anywhere`, it knows no leader to ask, or has no data. */
export function askRead(state: RaftState, read: number, anywhere: boolean): boolean {
  if (state.role === 'leader') state.readIndex.ask({ from: state.id, read });
  else if (anywhere && state.leader !== 0 && !state.isWitness) state.forwardedReads.ask(read);
  else return false;
  return true;
}

/** A leader's output. Reads begin when an entry of this term is committed: before, the leader may not know of all that is. */
export function answerReads(state: RaftState): void {
  const { id, readIndex, log, voterSets } = state;
  if (!readIndex.busy) return;
  if (readIndex.waiting && log.term(log.committed) === state.term) {
    const index = Math.max(log.committed, state.answered);
    if (state.lease.valid) {
      tell(state, readIndex.takeWaiting(index));
    } else {
      readIndex.begin(state.round + 1, index);
      sendHeartbeats(state);
    }
  }
  // Alone, the leader confirms its rounds itself.
  tell(state, readIndex.take(readIndex.confirmed(id, voterSets)));
}

/** A follower's output: asks the leader for what there is to ask. */
export function forwardReads(state: RaftState): void {
  const { id, term, leader, forwardedReads, messages } = state;
  if (state.role !== 'follower' || leader === 0) return;
  const read = forwardedReads.take(leader);
  if (read !== undefined) messages.push({ type: 'read-request', from: id, to: leader, term, read });
}

/** A member asks for an index. Whoever does not lead says nothing: the other one hears of the leader. */
export function onReadRequest(state: RaftState, { from, read }: ReadRequest): void {
  if (state.role === 'leader' && state.progress.has(from)) state.readIndex.ask({ from, read });
}

export function onReadResponse(state: RaftState, { read, index }: ReadResponse): void {
  state.readStates.push(...state.forwardedReads.answered(read, index));
}

function tell({ id, term, readStates, messages }: RaftState, reads: readonly Confirmed[]): void {
  for (const { from, read, index } of reads) {
    if (from === id) readStates.push({ read, index });
    else messages.push({ type: 'read-response', from: id, to: from, term, read, index });
  }
}
