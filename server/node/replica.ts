/**
 * A replica: one member of a group. Drives the pure core (server/raft) with the node's log and a state machine.
 *
 *   propose -> budget -> core -> log (fsync, one for all that is waiting) -> core: committed -> state machine -> answer
 *                             -> messages to the other members, at once   -> messages that had to wait for the fsync
 *
 * All that came in since the last turn of its node goes through the core together: proposals share an append, reads a round of heartbeats. Entries
 * are applied one after another, in the order of the log, only when they are durable here and by a majority. The log is cut at the front when the
 * engine has made its effect durable, never before (engine-upkeep.ts).
 *
 * A log that cannot be written, or an entry that cannot be applied, stops the replica: it answers nothing any more until it is opened
 * again. Calls whose outcome is not known then end with `unavailable/REPLICA_STOPPED`. The node goes on with its other groups.
 *
 * A sole voter elects itself when opened, and reads need no round of heartbeats: nobody else can lead, and what was answered has
 * been applied.
 *
 * Made by server.ts; turned by node-host.ts. Calls server/raft, log-feed.ts, proposals.ts, reads.ts, applier.ts, engine-upkeep.ts,
 * state-machine.ts.
 */
import { assert } from '../../base/assert.ts';
import type { Clock, Random, Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { HostedEngine } from '../../engine/index.ts';
import {
  canLead,
  type Configuration,
  type ConfigurationChange,
  type LeaseOptions,
  type LogEntry,
  membersOf,
  type Message,
  type Output,
  type ProgressState,
  Raft,
  type Refusal,
  type Role,
  type Snapshot,
  votersOnly,
} from '../raft/index.ts';
import { isRepairMessage, type PeerMessage, type RepairMessage, type SnapshotHead, type SnapshotSink } from '../transport/index.ts';
import type { AddressBook, NodeAddress } from './address-book.ts';
import { Applier } from './applier.ts';
import { type CallState, checkCall, NO_LIMIT } from './call-state.ts';
import { EngineUpkeep } from './engine-upkeep.ts';
import { type Handover, LeadKeeper } from './lead-keeper.ts';
import { lend } from './lending.ts';
import { LogFeed } from './log-feed.ts';
import type { GroupDamage, GroupLog, LogDamage, NodeLog, NodeLogStats } from './log/index.ts';
import { LogMending } from './log-mending.ts';
import { Proposals } from './proposals.ts';
import { AT_LEADER, Reads, type ReadTerms } from './reads.ts';
import type { HostedReplica, LogHolder, ReplicaHost } from './replica-host.ts';
import type { SnapshotBegin } from './group-directory.ts';
import type { ReplicaStore } from './replica-store.ts';
import { type ApplyResult, StateMachine } from './state-machine.ts';

export interface ReplicaSettings {
  group: number;
  /** This member: the node's id. */
  id: number;
  /** Who votes before the first entry; the same for all that begin the group. Empty: a leader is to take this member in, by a snapshot. */
  voters: readonly number[];
  /** Where the nodes are then. The same for all that begin the group, too. */
  nodes?: ReadonlyMap<number, NodeAddress> | undefined;
  tickMs: number;
  electionTicks: number;
  heartbeatTicks: number;
  /** Reads of the leader without a round of heartbeats; the same at all members. */
  lease?: LeaseOptions | undefined;
  /** A group in which nothing happens for so long goes to sleep. Infinity: never. */
  sleepTicks: number;
  /** Applied entries stay in memory for members that lag, up to so many bytes; older ones are read from the log's files. */
  keptBytesMax: number;
  /** Commands on their way through the log, in bytes together; beyond it they wait. */
  writeBytesInFlightMax: number;
  /** So many may wait; further ones are refused. */
  writesWaitingMax: number;
  /** The engine has commands in memory of at most about so many bytes, twice as many where their values are large, that the log has to keep for it. */
  checkpointBytes: number;
  /** So many bytes of commands stay in the log for members that lag; who lags by more gets a snapshot. */
  logKeptBytesMax: number;
}

export interface ReplicaParts {
  /** Its host is this node: `nodeLog` has its segments. */
  engine: HostedEngine;
  /** Where `engine` is from; without it there are no snapshots, which a group of one never needs. */
  store?: ReplicaStore | undefined;
  /** The node's log, and this group's part of it. Closed by whoever opened it, after the replica. */
  nodeLog: NodeLog;
  log: GroupLog;
  host: ReplicaHost;
  clock: Clock;
  scheduler: Scheduler;
  random: Random;
  /** The replica cannot go on. */
  onStopped: (error: SparrowError) => void;
  /** It gives the lead up for its disk's sake. */
  onHandover?: (handover: Handover) => void;
}

export interface ReplicaStats {
  id: number;
  role: Role;
  leader: number;
  term: number;
  configuration: Configuration;
  firstIndex: number;
  lastIndex: number;
  /** Of the last entry. */
  lastTerm: number;
  persistedIndex: number;
  committedIndex: number;
  appliedIndex: number;
  log: NodeLogStats;
  /** With those that wait to be proposed. */
  writesInFlight: number;
  writesWaiting: number;
  writeBytesInFlight: number;
  /** Entries that opening had to apply again. */
  replayedEntries: number;
  /** How often this member came to lead, and ceased to. */
  leadsBegun: number;
  leadsLost: number;
  /** How often it gave the lead up for its disk's sake. */
  handovers: number;
  /** How long a sync of the log took lately; undefined: there was none. */
  syncMs: number | undefined;
  /** Reads that this member served while another one led, and of all its reads those for which nobody was asked. */
  readsFollowing: number;
  readsStale: number;
  /** Entries that damage had taken from the log and that came back from other members. */
  entriesMended: number;
  /** Entries that were read from the log's files for members that lag. */
  entriesFetched: number;
  /** Snapshots that other members took, and that this one installed. */
  snapshotsSent: number;
  snapshotsInstalled: number;
  /** Segments of the node's log that the engine's values lie in, and bytes of those that it still points to. */
  segmentsHeld: number;
  heldValueBytes: number;
  /** Of the snapshot that is arriving. */
  receiving: { bytes: number; bytesTotal: number } | undefined;
  /** The node's log has no room: writes wait. */
  diskFull: boolean;
  stoppedBecause: SparrowError | undefined;
}

const APPEND_BYTES_MAX: number = 1024 * 1024;
const READ_BYTES_MAX: number = 4 * 1024 * 1024;
const INFLIGHT = { messages: 256, bytes: 16 * 1024 * 1024 };
/** What a leader knows of a member. */
export interface MemberProgress {
  readonly state: ProgressState;
  /** Up to where it is known to have the log. */
  readonly match: number;
}

/** The write budget bounds what is proposed; the core's own bound is beyond it. */
const UNCOMMITTED_BYTES_MIN = 64 * 1024 * 1024;

export class Replica implements HostedReplica {
  readonly #settings: ReplicaSettings;
  readonly #parts: ReplicaParts;
  #machine: StateMachine;
  readonly #raft: Raft;
  readonly #feed: LogFeed;
  readonly #proposals: Proposals;
  readonly #reads: Reads = new Reads();
  readonly #applier: Applier;
  readonly #upkeep: EngineUpkeep;
  readonly #replayed: number;
  readonly #mended: number;
  /** The term that this member leads, 0: none. */
  #leads = 0;
  #leadsBegun = 0;
  #leadsLost = 0;
  /** Who was known to lead, and in which term. */
  #leader = 0;
  #leaderTerm = 0;
  readonly #leaderListeners: Set<() => void> = new Set();
  readonly #leadKeeper: LeadKeeper;
  #handovers = 0;
  #fetched = 0;
  #readsFollowing = 0;
  #readsStale = 0;
  /** Nobody else can lead, and everything that was ever committed is applied. */
  #readsAtOnce = false;
  /** Of the address book, when the host was last told. */
  #bookChanges = 0;
  /** A snapshot that is whole and durable, and that the core has been told of. */
  #arrived: Snapshot | undefined;
  /** A snapshot takes the place of engine and log; what is to be stored waits for it. */
  #installing: Promise<void> | undefined;
  #snapshotIds = 0;
  #idle: (() => void)[] = [];
  #stopped: SparrowError | undefined;
  #closing = false;

  /** Replays what the engine does not have yet. A sole voter leads, and has applied everything, when this settles. */
  static async open(settings: ReplicaSettings, parts: ReplicaParts): Promise<Replica> {
    await finishInstall(parts);
    const mended = await mendLog(settings, parts);
    const engine = parts.store?.engine ?? parts.engine;
    const machine = new StateMachine({ engine, log: parts.log, beginning: votersOnly(settings.voters), nodes: settings.nodes });
    const recovered = parts.log.contents();
    const applied = machine.applied;
    if (applied < recovered.compactedIndex || applied > recovered.lastIndex) {
      throw new SparrowError(
        'corrupt',
        'LOG_MISMATCH',
        `the engine has applied entry ${applied}, but the Raft log holds entries ${recovered.compactedIndex + 1} to ${recovered.lastIndex}`,
        { applied, first: recovered.compactedIndex + 1, last: recovered.lastIndex },
      );
    }
    const commit = Math.max(recovered.hardState.commit, applied);
    const entries: LogEntry[] = [];
    let replayedBytes = 0;
    for (let next = applied + 1; next <= recovered.lastIndex;) {
      for (const entry of await parts.log.read(next, recovered.lastIndex, READ_BYTES_MAX)) {
        if (entry.index <= commit) await machine.apply(entry);
        else entries.push({ ...entry, data: Uint8Array.from(entry.data) });
        if (entry.index <= commit) replayedBytes += entry.data.length;
        next = entry.index + 1;
      }
    }
    const raft = new Raft({
      id: settings.id,
      configuration: machine.configuration,
      electionTicks: settings.electionTicks,
      heartbeatTicks: settings.heartbeatTicks,
      sleepTicks: settings.sleepTicks,
      lease: settings.lease,
      seed: parts.random.u32(),
      appendBytesMax: APPEND_BYTES_MAX,
      inflight: INFLIGHT,
      uncommittedBytesMax: Math.max(UNCOMMITTED_BYTES_MIN, 2 * settings.writeBytesInFlightMax),
      keptBytesMax: settings.keptBytesMax,
      hardState: { ...recovered.hardState, commit },
      log: { ...recovered, entries },
      applied: commit,
    });
    const replica = new Replica(settings, parts, machine, raft, {
      from: applied,
      entries: recovered.lastIndex - applied,
      bytes: replayedBytes,
      mended,
    });
    await replica.#begin();
    return replica;
  }

  private constructor(
    settings: ReplicaSettings,
    parts: ReplicaParts,
    machine: StateMachine,
    raft: Raft,
    opened: { from: number; entries: number; bytes: number; mended: number },
  ) {
    this.#settings = settings;
    this.#parts = parts;
    this.#machine = machine;
    this.#raft = raft;
    this.#feed = new LogFeed(parts.log, raft.log.lastIndex, raft.log.committed);
    this.#replayed = opened.entries;
    this.#mended = opened.mended;
    this.#upkeep = new EngineUpkeep(machine, opened.from, opened.bytes, {
      scheduler: parts.scheduler,
      flushBytes: settings.checkpointBytes,
      keptBytesMax: settings.logKeptBytesMax,
      compactable: (index) => raft.compactable(index),
      compact: (index) => this.#compact(index),
      onFull: () => this.#wakeIdle(),
      fail: (error) => this.#fail(error),
    });
    this.#leadKeeper = new LeadKeeper(settings.electionTicks, settings.tickMs);
    const budget = {
      bytesMax: settings.writeBytesInFlightMax,
      waitingMax: settings.writesWaitingMax,
      now: () => parts.clock.monotonicMs(),
    };
    this.#proposals = new Proposals(budget, () => this.#schedule());
    this.#applier = new Applier(machine, {
      clock: parts.clock,
      scheduler: parts.scheduler,
      settle: (entry, result) => this.#proposals.settle(entry, result),
      applied: (entries) => this.#applied(entries),
      idle: () => this.#wakeIdle(),
      fail: (error) => this.#fail(error),
    });
  }

  get group(): number {
    return this.#settings.group;
  }

  /** What it has applied to, and reads are made of. */
  get engine(): HostedEngine {
    return this.#machine.engine;
  }

  /** Index of the last entry applied: the newest version that a reader can see. */
  get applied(): number {
    return this.#machine.applied;
  }

  /** Where nodes are, and who was removed, as of `applied`. Another object after a snapshot was installed. */
  get book(): AddressBook {
    return this.#machine.book;
  }

  get stopped(): SparrowError | undefined {
    return this.#stopped;
  }

  get asleep(): boolean {
    return this.#raft.asleep;
  }

  get members(): readonly number[] {
    return membersOf(this.#raft.configuration);
  }

  /** Writes wait for room: take nothing more in until `onRelieved` tells. */
  get congested(): boolean {
    return this.#proposals.budget.congested;
  }

  /** Calls `listener` each time that writes stop waiting for room. Returns what takes it off again. */
  onRelieved(listener: () => void): () => void {
    return this.#proposals.onRelieved(listener);
  }

  /** Calls `listener` each time that another member leads, or nobody is known to; `stats()` tells who. Returns what takes it off again. */
  onLeader(listener: () => void): () => void {
    this.#leaderListeners.add(listener);
    return () => this.#leaderListeners.delete(listener);
  }

  /**
   * Settles when the command is applied. The bytes are not changed until then. Rejects with `exhausted/OVERLOADED`, `unavailable/TIMEOUT`,
   * `cancelled/ABORTED`, `rerouted/NOT_LEADER`, `unavailable/NO_LEADER` when it was not proposed, and with `unavailable/LEADERSHIP_LOST` or
   * `unavailable/REPLICA_STOPPED` when nobody knows (`applied: false` among the details: it will not be applied).
   */
  propose(command: Uint8Array, call: CallState): Promise<ApplyResult> {
    const refused = this.#refusal() ?? (this.#parts.nodeLog.full ? diskFull() : noRoom(this.#upkeep.lacking));
    return refused === undefined ? this.#proposals.enter(command, call) : Promise.reject(refused);
  }

  /** What a read waits for before it looks at the engine; undefined when it may look at once. Rejects as `propose` does. */
  read(terms: ReadTerms = AT_LEADER): Promise<void> | undefined {
    const refused = this.#refusal();
    if (refused !== undefined) return Promise.reject(refused);
    if (this.#readsAtOnce) return undefined;
    if (terms.anyMember && this.#leads === 0) this.#readsFollowing++;
    if (terms.anyMember && terms.staleMs > 0 && this.#staleReadNow(terms.staleMs)) return undefined;
    const ready = this.#reads.ask(terms.anyMember);
    this.#schedule();
    return ready;
  }

  /** A snapshot takes the engine's place: what is read of the one before it may end with `closed`. */
  get installing(): boolean {
    return this.#installing !== undefined;
  }

  /**
   * Settles when the change is applied here. Rejects with `invalid/CONFIGURATION_CHANGE` when it makes no sense, `unavailable/CHANGE_REFUSED` with the
   * core's reason, and otherwise as `propose` does.
   */
  changeMembers(change: ConfigurationChange): Promise<ApplyResult> {
    const refused = this.#refusal();
    if (refused !== undefined) return Promise.reject(refused);
    try {
      const { index, refused: reason } = this.#raft.proposeChange(change);
      if (index === undefined) return Promise.reject(this.#refused(reason));
      this.#schedule();
      return this.#proposals.enterBegun(index, this.#raft.term, NO_LIMIT);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Hands the lead over; it is under way when this returns. Throws as `propose` rejects, and `invalid/NO_VOTER`. */
  transferLeadership(to: number): void {
    const error = this.#refusal() ?? this.#refused(this.#raft.transferLeadership(to));
    if (error !== undefined) throw error;
    this.#schedule();
  }

  /** Unsafe: makes `voters` all that the group has, with this member as their leader. Throws `invalid/CONFIGURATION_CHANGE`. */
  forceConfiguration(voters: readonly number[]): void {
    const refused = this.#refusal();
    if (refused !== undefined) throw refused;
    this.#raft.forceConfiguration(voters);
    this.#schedule();
  }

  /** The group goes on without this member for good: it stops, and says `why` to whoever calls. */
  retire(why: SparrowError): void {
    this.#stop(why, true);
  }

  /** Up to where a member is known to have the log; undefined when this one does not lead, or that is no member. */
  matchOf(id: number): number | undefined {
    return this.#raft.progress(id)?.match;
  }

  /** Undefined when this one does not lead, or that is no member. */
  progressOf(id: number): MemberProgress | undefined {
    return this.#raft.progress(id);
  }

  /** A message from another member. */
  step(message: PeerMessage): void {
    if (isRepairMessage(message)) return this.#lend(message);
    if (message.type === 'append-response' && message.accepted)
      this.#leadKeeper.acknowledged(message.from, message.index, this.#parts.clock.monotonicMs());
    // Those of a thousand idle groups cost no turns.
    const routine = this.#raft.isRoutine(message);
    this.#guarded(() => {
      this.#advanceClock();
      this.#raft.step(message);
      return routine ? 'nothing to do' : undefined;
    });
  }

  /** Another member's disk has lost something. */
  #lend(message: RepairMessage): void {
    lend(message, {
      id: this.#settings.id,
      term: this.#raft.term,
      core: this.#raft.log,
      log: this.#parts.log,
      applied: this.#machine.applied,
      send: (response) => this.#parts.host.send(this.group, [response]),
      sendSnapshot: (to) => void this.#sendSnapshot({ to, term: this.#raft.term }),
    });
  }

  async accept(from: number, head: SnapshotHead): Promise<SnapshotSink> {
    const refused = this.#refusal();
    if (refused !== undefined) throw refused;
    const { store } = this.#parts;
    const { term, snapshot } = head;
    if (store === undefined || term < this.#raft.term || snapshot.index <= this.#raft.log.committed) {
      throw new SparrowError(
        'conflict',
        'SNAPSHOT_NOT_NEEDED',
        `a snapshot of entry ${snapshot.index} brings member ${this.#settings.id} nothing`,
      );
    }
    if (this.#arrived !== undefined || this.#installing !== undefined)
      throw new SparrowError('unavailable', 'SNAPSHOT_INSTALLING', 'another snapshot is being installed');
    return store.accept(head, () => {
      this.#arrived = snapshot;
      this.step({ type: 'snapshot-request', from, to: this.#settings.id, term, snapshot });
    });
  }

  get upkeep(): LogHolder {
    return this.#upkeep;
  }

  tick(): void {
    this.#guarded(() => {
      this.#advanceClock();
      return this.#raft.tick() ? undefined : 'nothing to do';
    });
    const { full } = this.#parts.nodeLog;
    if (this.#leads !== 0 && this.#leadKeeper.tick(full)) this.#guarded(() => this.#keepLead(full));
  }

  wake(): void {
    this.#guarded(() => this.#raft.wake());
  }

  /** Everything that came in since the last turn, at once. */
  turn(): void {
    if (this.#stopped !== undefined) return;
    try {
      this.#propose();
      if (this.#reads.waiting) this.#beginReads();
      this.#pump();
    } catch (error) {
      this.#fail(error);
    }
  }

  stats(): ReplicaStats {
    const { log } = this.#raft;
    const { budget } = this.#proposals;
    return {
      id: this.#settings.id,
      role: this.#raft.role,
      leader: this.#raft.leader,
      term: this.#raft.term,
      configuration: this.#raft.configuration,
      firstIndex: log.firstIndex,
      lastIndex: log.lastIndex,
      lastTerm: log.term(log.lastIndex)!,
      persistedIndex: log.persisted,
      committedIndex: log.committed,
      appliedIndex: this.#machine.applied,
      log: this.#parts.nodeLog.stats(),
      writesInFlight: budget.count,
      writesWaiting: budget.waiting,
      writeBytesInFlight: budget.bytes,
      replayedEntries: this.#replayed,
      leadsBegun: this.#leadsBegun,
      leadsLost: this.#leadsLost,
      handovers: this.#handovers,
      syncMs: this.#parts.nodeLog.syncMs(this.#settings.electionTicks * this.#settings.tickMs),
      readsFollowing: this.#readsFollowing,
      readsStale: this.#readsStale,
      entriesMended: this.#mended,
      entriesFetched: this.#fetched,
      snapshotsSent: this.#parts.store?.counts.sent ?? 0,
      snapshotsInstalled: this.#parts.store?.counts.installed ?? 0,
      segmentsHeld: this.#upkeep.held.length,
      heldValueBytes: this.#upkeep.held.reduce((sum, { liveBytes }) => sum + liveBytes, 0),
      receiving: this.#parts.store?.receiving,
      diskFull: this.#parts.nodeLog.full,
      stoppedBecause: this.#stopped,
    };
  }

  /** Takes no new writes, finishes those that it has; on a full disk they end with an unknown outcome. Log and engine stay open. */
  async close(): Promise<void> {
    this.#closing = true;
    const unlisten = this.#parts.nodeLog.onFull(() => this.#wakeIdle());
    // A leader without a majority steps down, and then nobody waits any more.
    const full = (): boolean => this.#parts.nodeLog.full || this.#upkeep.lacking !== undefined;
    while (this.#stopped === undefined && !full() && !this.#proposals.idle) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    unlisten();
    if (full()) this.#stop(shuttingDown({}), true);
    await this.#applier.settled();
    await this.#upkeep.finish();
    await this.#installing?.catch(() => undefined);
    this.#stop(shuttingDown({}), true);
  }

  /** Stops at once. Calls end with an unknown outcome. */
  abort(): void {
    this.#closing = true;
    this.#stop(shuttingDown({}), true);
  }

  async #begin(): Promise<void> {
    this.#parts.host.add(this);
    const { voters, outgoing } = this.#raft.configuration;
    if (voters.length !== 1 || voters[0] !== this.#settings.id || outgoing.length > 0) return;
    this.#advanceClock();
    this.#raft.campaign();
    const led = this.#reads.when(this.#raft.log.lastIndex + 1);
    this.#pump();
    await led;
  }

  #refusal(): SparrowError | undefined {
    return this.#stopped ?? (this.#closing ? shuttingDown({ applied: false }) : undefined);
  }

  #schedule(): void {
    this.#parts.host.schedule(this);
  }

  #guarded(input: () => 'nothing to do' | void): void {
    if (this.#stopped !== undefined) return;
    try {
      if (input() !== 'nothing to do') this.#schedule();
    } catch (error) {
      this.#fail(error);
    }
  }

  #beginReads(): void {
    const nowMs = this.#advanceClock();
    this.#reads.begin(
      (anywhere) => this.#raft.requestRead(anywhere),
      nowMs,
      () => this.#notLeader(),
    );
  }

  #advanceClock(): number {
    const nowMs = this.#parts.clock.monotonicMs();
    if (this.#settings.lease !== undefined) this.#raft.advanceClock(nowMs);
    return nowMs;
  }

  #staleReadNow(staleMs: number): boolean {
    const index = this.#reads.provenWithin(staleMs, this.#parts.clock.monotonicMs());
    if (this.#reads.waiting) this.#schedule();
    if (index === undefined || index > this.#machine.applied || this.#installing !== undefined) return false;
    this.#readsStale++;
    return true;
  }

  /** Not while a snapshot takes the engine's place. */
  #answerReads(): void {
    if (this.#installing === undefined) this.#reads.answer(this.#machine.applied);
  }

  #propose(): void {
    const leads = this.#raft.role === 'leader';
    const now = this.#parts.clock.monotonicMs();
    const proposals = this.#proposals.take(({ call }) => (leads ? checkCall(call, now) : this.#notLeader()));
    if (proposals.length === 0) return this.#wakeIdle();
    const { index, refused } = this.#raft.propose(proposals.map(({ command }) => command));
    if (index !== undefined) return this.#proposals.begun(proposals, index, this.#raft.term);
    this.#proposals.refuse(proposals, this.#refused(refused)!);
    this.#wakeIdle();
  }

  #refused(reason: Refusal | undefined): SparrowError | undefined {
    switch (reason) {
      case undefined:
        return undefined;
      case 'not-leader':
        return this.#notLeader();
      case 'transferring':
        return new SparrowError('unavailable', 'TRANSFERRING', 'the lead is being handed over', { applied: false });
      case 'uncommitted-bytes':
        return new SparrowError('exhausted', 'OVERLOADED', 'too many bytes of writes are not committed', { applied: false });
      case 'cannot-lead':
        return new SparrowError('invalid', 'NO_VOTER', 'that member has no vote, or no data: it cannot lead', { applied: false });
      case 'change-pending':
      case 'no-successor':
        return new SparrowError('unavailable', 'CHANGE_REFUSED', `the members cannot change now: ${reason}`, { reason, applied: false });
    }
  }

  #notLeader(): SparrowError {
    const leader = this.#raft.leader;
    return leader === 0 || leader === this.#settings.id
      ? new SparrowError('unavailable', 'NO_LEADER', 'the group has no leader now', { applied: false })
      : new SparrowError('rerouted', 'NOT_LEADER', `member ${leader} leads`, { leader, applied: false });
  }

  /** Carries out what the core wants done. */
  #pump(): void {
    if (this.#stopped !== undefined) return;
    const output = this.#raft.output();
    this.#noteLead();
    // The core had no use for what arrived: it has all that, by another way.
    if (output.snapshot === undefined && this.#installing === undefined) this.#arrived = undefined;
    const messages = output.messages.filter((message) => message.type !== 'snapshot-request' || this.#sendSnapshot(message));
    if (messages.length > 0) this.#send(messages);
    if (output.hardState !== undefined || output.entries.length > 0 || output.messagesAfterSync.length > 0) this.#persist(output);
    for (const { member, from, bytesMax } of output.fetches) this.#fetch(member, from, bytesMax);
    for (const read of output.reads) this.#reads.confirm(read);
    for (const read of output.lostReads) this.#reads.lose(read, () => this.#notLeader());
    this.#applier.push(output.committed);
    this.#answerReads();
  }

  #noteLead(): void {
    const { leader, role, term } = this.#raft;
    if (leader !== this.#leader || (leader !== 0 && term !== this.#leaderTerm)) this.#tellLeader(leader, term);
    const leads = role === 'leader' ? term : 0;
    if (leads === this.#leads) return;
    if (this.#leads !== 0) {
      this.#leadsLost++;
      this.#proposals.lose();
      this.#wakeIdle();
    }
    if (leads !== 0) this.#leadsBegun++;
    this.#leads = leads;
    this.#leadKeeper.restart();
    this.#readsAtOnce = false;
  }

  #tellLeader(leader: number, term: number): void {
    this.#leader = leader;
    this.#leaderTerm = term;
    for (const listener of [...this.#leaderListeners]) listener();
  }

  /** Gives the lead up where its disk is in the way. */
  #keepLead(full: boolean): void {
    const { clock, nodeLog, onHandover } = this.#parts;
    const { committed } = this.#raft.log;
    const caughtUp = (id: number): boolean => canLead(this.#raft.configuration, id) && (this.matchOf(id) ?? 0) >= committed;
    const others = this.members.filter((id) => id !== this.#settings.id);
    const handover = this.#leadKeeper.look(clock.monotonicMs(), full, (ms) => nodeLog.syncMs(ms), caughtUp, others);
    if (handover === undefined || this.#raft.transferee !== 0) return;
    if (this.#raft.transferLeadership(handover.to) !== undefined) return;
    this.#handovers++;
    onHandover?.(handover);
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      const last = message.type === 'append-request' ? message.entries.at(-1) : undefined;
      if (last !== undefined) this.#leadKeeper.sent(message.to, last.index, this.#parts.clock.monotonicMs());
    }
    this.#parts.host.send(this.group, messages);
  }

  #persist(output: Output): void {
    const inOrder = this.#installing !== undefined || output.snapshot !== undefined;
    (inOrder ? this.#storeInOrder(output) : this.#feed.append(output)).then(
      () => {
        if (this.#stopped !== undefined) return;
        try {
          this.#persisted(output);
        } catch (error) {
          this.#fail(error);
        }
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #persisted({ token, messagesAfterSync }: Output): void {
    this.#raft.persisted(token);
    const others = messagesAfterSync.filter((message) => message.to !== this.#raft.id);
    if (others.length > 0) this.#send(others);
    for (const message of messagesAfterSync) if (message.to === this.#raft.id) this.#raft.step(message);
    this.#pump();
  }

  #storeInOrder(output: Output): Promise<void> {
    const store = (): Promise<void> => (output.snapshot === undefined ? this.#feed.append(output) : this.#install(output, output.snapshot));
    const stored = (this.#installing ?? Promise.resolve()).then(store);
    this.#installing = stored;
    const done = (): void => {
      if (this.#installing === stored) this.#installing = undefined;
    };
    stored.then(done, done);
    return stored;
  }

  /** The snapshot that arrived takes the place of engine and log: term and vote, the engine, the log; each durable before the next. */
  async #install({ hardState, entries }: Output, { index, term }: Snapshot): Promise<void> {
    const { store, host } = this.#parts;
    assert(
      store !== undefined && this.#arrived?.index === index && this.#arrived.term === term,
      'the snapshot that is installed has arrived',
    );
    if (hardState !== undefined) await this.#feed.appendTerm(hardState);
    await this.#applier.halt();
    await this.#upkeep.halt();
    const machine = new StateMachine({ engine: await store.install({ index, term }), log: this.#parts.log, beginning: votersOnly([]) });
    if (machine.applied !== index) {
      throw new SparrowError(
        'corrupt',
        'SNAPSHOT_MISMATCH',
        `a snapshot of entry ${index} came with the state of entry ${machine.applied}`,
      );
    }
    this.#machine = machine;
    this.#bookChanges = 0;
    await this.#feed.restore(index, term);
    await this.#feed.append({ hardState, entries, mustSync: true });
    this.#arrived = undefined;
    this.#upkeep.resume(machine);
    this.#applier.resume(machine);
    host.membersChanged();
  }

  /** Never true: the data of a snapshot goes another way than messages, and stands for this one. */
  #sendSnapshot({ to, term }: Pick<Message, 'to' | 'term'>): boolean {
    const { store, host } = this.#parts;
    const reported = (arrived: boolean): void => this.#guarded(() => this.#raft.snapshotReported(to, arrived));
    if (store === undefined || store.sending) {
      reported(false);
      return false;
    }
    this.#applier.between(async () => {
      await this.#machine.mark();
      const id = `${this.#settings.id}-${term}-${this.#machine.applied}-${++this.#snapshotIds}-${this.#parts.random.u32()}`;
      const describe = (index: number): Snapshot => this.#snapshotOf(index);
      const sent = store.send(term, describe, id, (source) => host.sendSnapshot(to, this.group, source));
      // Who cannot be sent one is asked again by the core.
      void sent.then(
        () => reported(true),
        () => reported(false),
      );
    });
    return false;
  }

  /** What a copy of the engine is that has the effects of all entries up to `index`. */
  #snapshotOf(index: number): Snapshot {
    const term = this.#raft.log.term(index);
    const configuration = this.#machine.configurationAt(index);
    // So far back by now that whoever got it would lack what comes after it.
    if (term === undefined || configuration === undefined)
      throw new SparrowError('unavailable', 'SNAPSHOT_OUTDATED', `the log does not hold entry ${index} any more`, { index });
    return { index, term, configuration };
  }

  #compact(index: number): void {
    if (this.#stopped !== undefined) return;
    this.#parts.log.compact(index);
    this.#raft.compact(index);
  }

  /** Entries that a member lags behind by more than memory holds. */
  #fetch(member: number, from: number, bytesMax: number): void {
    this.#parts.log.read(from, this.#raft.log.persisted, bytesMax).then(
      (entries) => {
        this.#fetched += entries.length;
        this.#guarded(() => this.#raft.fetched(member, entries));
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #applied(entries: readonly LogEntry[]): void {
    const { applied } = this.#machine;
    this.#raft.applied(applied);
    let bytes = 0;
    for (const { data } of entries) bytes += data.length;
    this.#upkeep.applied(applied, bytes);
    const { changes } = this.#machine.book;
    if (changes !== this.#bookChanges || entries.some(({ change }) => change !== undefined)) {
      this.#bookChanges = changes;
      this.#parts.host.membersChanged();
      this.#schedule();
    }
    if (this.#leads !== 0) {
      const { voters, outgoing } = this.#raft.configuration;
      this.#readsAtOnce = voters.length === 1 && outgoing.length === 0 && this.#raft.log.term(applied) === this.#leads;
    }
    this.#answerReads();
  }

  #fail(error: unknown): void {
    if (this.#stopped !== undefined) return;
    // Others need not wait until they miss this one.
    const abdication = this.#raft.abdicate();
    if (abdication !== undefined) this.#send([abdication]);
    const text = error instanceof Error ? error.message : String(error);
    this.#stop(new SparrowError('unavailable', 'REPLICA_STOPPED', `the replica stopped: ${text}`, {}, error), false);
  }

  #stop(error: SparrowError, asked: boolean): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#readsAtOnce = false;
    this.#parts.host.remove(this);
    this.#proposals.close(error);
    this.#reads.close(error);
    void this.#applier.halt();
    this.#upkeep.stop();
    this.#wakeIdle();
    if (!asked) this.#parts.onStopped(error);
  }

  #wakeIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const wake of idle) wake();
  }
}

/** A crash came between the engine that a snapshot became, and the log that begins behind it. */
async function finishInstall({ store, log }: ReplicaParts): Promise<void> {
  const { index, term } = store?.begin ?? { index: 0, term: 0 };
  const { compactedIndex } = log.contents();
  if (index > compactedIndex && log.term(index) !== term) await log.restore(index, term);
}

function shuttingDown(details: { applied?: false }): SparrowError {
  return new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', details);
}

function diskFull(): SparrowError {
  return new SparrowError('exhausted', 'DISK_FULL', 'the disk that holds the log is full', { applied: false });
}

/** As the engine tells it, of a write that has not reached it. */
function noRoom(lacking: SparrowError | undefined): SparrowError | undefined {
  return lacking && new SparrowError('exhausted', lacking.code, lacking.message, { applied: false }, lacking);
}

/** What the log has lost comes back from other members, before anything else. A sole voter has nobody, and what may be missing at the end nobody knows. */
async function mendLog({ group, id, voters, electionTicks }: ReplicaSettings, parts: ReplicaParts): Promise<number> {
  const { log, nodeLog, engine, store, host } = parts;
  const machine = new StateMachine({ engine, log, beginning: votersOnly(voters) });
  if (log.contents().damage !== undefined) dropApplied(log, engine.durableSequence);
  const { damage, lastIndex } = log.contents();
  if (damage === undefined) return 0;
  const peers = membersOf(machine.configuration).filter((member) => member !== id);
  if (damage.endLost || peers.length === 0) throw damaged(damage, nodeLog.damage[0]);
  const mending = { group, id, peers, host, retryTicks: electionTicks };
  const { outcome, entries } = await LogMending.run(mending, log);
  if (outcome === 'filled') return entries;
  if (store === undefined) throw damaged(damage, nodeLog.damage[0]);
  // It covers all that this member ever acknowledged.
  await installBefore(await store.receive(mending, lastIndex), store, log);
  return entries;
}

/** Before a replica opens a snapshot takes the engine's place; each step durable before the next. */
async function installBefore({ index, term }: SnapshotBegin, store: ReplicaStore, log: GroupLog): Promise<void> {
  const { hardState } = log.contents();
  if (term > hardState.term) await log.append({ ...hardState, term, vote: 0 }, [], true);
  await store.install({ index, term });
  if (log.term(index) !== term) await log.restore(index, term);
}

/** Lost entries whose effect the engine has are not needed: the log goes up to the last one that is known before what is not applied. */
function dropApplied(log: GroupLog, applied: number): void {
  const { damage } = log.contents();
  const lost = damage?.missing.findLast(({ from }) => from <= applied);
  if (lost === undefined) return;
  for (let index = applied; index > lost.to; index--) if (log.term(index) !== undefined) return log.compact(index);
}

/** A sole voter has nobody to fetch from what its log has lost. */
function damaged({ missing, endLost }: GroupDamage, place: LogDamage | undefined): SparrowError {
  const entries = missing.map(({ from, to }) => `${from} to ${to}`).join(', ');
  const lost = [...(missing.length > 0 ? [`entries ${entries}`] : []), ...(endLost ? ['what came last'] : [])].join(' and ');
  const at = place === undefined ? '' : `: ${place.file}: ${place.what} (at byte ${place.offset})`;
  const where = place === undefined ? {} : { file: place.file, offset: place.offset };
  return new SparrowError('corrupt', 'CORRUPT_RAFT_LOG', `the log has lost ${lost}${at}`, { ...where, lost });
}
