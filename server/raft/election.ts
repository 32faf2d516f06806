/**
 * Elections: who campaigns, who gets a vote, who has won (Raft, 5.2; thesis, 4.2.3 and 9.6).
 *
 *   follower --timeout--> pre-candidate --majority would vote--> candidate (term + 1) --majority votes--> leader
 *
 * A pre-candidate only asks: no term changes, so a member that was cut off disturbs nobody when it comes back. Votes are withheld by
 * whoever has heard a leader within electionTicks (and under leases within their time), unless leadership was handed over or the
 * configuration is forced: those candidates ask at once, with `force`. In a group that has just come to be nobody leads, and nobody is to be asked whether anyone does.
 * Of two that would split the votes, one goes first.
 *
 * A vote, and the request for votes that tells a new term, leave when they are durable. The own vote counts as others' do: then.
 */
import { canLead } from './configuration.ts';
import { becomeLeader } from './leader.ts';
import type { VoteRequest, VoteResponse } from './messages.ts';
import { jointTally, type VoteResult } from './quorum.ts';
import type { RaftState } from './state.ts';

/** Whether this member may ask for votes now. */
export function mayCampaign(state: RaftState): boolean {
  return (
    state.role !== 'leader' &&
    canLead(state.configuration, state.id) &&
    // Without its state it could not lead.
    !state.log.installing &&
    hasPromised(state, state.log.lastIndex, state.log.lastTerm) &&
    // Others may have a configuration already in which this member, or its idea of a majority, is none.
    !state.log.hasUnappliedChange
  );
}

/** After a timeout: asks whether others would vote, or `atOnce` for their votes. */
export function campaign(state: RaftState, atOnce = false): void {
  if (state.forced !== undefined) state.becomeFollower(state.term, 0);
  // Its time goes on: the leader that it has not heard for so long keeps it from no vote.
  if (!mayCampaign(state) || state.lease.withholdsVotes) return;
  state.elapsed = 0;
  state.drawTimeout();
  state.asleep = false;
  state.role = 'pre-candidate';
  state.leader = 0;
  state.votes = new Map([[state.id, true]]);
  if (atOnce || result(state) === 'won') return elect(state, false);
  requestVotes(state, true, false);
}

/** Asks for votes in the next term; the answers decide. */
export function elect(state: RaftState, force: boolean): void {
  const { forced } = state;
  state.reset(state.term + 1);
  state.role = 'candidate';
  state.vote = state.id;
  state.forced = forced;
  requestVotes(state, false, force);
}

/** Handed over leadership: no pre-vote, and nobody's withheld vote is in the way. */
export function onTimeoutNow(state: RaftState): void {
  if (state.role === 'follower' && mayCampaign(state)) elect(state, true);
}

/** A vote request of a higher term that is to be ignored: this member knows of a leader. */
export function withholdsVote(state: RaftState, request: VoteRequest): boolean {
  if (request.force) return false;
  const heardLeader = state.leader !== 0 && state.elapsed < state.options.electionTicks;
  return heardLeader || state.lease.withholdsVotes;
}

/**
 * Members vote for whoever asks, learners too: one that was promoted may not know it yet, and its vote may be needed for the entry that
 * says so to reach it.
 */
export function onVoteRequest(state: RaftState, request: VoteRequest): void {
  const { from, term, pre } = request;
  const { log } = state;
  learnCommitted(state, request);
  if (goesFirst(state, request)) return refusePreVote(state, from);
  const free = state.vote === from || (state.vote === 0 && state.leader === 0) || (pre && term > state.term);
  const { lastIndex, lastTerm } = request;
  const granted = free && log.isUpToDate(lastIndex, lastTerm) && hasPromised(state, lastIndex, lastTerm);
  if (granted && !pre) {
    state.vote = from;
    state.elapsed = 0;
  }
  // A pre-vote is granted for the term that was asked for: the candidate would pass over an answer of an older one.
  const answer: VoteResponse = {
    type: 'vote-response',
    from: state.id,
    to: from,
    term: granted ? term : state.term,
    pre,
    granted,
    commit: log.committed,
    commitTerm: log.committedTerm,
  };
  (pre ? state.messages : state.messagesAfterSync).push(answer);
}

/**
 * Whether a log that ends with that entry has all that this member has acknowledged. Its own may not, when it lost one and is being filled anew: it counted for the
 * majority that committed what it had then, and somebody who missed that, and that members have changed since, may ask for its vote.
 */
function hasPromised({ options: { promised } }: RaftState, lastIndex: number, lastTerm: number): boolean {
  if (promised === undefined) return true;
  return lastTerm > promised.term || (lastTerm === promised.term && lastIndex >= promised.index);
}

/**
 * Of two members that begin to ask in the same tick, with the same log, each would give its vote to itself: so the one of the larger id gives no pre-vote to
 * the other. Only in that tick: who asks for long without an answer might stand in the way of one that could win.
 */
function goesFirst(state: RaftState, { from, term, pre, lastIndex, lastTerm }: VoteRequest): boolean {
  const { id, role, elapsed, forced, log } = state;
  if (!pre || role !== 'pre-candidate' || elapsed > 0 || forced !== undefined || term !== state.term + 1) return false;
  return id > from && log.lastIndex === lastIndex && log.lastTerm === lastTerm;
}

function refusePreVote(state: RaftState, to: number): void {
  const { id: from, term, log } = state;
  const { committed: commit, committedTerm: commitTerm } = log;
  state.messages.push({ type: 'vote-response', from, to, term, pre: true, granted: false, commit, commitTerm });
}

export function onVoteResponse(state: RaftState, response: VoteResponse): void {
  const { from, pre, granted } = response;
  learnCommitted(state, response);
  if (state.role !== (pre ? 'pre-candidate' : 'candidate')) return;
  if (!state.votes.has(from)) state.votes.set(from, granted);
  const outcome = result(state);
  if (outcome === 'lost') state.becomeFollower(state.term, 0);
  else if (outcome === 'won' && pre) elect(state, false);
  else if (outcome === 'won') becomeLeader(state);
}

/**
 * Elections tell what is committed. Take the voters 1 and 2, and a change that leaves 2 alone: 1 leads, knows that the change is committed,
 * steps down, and has a longer log than 2. As long as 2 does not know, it needs a vote that it cannot get.
 */
function learnCommitted(state: RaftState, { commit, commitTerm }: VoteRequest | VoteResponse): void {
  if (state.role === 'leader') return;
  state.log.learnCommitted(commit, commitTerm);
  // The change is applied first: the election may be another one after it.
  if (state.role !== 'follower' && state.forced === undefined && state.log.hasUnappliedChange) state.becomeFollower(state.term, 0);
}

/** After the loss of a majority nobody may be left out: whoever remains could have what was committed. */
function result({ forced, votes, voterSets }: RaftState): VoteResult {
  if (forced === undefined) return jointTally(voterSets, votes);
  if (forced.some((id) => votes.get(id) === false)) return 'lost';
  return forced.every((id) => votes.get(id) === true) ? 'won' : 'pending';
}

function requestVotes(state: RaftState, pre: boolean, force: boolean): void {
  const { id, log, voterSets } = state;
  const term = pre ? state.term + 1 : state.term;
  for (const to of new Set([...voterSets.voters, ...voterSets.outgoing])) {
    if (to !== id) {
      const request: VoteRequest = {
        type: 'vote-request',
        from: id,
        to,
        term,
        pre,
        force,
        lastIndex: log.lastIndex,
        lastTerm: log.lastTerm,
        commit: log.committed,
        commitTerm: log.committedTerm,
      };
      (pre ? state.messages : state.messagesAfterSync).push(request);
    } else if (!pre) {
      // The vote for itself travels as a message, too: it counts when it is durable.
      const { committed: commit, committedTerm: commitTerm } = log;
      state.messagesAfterSync.push({ type: 'vote-response', from: id, to, term, pre, granted: true, commit, commitTerm });
    }
  }
}
