/**
 * All that a member knows: what the role files (election.ts, leader.ts, follower.ts ...) read and change. It has no behaviour of its own
 * beyond becoming a follower, which every part may bring about, and the queues of what is to leave.
 */
import { assert } from '../../base/assert.ts';
import { type Configuration, membersOf } from './configuration.ts';
import { ForwardedReads } from './forwarded-reads.ts';
import type { InflightLimits } from './inflight.ts';
import { Lease, type LeaseOptions } from './lease.ts';
import { type InitialLog, RaftLog } from './log.ts';
import type { EntryFetch, HardState, Message, ReadState } from './messages.ts';
import type { Progress } from './progress.ts';
import type { VoterSets } from './quorum.ts';
import { SeededRandom } from './random.ts';
import { ReadIndex } from './read-index.ts';

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export interface RaftOptions {
  /** This member: an integer above 0. */
  id: number;
  /** As of `applied`. Of nobody (`votersOnly([])`) when this member waits for a leader's snapshot to tell. */
  configuration: Configuration;
  /**
   * A follower that hears nothing campaigns after this many ticks and up to as many again, at random. Within it votes are withheld for
   * the sake of the leader, a leader without a majority steps down, and a transfer of leadership ends.
   */
  electionTicks: number;
  /** A leader sends heartbeats this often. */
  heartbeatTicks: number;
  /** A leader of a group in which everything is done and nothing has happened for so long puts it to sleep. Infinity: never. */
  sleepTicks?: number;
  /** Reads without a round of heartbeats. Without it: never. */
  lease?: LeaseOptions | undefined;
  /** 32 bits, different for each member and each time that it is opened. */
  seed: number;
  /** Bytes of entries in one append. */
  appendBytesMax: number;
  /** Appends to one follower that are not answered yet. */
  inflight: InflightLimits;
  /** Proposals are refused when so many bytes are proposed and not applied. One beyond it is taken when there are none. */
  uncommittedBytesMax: number;
  /** Applied entries that followers may need are kept in a leader's memory up to this many bytes; older ones are read from storage. */
  keptBytesMax: number;
  hardState: HardState;
  log: InitialLog;
  /** The last entry of a log that this member has had and lost, on purpose: it has acknowledged all up to it. Left out: none. */
  promised?: { readonly index: number; readonly term: number };
  /** The last entry that has been applied. */
  applied: number;
}

export class RaftState {
  readonly id: number;
  readonly options: RaftOptions;
  readonly random: SeededRandom;
  readonly log: RaftLog;
  readonly readIndex: ReadIndex = new ReadIndex();
  readonly forwardedReads: ForwardedReads;
  readonly lease: Lease;
  role: Role = 'follower';
  term: number;
  vote: number;
  /** Of this term, as far as known, or 0. */
  leader = 0;
  configuration: Configuration;
  /** Voters that take the place of the configuration's after the loss of a majority (forced.ts). */
  forced: readonly number[] | undefined;

  /** Answers to an election, by voter. */
  votes: Map<number, boolean> = new Map();
  /** Ticks since the leader was heard, or a candidacy began; a leader: since it last made sure of its majority. */
  elapsed = 0;
  electionTimeout = 0;
  /** Nothing happens until somebody wakes it (sleep.ts). */
  asleep = false;

  /** A leader's: what it knows of every member, itself included. */
  progress: Map<number, Progress> = new Map();
  /** Ticks of this leadership. */
  now = 0;
  heartbeatElapsed = 0;
  /** Ticks in which there was nothing to do. */
  idleTicks = 0;
  /** Who is to lead next, or 0. */
  transferee = 0;
  transferElapsed = 0;
  /** timeout-now has been sent for this log end. */
  transferSent = false;
  /** The last entry that may change the configuration and may not be applied. */
  pendingChange = 0;
  /** Bytes proposed and not applied. */
  uncommittedBytes = 0;
  /** Heartbeats are counted for reads. */
  round = 0;
  /** A leader's: reads see what is up to here, committed or not (received.ts). */
  answered = 0;

  messages: Message[] = [];
  messagesAfterSync: Message[] = [];
  readStates: ReadState[] = [];
  lostReads: number[] = [];
  fetches: EntryFetch[] = [];

  constructor(options: RaftOptions) {
    this.id = options.id;
    this.options = options;
    this.configuration = options.configuration;
    this.random = new SeededRandom(options.seed);
    this.forwardedReads = new ForwardedReads(options.seed);
    this.term = options.hardState.term;
    this.vote = options.hardState.vote;
    this.log = new RaftLog(options.log, Math.max(options.hardState.commit, options.applied), options.applied);
    this.lease = new Lease(options.lease);
    assert(this.log.lastTerm <= this.term, 'no entry is of a term that the member has not seen');
    this.reset(this.term);
  }

  /** Whose agreement counts. */
  get voterSets(): VoterSets {
    return this.forced === undefined ? this.configuration : { voters: this.forced, outgoing: [] };
  }

  /** Everybody, this member included when it is one. */
  get members(): number[] {
    const members = membersOf(this.configuration);
    for (const id of this.forced ?? []) if (!members.includes(id)) members.push(id);
    return members;
  }

  get isWitness(): boolean {
    return this.configuration.witnesses.includes(this.id);
  }

  /** Back to the beginning of a role; a new term has no vote yet. */
  reset(term: number): void {
    if (term !== this.term) {
      assert(term > this.term, 'terms never fall');
      this.term = term;
      this.vote = 0;
    }
    this.leader = 0;
    this.elapsed = 0;
    this.drawTimeout();
    this.votes = new Map();
    this.asleep = false;
    this.progress = new Map();
    this.now = this.heartbeatElapsed = this.idleTicks = 0;
    this.transferee = 0;
    this.transferSent = false;
    this.pendingChange = 0;
    this.uncommittedBytes = 0;
    this.answered = 0;
    this.fetches = [];
    this.lease.lose();
    for (const { from, read } of this.readIndex.drop()) if (from === this.id) this.lostReads.push(read);
  }

  becomeFollower(term: number, leader: number): void {
    this.reset(term);
    this.role = 'follower';
    this.leader = leader;
    this.forced = undefined;
  }

  drawTimeout(): void {
    this.electionTimeout = this.options.electionTicks + this.random.below(this.options.electionTicks);
  }
}
