/**
 * Witnesses: voters that keep index, term and size of every entry, and no data. They make a third vote cheap.
 *
 * To elections and commits they are voters like others, so Raft's safety holds as it stands: what is committed is in the log of every
 * later leader. They never campaign and never lead: a leader must be able to send what its log has. (A witness with the longest log could
 * win an election, and could do nothing with it: what is missing elsewhere is missing there too.)
 *
 * What they endanger is not agreement but data and elections. Take 1 and 2 with data and the witness 3:
 *
 *   - 1 appends an entry, 3 acknowledges it, 2 is slower: committed, with one copy of its data. When 1 dies, 2 cannot be elected, 3 has more.
 *   - the same without the commit: 3 has an entry that 2 has not, and 2 still cannot be elected.
 *
 * So the leader sends a witness only entries that it has itself on disk, and that every voter with data has acknowledged which is there
 * and keeps up. While 1 and 2 are well, an entry is committed by the two of them and 3 learns of it later: either may die, and the other
 * is elected with 3's vote. When 2 has been silent for electionTicks, 3 takes its place, with one copy of the data until 2 is back: that is
 * the second failure at which this group stops. When 2 is back it holds 3 up again as soon as it has everything that is committed.
 *
 * A voter keeps up when it was heard within electionTicks, has all that is committed, and has acknowledged something within that time if
 * it was sent anything: a disk that hangs behind a process that answers must not stop the group. A new leader gives everybody two
 * heartbeats to be heard.
 *
 * A member with data whose vote is taken may be the only one that has what a witness knows of. So while there are witnesses, a leader
 * proposes that only when a voter with data that keeps up remains, and when it is its own vote, it leads on until that is so.
 *
 * A configuration in which a majority could consist of witnesses is refused (configuration.ts), so every commit has a copy of the data.
 */
import { canLead, type Configuration } from './configuration.ts';
import { isActive } from './leader.ts';
import type { RaftState } from './state.ts';

/** The last entry that a witness may be sent. */
export function witnessLimit(state: RaftState): number {
  let limit = state.log.lastIndex;
  for (const [id, progress] of state.progress) {
    if (id === state.id || (canLead(state.configuration, id) && keepsUp(state, id))) limit = Math.min(limit, progress.match);
  }
  return limit;
}

/** Whether one of these voters could be elected against the log of any witness. */
export function hasSuccessor(state: RaftState, configuration: Configuration): boolean {
  const { voters, outgoing, witnesses } = configuration;
  if (![...voters, ...outgoing].some((id) => witnesses.includes(id))) return true;
  return voters.some((id) => {
    if (witnesses.includes(id)) return false;
    const progress = state.progress.get(id);
    return id === state.id || (progress !== undefined && progress.match >= state.log.committed && keepsUp(state, id));
  });
}

function keepsUp(state: RaftState, id: number): boolean {
  const { match, next, state: replication, advancedAt } = state.progress.get(id)!;
  // Right after an election nobody's log is known yet.
  const unknown = replication === 'probe' && match === 0;
  const stalled = match < next - 1 && state.now - advancedAt >= state.options.electionTicks;
  return isActive(state, id) && !stalled && (unknown || match >= state.log.committed);
}
