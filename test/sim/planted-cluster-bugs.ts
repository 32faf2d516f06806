/**
 * Bugs to plant in what several nodes need: each found by a cluster in the simulation (planted.ts). Those of the core alone, against random lives of the
 * core, are in test/server/raft/planted-bugs.ts; those that matter most are here again, to show that the whole finds them too.
 */
import type { PlantedBug } from './planted-bugs.ts';

const DRIVE = 'server/node/core-drive.ts';
const OPENING = 'server/node/replica-opening.ts';
const READING = 'server/node/replica-reads.ts';
const EXCHANGE = 'server/node/snapshot-exchange.ts';
const STORE = 'server/node/replica-store.ts';
const FEED = 'server/node/log-feed.ts';
const DIRECTORY = 'server/node/group-directory.ts';
const MACHINE = 'server/node/state-machine.ts';
const REPAIR = 'server/node/engine-repair.ts';
const RETENTION = 'server/node/log-retention.ts';
const PROPOSALS = 'server/node/proposals.ts';
const READS = 'server/node/reads.ts';
const OPEN_SEGMENT = 'server/node/log/open-segment.ts';
const FRAMES = 'server/node/log/log-format.ts';
const INCOMING = 'server/transport/incoming-snapshot.ts';
const CODEC = 'server/transport/message-codec.ts';
const RAFT = 'server/raft/raft.ts';
const ELECTION = 'server/raft/election.ts';
const LEADER = 'server/raft/leader.ts';
const FOLLOWER = 'server/raft/follower.ts';
const LOG = 'server/raft/log.ts';
const MEMBERSHIP = 'server/raft/membership.ts';
const QUORUM = 'server/raft/quorum.ts';
const RAFT_READS = 'server/raft/reads.ts';
const READ_INDEX = 'server/raft/read-index.ts';
const LEASE = 'server/raft/lease.ts';
const CLIENT = 'client/call-runner.ts';

/** Three nodes that stay the group. */
const THREE: readonly string[] = ['--nodes', '3'];
/** Members come and go. */
const CHANGING: readonly string[] = ['--nodes', '5', '--voters', '3'];

export const PLANTED_CLUSTER_BUGS: readonly PlantedBug[] = [
  // ---- what must be durable first ----
  {
    name: 'entries are acknowledged before they are durable',
    file: DRIVE,
    find: '    snapshots.store(output, written).then(\n',
    plant: '    snapshots.store(output, written).catch((error: unknown) => this.fail(error));\n    Promise.resolve().then(\n',
    cluster: THREE,
  },
  {
    name: 'acknowledgements leave before the sync',
    file: FOLLOWER,
    find: 'state.messagesAfterSync.push(response(state, to, true, index, 0, 0));',
    plant: 'state.messages.push(response(state, to, true, index, 0, 0));',
    cluster: THREE,
  },
  {
    name: 'a leader counts its own log before it is durable',
    file: LEADER,
    find: 'own !== undefined && log.persisted > own.match) {\n    own.accepted(log.persisted,',
    plant: 'own !== undefined && log.lastIndex > own.match) {\n    own.accepted(log.lastIndex,',
    cluster: THREE,
  },
  {
    name: 'a vote need not be durable',
    file: RAFT,
    find: ' || hardState.term !== handed.term || hardState.vote !== handed.vote;',
    plant: ';',
    cluster: THREE,
  },
  {
    name: 'a vote leaves before it is durable',
    file: ELECTION,
    find: '(pre ? state.messages : state.messagesAfterSync).push(answer);',
    plant: 'state.messages.push(answer);',
    cluster: THREE,
  },
  {
    name: 'a candidate asks for votes before its own is durable',
    file: ELECTION,
    find: '(pre ? state.messages : state.messagesAfterSync).push(request);',
    plant: 'state.messages.push(request);',
    cluster: THREE,
  },
  {
    name: 'the log answers before its sync is done',
    file: OPEN_SEGMENT,
    find: '    await this.#file!.datasync();\n',
    plant: '    void this.#file!.datasync().catch(() => undefined);\n    await Promise.resolve();\n',
    cluster: THREE,
  },
  {
    name: 'a segment begins by calling all before it committed',
    file: 'server/node/log/group-state.ts',
    find: 'return { group, ordinal, lastIndex, lastTerm, hardState,',
    plant: 'return { group, ordinal, lastIndex, lastTerm, hardState: { ...hardState, commit: lastIndex },',
    cluster: THREE,
  },
  {
    name: 'the vote is forgotten with a restart',
    file: OPENING,
    find: '    hardState: { ...recovered.hardState, commit },\n',
    plant: '    hardState: { ...recovered.hardState, vote: 0, commit },\n',
    cluster: THREE,
  },
  {
    name: 'term and vote are not restored',
    file: OPENING,
    find: '    hardState: { ...recovered.hardState, commit },\n',
    plant: '    hardState: { term: recovered.terms.at(-1)?.term ?? recovered.compactedTerm, vote: 0, commit },\n',
    cluster: THREE,
  },
  {
    name: 'what a restart finds in the log counts as committed',
    file: OPENING,
    find: '  const commit = Math.max(recovered.hardState.commit, applied);\n',
    plant: '  const commit = recovered.lastIndex;\n',
    cluster: THREE,
  },
  {
    name: 'a commit index is durable before the entries that take the place of others',
    file: FEED,
    find: 'if (!replaces || ',
    plant: 'if (replaces || ',
    cluster: THREE,
  },
  {
    name: 'what is sealed with a check is read without it',
    file: FRAMES,
    find: '!== seal.hash(source.subarray(offset + 8, end), seal.seed)) return undefined;',
    plant: '!== seal.hash(source.subarray(offset + 8, end), seal.seed) && end < start) return undefined;',
    cluster: THREE,
  },
  // ---- elections and commits ----
  {
    name: 'a majority is one less',
    file: QUORUM,
    find: '  return Math.floor(voters / 2) + 1;\n',
    plant: '  return Math.max(1, Math.floor(voters / 2));\n',
    cluster: THREE,
  },
  {
    name: 'votes are given to those who lack entries',
    file: ELECTION,
    find: 'free && log.isUpToDate(lastIndex, lastTerm)',
    plant: 'free',
    cluster: THREE,
  },
  {
    name: 'the length of a log counts more than its term',
    file: LOG,
    find: 'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.#last);',
    plant: 'return lastIndex > this.#last || (lastIndex === this.#last && lastTerm >= this.lastTerm);',
    cluster: THREE,
  },
  {
    name: 'two votes in one term',
    file: ELECTION,
    find: '  const free = state.vote === from ||',
    plant: '  const free = state.vote >= 0 ||',
    cluster: THREE,
  },
  {
    name: 'messages of an old term are taken',
    file: RAFT,
    find: '    } else if (message.term < state.term) {\n',
    plant: "    } else if (message.term < state.term && message.type !== 'append-request' && message.type !== 'append-response') {\n",
    cluster: THREE,
  },
  {
    name: 'an entry of an older term is committed by counting',
    file: LEADER,
    find: '  if (index > log.committed && log.term(index) === state.term) log.committed = index;\n',
    plant: '  if (index > log.committed) log.committed = index;\n',
    cluster: THREE,
  },
  {
    name: 'an append is taken without what comes before it',
    file: FOLLOWER,
    find: '  } else if (log.term(previousIndex) === previousTerm) {\n',
    plant: '  } else if (log.term(previousIndex) !== undefined) {\n',
    cluster: THREE,
  },
  {
    name: 'an append cuts off what follows it',
    file: LOG,
    find: '    if (fresh === -1) return;\n',
    plant:
      '    if (fresh === -1) return entries.length > 0 && entries.at(-1)!.index < this.#last ? this.#cut(entries.at(-1)!.index) : undefined;\n',
    cluster: THREE,
  },
  {
    name: 'committed entries can be replaced',
    file: LOG,
    find: "    assert(last >= this.committed, 'committed entries are never replaced');\n",
    plant: '',
    also: {
      file: LOG,
      find: '    if (fresh === -1) return;\n',
      plant: '    if (fresh === -1) return this.#cut(entries.at(-1)?.index ?? this.#last);\n',
    },
    cluster: THREE,
  },
  {
    name: 'a heartbeat tells what is committed beyond what matches',
    file: LEADER,
    find: '    const commit = Math.min(progress.match, state.log.committed);\n',
    plant: '    const commit = state.log.committed;\n',
    cluster: THREE,
  },
  {
    name: 'a follower commits what it was not sent',
    file: FOLLOWER,
    find: '    log.committed = Math.max(log.committed, Math.min(commit, last));\n',
    plant: '    log.committed = Math.max(log.committed, Math.min(commit, log.lastIndex));\n',
    cluster: THREE,
  },
  {
    name: 'what is in the log is applied before it is committed',
    file: LOG,
    find: '    const to = Math.min(this.committed, this.#persisted);\n',
    plant: '    const to = this.#persisted;\n',
    cluster: THREE,
  },
  {
    name: 'an entry is applied twice',
    file: LOG,
    find: '    this.#applying = to;\n    return entries;\n',
    plant: '    this.#applying = to > 50 ? to - 1 : to;\n    return entries;\n',
    cluster: THREE,
  },
  {
    name: 'a storage acknowledgement of replaced entries counts',
    file: LOG,
    find: '    if (index > this.#persisted && this.term(index) === term) {\n',
    plant: '    if (index > this.#persisted && index <= this.#handed && term > 0) {\n',
    also: { file: RAFT, find: '    if (token.term < state.term) return;\n', plant: '' },
    cluster: THREE,
  },
  {
    name: 'a replaced tail counts as durable',
    file: LOG,
    find: '    this.#persisted = Math.min(this.#persisted, last);\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'the terms of entries are told from that before the first',
    file: CODEC,
    find: '    if (entry.withheldBytes !== undefined) writer.varint(entry.withheldBytes);\n    term = entry.term;\n',
    plant: '    if (entry.withheldBytes !== undefined) writer.varint(entry.withheldBytes);\n',
    cluster: THREE,
  },
  // ---- reads ----
  {
    name: 'a leader reads without making sure that it leads',
    file: READING,
    find: '    if (this.#atOnce) return undefined;\n',
    plant: '    if (this.#parts.leads()) return undefined;\n',
    cluster: THREE,
  },
  {
    name: 'followers read as if they led',
    file: READING,
    find: '    if (this.#atOnce) return undefined;\n',
    plant: "    if (this.#parts.notLeader().kind === 'rerouted') return undefined;\n",
    cluster: THREE,
  },
  {
    name: 'confirmed reads do not wait for what is to be applied',
    file: READS,
    find: '    this.#confirmed.push({ index, committed: index <= committed, reads: asked.reads });\n',
    plant: '    this.#confirmed.push({ index: Math.min(index, 0), committed: index <= committed, reads: asked.reads });\n',
    cluster: THREE,
  },
  {
    name: 'a follower tells itself what is committed',
    file: RAFT_READS,
    find: '  else if (anywhere && state.leader !== 0 && !state.isWitness) state.forwardedReads.ask(read);\n',
    plant: '  else if (anywhere && state.leader !== 0 && !state.isWitness) state.readStates.push({ read, index: state.log.committed });\n',
    cluster: THREE,
  },
  {
    name: 'a proof of freshness counts from when it comes',
    file: READS,
    find: '(nowMs - this.#proof.atMs) * SLOW_CLOCK',
    plant: '(nowMs - this.#proof.atMs) * 0.2',
    cluster: THREE,
  },
  {
    name: 'a read that may be old does not wait for what it must see',
    file: READING,
    find: 'if (index === undefined || index > this.#parts.applied() || ',
    plant: 'if (index === undefined || ',
    cluster: THREE,
  },
  {
    name: 'a read is answered by an older round',
    file: READ_INDEX,
    find: 'this.#rounds[0]!.round <= confirmed) {',
    plant: 'this.#rounds[0]!.round <= confirmed + 3) {',
    cluster: THREE,
  },
  {
    name: 'a read is answered without a majority',
    file: READ_INDEX,
    find: '    return jointQuorumIndex(sets, (id) => (id === self ? Infinity : (this.#heard.get(id) ?? 0)));\n',
    plant: '    return jointQuorumIndex(sets, (id) => (id === self ? Infinity : (this.#heard.get(id) ?? Infinity)));\n',
    cluster: THREE,
  },
  {
    name: 'a leader reads before it knows what is committed',
    file: RAFT_READS,
    find: '  if (readIndex.waiting && log.term(log.committed) === state.term) {\n',
    plant: '  if (readIndex.waiting) {\n',
    cluster: THREE,
  },
  {
    name: 'reads whose leader lost its lead are answered',
    file: READS,
    find: '    for (const { reject } of this.#asked.get(read)?.reads ?? []) reject(refusal());\n    this.#asked.delete(read);\n',
    plant:
      '    void refusal;\n    for (const { resolve } of this.#asked.get(read)?.reads ?? []) resolve();\n    this.#asked.delete(read);\n',
    cluster: THREE,
  },
  {
    name: 'a lease begins with the answer',
    file: LEASE,
    find: '    while (this.#rounds.length > 0 && this.#rounds[0]!.round <= round) sentMs = this.#rounds.shift()!.sentMs;\n',
    plant:
      '    while (this.#rounds.length > 0 && this.#rounds[0]!.round <= round) {\n      this.#rounds.shift();\n      sentMs = this.#nowMs;\n    }\n',
    cluster: THREE,
  },
  {
    name: 'a member that starts again has promised nothing to a lease',
    file: LEASE,
    find: '    this.#promisedUntilMs = nowMs + this.#options.durationMs;\n',
    plant: '    this.#promisedUntilMs = nowMs;\n',
    cluster: THREE,
  },
  {
    name: 'whoever has heard a leader campaigns against its lease',
    file: LEASE,
    find: '    return this.#options !== undefined && this.#nowMs < this.#promisedUntilMs;\n',
    plant: '    return this.#options !== undefined && this.#nowMs < this.#promisedUntilMs && this.#rounds.length > 1000;\n',
    cluster: THREE,
  },
  // ---- writes ----
  {
    name: 'a write whose leader lost its lead counts as done',
    file: PROPOSALS,
    find: "    for (const proposal of pending) this.#refuse(proposal, lost('the lead was lost; whether the write is applied is not known', {}));\n",
    plant:
      "    for (const proposal of pending) {\n      this.#leave(proposal);\n      proposal.resolve({ outcome: 'applied', version: 1 });\n    }\n",
    cluster: THREE,
  },
  {
    name: "another leader's entry counts as the write that was proposed at its index",
    file: PROPOSALS,
    find: '    if (proposal.term === entry.term) proposal.resolve(result);\n',
    plant: '    if (proposal.term <= entry.term) proposal.resolve(result);\n',
    also: {
      file: PROPOSALS,
      find: '    if (this.#pending.size === 0) return;\n    const pending',
      plant: '    if (this.#pending.size >= 0) return;\n    const pending',
    },
    cluster: THREE,
  },
  {
    name: 'a write that is answered is not applied yet',
    file: PROPOSALS,
    find: '  begun(proposals: readonly Proposal[], first: number, term: number): void {\n',
    plant:
      "  begun(proposals: readonly Proposal[], first: number, term: number): void {\n    for (const [i, { resolve }] of proposals.entries()) setImmediate(() => resolve({ outcome: 'applied', version: first + i }));\n",
    cluster: THREE,
  },
  {
    name: 'identified writes are not remembered over a snapshot',
    file: MACHINE,
    find: '    this.#requests.load(engine.scanSync({ prefix: RECORD_PREFIX }), engine.getSync(RequestTable.floorKey));\n',
    plant:
      '    if (beginning.voters.length > 0) this.#requests.load(engine.scanSync({ prefix: RECORD_PREFIX }), engine.getSync(RequestTable.floorKey));\n',
    cluster: THREE,
  },
  {
    name: 'the SDK believes a refusal though an earlier attempt was lost',
    file: CLIENT,
    find: '    call.uncertain ||= call.wasSent;\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'the SDK takes an unknown outcome for a failure',
    file: CLIENT,
    find: "  return call.method.writes ? { applied: call.wasSent ? 'unknown' : false } : {};\n",
    plant: '  return call.method.writes ? { applied: false } : {};\n',
    cluster: THREE,
  },
  {
    name: 'the SDK gives a write that it sends again another number',
    file: CLIENT,
    find: "    call.state = 'pausing';\n    queueMicrotask(() => {\n",
    plant:
      "    call.state = 'pausing';\n    if (call.identified !== undefined) call.identified.requestId = this.#ids.begin();\n    queueMicrotask(() => {\n",
    cluster: THREE,
  },
  // ---- the log's end, snapshots ----
  {
    name: 'the log is cut before the engine has what goes',
    file: RETENTION,
    find: '    this.#durable = Math.max(this.#durable, index);\n',
    plant: '    this.#durable = Math.max(this.#durable, index + 5);\n',
    cluster: THREE,
  },
  {
    name: 'a snapshot is called newer than it is',
    file: STORE,
    find: 'describe(sequence!)',
    plant: 'describe(this.#engine.sequence)',
    cluster: THREE,
  },
  {
    name: 'a snapshot has the term of who sends it',
    file: EXCHANGE,
    find: '    return { index, term, configuration };\n',
    plant: '    return { index, term: this.#of.raft.term, configuration };\n',
    cluster: THREE,
  },
  {
    name: 'a snapshot takes the place of the engine before the term is durable',
    file: EXCHANGE,
    find: '    if (hardState !== undefined) await feed.appendTerm(hardState);\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'the commit index of a snapshot is durable before the snapshot',
    file: FEED,
    find: '{ ...hardState, commit: this.#commit }',
    plant: 'hardState',
    cluster: THREE,
  },
  {
    name: 'the log keeps what came before a snapshot',
    file: EXCHANGE,
    find: '    await feed.restore(index, term);\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'a crash between a snapshot and the log is not mended',
    file: OPENING,
    find: '  await finishInstall(parts);\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'a snapshot counts as installed before it is',
    file: LOG,
    find: '      if (snapshot < this.#installing) return;\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'the files of a snapshot are not synced',
    file: INCOMING,
    find: '      await this.#settled(file.datasync());\n      const record',
    plant: '      const record',
    cluster: THREE,
  },
  {
    name: 'the names of the files of a snapshot are not synced',
    file: INCOMING,
    find: '  fileSystem.syncDirectorySync(files);\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'where the engine is, is not synced',
    file: DIRECTORY,
    find: '  fileSystem.renameSync(path, `${group}/current`);\n  fileSystem.syncDirectorySync(group);\n',
    plant: '  fileSystem.renameSync(path, `${group}/current`);\n',
    cluster: THREE,
  },
  {
    name: 'a snapshot that nobody needs blocks the next one',
    file: EXCHANGE,
    find: '    if (output.snapshot === undefined && this.#installing === undefined) this.#arrived = undefined;\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'what becomes of a snapshot is not told',
    file: EXCHANGE,
    find: '        () => reported(false),\n',
    plant: '        () => undefined,\n',
    cluster: THREE,
  },
  // ---- members ----
  {
    name: 'who the members are is not kept',
    file: MACHINE,
    find: '    if (entry.change !== undefined || !this.#configurationWritten) return this.#applyMembers(entry);\n',
    plant: '    if (!this.#configurationWritten) return this.#applyMembers(entry);\n',
    cluster: CHANGING,
  },
  {
    name: 'a snapshot brings no configuration',
    file: FOLLOWER,
    find: '    state.configuration = snapshot.configuration;\n',
    plant: '',
    cluster: CHANGING,
  },
  {
    name: 'a repaired engine lacks what came behind its snapshot',
    file: REPAIR,
    find: '    const bytes = await this.#catchUp(machine);\n',
    plant: '    const bytes = 0;\n',
    cluster: THREE,
  },
  {
    name: 'followers do not act on a change of the members',
    file: RAFT,
    find: '    applyChanges(state, changes);\n',
    plant: "    if (state.role === 'leader') applyChanges(state, changes);\n",
    cluster: CHANGING,
  },
  {
    name: 'a change of the members acts when it is proposed',
    file: MEMBERSHIP,
    find: '  state.pendingChange = index;\n  return index;\n',
    plant: '  state.pendingChange = index;\n  state.configuration = changed(state.configuration, change);\n  return index;\n',
    also: {
      file: MEMBERSHIP,
      find: '    switchTo(state, changed(state.configuration, change!));\n',
      plant:
        "    const acted = state.role === 'leader' && state.pendingChange > 0 && change!.type !== 'force';\n    switchTo(state, acted ? state.configuration : changed(state.configuration, change!));\n",
    },
    cluster: CHANGING,
  },
  {
    name: 'two changes of the members at a time',
    file: MEMBERSHIP,
    find: "  if (state.pendingChange > state.log.applied) return { refused: 'change-pending' };\n",
    plant: '',
    cluster: CHANGING,
  },
  {
    name: 'a learner counts in the majority that commits',
    file: LEADER,
    find: '  const index = jointQuorumIndex(state.voterSets, (id) => state.progress.get(id)!.match);\n',
    plant:
      '  const matches = [...state.progress.values()].map(({ match }) => match).sort((a, b) => b - a);\n  const index = jointQuorumIndex(state.voterSets, () => matches[Math.floor(state.voterSets.voters.length / 2)] ?? 0);\n',
    cluster: CHANGING,
  },
  {
    name: 'a joint configuration commits by the new voters alone',
    file: QUORUM,
    find: '  return outgoing.length === 0 ? index : Math.min(index, quorumIndex(outgoing.map(acknowledged)));\n',
    plant: '  return outgoing.length >= 0 ? index : Math.min(index, quorumIndex(outgoing.map(acknowledged)));\n',
    cluster: CHANGING,
  },
  {
    name: 'a joint configuration elects by the new voters alone',
    file: QUORUM,
    find: "  if (outgoing.length === 0 || result === 'lost') return result;\n",
    plant: "  if (outgoing.length >= 0 || result === 'lost') return result;\n",
    cluster: CHANGING,
  },
  {
    name: 'a member campaigns with a change that it has not applied',
    file: ELECTION,
    find: '    !state.log.hasUnappliedChange\n',
    plant: '    state.log.committed >= 0\n',
    cluster: CHANGING,
  },
  {
    name: 'a leader goes on counting who is no voter any more',
    file: MEMBERSHIP,
    find: '  state.configuration = configuration;\n  state.lease.renew();\n',
    plant:
      "  const { voters } = configuration;\n  const counted = state.role === 'leader' ? state.configuration.voters.filter((id) => !voters.includes(id)) : [];\n  state.configuration = counted.length > 0 ? { ...configuration, voters: [...voters, ...counted].sort((a, b) => a - b), learners: configuration.learners.filter((id) => !counted.includes(id)) } : configuration;\n  state.lease.renew();\n",
    cluster: CHANGING,
  },
  {
    name: 'a new member follows a log without knowing who is a member',
    file: FOLLOWER,
    find: '  if (state.configuration.voters.length === 0) {\n',
    plant: '  if (state.configuration.voters.length < 0) {\n',
    cluster: CHANGING,
  },
];
