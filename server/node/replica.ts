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
 * Made by server.ts; turned by node-host.ts. Calls server/raft and, each for one concern: replica-opening.ts, proposals.ts, early-answers.ts, replica-reads.ts,
 * log-feed.ts, applier.ts, state-machine.ts, engine-upkeep.ts, snapshot-exchange.ts, engine-repair.ts, lead-record.ts, lead-keeper.ts, refusals.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { HostedEngine } from '../../engine/index.ts';
import {
  canLead,
  type Configuration,
  type ConfigurationChange,
  type LogEntry,
  membersOf,
  type Message,
  type Output,
  type Raft,
  type Refusal,
} from '../raft/index.ts';
import type { ShardDescriptor } from '../shard/descriptor.ts';
import { isRepairMessage, type PeerMessage, type RepairMessage, type SnapshotHead, type SnapshotSink } from '../transport/index.ts';
import type { AddressBook } from './address-book.ts';
import { Applier } from './applier.ts';
import { type CallState, checkCall, NO_LIMIT } from './call-state.ts';
import { EarlyAnswers } from './early-answers.ts';
import { EngineRepair, LENT_TERM } from './engine-repair.ts';
import { EngineUpkeep } from './engine-upkeep.ts';
import type { HandoverReason } from './lead-decision.ts';
import { LeadKeeper } from './lead-keeper.ts';
import { LeadRecord } from './lead-record.ts';
import { LeadTransfers } from './lead-transfer.ts';
import { lend } from './lending.ts';
import { LogFeed } from './log-feed.ts';
import { Proposals } from './proposals.ts';
import { AT_LEADER, type ReadTerms } from './reads.ts';
import { damaged, diskFull, noRoom, notLeader, refusedBy, shuttingDown, stoppedBy } from './refusals.ts';
import type { HostedReplica, LogHolder } from './replica-host.ts';
import { type Recovered, recoverReplica } from './replica-opening.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import { ReplicaReads } from './replica-reads.ts';
import { type MemberProgress, type ReplicaStats, statsOf } from './replica-stats.ts';
import type { ImportedShard } from './shard-changes.ts';
import { SnapshotExchange } from './snapshot-exchange.ts';
import type { ApplyResult, StateMachine } from './state-machine.ts';
import { WriteBudget } from './write-budget.ts';
import { Sweeper } from './sweeper.ts';

const NO_COMMAND: Uint8Array = new Uint8Array(0);

export class Replica implements HostedReplica {
  readonly #settings: ReplicaSettings;
  readonly #parts: ReplicaParts;
  #machine: StateMachine;
  readonly #raft: Raft;
  readonly #feed: LogFeed;
  readonly #budget: WriteBudget;
  readonly #proposals: Proposals;
  readonly #early: EarlyAnswers;
  readonly #reads: ReplicaReads;
  readonly #applier: Applier;
  readonly #upkeep: EngineUpkeep;
  readonly #snapshots: SnapshotExchange;
  readonly #repair: EngineRepair;
  readonly #replayed: number;
  readonly #mended: number;
  readonly #lead: LeadRecord = new LeadRecord();
  readonly #transfers: LeadTransfers;
  readonly #leadKeeper: LeadKeeper;
  readonly #sweeper: Sweeper;
  #handovers = 0;
  #fetched = 0;
  /** Of the address book, when the host was last told. */
  #bookChanges = 0;
  #idle: (() => void)[] = [];
  #stopped: SparrowError | undefined;
  #closing = false;

  /** Replays what the engine does not have yet. A sole voter leads, and has applied everything, when this settles. */
  static async open(settings: ReplicaSettings, parts: ReplicaParts): Promise<Replica> {
    const recovered = await recoverReplica(settings, parts);
    const replica = new Replica(settings, parts, recovered);
    if (recovered.damage !== undefined) replica.#repair.begin(recovered.damage);
    await replica.#begin();
    return replica;
  }

  private constructor(settings: ReplicaSettings, parts: ReplicaParts, recovered: Recovered) {
    const { machine, raft } = recovered;
    this.#settings = settings;
    this.#parts = parts;
    this.#machine = machine;
    this.#raft = raft;
    this.#feed = new LogFeed(parts.log, raft.log.lastIndex, raft.log.committed);
    this.#replayed = recovered.entries;
    this.#mended = recovered.mended;
    this.#upkeep = new EngineUpkeep(machine, recovered.from, recovered.bytes, {
      scheduler: parts.scheduler,
      flushBytes: settings.checkpointBytes,
      keptBytesMax: settings.logKeptBytesMax,
      compactable: (index) => raft.compactable(index),
      compact: (index) => this.#compact(index),
      leads: () => this.#lead.term !== 0,
      onFull: () => this.#wakeIdle(),
      fail: (error) => this.#engineFailed(error),
    });
    this.#reads = new ReplicaReads({
      raft,
      nowMs: () => parts.clock.monotonicMs(),
      leads: () => this.#lead.term !== 0,
      applied: () => this.#machine.applied,
      committed: () => raft.log.committed,
      installing: () => this.#snapshots.installing || this.#repair.damage !== undefined,
      schedule: () => this.#schedule(),
      notLeader: () => this.#notLeader(),
    });
    this.#transfers = new LeadTransfers(settings.id);
    this.#sweeper = new Sweeper({
      due: () => this.#lead.term !== 0 && this.#machine.unswept && this.#stopped === undefined && !this.#closing,
      epoch: () => this.#machine.descriptor.epoch,
      propose: (command, call) => this.propose(command, call),
    });
    this.#leadKeeper = new LeadKeeper(settings.electionTicks, settings.tickMs);
    const { writeBytesInFlightMax: bytesMax, writesWaitingMax: waitingMax } = settings;
    this.#budget = parts.writeBudget ?? new WriteBudget({ bytesMax, waitingMax, now: () => parts.clock.monotonicMs() });
    this.#proposals = new Proposals(this.#budget, () => this.#schedule());
    this.#early = new EarlyAnswers(raft, parts.clock);
    this.#lead.onLeader(() => this.#reads.askAgain());
    this.#applier = new Applier(machine, {
      clock: parts.clock,
      scheduler: parts.scheduler,
      settle: (entry, result) => this.#proposals.settle(entry, result),
      applied: (entries) => this.#applied(entries),
      idle: () => this.#wakeIdle(),
      fail: (error) => this.#engineFailed(error),
    });
    this.#snapshots = new SnapshotExchange({
      settings,
      parts,
      raft,
      feed: this.#feed,
      applier: this.#applier,
      upkeep: this.#upkeep,
      machine: () => this.#machine,
      become: (next) => {
        this.#machine = next;
        this.#bookChanges = 0;
        this.#repair.overtaken(true);
      },
      reported: (to, arrived) => this.#guarded(() => raft.snapshotReported(to, arrived)),
      damaged: () => this.#repair.damage !== undefined,
    });
    this.#repair = new EngineRepair({
      settings,
      parts,
      raft,
      applier: this.#applier,
      upkeep: this.#upkeep,
      machine: () => this.#machine,
      members: () => this.members,
      installing: () => this.#snapshots.pending,
      settle: (entry, result) => this.#proposals.settle(entry, result),
      become: (next) => this.#repaired(next),
      onDamaged: (error) => this.#damaged(error),
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

  /** What the shard is, as of `applied`. */
  get descriptor(): ShardDescriptor {
    return this.#machine.descriptor;
  }

  /**
   * What time it is for whoever reads or writes here: values that expire at or before it are not there. Milliseconds since the epoch, by this node's clock, and not
   * before the time of the group. 0: nothing in the shard expires.
   */
  get timeMs(): number {
    const { timeMs, descriptor } = this.#machine;
    return timeMs === 0 && descriptor.ttlMs === 0 ? 0 : Math.max(timeMs, this.#parts.clock.wallMs());
  }

  /** `look`, which is synchronous, sees of the engine what has not expired by `atMs`, a `timeMs`. */
  look<T>(atMs: number, look: () => T): T {
    return atMs === 0 ? look() : this.#machine.engine.expiry.look(atMs, look);
  }

  get stopped(): SparrowError | undefined {
    return this.#stopped;
  }

  /** The node that leads, as far as this one knows; 0: nobody. */
  get leader(): number {
    return this.#raft.leader;
  }

  get leads(): boolean {
    return this.#raft.role === 'leader';
  }

  /** What of its data is damaged, and comes back from another member. */
  get damage(): SparrowError | undefined {
    return this.#repair.damage;
  }

  get asleep(): boolean {
    return this.#raft.asleep && this.#repair.damage === undefined;
  }

  /** As of `applied`: who is told of it is told of nothing that could be undone. */
  get configuration(): Configuration {
    return this.#machine.configuration;
  }

  get members(): readonly number[] {
    return membersOf(this.#raft.configuration);
  }

  /** Writes wait for room: take nothing more in until `onRelieved` tells. */
  get congested(): boolean {
    return this.#budget.congested;
  }

  /** Calls `listener` each time that writes stop waiting for room. Returns what takes it off again. */
  onRelieved(listener: () => void): () => void {
    return this.#budget.onRelieved(listener);
  }

  /** Calls `listener` each time that another member leads, or nobody is known to; `stats()` tells who. Returns what takes it off again. */
  onLeader(listener: () => void): () => void {
    return this.#lead.onLeader(listener);
  }

  /**
   * Settles when the command is applied. The bytes are not changed until then. Rejects with `exhausted/OVERLOADED`, `unavailable/TIMEOUT`,
   * `cancelled/ABORTED`, `rerouted/NOT_LEADER`, `unavailable/NO_LEADER` when it was not proposed, and with `unavailable/LEADERSHIP_LOST` or
   * `unavailable/REPLICA_STOPPED` when nobody knows (`applied: false` among the details: it will not be applied).
   */
  propose(command: Uint8Array, call: CallState): Promise<ApplyResult> {
    const refused = this.#served() ?? (this.#parts.nodeLog.full ? diskFull() : noRoom(this.#upkeep.lacking));
    return refused === undefined ? this.#proposals.enter(command, call) : Promise.reject(refused);
  }

  /** What a read waits for before it looks at the engine; undefined when it may look at once. Rejects as `propose` does. */
  read(terms: ReadTerms = AT_LEADER): Promise<void> | undefined {
    const refused = this.#served();
    return refused === undefined ? this.#reads.read(terms) : Promise.reject(refused);
  }

  /** A snapshot takes the engine's place: what is read of the one before it may end with `closed`. */
  get installing(): boolean {
    return this.#snapshots.installing || this.#repair.damage !== undefined;
  }

  /**
   * Settles when the change is applied here. Rejects with `invalid/CONFIGURATION_CHANGE` when it makes no sense, `unavailable/CHANGE_REFUSED` with the
   * core's reason, and otherwise as `propose` does.
   */
  changeMembers(change: ConfigurationChange): Promise<ApplyResult> {
    const refused = this.#served();
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

  /** As `transferLeadership`, and settles when this member leads no more. Rejects with `unavailable/NOT_TAKEN_OVER` and why, when that is given up. */
  async handLeadOver(to: number): Promise<void> {
    this.transferLeadership(to);
    await this.#transfers.begun(to);
  }

  /**
   * This member leads no more, whoever can take over: who has most of the log is told to campaign at once. What is proposed and not applied ends with
   * `LEADERSHIP_LOST`. Nothing happens where nobody else could lead.
   */
  stepDown(): void {
    this.#guarded(() => this.#raft.stepDown());
  }

  /** Asks for votes at once, instead of after a timeout: of a group that has just come to be, in which nobody can lead yet. Nothing when it leads, or cannot. */
  campaign(): void {
    this.#guarded(() => this.#raft.campaign(true));
  }

  /** Makes everything applied durable in the engine. */
  flush(): Promise<void> {
    return this.#machine.flush();
  }

  /** Index of the SEAL of a shard that is sealed or retired; undefined of others. */
  get sealed(): number | undefined {
    return this.#machine.sealed;
  }

  /** What has been imported whole, and waits for its commit; undefined: nothing. */
  get imported(): ImportedShard | undefined {
    return this.#machine.imported;
  }

  /** The shard whose keys are being imported into this one; undefined: none. */
  get importing(): ShardDescriptor | undefined {
    return this.#machine.importing;
  }

  /** There may be keys of another shard between its own: whoever reads keys in order passes them over. */
  get mixed(): boolean {
    return this.#machine.mixed;
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
      sendSnapshot: (to) => void this.#snapshots.send({ to, term: LENT_TERM }),
      commitFor: (member) => (this.members.includes(member) ? this.#commitNothing() : undefined),
    });
  }

  /** An entry without a command. Settles when it is applied; undefined when it cannot be proposed. */
  #commitNothing(): Promise<{ index: number; term: number }> | undefined {
    if (this.#refusal() !== undefined) return undefined;
    const { index } = this.#raft.propose([NO_COMMAND]);
    if (index === undefined) return undefined;
    const { term } = this.#raft;
    this.#schedule();
    return this.#proposals.enterBegun(index, term, NO_LIMIT).then(() => ({ index, term }));
  }

  async accept(from: number, head: SnapshotHead): Promise<SnapshotSink> {
    const refused = this.#refusal();
    if (refused !== undefined) throw refused;
    if (head.term === LENT_TERM) return this.#repair.accept(head);
    if (this.#repair.busy) throw new SparrowError('unavailable', 'SNAPSHOT_INSTALLING', 'another snapshot is being installed');
    this.#repair.overtaken(false);
    return this.#snapshots.accept(head, (snapshot) => {
      this.step({ type: 'snapshot-request', from, to: this.#settings.id, term: head.term, snapshot });
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
    this.#repair.tick();
    this.#sweeper.look();
    const unfit = this.#parts.nodeLog.full ? 'full disk' : this.#repair.damage === undefined ? undefined : 'damaged data';
    if (this.#lead.term !== 0 && this.#leadKeeper.tick(unfit)) this.#guarded(() => this.#keepLead(unfit));
  }

  wake(): void {
    this.#guarded(() => this.#raft.wake());
  }

  /** Everything that came in since the last turn, at once. */
  turn(): void {
    if (this.#stopped !== undefined) return;
    try {
      this.#propose();
      if (this.#reads.waiting) this.#reads.begin(this.#advanceClock());
      this.#pump();
    } catch (error) {
      this.#fail(error);
    }
  }

  stats(): ReplicaStats {
    return statsOf({
      settings: this.#settings,
      parts: this.#parts,
      raft: this.#raft,
      applied: this.#machine.applied,
      asleep: this.asleep,
      budget: this.#proposals.budget,
      reads: this.#reads,
      lead: this.#lead,
      // Of one that has stopped the engine may be closed, on its way to be destroyed.
      held: this.#stopped === undefined ? this.#upkeep.held : [],
      replayedEntries: this.#replayed,
      entriesMended: this.#mended,
      entriesFetched: this.#fetched,
      enginesRepaired: this.#repair.repaired,
      damagedBecause: this.#repair.damage,
      handovers: this.#handovers,
      writesAnsweredEarly: this.#early.count,
      stoppedBecause: this.#stopped,
    });
  }

  /** Takes no new writes, finishes those that it has; on a full disk they end with an unknown outcome. Log and engine stay open. */
  async close(): Promise<void> {
    this.#closing = true;
    const unlisten = this.#parts.nodeLog.onFull(() => this.#wakeIdle());
    // A leader without a majority steps down, and then nobody waits any more.
    const full = (): boolean => this.#parts.nodeLog.full || this.#upkeep.lacking !== undefined || this.#repair.damage !== undefined;
    while (this.#stopped === undefined && !full() && !this.#proposals.idle) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    unlisten();
    if (full()) this.#stop(shuttingDown({}), true);
    await this.#applier.settled();
    await this.#upkeep.finish();
    await this.#snapshots.settled();
    await this.#repair.settled();
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

  /** As `#refusal`, of what needs the engine. */
  #served(): SparrowError | undefined {
    return this.#refusal() ?? (this.#repair.damage === undefined ? undefined : damaged());
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

  #advanceClock(): number {
    const nowMs = this.#parts.clock.monotonicMs();
    if (this.#settings.lease !== undefined) this.#raft.advanceClock(nowMs);
    return nowMs;
  }

  #refused(reason: Refusal | undefined): SparrowError | undefined {
    return refusedBy(reason, this.group, this.#settings.id, this.#raft.leader);
  }

  #notLeader(): SparrowError {
    return notLeader(this.group, this.#settings.id, this.#raft.leader);
  }

  #propose(): void {
    const leads = this.#raft.role === 'leader';
    // Somebody turns to the wrong member: should the one that slept last be gone, the others find out.
    if (!leads && this.#raft.asleep && this.#proposals.queued) this.#raft.wake();
    const now = this.#parts.clock.monotonicMs();
    const proposals = this.#proposals.take(({ call }) => (leads ? checkCall(call, now) : this.#notLeader()));
    if (proposals.length === 0) return this.#wakeIdle();
    const { index, refused } = this.#raft.propose(proposals.map(({ command }) => command));
    if (index !== undefined) {
      this.#proposals.begun(proposals, index, this.#raft.term);
      return this.#early.begun(proposals, index, this.#machine);
    }
    this.#proposals.refuse(proposals, this.#refused(refused)!);
    this.#wakeIdle();
  }

  /** Carries out what the core wants done. */
  #pump(): void {
    if (this.#stopped !== undefined) return;
    const output = this.#raft.output();
    this.#noteLead();
    this.#transfers.note(this.#raft);
    this.#snapshots.noteOutput(output);
    const messages = output.messages.filter((message) => message.type !== 'snapshot-request' || this.#snapshots.send(message));
    if (messages.length > 0) this.#send(messages);
    if (output.hardState !== undefined || output.entries.length > 0 || output.messagesAfterSync.length > 0) this.#persist(output);
    for (const { member, from, bytesMax } of output.fetches) this.#fetch(member, from, bytesMax);
    this.#answerEarly();
    this.#reads.note(output);
    this.#applier.push(output.committed);
    this.#repair.note();
    this.#reads.answer();
  }

  #noteLead(): void {
    const led = this.#lead.term;
    if (!this.#lead.note(this.#raft)) return;
    if (led !== 0) {
      this.#early.lose();
      this.#proposals.lose();
      this.#wakeIdle();
    }
    this.#leadKeeper.restart();
    this.#reads.atOnce = false;
  }

  /** Gives the lead up where its disk is in the way. */
  #keepLead(unfit: HandoverReason | undefined): void {
    const { clock, nodeLog, onHandover } = this.#parts;
    const { committed } = this.#raft.log;
    const caughtUp = (id: number): boolean => canLead(this.#raft.configuration, id) && (this.matchOf(id) ?? 0) >= committed;
    const others = this.members.filter((id) => id !== this.#settings.id);
    const handover = this.#leadKeeper.look(clock.monotonicMs(), unfit, (ms) => nodeLog.syncMs(ms), caughtUp, others);
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

  /** Of writes that their table does not want to wait for disks. */
  #answerEarly(): void {
    if (this.#early.answer()) this.#reads.atOnce = false;
  }

  #persist(output: Output): void {
    const written = this.#machine.descriptor.durability === 'os' ? (): void => this.#written(output) : undefined;
    this.#snapshots.store(output, written).then(
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

  /** The system has it, the disk may not. */
  #written(output: Output): void {
    this.#guarded(() => {
      const received = this.#raft.written(output);
      if (received.length > 0) this.#send(received);
      this.#answerEarly();
      return 'nothing to do';
    });
  }

  #persisted({ token, messagesAfterSync }: Output): void {
    this.#raft.persisted(token);
    const others = messagesAfterSync.filter((message) => message.to !== this.#raft.id);
    if (others.length > 0) this.#send(others);
    for (const message of messagesAfterSync) if (message.to === this.#raft.id) this.#raft.step(message);
    this.#pump();
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
    this.#early.applied(applied);
    let bytes = 0;
    for (const { data } of entries) bytes += data.length;
    this.#upkeep.applied(applied, bytes);
    const { changes } = this.#machine.book;
    if (changes !== this.#bookChanges || entries.some(({ change }) => change !== undefined)) {
      this.#bookChanges = changes;
      this.#parts.host.membersChanged();
      this.#schedule();
    }
    if (this.#lead.term !== 0) {
      const { voters, outgoing } = this.#raft.configuration;
      const all = this.#raft.log.term(applied) === this.#lead.term && this.#early.answered <= applied;
      this.#reads.atOnce = voters.length === 1 && outgoing.length === 0 && all;
    }
    this.#reads.answer();
  }

  /** The engine could not do what it was asked for. */
  #engineFailed(error: unknown): void {
    if (!this.#repair.begin(error)) this.#fail(error);
  }

  /** Nothing is read from the engine any more, and what is committed is applied later. */
  #damaged(error: SparrowError): void {
    this.#reads.close(damaged());
    this.#wakeIdle();
    this.#schedule();
    this.#parts.onDamaged?.(error);
  }

  #repaired(machine: StateMachine): void {
    this.#machine = machine;
    this.#bookChanges = 0;
    this.#applied([]);
    this.#parts.host.membersChanged();
    this.#schedule();
  }

  #fail(error: unknown): void {
    if (this.#stopped !== undefined) return;
    // Others need not wait until they miss this one.
    const abdication = this.#raft.abdicate();
    if (abdication !== undefined) this.#send([abdication]);
    this.#stop(stoppedBy(error), false);
  }

  #stop(error: SparrowError, asked: boolean): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#parts.host.remove(this);
    this.#proposals.close(error);
    this.#reads.close(error);
    this.#transfers.close(error);
    void this.#applier.halt();
    this.#repair.stop();
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
