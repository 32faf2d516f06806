/**
 * A replica: one member of a group. Puts its parts together, and is what others call.
 *
 *   propose -> budget -> core -> log (fsync, one for all that is waiting) -> core: committed -> state machine -> answer
 *                             -> messages to the other members, at once   -> messages that had to wait for the fsync
 *
 * The pure core (server/raft) is driven so by core-drive.ts, in turns. What is committed is applied by replica-state.ts, one entry after another, in the order of the
 * log, only when they are durable here and by a majority. The log is cut at the front when the engine has made its effect durable, never before (engine-upkeep.ts).
 *
 * A log that cannot be written, or an entry that cannot be applied, stops the replica: it answers nothing any more until it is opened
 * again. Calls whose outcome is not known then end with `unavailable/REPLICA_STOPPED`. The node goes on with its other groups.
 *
 * A sole voter elects itself when opened, and reads need no round of heartbeats: nobody else can lead, and what was answered has
 * been applied.
 *
 * Made by server.ts; turned by node-host.ts. Calls server/raft and, each for one concern: replica-opening.ts, core-drive.ts, replica-state.ts, replica-lead.ts, proposals.ts,
 * early-answers.ts, replica-reads.ts, lending.ts, sweeper.ts, refusals.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { HostedEngine } from '../../engine/index.ts';
import { type Configuration, type ConfigurationChange, membersOf, type Raft } from '../raft/index.ts';
import { isRepairMessage, type PeerMessage, type RepairMessage, type SnapshotHead, type SnapshotSink } from '../transport/index.ts';
import type { AddressBook } from './address-book.ts';
import { type CallState, NO_LIMIT } from './call-state.ts';
import { CoreDrive } from './core-drive.ts';
import { EarlyAnswers } from './early-answers.ts';
import { LENT_TERM } from './engine-repair.ts';
import { lend } from './lending.ts';
import { Proposals } from './proposals.ts';
import { AT_LEADER, type ReadTerms } from './reads.ts';
import { damaged, diskFull, noRoom, shuttingDown } from './refusals.ts';
import type { HostedReplica, LogHolder } from './replica-host.ts';
import { ReplicaLead } from './replica-lead.ts';
import { type Recovered, recoverReplica } from './replica-opening.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import { ReplicaReads } from './replica-reads.ts';
import { ReplicaState } from './replica-state.ts';
import { type MemberProgress, type ReplicaStats, statsOf } from './replica-stats.ts';
import type { ShardFacts } from './shard-changes.ts';
import type { ApplyResult } from './state-machine.ts';
import { Sweeper } from './sweeper.ts';
import { WriteBudget } from './write-budget.ts';

const NO_COMMAND: Uint8Array = new Uint8Array(0);

/** What others see of the lead, and ask of it. */
export type Lead = Pick<ReplicaLead, 'leader' | 'leads' | 'onLeader' | 'transfer' | 'handOver' | 'stepDown' | 'campaign'>;

export class Replica implements HostedReplica {
  readonly #settings: ReplicaSettings;
  readonly #parts: ReplicaParts;
  readonly #raft: Raft;
  readonly #drive: CoreDrive;
  readonly #state: ReplicaState;
  readonly #lead: ReplicaLead;
  readonly #budget: WriteBudget;
  readonly #proposals: Proposals;
  readonly #early: EarlyAnswers;
  readonly #reads: ReplicaReads;
  readonly #replayed: number;
  readonly #mended: number;
  readonly #sweeper: Sweeper;
  #idle: (() => void)[] = [];
  #stopped: SparrowError | undefined;
  #closing = false;

  /** Replays what the engine does not have yet. A sole voter leads, and has applied everything, when this settles. */
  static async open(settings: ReplicaSettings, parts: ReplicaParts): Promise<Replica> {
    const recovered = await recoverReplica(settings, parts);
    const replica = new Replica(settings, parts, recovered);
    if (recovered.damage !== undefined) replica.#state.repair.begin(recovered.damage);
    await replica.#begin();
    return replica;
  }

  private constructor(settings: ReplicaSettings, parts: ReplicaParts, recovered: Recovered) {
    const { raft } = recovered;
    this.#settings = settings;
    this.#parts = parts;
    this.#raft = raft;
    this.#replayed = recovered.entries;
    this.#mended = recovered.mended;
    const input = (told: () => void): void => this.#drive.input(told);
    const schedule = (): void => this.#schedule();
    const idle = (): void => this.#wakeIdle();
    const lead = new ReplicaLead({ settings, parts, raft, refusal: () => this.#refusal(), input, schedule });
    this.#lead = lead;
    const reads = new ReplicaReads({
      raft,
      nowMs: () => parts.clock.monotonicMs(),
      leads: () => lead.term !== 0,
      applied: () => this.applied,
      committed: () => raft.log.committed,
      installing: () => this.installing,
      schedule,
      notLeader: () => lead.elsewhere(),
    });
    this.#reads = reads;
    lead.onLeader(() => reads.askAgain());
    this.#sweeper = new Sweeper({
      due: () => lead.term !== 0 && this.shard.unswept && this.#stopped === undefined && !this.#closing,
      epoch: () => this.shard.descriptor.epoch,
      propose: (command, call) => this.propose(command, call),
    });
    const { writeBytesInFlightMax: bytesMax, writesWaitingMax: waitingMax } = settings;
    this.#budget = parts.writeBudget ?? new WriteBudget({ bytesMax, waitingMax, now: () => parts.clock.monotonicMs() });
    const proposals = new Proposals(this.#budget, schedule);
    this.#proposals = proposals;
    const early = new EarlyAnswers(raft, parts.clock);
    this.#early = early;
    const fail = (error: unknown): void => this.#drive.fail(error);
    const state = new ReplicaState({ settings, parts, recovered, lead, proposals, early, reads, input, fail, schedule, idle });
    this.#state = state;
    const failed = (error: SparrowError): void => this.#stop(error, false);
    this.#drive = new CoreDrive({ settings, parts, raft, lead, proposals, early, reads, state, schedule, idle, failed });
  }

  get group(): number {
    return this.#settings.group;
  }

  /** What it has applied to, and reads are made of. */
  get engine(): HostedEngine {
    return this.#state.machine.engine;
  }

  /** Index of the last entry applied: the newest version that a reader can see. */
  get applied(): number {
    return this.#state.machine.applied;
  }

  /** Where nodes are, and who was removed, as of `applied`. Another object after a snapshot was installed. */
  get book(): AddressBook {
    return this.#state.machine.book;
  }

  /** What the shard is, as of `applied`. Another object after a snapshot was installed. */
  get shard(): ShardFacts {
    return this.#state.machine.shard;
  }

  /**
   * What time it is for whoever reads or writes here: values that expire at or before it are not there. Milliseconds since the epoch, by this node's clock, and not
   * before the time of the group. 0: nothing in the shard expires.
   */
  get timeMs(): number {
    const { timeMs, shard } = this.#state.machine;
    return timeMs === 0 && shard.descriptor.ttlMs === 0 ? 0 : Math.max(timeMs, this.#parts.clock.wallMs());
  }

  /** `look`, which is synchronous, sees of the engine what has not expired by `atMs`, a `timeMs`. */
  look<T>(atMs: number, look: () => T): T {
    return atMs === 0 ? look() : this.#state.machine.engine.expiry.look(atMs, look);
  }

  get stopped(): SparrowError | undefined {
    return this.#stopped;
  }

  /** Who leads, and how to change it. */
  get lead(): Lead {
    return this.#lead;
  }

  /** What of its data is damaged, and comes back from another member. */
  get damage(): SparrowError | undefined {
    return this.#state.damage;
  }

  get asleep(): boolean {
    return this.#raft.asleep && this.damage === undefined;
  }

  /** As of `applied`: who is told of it is told of nothing that could be undone. */
  get configuration(): Configuration {
    return this.#state.machine.configuration;
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

  /**
   * Settles when the command is applied. The bytes are not changed until then. Rejects with `exhausted/OVERLOADED`, `unavailable/TIMEOUT`,
   * `cancelled/ABORTED`, `rerouted/NOT_LEADER`, `unavailable/NO_LEADER` when it was not proposed, and with `unavailable/LEADERSHIP_LOST` or
   * `unavailable/REPLICA_STOPPED` when nobody knows (`applied: false` among the details: it will not be applied).
   */
  propose(command: Uint8Array, call: CallState): Promise<ApplyResult> {
    const refused = this.#served() ?? (this.#parts.nodeLog.full ? diskFull() : noRoom(this.#state.upkeep.lacking));
    return refused === undefined ? this.#proposals.enter(command, call) : Promise.reject(refused);
  }

  /** What a read waits for before it looks at the engine; undefined when it may look at once. Rejects as `propose` does. */
  read(terms: ReadTerms = AT_LEADER): Promise<void> | undefined {
    const refused = this.#served();
    return refused === undefined ? this.#reads.read(terms) : Promise.reject(refused);
  }

  /** A snapshot takes the engine's place: what is read of the one before it may end with `closed`. */
  get installing(): boolean {
    return this.#state.installing;
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
      if (index === undefined) return Promise.reject(this.#lead.refused(reason));
      this.#schedule();
      return this.#proposals.enterBegun(index, this.#raft.term, NO_LIMIT);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Makes everything applied durable in the engine. */
  flush(): Promise<void> {
    return this.#state.machine.flush();
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

  /** What the leader knows of a member; undefined when this one does not lead, or that is no member. */
  progressOf(id: number): MemberProgress | undefined {
    return this.#raft.progress(id);
  }

  /** A message from another member. */
  step(message: PeerMessage): void {
    if (isRepairMessage(message)) this.#lend(message);
    else this.#drive.step(message);
  }

  /** Another member's disk has lost something. */
  #lend(message: RepairMessage): void {
    lend(message, {
      id: this.#settings.id,
      term: this.#raft.term,
      core: this.#raft.log,
      log: this.#parts.log,
      applied: this.#state.machine.applied,
      send: (response) => this.#parts.host.send(this.group, [response]),
      sendSnapshot: (to) => void this.#state.snapshots.send({ to, term: LENT_TERM }),
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
    const { repair, snapshots } = this.#state;
    if (head.term === LENT_TERM) return repair.accept(head);
    if (repair.busy) throw new SparrowError('unavailable', 'SNAPSHOT_INSTALLING', 'another snapshot is being installed');
    repair.overtaken(false);
    return snapshots.accept(head, (snapshot) => {
      this.step({ type: 'snapshot-request', from, to: this.#settings.id, term: head.term, snapshot });
    });
  }

  get upkeep(): LogHolder {
    return this.#state.upkeep;
  }

  tick(): void {
    this.#drive.tick();
    this.#state.repair.tick();
    this.#sweeper.look();
    this.#lead.tick(this.#parts.nodeLog.full ? 'full disk' : this.damage === undefined ? undefined : 'damaged data');
  }

  wake(): void {
    this.#drive.input(() => this.#raft.wake());
  }

  turn(): void {
    this.#drive.turn();
  }

  stats(): ReplicaStats {
    return statsOf({
      settings: this.#settings,
      parts: this.#parts,
      raft: this.#raft,
      applied: this.#state.machine.applied,
      asleep: this.asleep,
      budget: this.#proposals.budget,
      reads: this.#reads,
      lead: this.#lead,
      // Of one that has stopped the engine may be closed, on its way to be destroyed.
      held: this.#stopped === undefined ? this.#state.upkeep.held : [],
      replayedEntries: this.#replayed,
      entriesMended: this.#mended,
      entriesFetched: this.#drive.fetched,
      enginesRepaired: this.#state.repair.repaired,
      damagedBecause: this.damage,
      writesAnsweredEarly: this.#early.count,
      stoppedBecause: this.#stopped,
    });
  }

  /** Takes no new writes, finishes those that it has; on a full disk they end with an unknown outcome. Log and engine stay open. */
  async close(): Promise<void> {
    this.#closing = true;
    const unlisten = this.#parts.nodeLog.onFull(() => this.#wakeIdle());
    // A leader without a majority steps down, and then nobody waits any more.
    const full = (): boolean => this.#parts.nodeLog.full || this.#state.upkeep.lacking !== undefined || this.damage !== undefined;
    while (this.#stopped === undefined && !full() && !this.#proposals.idle) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    unlisten();
    if (full()) this.#stop(shuttingDown({}), true);
    await this.#state.finish();
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
    if (voters.length === 1 && voters[0] === this.#settings.id && outgoing.length === 0) await this.#drive.leadAlone();
  }

  #refusal(): SparrowError | undefined {
    return this.#stopped ?? (this.#closing ? shuttingDown({ applied: false }) : undefined);
  }

  /** As `#refusal`, of what needs the engine. */
  #served(): SparrowError | undefined {
    return this.#refusal() ?? (this.damage === undefined ? undefined : damaged());
  }

  #schedule(): void {
    this.#parts.host.schedule(this);
  }

  #stop(error: SparrowError, asked: boolean): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#drive.stop();
    this.#parts.host.remove(this);
    this.#proposals.close(error);
    this.#reads.close(error);
    this.#lead.close(error);
    this.#state.stop();
    this.#wakeIdle();
    if (!asked) this.#parts.onStopped(error);
  }

  #wakeIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const wake of idle) wake();
  }
}
