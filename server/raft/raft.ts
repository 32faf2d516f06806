/**
 * Raft (Ongaro and Ousterhout; after etcd-io/raft's shape): one member of one group as a pure state machine.
 *
 *   in   tick, step(message), propose, proposeChange, requestRead, transferLeadership, persisted(token), applied(index) ...
 *   out  output(): what to persist, send and apply; collected until asked for, so that a host batches all of a turn
 *
 *   const output = raft.output();
 *   send(output.messages);
 *   await storage.append(output);                                 // may take its time: outputs go on meanwhile, storage keeps their order
 *   raft.persisted(output.token);
 *   send(output.messagesAfterSync);                               // those to itself: raft.step
 *   for (const entry of output.committed) await apply(entry);     // in any later output, once persisted here and by a majority
 *   raft.applied(output.committed.at(-1).index);
 *
 * What must not leave before it is durable waits in messagesAfterSync: votes, acknowledgements of entries, and requests for votes (a
 * candidate that forgets its term could lead the same term twice). A leader counts its own log only as far as it is durable.
 *
 * Time is ticks. Randomness is seeded. Nothing here waits, reads a clock or does I/O. This file takes inputs in, tells messages of other
 * terms apart, and collects the output. docs/raft.md goes through the rest in reading order. Called by server/node/core-drive.ts.
 */
import { assert } from '../../base/assert.ts';
import type { Configuration, ConfigurationChange } from './configuration.ts';
import { campaign, onTimeoutNow, onVoteRequest, onVoteResponse, withholdsVote } from './election.ts';
import { answerOldTerm, onAppendRequest, onHeartbeatRequest, onSnapshotRequest } from './follower.ts';
import { forceConfiguration } from './forced.ts';
import { onAppendResponse, onHeartbeatResponse, ownLogPersisted, tickLeader } from './leader.ts';
import type { RaftLog } from './log.ts';
import { applyChanges, leaveJoint, proposeChange, resign } from './membership.ts';
import type { HardState, LogEntry, Message, Output, Refusal, Snapshot, StorageToken, TimeoutNow } from './messages.ts';
import type { Progress } from './progress.ts';
import { answerReads, askRead, forwardReads, onReadRequest, onReadResponse } from './reads.ts';
import { onAppendReceived, ownLogWritten, receivedIndex } from './received.ts';
import { onFetched, replicate } from './replication.ts';
import { tickSleep, wake } from './sleep.ts';
import { RaftState, type RaftOptions, type Role } from './state.ts';
import { abdicate, continueTransfer, stepDown, transferTo } from './transfer.ts';

/** The index of the (first) entry, or why it was not taken in. */
export type Proposed = { index: number; refused?: never } | { index?: never; refused: Refusal };

/**
 * Applied entries that a follower keeps in memory, for the case that it comes to lead. What lives for long is moved about by the garbage collector: sixteen times as much costs a
 * tenth of a small write's time.
 */
const FOLLOWER_KEPT_BYTES: number = 1024 * 1024;

export class Raft {
  readonly #state: RaftState;
  #reads = 0;
  /** The hard state that the last output carried. */
  #handedState: HardState;

  constructor(options: RaftOptions) {
    assert(Number.isSafeInteger(options.id) && options.id > 0, 'an id is an integer above 0');
    assert(options.electionTicks > options.heartbeatTicks, 'heartbeats come more often than elections');
    this.#state = new RaftState(options);
    this.#handedState = { ...options.hardState };
  }

  get id(): number {
    return this.#state.id;
  }

  get role(): Role {
    return this.#state.role;
  }

  get term(): number {
    return this.#state.term;
  }

  /** The leader of this term as far as known, or 0. */
  get leader(): number {
    return this.#state.leader;
  }

  /** As of the last entry applied, or of a snapshot that is being installed. */
  get configuration(): Configuration {
    return this.#state.configuration;
  }

  get log(): Readonly<
    Pick<RaftLog, 'lastIndex' | 'firstIndex' | 'persisted' | 'committed' | 'applying' | 'applied' | 'memoryBytes' | 'term'>
  > {
    return this.#state.log;
  }

  /** Whether the group sleeps: it need not be ticked, and the host wakes it when a node of it is lost. */
  get asleep(): boolean {
    return this.#state.asleep;
  }

  /** Whom leadership is being handed over to, or 0. */
  get transferee(): number {
    return this.#state.transferee;
  }

  /** What a leader knows of a member; undefined elsewhere. */
  progress(id: number): Readonly<Progress> | undefined {
    return this.#state.progress.get(id);
  }

  /** Time passes. Returns whether the next output may have something: of a follower mostly not. */
  tick(): boolean {
    const state = this.#state;
    if (state.asleep) return false;
    if (state.role === 'leader') {
      tickLeader(state);
      tickSleep(state);
      return true;
    }
    const reads = state.forwardedReads.busy;
    if (reads) state.lostReads.push(...state.forwardedReads.tick(state.options.electionTicks));
    const late = ++state.elapsed >= state.electionTimeout;
    if (late) campaign(state);
    return late || reads;
  }

  /** What a monotonic clock says, for leases (lease.ts says when to ask it). */
  advanceClock(nowMs: number): void {
    this.#state.lease.advance(nowMs);
  }

  /** Something has happened to the nodes of this group. */
  wake(): void {
    wake(this.#state);
  }

  /** Asks for votes now, with a pre-vote; `atOnce` without, of a group in which nobody can lead yet. */
  campaign(atOnce = false): void {
    if (this.#state.role !== 'leader') campaign(this.#state, atOnce);
  }

  /** The host knows that the leader is gone: this member votes for others without waiting. Leases keep what they promised. */
  forgetLeader(): void {
    const state = this.#state;
    wake(state);
    if (state.role === 'follower') state.leader = 0;
  }

  /**
   * Adds entries to the log of the group. An entry is committed when it comes back in `Output.committed` with the term that it was
   * proposed in; it may never come.
   */
  propose(data: readonly Uint8Array[]): Proposed {
    const state = this.#state;
    if (state.role !== 'leader') return { refused: 'not-leader' };
    if (state.transferee !== 0) return { refused: 'transferring' };
    const bytes = data.reduce((sum, { length }) => sum + length, 0);
    const held = state.uncommittedBytes;
    if (held > 0 && bytes > 0 && held + bytes > state.options.uncommittedBytesMax) return { refused: 'uncommitted-bytes' };
    wake(state);
    state.uncommittedBytes += bytes;
    const index = state.log.lastIndex + 1;
    state.log.append(data.map((one, i) => ({ index: index + i, term: state.term, data: one })));
    return { index };
  }

  /** Changes who is a member. Throws `invalid/CONFIGURATION_CHANGE` when the change makes no sense from here. */
  proposeChange(change: ConfigurationChange): Proposed {
    if (this.#state.role === 'leader') wake(this.#state);
    return proposeChange(this.#state, change);
  }

  /** Lets `to` lead. Undefined: it is under way; `transferee` tells until when. To itself: gives up a transfer. */
  transferLeadership(to: number): Refusal | undefined {
    if (this.#state.role === 'leader') wake(this.#state);
    return transferTo(this.#state, to);
  }

  /** This member will do nothing any more: the message to send, if there is somebody to lead instead. */
  abdicate(): TimeoutNow | undefined {
    return abdicate(this.#state);
  }

  /** This member leads no more, and tells who has most of its log to campaign at once. Nothing happens where nobody else could lead. */
  stepDown(): void {
    stepDown(this.#state);
  }

  /** Unsafe: makes `voters`, all that is left of the group, its voters, with this member as their leader (forced.ts). */
  forceConfiguration(voters: readonly number[]): void {
    forceConfiguration(this.#state, voters);
  }

  /**
   * Asks for a point up to which applied state is fresh. Returns a number that comes back in `Output.reads` or `Output.lostReads`, or
   * undefined when this member does not lead. `anywhere`: a follower asks the leader; undefined when it knows none, or has no data.
   */
  requestRead(anywhere = false): number | undefined {
    const read = this.#reads + 1;
    if (!askRead(this.#state, read, anywhere)) return undefined;
    this.#reads = read;
    wake(this.#state);
    return read;
  }

  /** Storage has made an output durable. */
  persisted(token: StorageToken): void {
    const state = this.#state;
    // Of an older term: the log may have been replaced since by entries that are not durable. A newer token is on its way.
    if (token.term < state.term) return;
    state.log.persistedTo(token.index, token.entryTerm, token.snapshot);
    if (state.role === 'leader') ownLogPersisted(state);
  }

  /** Storage has an output, and the disk may not have it yet (received.ts). Returns what may be said of it: the acknowledgements among `messagesAfterSync`. */
  written({ token, messagesAfterSync }: Pick<Output, 'token' | 'messagesAfterSync'>): Message[] {
    return ownLogWritten(this.#state, token, messagesAfterSync);
  }

  /** Up to where majorities have the log of a leader, durably or not; 0 elsewhere. Entries of its own term up to here survive all but a loss of power. */
  get receivedIndex(): number {
    return receivedIndex(this.#state);
  }

  /** The host has said of the entry at `index` that it is done, which is received and may not be committed: reads wait for it. */
  answered(index: number): void {
    const state = this.#state;
    assert(state.role === 'leader' && index <= this.receivedIndex, 'only what majorities have received is answered');
    state.answered = Math.max(state.answered, index);
  }

  /** The host has applied everything up to `index`. */
  applied(index: number): void {
    const state = this.#state;
    const { changes, bytes } = state.log.appliedTo(index);
    state.uncommittedBytes = Math.max(0, state.uncommittedBytes - bytes);
    applyChanges(state, changes);
    const { keptBytesMax } = state.options;
    state.log.release(this.#nobodyLacks(), state.role === 'leader' ? keptBytesMax : Math.min(keptBytesMax, FOLLOWER_KEPT_BYTES));
  }

  /** How much of the log up to `index` may be removed without anybody needing a snapshot for it, as far as this member knows. */
  compactable(index: number): number {
    return Math.min(index, this.#state.log.applied, this.#nobodyLacks());
  }

  /** Storage has removed the log up to `index`, which is applied: whoever lacks some of it gets a snapshot. */
  compact(index: number): void {
    this.#state.log.compact(index);
  }

  /** What a snapshot of the applied state would be of. */
  snapshot(): Snapshot {
    const { log, configuration } = this.#state;
    return { index: log.applied, term: log.term(log.applied)!, configuration };
  }

  /** What became of the snapshot that a member was sent. Must be told: nothing else is sent to it until then. */
  snapshotReported(member: number, arrived: boolean): void {
    this.#state.progress.get(member)?.snapshotReported(arrived);
  }

  /** Messages to a member have been lost. */
  unreachable(member: number): void {
    const progress = this.#state.progress.get(member);
    if (progress?.state === 'replicate' && member !== this.id) progress.probe();
  }

  /** Entries that an output asked for. */
  fetched(member: number, entries: readonly LogEntry[]): void {
    onFetched(this.#state, member, entries);
  }

  /** Whether this is the answer of a follower that lacks nothing, to a leader that waits for nothing: the next output has nothing because of it. */
  isRoutine(message: Message): boolean {
    const { role, term, asleep, progress, log, readIndex, transferee } = this.#state;
    if (message.type !== 'heartbeat-response' || role !== 'leader' || message.term !== term || asleep) return false;
    return progress.get(message.from)?.match === log.lastIndex && !readIndex.busy && transferee === 0;
  }

  /** A message from another member, or its own vote that has become durable. */
  step(message: Message): void {
    const state = this.#state;
    assert(message.to === this.id, 'a message reaches the one it is for');
    if (state.asleep && !isOfSleep(message, state.round)) wake(state);
    if (message.term > state.term) {
      if (message.type === 'vote-request' && withholdsVote(state, message)) return;
      if (!keepsTerm(message)) state.becomeFollower(message.term, leads(message) ? message.from : 0);
    } else if (message.term < state.term) {
      return answerOldTerm(state, message);
    }
    switch (message.type) {
      case 'vote-request':
        return onVoteRequest(state, message);
      case 'vote-response':
        return onVoteResponse(state, message);
      case 'append-request':
        return onAppendRequest(state, message);
      case 'append-response':
        return onAppendResponse(state, message);
      case 'append-received':
        return onAppendReceived(state, message);
      case 'heartbeat-request':
        return onHeartbeatRequest(state, message);
      case 'heartbeat-response':
        return onHeartbeatResponse(state, message);
      case 'snapshot-request':
        return onSnapshotRequest(state, message);
      case 'timeout-now':
        return onTimeoutNow(state);
      case 'read-request':
        return onReadRequest(state, message);
      case 'read-response':
        return onReadResponse(state, message);
    }
  }

  /** Takes what there is to do. */
  output(): Output {
    const state = this.#state;
    const { log } = state;
    if (state.role === 'leader' && !state.asleep) {
      leaveJoint(state);
      answerReads(state);
      replicate(state);
      continueTransfer(state);
      resign(state);
    }
    forwardReads(state);
    const snapshot = log.takeSnapshot();
    const entries = log.takeUnstored();
    const hardState: HardState = { term: state.term, vote: state.vote, commit: log.committed };
    const handed = this.#handedState;
    const mustSync = snapshot !== undefined || entries.length > 0 || hardState.term !== handed.term || hardState.vote !== handed.vote;
    const changed = mustSync || hardState.commit !== handed.commit;
    this.#handedState = hardState;
    const output: Output = {
      messages: state.messages,
      snapshot,
      hardState: changed ? hardState : undefined,
      entries,
      mustSync,
      token: { term: state.term, index: log.handed, entryTerm: log.term(log.handed)!, snapshot: log.snapshotHanded },
      messagesAfterSync: state.messagesAfterSync,
      committed: log.takeCommitted(),
      reads: state.readStates,
      lostReads: state.lostReads,
      fetches: state.fetches,
    };
    state.messages = [];
    state.messagesAfterSync = [];
    state.readStates = [];
    state.lostReads = [];
    state.fetches = [];
    return output;
  }

  /** The last entry that every member is known to have: only a leader knows, and alone a member is everybody. */
  #nobodyLacks(): number {
    const { id, role, progress, members } = this.#state;
    if (role !== 'leader') return members.length === 1 && members[0] === id ? Infinity : 0;
    let index = Infinity;
    for (const [member, { match }] of progress) if (member !== id) index = Math.min(index, match);
    return index;
  }
}

/** What a sleeping leader says, and late answers to what it said before. */
function isOfSleep(message: Message, round: number): boolean {
  return message.type === 'heartbeat-request' ? message.sleep : message.type === 'heartbeat-response' && message.round < round;
}

/** Pre-votes are about a term that has not begun. */
function keepsTerm(message: Message): boolean {
  return (message.type === 'vote-request' && message.pre) || (message.type === 'vote-response' && message.pre && message.granted);
}

function leads({ type }: Message): boolean {
  return type === 'append-request' || type === 'heartbeat-request' || type === 'snapshot-request';
}
