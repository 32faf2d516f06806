/**
 * Drives the pure core of a replica (server/raft): what comes in goes to it, and what it wants done is carried out.
 *
 *   messages, ticks -> core                      at once; what it says to them, with the next turn
 *   turn: proposals, reads -> core -> output ->  messages to the other members, at once
 *                                                hard state and entries to the log -> fsync -> core: persisted -> messages that had to wait for it
 *                                                entries that a member lacks, from the log's files
 *                                                committed entries to the applier, reads that may be answered
 *
 * All that came in since the last turn goes through the core together: proposals share an append, reads a round of heartbeats. What the core cannot be told, or
 * the log cannot do, ends the replica: `fail`. Where the log is not waited for (tables of durability `os`), the core is told as well when the system has it.
 *
 * Used by replica.ts. Calls server/raft, proposals.ts, early-answers.ts, replica-reads.ts, replica-lead.ts, replica-state.ts.
 */
import type { SparrowError } from '../../base/errors.ts';
import type { Message, Output, Raft } from '../raft/index.ts';
import { checkCall } from './call-state.ts';
import type { EarlyAnswers } from './early-answers.ts';
import type { Proposals } from './proposals.ts';
import { stoppedBy } from './refusals.ts';
import type { ReplicaLead } from './replica-lead.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import type { ReplicaReads } from './replica-reads.ts';
import type { ReplicaState } from './replica-state.ts';

/** What a drive is given of its replica. */
export interface DriveParts {
  readonly settings: Pick<ReplicaSettings, 'group' | 'lease'>;
  readonly parts: Pick<ReplicaParts, 'log' | 'host' | 'clock'>;
  readonly raft: Raft;
  readonly lead: ReplicaLead;
  readonly proposals: Proposals;
  readonly early: EarlyAnswers;
  readonly reads: ReplicaReads;
  readonly state: ReplicaState;
  /** Has `turn` called soon. */
  readonly schedule: () => void;
  /** Nobody may wait for an outcome any more. */
  readonly idle: () => void;
  /** It cannot go on: the replica is to stop, and with it this. */
  readonly failed: (error: SparrowError) => void;
}

export class CoreDrive {
  readonly #of: DriveParts;
  #fetched = 0;
  #stopped = false;

  constructor(of: DriveParts) {
    this.#of = of;
  }

  /** Entries that were read from the log's files for members that lag. */
  get fetched(): number {
    return this.#fetched;
  }

  /** Has the core told something, and a turn made of what it says to it. */
  input(input: () => 'nothing to do' | void): void {
    if (this.#stopped) return;
    try {
      if (input() !== 'nothing to do') this.#of.schedule();
    } catch (error) {
      this.fail(error);
    }
  }

  step(message: Message): void {
    const { raft, lead } = this.#of;
    if (message.type === 'append-response') lead.acknowledged(message);
    // Those of a thousand idle groups cost no turns.
    const routine = raft.isRoutine(message);
    this.input(() => {
      this.#advanceClock();
      raft.step(message);
      return routine ? 'nothing to do' : undefined;
    });
  }

  tick(): void {
    this.input(() => {
      this.#advanceClock();
      return this.#of.raft.tick() ? undefined : 'nothing to do';
    });
  }

  /** Everything that came in since the last turn, at once. */
  turn(): void {
    if (this.#stopped) return;
    const { reads } = this.#of;
    try {
      this.#propose();
      if (reads.waiting) reads.begin(this.#advanceClock());
      this.#pump();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Of a sole voter that has just been opened. Settles when it leads, and has applied everything. */
  async leadAlone(): Promise<void> {
    const { raft, reads } = this.#of;
    this.#advanceClock();
    raft.campaign();
    const led = reads.when(raft.log.lastIndex + 1);
    this.#pump();
    await led;
  }

  fail(error: unknown): void {
    if (this.#stopped) return;
    // Others need not wait until they miss this one.
    const abdication = this.#of.raft.abdicate();
    if (abdication !== undefined) this.#send([abdication]);
    this.#of.failed(stoppedBy(error));
  }

  /** Nothing goes in or out any more. */
  stop(): void {
    this.#stopped = true;
  }

  #advanceClock(): number {
    const { settings, parts, raft } = this.#of;
    const nowMs = parts.clock.monotonicMs();
    if (settings.lease !== undefined) raft.advanceClock(nowMs);
    return nowMs;
  }

  #propose(): void {
    const { parts, raft, lead, proposals, early, state, idle } = this.#of;
    const { leads } = lead;
    // Somebody turns to the wrong member: should the one that slept last be gone, the others find out.
    if (!leads && raft.asleep && proposals.queued) raft.wake();
    const now = parts.clock.monotonicMs();
    const taken = proposals.take(({ call }) => (leads ? checkCall(call, now) : lead.elsewhere()));
    if (taken.length === 0) return idle();
    const { index, refused } = raft.propose(taken.map(({ command }) => command));
    if (index !== undefined) {
      proposals.begun(taken, index, raft.term);
      return early.begun(taken, index, state.machine);
    }
    proposals.refuse(taken, lead.refused(refused)!);
    idle();
  }

  /** Carries out what the core wants done. */
  #pump(): void {
    if (this.#stopped) return;
    const { raft, reads, state } = this.#of;
    const { applier, snapshots, repair } = state;
    const output = raft.output();
    this.#noteLead();
    snapshots.noteOutput(output);
    const messages = output.messages.filter((message) => message.type !== 'snapshot-request' || snapshots.send(message));
    if (messages.length > 0) this.#send(messages);
    if (output.hardState !== undefined || output.entries.length > 0 || output.messagesAfterSync.length > 0) this.#persist(output);
    for (const { member, from, bytesMax } of output.fetches) this.#fetch(member, from, bytesMax);
    this.#answerEarly();
    reads.note(output);
    applier.push(output.committed);
    repair.note();
    reads.answer();
  }

  #noteLead(): void {
    const { lead, early, proposals, reads, idle } = this.#of;
    const change = lead.note();
    if (change === undefined) return;
    if (change === 'lost') {
      early.lose();
      proposals.lose();
      idle();
    }
    reads.atOnce = false;
  }

  #send(messages: readonly Message[]): void {
    const { settings, parts, lead } = this.#of;
    lead.sent(messages);
    parts.host.send(settings.group, messages);
  }

  /** Of writes that their table does not want to wait for disks. */
  #answerEarly(): void {
    if (this.#of.early.answer()) this.#of.reads.atOnce = false;
  }

  #persist(output: Output): void {
    const { snapshots, machine } = this.#of.state;
    const written = machine.shard.descriptor.durability === 'os' ? (): void => this.#written(output) : undefined;
    snapshots.store(output, written).then(
      () => {
        if (this.#stopped) return;
        try {
          this.#persisted(output);
        } catch (error) {
          this.fail(error);
        }
      },
      (error: unknown) => this.fail(error),
    );
  }

  /** The system has it, the disk may not. */
  #written(output: Output): void {
    this.input(() => {
      const received = this.#of.raft.written(output);
      if (received.length > 0) this.#send(received);
      this.#answerEarly();
      return 'nothing to do';
    });
  }

  #persisted({ token, messagesAfterSync }: Output): void {
    const { raft } = this.#of;
    raft.persisted(token);
    const others = messagesAfterSync.filter((message) => message.to !== raft.id);
    if (others.length > 0) this.#send(others);
    for (const message of messagesAfterSync) if (message.to === raft.id) raft.step(message);
    this.#pump();
  }

  /** Entries that a member lags behind by more than memory holds. */
  #fetch(member: number, from: number, bytesMax: number): void {
    const { parts, raft } = this.#of;
    parts.log.read(from, raft.log.persisted, bytesMax).then(
      (entries) => {
        this.#fetched += entries.length;
        this.input(() => raft.fetched(member, entries));
      },
      (error: unknown) => this.fail(error),
    );
  }
}
