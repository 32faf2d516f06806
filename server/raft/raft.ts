/**
 * Raft (Ongaro and Ousterhout; after etcd-io/raft's shape): one member of one group as a pure state machine.
 *
 *   in   tick, step(message), propose, requestRead, campaign, persisted(token)
 *   out  output(): what to persist, send and apply; collected until asked for, so that a host batches all of a turn
 *
 *   const output = raft.output();
 *   send(output.messages);
 *   await storage.append(output.entries, output.hardState);      // may take its time: outputs go on meanwhile, storage keeps their order
 *   raft.persisted(output.token);
 *   send(output.messagesAfterSync);
 *   for (const entry of output.committed) apply(entry);           // in any later output, once persisted here and by a majority
 *
 * What must not leave before it is durable waits in messagesAfterSync: votes, acknowledgements of entries, and requests for votes (a
 * candidate that forgets its term could lead the same term twice). A leader counts its own log only as far as it is durable.
 *
 * Time is ticks. Randomness is seeded. Nothing here waits, reads a clock or does I/O. Broken into: log.ts (entries and terms),
 * progress.ts (what a leader knows of a follower), quorum.ts, read-index.ts, messages.ts. Called by server/node/replica.ts.
 */
import { assert } from '../../base/assert.ts';
import { type InitialLog, RaftLog } from './log.ts';
import type {
  AppendRequest,
  AppendResponse,
  HardState,
  HeartbeatRequest,
  HeartbeatResponse,
  LogEntry,
  Message,
  Output,
  ReadState,
  StorageToken,
  VoteRequest,
  VoteResponse,
} from './messages.ts';
import { type InflightLimits, Progress } from './progress.ts';
import { quorumIndex, tally } from './quorum.ts';
import { SeededRandom } from './random.ts';
import { ReadIndex } from './read-index.ts';

export type Role = 'follower' | 'candidate' | 'leader';

export interface RaftOptions {
  /** This member: an integer above 0. */
  id: number;
  /** All members that vote, this one included. */
  voters: readonly number[];
  /** A follower that hears nothing campaigns after this many ticks and up to as many again, at random. */
  electionTicks: number;
  /** A leader sends heartbeats this often. */
  heartbeatTicks: number;
  /** Different for each member. */
  seed: number;
  /** Bytes of entries in one append. */
  appendBytesMax: number;
  /** Appends to one follower that are not answered yet. */
  inflight: InflightLimits;
  hardState: HardState;
  log: InitialLog;
  /** The last entry that has been applied. */
  applied: number;
}

export class Raft {
  readonly id: number;
  readonly #options: RaftOptions;
  readonly #voters: readonly number[];
  readonly #random: SeededRandom;
  readonly #log: RaftLog;
  readonly #readIndex: ReadIndex = new ReadIndex();
  #role: Role = 'follower';
  #term: number;
  #vote: number;
  #leader = 0;
  #votes: Map<number, boolean> = new Map();
  #progress: Map<number, Progress> = new Map();
  #ticks = 0;
  #electionTimeout = 0;
  #round = 0;
  #reads = 0;
  /** The hard state that the last output carried. */
  #handedState: HardState;
  #messages: Message[] = [];
  #messagesAfterSync: Message[] = [];
  #readStates: ReadState[] = [];
  #lostReads: number[] = [];

  constructor(options: RaftOptions) {
    assert(options.id > 0 && options.voters.includes(options.id), 'a member is one of its voters');
    assert(options.electionTicks > options.heartbeatTicks, 'heartbeats come more often than elections');
    this.id = options.id;
    this.#options = options;
    this.#voters = [...options.voters];
    this.#random = new SeededRandom(options.seed);
    this.#term = options.hardState.term;
    this.#vote = options.hardState.vote;
    this.#handedState = { ...options.hardState };
    this.#log = new RaftLog(options.log, Math.max(options.hardState.commit, options.applied), options.applied);
    assert(this.#log.lastTerm <= this.#term, 'no entry is of a term that the member has not seen');
    this.#becomeFollower(this.#term, 0);
  }

  get role(): Role {
    return this.#role;
  }

  get term(): number {
    return this.#term;
  }

  /** The leader of this term as far as known, or 0. */
  get leader(): number {
    return this.#leader;
  }

  get log(): Readonly<Pick<RaftLog, 'lastIndex' | 'firstIndex' | 'persisted' | 'committed' | 'term'>> {
    return this.#log;
  }

  /** What a leader knows of a member; undefined elsewhere. */
  progress(id: number): Progress | undefined {
    return this.#progress.get(id);
  }

  /** Time passes. */
  tick(): void {
    this.#ticks++;
    if (this.#role === 'leader') {
      if (this.#ticks >= this.#options.heartbeatTicks) {
        this.#ticks = 0;
        this.#sendHeartbeats();
      }
    } else if (this.#ticks >= this.#electionTimeout) {
      this.campaign();
    }
  }

  /** Asks for votes now. */
  campaign(): void {
    if (this.#role === 'leader') return;
    this.#reset(this.#term + 1);
    this.#role = 'candidate';
    this.#vote = this.id;
    const lastIndex = this.#log.lastIndex;
    const lastTerm = this.#log.lastTerm;
    for (const to of this.#voters) {
      // The vote for itself counts when it is durable, as everybody else's does: it travels as a message, too.
      if (to === this.id) this.#messagesAfterSync.push({ type: 'vote-response', from: this.id, to, term: this.#term, granted: true });
      else this.#messagesAfterSync.push({ type: 'vote-request', from: this.id, to, term: this.#term, lastIndex, lastTerm });
    }
  }

  /**
   * Adds entries to the log of the group. Returns the index of the first, or undefined when this member does not lead. An entry is
   * committed when it comes back in `Output.committed` with the term that it was proposed in; it may never come.
   */
  propose(data: readonly Uint8Array[]): number | undefined {
    if (this.#role !== 'leader') return undefined;
    const first = this.#log.lastIndex + 1;
    this.#log.append(data.map((bytes, i) => ({ index: first + i, term: this.#term, data: bytes })));
    return first;
  }

  /**
   * Asks for a point up to which applied state is fresh. Returns a number that comes back in `Output.reads` or `Output.lostReads`, or
   * undefined when this member does not lead.
   */
  requestRead(): number | undefined {
    if (this.#role !== 'leader') return undefined;
    const read = ++this.#reads;
    this.#readIndex.ask(read);
    return read;
  }

  /** Storage has made an output durable. */
  persisted(token: StorageToken): void {
    // Of an older term: the log may have been replaced since by entries that are not durable. A newer token is on its way.
    if (token.term < this.#term) return;
    this.#log.persistedTo(token.index, token.entryTerm);
    if (this.#role === 'leader' && this.#progress.get(this.id)!.accepted(this.#log.persisted)) this.#advanceCommit();
  }

  /** Entries up to here are applied and need not be kept in memory, as far as no other member may ask for them. */
  release(index: number): void {
    this.#log.release(Math.min(index, this.#log.applied, this.#nobodyLacks()));
  }

  /** How much of the log up to `index` may be removed. */
  compactable(index: number): number {
    return Math.min(index, this.#log.applied, this.#nobodyLacks());
  }

  /** Storage has removed the log up to `index`, which was compactable. */
  compact(index: number): void {
    assert(index < this.#log.firstIndex || index <= this.compactable(index), 'only what nobody needs is removed');
    this.#log.compact(index);
  }

  /** A message from another member, or its own vote that has become durable. */
  step(message: Message): void {
    assert(message.to === this.id, 'a message reaches the one it is for');
    if (message.term > this.#term) {
      const leads = message.type === 'append-request' || message.type === 'heartbeat-request';
      this.#becomeFollower(message.term, leads ? message.from : 0);
    } else if (message.term < this.#term) {
      this.#answerOldTerm(message);
      return;
    }
    switch (message.type) {
      case 'vote-request':
        return this.#onVoteRequest(message);
      case 'vote-response':
        return this.#onVoteResponse(message);
      case 'append-request':
        return this.#onAppendRequest(message);
      case 'append-response':
        return this.#onAppendResponse(message);
      case 'heartbeat-request':
        return this.#onHeartbeatRequest(message);
      case 'heartbeat-response':
        return this.#onHeartbeatResponse(message);
    }
  }

  /** Takes what there is to do. */
  output(): Output {
    if (this.#role === 'leader') {
      this.#beginReadRound();
      for (const to of this.#voters) if (to !== this.id) this.#sendAppends(to);
    }
    const entries = this.#log.takeUnstored();
    const state: HardState = { term: this.#term, vote: this.#vote, commit: this.#log.committed };
    const handed = this.#handedState;
    const mustSync = entries.length > 0 || state.term !== handed.term || state.vote !== handed.vote;
    const changed = mustSync || state.commit !== handed.commit;
    this.#handedState = state;
    const output: Output = {
      messages: this.#messages,
      hardState: changed ? state : undefined,
      entries,
      mustSync,
      token: { term: this.#term, index: this.#log.handed, entryTerm: this.#log.term(this.#log.handed)! },
      messagesAfterSync: this.#messagesAfterSync,
      committed: this.#log.takeCommitted(),
      reads: this.#readStates,
      lostReads: this.#lostReads,
    };
    this.#messages = [];
    this.#messagesAfterSync = [];
    this.#readStates = [];
    this.#lostReads = [];
    return output;
  }

  #reset(term: number): void {
    if (term !== this.#term) {
      assert(term > this.#term, 'terms never fall');
      this.#term = term;
      this.#vote = 0;
    }
    this.#leader = 0;
    this.#ticks = 0;
    this.#votes = new Map();
    this.#progress = new Map();
    this.#electionTimeout = this.#options.electionTicks + this.#random.below(this.#options.electionTicks);
    this.#lostReads.push(...this.#readIndex.drop());
  }

  #becomeFollower(term: number, leader: number): void {
    this.#reset(term);
    this.#role = 'follower';
    this.#leader = leader;
  }

  #becomeLeader(): void {
    this.#reset(this.#term);
    this.#role = 'leader';
    this.#leader = this.id;
    for (const voter of this.#voters) this.#progress.set(voter, new Progress(this.#log.lastIndex + 1, this.#options.inflight));
    // Entries of older terms are committed only through one of this term (Raft, 5.4.2): an empty one, at once.
    this.#log.append([{ index: this.#log.lastIndex + 1, term: this.#term, data: NO_DATA }]);
    this.#progress.get(this.id)!.accepted(this.#log.persisted);
  }

  #onVoteRequest(message: VoteRequest): void {
    const free = this.#vote === message.from || (this.#vote === 0 && this.#leader === 0);
    const granted = free && this.#log.isUpToDate(message.lastIndex, message.lastTerm);
    if (granted) {
      this.#vote = message.from;
      this.#ticks = 0;
    }
    this.#messagesAfterSync.push({ type: 'vote-response', from: this.id, to: message.from, term: this.#term, granted });
  }

  #onVoteResponse(message: VoteResponse): void {
    if (this.#role !== 'candidate') return;
    if (!this.#votes.has(message.from)) this.#votes.set(message.from, message.granted);
    const result = tally(this.#voters, this.#votes);
    if (result === 'won') this.#becomeLeader();
    else if (result === 'lost') this.#becomeFollower(this.#term, 0);
  }

  #onAppendRequest(message: AppendRequest): void {
    this.#follow(message.from);
    const log = this.#log;
    const response: AppendResponse = {
      type: 'append-response',
      from: this.id,
      to: message.from,
      term: this.#term,
      accepted: false,
      index: message.previousIndex,
      hintIndex: 0,
      hintTerm: 0,
    };
    if (message.previousIndex < log.committed) {
      // A repeated append: what is committed agrees with every later leader.
      this.#messagesAfterSync.push({ ...response, accepted: true, index: Math.min(log.committed, log.persisted) });
    } else if (log.term(message.previousIndex) === message.previousTerm) {
      log.merge(message.entries);
      const last = message.previousIndex + message.entries.length;
      log.committed = Math.max(log.committed, Math.min(message.commit, last));
      this.#messagesAfterSync.push({ ...response, accepted: true, index: last });
    } else {
      const hint = log.agreement(message.previousIndex, message.previousTerm);
      this.#messages.push({ ...response, hintIndex: hint.index, hintTerm: hint.term });
    }
  }

  #onAppendResponse(message: AppendResponse): void {
    const progress = this.#progress.get(message.from);
    if (this.#role !== 'leader' || progress === undefined) return;
    if (message.accepted) {
      if (progress.accepted(message.index)) this.#advanceCommit();
    } else {
      // The follower's log at the hint is of hintTerm: the leader skips everything of larger terms at once.
      progress.refused(message.index, this.#log.agreement(message.hintIndex, message.hintTerm).index);
    }
  }

  #onHeartbeatRequest(message: HeartbeatRequest): void {
    this.#follow(message.from);
    this.#log.committed = Math.max(this.#log.committed, Math.min(message.commit, this.#log.lastIndex));
    const { from, term, round } = message;
    this.#messages.push({ type: 'heartbeat-response', from: this.id, to: from, term, round });
  }

  #onHeartbeatResponse(message: HeartbeatResponse): void {
    const progress = this.#progress.get(message.from);
    if (this.#role !== 'leader' || progress === undefined) return;
    progress.heard();
    this.#readStates.push(...this.#readIndex.heard(message.from, message.round, this.#voters));
  }

  /** Somebody leads this term. */
  #follow(leader: number): void {
    assert(this.#role !== 'leader', 'a term has one leader');
    if (this.#role === 'candidate' || this.#leader === 0) this.#becomeFollower(this.#term, leader);
    this.#ticks = 0;
  }

  /** A leader or candidate that fell behind learns the new term from the answer. */
  #answerOldTerm(message: Message): void {
    const envelope = { from: this.id, to: message.from, term: this.#term };
    if (message.type === 'append-request' || message.type === 'heartbeat-request') {
      this.#messages.push({ type: 'append-response', ...envelope, accepted: false, index: 0, hintIndex: 0, hintTerm: 0 });
    } else if (message.type === 'vote-request') {
      this.#messages.push({ type: 'vote-response', ...envelope, granted: false });
    }
  }

  /** What a majority has durably is committed, if it is of this term; all before it with it. */
  #advanceCommit(): void {
    const index = quorumIndex(this.#voters.map((voter) => this.#progress.get(voter)!.match));
    if (index > this.#log.committed && this.#log.term(index) === this.#term) this.#log.committed = index;
  }

  /** The last entry that every member is known to have: only a leader knows, and alone a member is everybody. */
  #nobodyLacks(): number {
    if (this.#voters.length === 1) return Infinity;
    return this.#role === 'leader' ? Math.min(...[...this.#progress.values()].map((progress) => progress.match)) : 0;
  }

  #sendAppends(to: number): void {
    const progress = this.#progress.get(to)!;
    while (!progress.paused && progress.next <= this.#log.lastIndex) {
      this.#sendAppend(to, progress, this.#log.slice(progress.next, this.#options.appendBytesMax));
    }
    // A follower that has the entries, or may not get more now, still learns what is committed.
    if (progress.state === 'replicate' && progress.sentCommit < this.#log.committed) this.#sendAppend(to, progress, []);
  }

  #sendAppend(to: number, progress: Progress, entries: readonly LogEntry[]): void {
    const previousIndex = progress.next - 1;
    const commit = this.#log.committed;
    const envelope = { from: this.id, to, term: this.#term };
    this.#messages.push({
      type: 'append-request',
      ...envelope,
      previousIndex,
      previousTerm: this.#log.term(previousIndex)!,
      entries,
      commit,
    });
    progress.sentCommit = commit;
    progress.sent(
      entries.at(-1)?.index,
      entries.reduce((sum, entry) => sum + entry.data.length, 0),
    );
  }

  /** Reads begin when an entry of this term is committed: before, the leader may not know of all that is. */
  #beginReadRound(): void {
    if (!this.#readIndex.waiting || this.#log.term(this.#log.committed) !== this.#term) return;
    this.#round++;
    this.#readIndex.begin(this.#round, this.#log.committed, this.id);
    if (this.#voters.length === 1) this.#readStates.push(...this.#readIndex.heard(this.id, this.#round, this.#voters));
    else this.#sendHeartbeats();
  }

  #sendHeartbeats(): void {
    for (const to of this.#voters) {
      if (to === this.id) continue;
      // Not beyond what the follower is known to have: it might hold other entries there.
      const commit = Math.min(this.#progress.get(to)!.match, this.#log.committed);
      this.#messages.push({ type: 'heartbeat-request', from: this.id, to, term: this.#term, commit, round: this.#round });
    }
  }
}

const NO_DATA = new Uint8Array(0);
