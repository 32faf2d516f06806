/**
 * What a replica has applied, and everything that changes it: entries, snapshots, repairs.
 *
 *   committed entries -> applier -> state machine -> core, early answers, upkeep and reads are told how far it is
 *   a snapshot that the core wants stored, or one that was asked for because the engine is damaged -> another state machine takes its place
 *   flushed -> the log may begin later
 *
 * What the engine cannot do is damage that other members can mend (engine-repair.ts), or ends the replica.
 *
 * Made by replica.ts. Calls applier.ts, state-machine.ts, engine-upkeep.ts, snapshot-exchange.ts, engine-repair.ts.
 */
import type { SparrowError } from '../../base/errors.ts';
import { type LogEntry, membersOf, type Raft } from '../raft/index.ts';
import { Applier } from './applier.ts';
import type { EarlyAnswers } from './early-answers.ts';
import { EngineRepair } from './engine-repair.ts';
import { EngineUpkeep } from './engine-upkeep.ts';
import { LogFeed } from './log-feed.ts';
import type { Proposals } from './proposals.ts';
import { damaged } from './refusals.ts';
import type { ReplicaLead } from './replica-lead.ts';
import type { Recovered } from './replica-opening.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import type { ReplicaReads } from './replica-reads.ts';
import { SnapshotExchange } from './snapshot-exchange.ts';
import type { StateMachine } from './state-machine.ts';

/** What a state is given of its replica. */
export interface StateParts {
  readonly settings: ReplicaSettings;
  readonly parts: ReplicaParts;
  readonly recovered: Recovered;
  readonly lead: ReplicaLead;
  readonly proposals: Proposals;
  readonly early: EarlyAnswers;
  readonly reads: ReplicaReads;
  /** As a drive's (core-drive.ts). */
  readonly input: (input: () => void) => void;
  readonly fail: (error: unknown) => void;
  /** Has a turn made soon. */
  readonly schedule: () => void;
  /** Nobody may wait for an outcome any more, or not get one. */
  readonly idle: () => void;
}

export class ReplicaState {
  readonly #of: StateParts;
  readonly #raft: Raft;
  #machine: StateMachine;
  readonly applier: Applier;
  readonly upkeep: EngineUpkeep;
  readonly snapshots: SnapshotExchange;
  readonly repair: EngineRepair;
  /** Of the address book, when the host was last told. */
  #bookChanges = 0;
  #stopped = false;

  constructor(of: StateParts) {
    const { settings, parts, recovered, lead, proposals, idle } = of;
    const { machine, raft } = recovered;
    this.#of = of;
    this.#raft = raft;
    this.#machine = machine;
    const failed = (error: unknown): void => this.#engineFailed(error);
    this.upkeep = new EngineUpkeep(machine, recovered.from, recovered.bytes, {
      scheduler: parts.scheduler,
      flushBytes: settings.checkpointBytes,
      keptBytesMax: settings.logKeptBytesMax,
      compactable: (index) => raft.compactable(index),
      compact: (index) => this.#compact(index),
      leads: () => lead.term !== 0,
      onFull: idle,
      fail: failed,
    });
    this.applier = new Applier(machine, {
      clock: parts.clock,
      scheduler: parts.scheduler,
      settle: (entry, result) => proposals.settle(entry, result),
      applied: (entries) => this.#applied(entries),
      idle,
      fail: failed,
    });
    const shared = { settings, parts, raft, applier: this.applier, upkeep: this.upkeep, machine: () => this.#machine };
    this.snapshots = new SnapshotExchange({
      ...shared,
      feed: new LogFeed(parts.log, raft.log.lastIndex, raft.log.committed),
      become: (next) => this.#installed(next),
      reported: (to, arrived) => of.input(() => raft.snapshotReported(to, arrived)),
      damaged: () => this.damage !== undefined,
    });
    this.repair = new EngineRepair({
      ...shared,
      members: () => membersOf(raft.configuration),
      installing: () => this.snapshots.pending,
      settle: (entry, result) => proposals.settle(entry, result),
      become: (next) => this.#repaired(next),
      onDamaged: (error) => this.#damaged(error),
      fail: of.fail,
    });
  }

  /** Another one after a snapshot was installed. */
  get machine(): StateMachine {
    return this.#machine;
  }

  /** What is damaged, and comes back from another member. */
  get damage(): SparrowError | undefined {
    return this.repair.damage;
  }

  /** A snapshot takes the engine's place: nothing is to be read from it. */
  get installing(): boolean {
    return this.snapshots.installing || this.damage !== undefined;
  }

  /** Settles when nothing is under way, with everything durable that can be. */
  async finish(): Promise<void> {
    await this.applier.settled();
    await this.upkeep.finish();
    await this.snapshots.settled();
    await this.repair.settled();
  }

  /** Nothing new is begun. */
  stop(): void {
    this.#stopped = true;
    void this.applier.halt();
    this.repair.stop();
    this.upkeep.stop();
  }

  #compact(index: number): void {
    if (this.#stopped) return;
    this.#of.parts.log.compact(index);
    this.#raft.compact(index);
  }

  #applied(entries: readonly LogEntry[]): void {
    const { parts, lead, early, reads, schedule } = this.#of;
    const { applied } = this.#machine;
    this.#raft.applied(applied);
    early.applied(applied);
    let bytes = 0;
    for (const { data } of entries) bytes += data.length;
    this.upkeep.applied(applied, bytes);
    const { changes } = this.#machine.book;
    if (changes !== this.#bookChanges || entries.some(({ change }) => change !== undefined)) {
      this.#bookChanges = changes;
      parts.host.membersChanged();
      schedule();
    }
    if (lead.term !== 0) {
      const { voters, outgoing } = this.#raft.configuration;
      const all = this.#raft.log.term(applied) === lead.term && early.answered <= applied;
      reads.atOnce = voters.length === 1 && outgoing.length === 0 && all;
    }
    reads.answer();
  }

  /** The engine could not do what it was asked for. */
  #engineFailed(error: unknown): void {
    if (!this.repair.begin(error)) this.#of.fail(error);
  }

  /** Nothing is read from the engine any more, and what is committed is applied later. */
  #damaged(error: SparrowError): void {
    const { parts, reads, schedule, idle } = this.#of;
    reads.close(damaged());
    idle();
    schedule();
    parts.onDamaged?.(error);
  }

  /** As the core wished. */
  #installed(machine: StateMachine): void {
    this.#machine = machine;
    this.#bookChanges = 0;
    this.repair.overtaken(true);
  }

  #repaired(machine: StateMachine): void {
    this.#machine = machine;
    this.#bookChanges = 0;
    this.#applied([]);
    this.#of.parts.host.membersChanged();
    this.#of.schedule();
  }
}
