/**
 * The lead of a group as one of its members has it: who leads, how the lead changes hands, and whether this member is fit to keep it.
 *
 *   asked for: transfer, handOver, stepDown, campaign -> core
 *   a look at this member's disk and at its followers, each so many ticks (lead-keeper.ts) -> the lead goes to one whose disk is not in the way
 *   core -> note -> whoever listens, and whoever waits for a transfer
 *
 * `term` is as of the last `note`; `leader` and `leads` are the core's, now.
 *
 * Made by replica.ts; core-drive.ts tells what leaves, comes and changes. Calls lead-record.ts, lead-transfer.ts, lead-keeper.ts and server/raft.
 */
import type { SparrowError } from '../../base/errors.ts';
import { canLead, membersOf, type Message, type Raft, type Refusal } from '../raft/index.ts';
import type { HandoverReason } from './lead-decision.ts';
import { LeadKeeper } from './lead-keeper.ts';
import { LeadRecord } from './lead-record.ts';
import { LeadTransfers } from './lead-transfer.ts';
import { notLeader, refusedBy } from './refusals.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';

/** What it is given of its replica. */
export interface LeadParts {
  readonly settings: Pick<ReplicaSettings, 'group' | 'id' | 'electionTicks' | 'tickMs'>;
  readonly parts: Pick<ReplicaParts, 'clock' | 'nodeLog' | 'onHandover'>;
  readonly raft: Raft;
  /** Why the replica takes nothing in; undefined: it does. */
  readonly refusal: () => SparrowError | undefined;
  /** As a drive's (core-drive.ts). */
  readonly input: (input: () => void) => void;
  /** Has a turn made soon of what the core was told. */
  readonly schedule: () => void;
}

export class ReplicaLead {
  readonly #of: LeadParts;
  readonly #record: LeadRecord = new LeadRecord();
  readonly #transfers: LeadTransfers;
  readonly #keeper: LeadKeeper;
  #handovers = 0;

  constructor(of: LeadParts) {
    this.#of = of;
    this.#transfers = new LeadTransfers(of.settings.id);
    this.#keeper = new LeadKeeper(of.settings.electionTicks, of.settings.tickMs);
  }

  /** The node that leads, as far as this one knows; 0: nobody. */
  get leader(): number {
    return this.#of.raft.leader;
  }

  get leads(): boolean {
    return this.#of.raft.role === 'leader';
  }

  /** The term that this member leads, 0: none. */
  get term(): number {
    return this.#record.term;
  }

  /** How often this member came to lead, and ceased to; and how often it gave the lead up for its disk's sake. */
  get counts(): { readonly begun: number; readonly lost: number; readonly handovers: number } {
    return { begun: this.#record.begun, lost: this.#record.lost, handovers: this.#handovers };
  }

  /** Calls `listener` each time that another member leads, or nobody is known to. Returns what takes it off again. */
  onLeader(listener: () => void): () => void {
    return this.#record.onLeader(listener);
  }

  /**
   * Hands the lead over; it is under way when this returns. Throws as `Replica.propose` rejects, and `invalid/NO_VOTER`, `unavailable/CHANGE_REFUSED` with the
   * core's reason.
   */
  transfer(to: number): void {
    const { raft, refusal, schedule } = this.#of;
    const error = refusal() ?? this.refused(raft.transferLeadership(to));
    if (error !== undefined) throw error;
    schedule();
  }

  /** As `transfer`, and settles when this member leads no more. Rejects with `unavailable/NOT_TAKEN_OVER` and why, when that is given up. */
  async handOver(to: number): Promise<void> {
    this.transfer(to);
    await this.#transfers.begun(to);
  }

  /**
   * This member leads no more, whoever can take over: who has most of the log is told to campaign at once. What is proposed and not applied ends with
   * `LEADERSHIP_LOST`. Nothing happens where nobody else could lead.
   */
  stepDown(): void {
    this.#of.input(() => this.#of.raft.stepDown());
  }

  /** Asks for votes at once, instead of after a timeout: of a group that has just come to be, in which nobody can lead yet. Nothing when it leads, or cannot. */
  campaign(): void {
    this.#of.input(() => this.#of.raft.campaign(true));
  }

  /** Why this member does not take in what only a leader does. */
  elsewhere(): SparrowError {
    const { settings, raft } = this.#of;
    return notLeader(settings.group, settings.id, raft.leader);
  }

  /** What the core says of a proposal, as an error. */
  refused(reason: Refusal | undefined): SparrowError | undefined {
    const { settings, raft } = this.#of;
    return refusedBy(reason, settings.group, settings.id, raft.leader);
  }

  /** As the core has it now. Returns what changed for this member. */
  note(): 'gained' | 'lost' | undefined {
    const { raft } = this.#of;
    const led = this.#record.term !== 0;
    const changed = this.#record.note(raft);
    if (changed) this.#keeper.restart();
    this.#transfers.note(raft);
    return changed ? (led ? 'lost' : 'gained') : undefined;
  }

  /** They leave for other members. */
  sent(messages: readonly Message[]): void {
    for (const message of messages) {
      const last = message.type === 'append-request' ? message.entries.at(-1) : undefined;
      if (last !== undefined) this.#keeper.sent(message.to, last.index, this.#of.parts.clock.monotonicMs());
    }
  }

  /** A follower says what it has. */
  acknowledged({ from, accepted, index }: Extract<Message, { type: 'append-response' }>): void {
    if (accepted) this.#keeper.acknowledged(from, index, this.#of.parts.clock.monotonicMs());
  }

  /** `unfit`: why another member should lead, whatever is measured. */
  tick(unfit: HandoverReason | undefined): void {
    if (this.#record.term !== 0 && this.#keeper.tick(unfit)) this.#of.input(() => this.#look(unfit));
  }

  /** The replica has stopped. */
  close(error: SparrowError): void {
    this.#transfers.close(error);
  }

  /** Gives the lead up where its disk is in the way. */
  #look(unfit: HandoverReason | undefined): void {
    const { settings, parts, raft } = this.#of;
    const { clock, nodeLog, onHandover } = parts;
    const { committed } = raft.log;
    const caughtUp = (id: number): boolean => canLead(raft.configuration, id) && (raft.progress(id)?.match ?? 0) >= committed;
    const others = membersOf(raft.configuration).filter((id) => id !== settings.id);
    const handover = this.#keeper.look(clock.monotonicMs(), unfit, (ms) => nodeLog.syncMs(ms), caughtUp, others);
    if (handover === undefined || raft.transferee !== 0) return;
    if (raft.transferLeadership(handover.to) !== undefined) return;
    this.#handovers++;
    onHandover?.(handover);
  }
}
