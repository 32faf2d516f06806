/**
 * What majorities have of a leader's log, durably or not: enough to survive the end of processes, not a loss of power. Where a group's host answers writes then
 * (server/node/early-answers.ts), this is how far it may.
 *
 *   last >= written here, received by majorities >= committed: durable at majorities >= applied
 *
 * Nothing in Raft follows from it: entries are committed, applied, and counted in elections as ever, so members never differ in what they applied, whatever a
 * disk forgets. But that reads wait for what was answered (`answered`), which is committed next unless it is lost.
 *
 * Why it survives: of an entry of the leader's own term that majorities have in their logs nobody is elected without it (Raft, 5.4.1) as long as those logs are
 * there, on the disk or in the system's cache. Used by raft.ts.
 */
import type { AppendReceived, Message, StorageToken } from './messages.ts';
import { jointQuorumIndex } from './quorum.ts';
import type { RaftState } from './state.ts';

/** Storage has the log up to the token, and has not synced it. Returns what the leader may be told of it. */
export function ownLogWritten(state: RaftState, token: StorageToken, after: readonly Message[]): AppendReceived[] {
  // As of what is durable: of an older term, the log may have been replaced since.
  if (token.term < state.term) return [];
  const own = state.progress.get(state.id);
  if (own !== undefined) own.received = Math.max(own.received, token.index);
  const told: AppendReceived[] = [];
  for (const message of after) {
    if (message.type !== 'append-response' || !message.accepted) continue;
    const { from, to, term, index } = message;
    told.push({ type: 'append-received', from, to, term, index });
  }
  return told;
}

export function onAppendReceived(state: RaftState, { from, index }: AppendReceived): void {
  const progress = state.progress.get(from);
  if (state.role === 'leader' && progress !== undefined) progress.received = Math.max(progress.received, index);
}

export function receivedIndex({ role, progress, voterSets }: RaftState): number {
  if (role !== 'leader') return 0;
  return jointQuorumIndex(voterSets, (id) => {
    const known = progress.get(id);
    return known === undefined ? 0 : Math.max(known.match, known.received);
  });
}
