/**
 * Bugs of Raft to plant, one at a time, to see what finds each (planted.ts): a random life, by its seed, or a golden script, by its name.
 * Every one is an edit of one file in server/raft: `find` stands in it exactly once and gives way to `plant`.
 */
export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly plant: string;
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  // ---- what must be durable first ----
  {
    name: 'votes leave before they are durable',
    file: 'election.ts',
    find: '(pre ? state.messages : state.messagesAfterSync).push(answer);',
    plant: 'state.messages.push(answer);',
  },
  {
    name: 'requests for votes leave before the term is durable',
    file: 'election.ts',
    find: '(pre ? state.messages : state.messagesAfterSync).push(request);',
    plant: 'state.messages.push(request);',
  },
  {
    name: 'the own vote counts before it is durable',
    file: 'election.ts',
    find: "state.messagesAfterSync.push({ type: 'vote-response', from: id, to, term, pre, granted: true, commit, commitTerm });",
    plant: 'void commit; void commitTerm; state.votes.set(id, true);',
  },
  {
    name: 'a vote need not be synced',
    file: 'raft.ts',
    find: ' || hardState.vote !== handed.vote;',
    plant: ';',
  },
  {
    name: 'a term need not be synced',
    file: 'raft.ts',
    find: ' || hardState.term !== handed.term ||',
    plant: ' ||',
  },
  {
    name: 'entries are acknowledged before they are durable',
    file: 'follower.ts',
    find: 'state.messagesAfterSync.push(response(state, to, true, index, 0, 0));',
    plant: 'state.messages.push(response(state, to, true, index, 0, 0));',
  },
  {
    name: 'the leader counts its log before it is durable',
    file: 'leader.ts',
    find: 'own !== undefined && log.persisted > own.match) {\n    own.accepted(log.persisted,',
    plant: 'own !== undefined && log.lastIndex > own.match) {\n    own.accepted(log.lastIndex,',
  },
  {
    name: 'a storage acknowledgement of an older term counts',
    file: 'raft.ts',
    find: '    if (token.term < state.term) return;\n',
    plant: '',
  },
  {
    name: 'a storage acknowledgement of replaced entries counts',
    file: 'log.ts',
    find: 'index > this.#persisted && this.term(index) === term',
    plant: 'index > this.#persisted && index <= this.#handed && term > 0',
  },
  {
    name: 'a snapshot counts as installed before it is durable',
    file: 'log.ts',
    find: '      if (snapshot < this.#installing) return;\n',
    plant: '',
  },
  {
    name: 'a replaced tail stays durable',
    file: 'log.ts',
    find: '    this.#persisted = Math.min(this.#persisted, last);\n',
    plant: '',
  },
  {
    name: 'a replaced tail is not stored again',
    file: 'log.ts',
    find: '    this.#handed = Math.min(this.#handed, last);\n',
    plant: '',
  },
  // ---- elections ----
  {
    name: 'a shorter log gets a vote',
    file: 'election.ts',
    find: 'free && log.isUpToDate(lastIndex, lastTerm)',
    plant: 'free',
  },
  {
    name: 'the length of a log counts more than its term',
    file: 'log.ts',
    find: 'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.#last);',
    plant: 'return lastIndex > this.#last || (lastIndex === this.#last && lastTerm >= this.lastTerm);',
  },
  {
    name: 'two votes in one term',
    file: 'election.ts',
    find: '  const free = state.vote === from ||',
    plant: '  const free = state.vote >= 0 ||',
  },
  {
    name: 'half of the voters are a majority',
    file: 'quorum.ts',
    find: 'return Math.floor(voters / 2) + 1;',
    plant: 'return Math.ceil(voters / 2);',
  },
  {
    name: 'a learner refuses its vote',
    file: 'election.ts',
    find: 'const granted = free && log',
    plant: 'const granted = free && state.configuration.voters.includes(state.id) && log',
  },
  {
    name: 'a pre-vote raises the term',
    file: 'raft.ts',
    find: "(message.type === 'vote-request' && message.pre) ||",
    plant: '',
  },
  {
    name: 'a pre-vote of a lower term is not answered',
    file: 'follower.ts',
    find: "} else if (type === 'vote-request') {",
    plant: "} else if (type === 'vote-request' && !message.pre) {",
  },
  {
    name: 'votes are not withheld while a leader is heard',
    file: 'election.ts',
    find: 'return heardLeader || state.lease.withholdsVotes;',
    plant: 'return (heardLeader && false) || state.lease.withholdsVotes;',
  },
  {
    name: 'withheld votes stop a transfer',
    file: 'election.ts',
    find: '  if (request.force) return false;\n',
    plant: '',
  },
  {
    name: 'who cannot campaign never forgets its leader',
    file: 'election.ts',
    find: '  if (!mayCampaign(state) || state.lease.withholdsVotes) return;\n  state.elapsed = 0;\n',
    plant: '  state.elapsed = 0;\n  if (!mayCampaign(state) || state.lease.withholdsVotes) return;\n',
  },
  {
    name: 'a leader without a majority leads on',
    file: 'leader.ts',
    find: 'return state.becomeFollower(state.term, 0);',
    plant: 'return;',
  },
  {
    name: 'elections do not tell what is committed',
    file: 'election.ts',
    find: "  if (state.role === 'leader') return;\n  state.log",
    plant: "  if (state.role !== 'candidate') return;\n  state.log",
  },
  {
    name: 'what is committed is believed without its term',
    file: 'log.ts',
    find: 'if (index > this.committed && this.term(index) === term) this.committed = index;',
    plant: 'if (index > this.committed && index <= this.#last && term > 0) this.committed = index;',
  },
  // ---- replication ----
  {
    name: 'an entry of an older term is committed by counting',
    file: 'leader.ts',
    find: 'index > log.committed && log.term(index) === state.term',
    plant: 'index > log.committed',
  },
  {
    name: 'a heartbeat tells what is committed beyond what matches',
    file: 'leader.ts',
    find: 'const commit = Math.min(progress.match, state.log.committed);',
    plant: 'const commit = state.log.committed;',
  },
  {
    name: 'a follower commits what it was not sent',
    file: 'follower.ts',
    find: 'log.committed = Math.max(log.committed, Math.min(commit, last));',
    plant: 'log.committed = Math.max(log.committed, Math.min(commit, log.lastIndex));',
  },
  {
    name: 'an append is taken without what comes before it',
    file: 'follower.ts',
    find: '} else if (log.term(previousIndex) === previousTerm) {',
    plant: '} else if (previousIndex <= log.lastIndex) {',
  },
  {
    name: 'an append cuts off what follows it',
    file: 'log.ts',
    find: 'const fresh = entries.findIndex((entry) => this.term(entry.index) !== entry.term);',
    plant: 'const fresh = entries.findIndex((entry) => entry.index > this.committed);',
  },
  {
    name: 'a late acknowledgement takes the next entry back',
    file: 'progress.ts',
    find: '    this.next = Math.max(this.next, index + 1);\n',
    plant: '    this.next = index + 1;\n',
  },
  {
    name: 'a refusal takes the next entry back below what matches',
    file: 'progress.ts',
    find: 'this.next = Math.max(Math.min(previousIndex, agreement + 1), this.match + 1);',
    plant: 'this.next = Math.max(Math.min(previousIndex, agreement + 1), 1);',
  },
  {
    name: 'a follower backs off one entry at a time',
    file: 'progress.ts',
    find: 'Math.min(previousIndex, agreement + 1)',
    plant: 'Math.min(previousIndex, Math.max(previousIndex, agreement))',
  },
  {
    name: 'a window that is emptied keeps its bytes',
    file: 'inflight.ts',
    find: '    this.#sent.length = 0;\n    this.#bytes = 0;\n',
    plant: '    this.#sent.length = 0;\n',
  },
  {
    name: 'lost appends are never asked for',
    file: 'replication.ts',
    find: '  if (askAgain || ',
    plant: '  if (',
  },
  {
    name: 'a throttled follower does not hear what is committed',
    file: 'replication.ts',
    find: "  if (progress.state !== 'replicate') return;\n",
    plant: "  if (progress.state !== 'replicate' || progress.paused) return;\n",
  },
  {
    name: 'proposals are not bounded',
    file: 'raft.ts',
    find: 'if (held > 0 && bytes > 0 && held + bytes > state.options.uncommittedBytesMax)',
    plant: 'if (held > 0 && bytes > 0 && held + bytes > state.options.uncommittedBytesMax * 1e6)',
  },
  // ---- apply ----
  {
    name: 'an entry is applied twice',
    file: 'log.ts',
    find: '    this.#applying = to;\n    return entries;',
    plant: '    this.#applying = to - 1;\n    return entries;',
  },
  {
    name: 'an entry is applied before it is durable',
    file: 'log.ts',
    find: 'const to = Math.min(this.committed, this.#persisted);',
    plant: 'const to = this.committed;',
  },
  // ---- reads ----
  {
    name: 'a read is answered by an older round',
    file: 'read-index.ts',
    find: 'this.#rounds[0]!.round <= confirmed',
    plant: 'this.#rounds[0]!.round <= confirmed + 1',
  },
  {
    name: 'a read is answered without a round',
    file: 'reads.ts',
    find: '    if (state.lease.valid) {',
    plant: "    if (state.lease.valid || state.role === 'leader') {",
  },
  {
    name: 'a read does not wait for an entry of the own term',
    file: 'reads.ts',
    find: 'readIndex.waiting && log.term(log.committed) === state.term',
    plant: 'readIndex.waiting',
  },
  {
    name: 'a follower takes the answer to an older request for one to a later one',
    file: 'forwarded-reads.ts',
    find: 'this.#batches[0]!.request !== 0 && this.#batches[0]!.request <= request',
    plant: 'this.#batches[0]!.request !== 0',
  },
  {
    name: 'a follower that starts again numbers its requests from the beginning',
    file: 'forwarded-reads.ts',
    find: '(life >>> 0) * REQUESTS_PER_LIFE',
    plant: '(life >>> 0) * 0',
  },
  {
    name: 'reads that come while a request is under way join it',
    file: 'forwarded-reads.ts',
    find: 'if (last?.request === 0) last.reads.push(read);',
    plant: 'if (last !== undefined) last.reads.push(read);',
  },
  {
    name: 'a follower never asks again',
    file: 'forwarded-reads.ts',
    find: 'else if (!this.#resend && !moved) return undefined;',
    plant: 'else if (!moved) return undefined;',
  },
  {
    name: 'a follower asks a new leader nothing again',
    file: 'forwarded-reads.ts',
    find: 'else if (!this.#resend && !moved) return undefined;',
    plant: 'else if (!this.#resend) return undefined;',
  },
  {
    name: 'a read that nobody answers is never lost',
    file: 'forwarded-reads.ts',
    find: 'this.#batches[0]!.ticks >= ticksMax',
    plant: 'this.#batches[0]!.ticks >= ticksMax * 1e6',
  },
  {
    name: 'a follower answers for the leader',
    file: 'reads.ts',
    find: "  if (state.role === 'leader' && state.progress.has(from)) state.readIndex.ask({ from, read });\n",
    plant:
      "  if (state.role === 'leader' && state.progress.has(from)) state.readIndex.ask({ from, read });\n  else tell(state, [{ from, read, index: state.log.committed }]);\n",
  },
  {
    name: 'who comes to lead forgets its own reads',
    file: 'leader.ts',
    find: '  for (const read of state.forwardedReads.drop()) state.readIndex.ask({ from: state.id, read });\n',
    plant: '',
  },
  {
    name: 'a lease begins with the answer',
    file: 'lease.ts',
    find: 'sentMs + durationMs - pauseMarginMs',
    plant: 'this.#nowMs + durationMs',
  },
  {
    name: 'a lease outlives a transfer',
    file: 'lease.ts',
    find: '    this.#revoked = true;\n',
    plant: '',
  },
  {
    name: 'a member that starts again has promised nothing',
    file: 'lease.ts',
    find: '    this.#promisedUntilMs = nowMs + this.#options.durationMs;\n  }',
    plant: '    this.#promisedUntilMs = nowMs;\n  }',
  },
  {
    name: 'a member that promised its vote campaigns',
    file: 'election.ts',
    find: '!mayCampaign(state) || state.lease.withholdsVotes',
    plant: '!mayCampaign(state)',
  },
  // ---- configuration ----
  {
    name: 'a joint commit needs the new voters only',
    file: 'quorum.ts',
    find: 'return outgoing.length === 0 ? index : Math.min(index, quorumIndex(outgoing.map(acknowledged)));',
    plant: 'return outgoing.length === 0 ? index : index;',
  },
  {
    name: 'a joint election needs the new voters only',
    file: 'quorum.ts',
    find: "if (outgoing.length === 0 || result === 'lost') return result;",
    plant: "if (outgoing.length >= 0 || result === 'lost') return result;",
  },
  {
    name: 'two changes at once',
    file: 'membership.ts',
    find: "  if (state.pendingChange > state.log.applied) return { refused: 'change-pending' };\n",
    plant: '',
  },
  {
    name: 'a new leader assumes no pending change',
    file: 'leader.ts',
    find: '  state.pendingChange = index;\n',
    plant: '',
  },
  {
    name: 'a member campaigns with a change that it has not applied',
    file: 'election.ts',
    find: '    !state.log.hasUnappliedChange\n',
    plant: '    state.log.applied >= 0\n',
  },
  {
    name: 'a change is lost with a replaced tail and comes back',
    file: 'log.ts',
    find: '    while (this.#changes.length > 0 && this.#changes.at(-1)!.index > last) this.#changes.pop();\n',
    plant: '',
  },
  {
    name: 'a snapshot brings no configuration',
    file: 'follower.ts',
    find: '    state.configuration = snapshot.configuration;\n',
    plant: '',
  },
  {
    name: 'a joint configuration is not left by itself',
    file: 'raft.ts',
    find: '      leaveJoint(state);\n',
    plant: '',
  },
  {
    name: 'a leader without a vote leads on',
    file: 'raft.ts',
    find: '      resign(state);\n',
    plant: '      void resign;\n',
  },
  {
    name: 'a new member follows a log without knowing who is a member',
    file: 'follower.ts',
    find: 'if (state.configuration.voters.length === 0) {',
    plant: 'if (state.configuration.voters.length < 0) {',
  },
  {
    name: 'a voter is removed at once',
    file: 'configuration.ts',
    find: '    if (isVoter(configuration, id)) throw invalid(`member ${id} votes: make it a learner first`, id);\n    return { ...configuration, learners',
    plant: '    return { ...configuration, voters: without(voters), learners',
  },
  // ---- snapshots, transfer, witnesses, sleep ----
  {
    name: 'an append follows an entry that the log does not have any more',
    file: 'replication.ts',
    find: 'if (progress.uninitialized || progress.next < log.firstIndex) {',
    plant: 'if (progress.uninitialized) {',
  },
  {
    name: 'only the snapshot that was asked for will do',
    file: 'progress.ts',
    find: '(news && this.match + 1 >= firstIndex)',
    plant: '(news && this.match >= this.pendingSnapshot && firstIndex > 0)',
  },
  {
    name: 'leadership is handed over to who lacks entries',
    file: 'transfer.ts',
    find: 'state.progress.get(transferee)!.match !== log.lastIndex',
    plant: 'state.progress.get(transferee)!.match > log.lastIndex',
  },
  {
    name: 'a transfer is never given up',
    file: 'leader.ts',
    find: '++state.transferElapsed >= electionTicks',
    plant: '++state.transferElapsed >= electionTicks * 1e6',
  },
  {
    name: 'a witness leads',
    file: 'configuration.ts',
    find: 'return isVoter(configuration, id) && !configuration.witnesses.includes(id);',
    plant: 'return isVoter(configuration, id);',
  },
  {
    name: 'a witness is ahead of members with data',
    file: 'witness.ts',
    find: '  return limit;\n',
    plant: '  return Math.max(limit, state.log.lastIndex);\n',
  },
  {
    name: 'a group sleeps while somebody lacks entries',
    file: 'sleep.ts',
    find: 'if (match !== last ||',
    plant: 'if (match > last ||',
  },
  {
    name: 'a forced leader needs a majority of what is left only',
    file: 'election.ts',
    find: "  if (forced.some((id) => votes.get(id) === false)) return 'lost';\n  return forced.every((id) => votes.get(id) === true) ? 'won' : 'pending';",
    plant: '  return jointTally(voterSets, votes);',
  },
];
