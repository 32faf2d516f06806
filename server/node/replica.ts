/**
 * A replica: drives the pure core (server/raft) with a durable log and a state machine.
 *
 *   propose -> budget -> core -> log (fsync, one for all that is waiting) -> core: committed -> state machine -> answer
 *
 * All proposals of one turn of the event loop go into the log together. Entries are applied one after another, in the order of the log,
 * only when they are durable here. The log is cut at the front when the engine has made its effect durable, never before.
 *
 * A log that cannot be written, or an entry that cannot be applied, stops the replica: it answers nothing any more until it is opened
 * again. Calls whose outcome is not known then end with `unavailable/REPLICA_STOPPED`.
 *
 * With one voter it elects itself when opened, and reads need no round of heartbeats: nobody else can lead, and what was answered has
 * been applied. With more, everything else on this path stays the same.
 *
 * While the disk is full, writes are refused (`exhausted/DISK_FULL`); those that are in the log's hands already wait for room.
 *
 * Called by the gateway. Calls server/raft, log/, state-machine.ts, write-budget.ts.
 */
import { assert } from '../../base/assert.ts';
import type { Clock, Random, Scheduler, Timer } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { Engine } from '../../engine/index.ts';
import { type LogEntry, type Message, type Output, Raft, type Role, votersOnly } from '../raft/index.ts';
import { type CallState, checkCall } from './call-state.ts';
import type { GroupDamage, GroupLog, LogDamage, NodeLog, NodeLogStats } from './log/index.ts';
import { type ApplyResult, StateMachine } from './state-machine.ts';
import { WriteBudget } from './write-budget.ts';

export interface ReplicaSettings {
  id: number;
  voters: readonly number[];
  tickMs: number;
  electionTicks: number;
  heartbeatTicks: number;
  /** Commands on their way through the log, in bytes together; beyond it they wait. */
  writeBytesInFlightMax: number;
  /** So many may wait; further ones are refused. */
  writesWaitingMax: number;
  /** The log is cut after each so many bytes of commands. */
  checkpointBytes: number;
}

export interface ReplicaParts {
  engine: Engine;
  /** The node's log, and this group's part of it. Closed by whoever opened it, after the replica. */
  nodeLog: NodeLog;
  log: GroupLog;
  clock: Clock;
  scheduler: Scheduler;
  random: Random;
  /** Delivers messages to the other members. */
  send: (messages: readonly Message[]) => void;
  /** The replica cannot go on. */
  onStopped: (error: SparrowError) => void;
}

export interface ReplicaStats {
  id: number;
  role: Role;
  leader: number;
  term: number;
  firstIndex: number;
  lastIndex: number;
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
  stoppedBecause: SparrowError | undefined;
}

interface Proposal {
  command: Uint8Array;
  call: CallState;
  term: number;
  resolve: (result: ApplyResult) => void;
  reject: (error: unknown) => void;
}

interface Read {
  resolve: () => void;
  reject: (error: unknown) => void;
}

const APPEND_BYTES_MAX: number = 1024 * 1024;
const INFLIGHT = { messages: 256, bytes: 16 * 1024 * 1024 };
/** The write budget bounds what is proposed; the core's own bound is beyond it. */
const UNCOMMITTED_BYTES_MIN = 64 * 1024 * 1024;
/** Read at once when opening. */
const READ_BYTES_MAX: number = 4 * 1024 * 1024;
const KEPT_BYTES_MAX = 16 * 1024 * 1024;
/** Applying gives way to the event loop after this long. */
const APPLY_SLICE_MS = 4;

export class Replica {
  readonly #settings: ReplicaSettings;
  readonly #parts: ReplicaParts;
  readonly #machine: StateMachine;
  readonly #raft: Raft;
  readonly #budget: WriteBudget;
  readonly #replayed: number;
  /** Called when writes no longer wait for room. */
  readonly #relievedListeners: Set<() => void> = new Set();
  /** Not in the log yet. */
  #proposals: Proposal[] = [];
  /** In the log, by index. */
  readonly #pending: Map<number, Proposal> = new Map();
  #nextReads: Read[] = [];
  readonly #askedReads: Map<number, Read[]> = new Map();
  /** Confirmed, to be answered when `index` is applied. */
  #confirmedReads: { index: number; reads: Read[] }[] = [];
  #applyQueue: LogEntry[] = [];
  #applying: Promise<void> = Promise.resolve();
  #applyBusy = false;
  #turnScheduled = false;
  #timer: Timer | undefined;
  #bytesSinceCheckpoint = 0;
  #checkpointing: Promise<void> | undefined;
  #idle: (() => void)[] = [];
  #stopped: SparrowError | undefined;
  #closing = false;

  /** Replays what the engine does not have yet. A sole voter leads, and has applied everything, when this settles. */
  static async open(settings: ReplicaSettings, parts: ReplicaParts): Promise<Replica> {
    const machine = new StateMachine(parts.engine);
    const recovered = parts.log.contents();
    if (recovered.damage !== undefined) throw damaged(recovered.damage, parts.nodeLog.damage[0]);
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
    for (let next = applied + 1; next <= recovered.lastIndex;) {
      for (const entry of await parts.log.read(next, recovered.lastIndex, READ_BYTES_MAX)) {
        if (entry.index <= commit) await machine.apply(entry);
        else entries.push({ ...entry, data: Uint8Array.from(entry.data) });
        next = entry.index + 1;
      }
    }
    const raft = new Raft({
      id: settings.id,
      configuration: votersOnly(settings.voters),
      electionTicks: settings.electionTicks,
      heartbeatTicks: settings.heartbeatTicks,
      seed: parts.random.u32(),
      appendBytesMax: APPEND_BYTES_MAX,
      inflight: INFLIGHT,
      uncommittedBytesMax: Math.max(UNCOMMITTED_BYTES_MIN, 2 * settings.writeBytesInFlightMax),
      keptBytesMax: KEPT_BYTES_MAX,
      hardState: { ...recovered.hardState, commit },
      log: { ...recovered, entries },
      applied: commit,
    });
    const replica = new Replica(settings, parts, machine, raft, recovered.lastIndex - applied);
    await replica.#begin();
    return replica;
  }

  private constructor(settings: ReplicaSettings, parts: ReplicaParts, machine: StateMachine, raft: Raft, replayed: number) {
    this.#settings = settings;
    this.#parts = parts;
    this.#machine = machine;
    this.#raft = raft;
    this.#replayed = replayed;
    this.#bytesSinceCheckpoint = parts.nodeLog.stats().bytes;
    const options = {
      bytesMax: settings.writeBytesInFlightMax,
      waitingMax: settings.writesWaitingMax,
      now: () => parts.clock.monotonicMs(),
    };
    this.#budget = new WriteBudget(options, () => {
      for (const relieved of [...this.#relievedListeners]) relieved();
    });
  }

  /** Index of the last entry applied: the newest version that a reader can see. */
  get applied(): number {
    return this.#machine.applied;
  }

  get stopped(): SparrowError | undefined {
    return this.#stopped;
  }

  /** Writes wait for room: take nothing more in until `onRelieved` tells. */
  get congested(): boolean {
    return this.#budget.congested;
  }

  /** Calls `listener` each time that writes stop waiting for room. Returns what takes it off again. */
  onRelieved(listener: () => void): () => void {
    this.#relievedListeners.add(listener);
    return () => this.#relievedListeners.delete(listener);
  }

  /**
   * Settles when the command is applied. The bytes are not changed until then. Rejects with `exhausted/OVERLOADED`, `unavailable/TIMEOUT`,
   * `cancelled/ABORTED` when it was not proposed, `rerouted/NOT_LEADER`, and `unavailable/REPLICA_STOPPED` when nobody knows.
   */
  propose(command: Uint8Array, call: CallState): Promise<ApplyResult> {
    const refused = this.#refusal() ?? (this.#parts.nodeLog.full ? diskFull() : undefined);
    if (refused !== undefined) return Promise.reject(refused);
    return new Promise((resolve, reject) => {
      const proposal: Proposal = { command, call, term: 0, resolve, reject };
      const enter = (): void => {
        this.#proposals.push(proposal);
        this.#scheduleTurn();
      };
      this.#budget.acquire(command.length, call, enter, reject);
    });
  }

  /**
   * What a linearizable read waits for before it looks at the engine; undefined when it may look at once.
   */
  read(): Promise<void> | undefined {
    const refused = this.#refusal();
    if (refused !== undefined) return Promise.reject(refused);
    if (this.#settings.voters.length === 1) return undefined;
    return new Promise((resolve, reject) => {
      this.#nextReads.push({ resolve, reject });
      this.#scheduleTurn();
    });
  }

  /** A message from another member. */
  step(message: Message): void {
    if (this.#stopped !== undefined) return;
    this.#raft.step(message);
    this.#scheduleTurn();
  }

  stats(): ReplicaStats {
    const { log } = this.#raft;
    return {
      id: this.#settings.id,
      role: this.#raft.role,
      leader: this.#raft.leader,
      term: this.#raft.term,
      firstIndex: log.firstIndex,
      lastIndex: log.lastIndex,
      persistedIndex: log.persisted,
      committedIndex: log.committed,
      appliedIndex: this.#machine.applied,
      log: this.#parts.nodeLog.stats(),
      writesInFlight: this.#budget.count,
      writesWaiting: this.#budget.waiting,
      writeBytesInFlight: this.#budget.bytes,
      replayedEntries: this.#replayed,
      stoppedBecause: this.#stopped,
    };
  }

  /** Takes no new writes, finishes those that it has; on a full disk they end with an unknown outcome. Log and engine stay open. */
  async close(): Promise<void> {
    this.#closing = true;
    const unlisten = this.#parts.nodeLog.onFull(() => this.#wakeIdle());
    while (
      this.#stopped === undefined &&
      !this.#parts.nodeLog.full &&
      (this.#pending.size > 0 || this.#proposals.length > 0 || this.#budget.congested)
    ) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    this.#timer?.cancel();
    await this.#applying;
    unlisten();
    await this.#checkpointing;
    this.#stop(new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down'), true);
  }

  /** Stops at once. Calls end with an unknown outcome. */
  abort(): void {
    this.#closing = true;
    this.#stop(new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down'), true);
  }

  async #begin(): Promise<void> {
    this.#scheduleTick();
    if (this.#settings.voters.length > 1) return;
    this.#raft.campaign();
    const led = new Promise<void>((resolve, reject) =>
      this.#confirmedReads.push({ index: this.#raft.log.lastIndex + 1, reads: [{ resolve, reject }] }),
    );
    this.#pump();
    await led;
  }

  #refusal(): SparrowError | undefined {
    if (this.#stopped !== undefined) return this.#stopped;
    if (this.#closing) return new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', { applied: false });
    return undefined;
  }

  #scheduleTick(): void {
    this.#timer = this.#parts.scheduler.after(
      this.#settings.tickMs,
      () => {
        if (this.#stopped !== undefined) return;
        this.#raft.tick();
        this.#scheduleTurn();
        this.#scheduleTick();
      },
      true,
    );
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    this.#parts.scheduler.soon(() => {
      this.#turnScheduled = false;
      if (this.#stopped === undefined) this.#turn();
    });
  }

  /** Everything that came in since the last turn, at once. */
  #turn(): void {
    this.#proposeAll();
    if (this.#nextReads.length > 0) {
      const reads = this.#nextReads;
      this.#nextReads = [];
      const read = this.#raft.requestRead();
      if (read === undefined) for (const { reject } of reads) reject(this.#notLeader());
      else this.#askedReads.set(read, reads);
    }
    this.#pump();
  }

  #proposeAll(): void {
    if (this.#proposals.length === 0) return;
    const now = this.#parts.clock.monotonicMs();
    const leads = this.#raft.role === 'leader';
    // Leaving the budget lets others in: they come with the next turn.
    const batch = this.#proposals;
    this.#proposals = [];
    const proposals = batch.filter((proposal) => {
      const over = leads ? checkCall(proposal.call, now) : this.#notLeader();
      if (over === undefined) return true;
      this.#budget.leave(proposal.command.length);
      proposal.reject(over);
      return false;
    });
    if (proposals.length === 0) return this.#wakeIdle();
    const { index: first } = this.#raft.propose(proposals.map(({ command }) => command));
    if (first === undefined) {
      const refused = new SparrowError('exhausted', 'OVERLOADED', 'too many bytes of writes are not committed', { applied: false });
      for (const { command, reject } of proposals) {
        this.#budget.leave(command.length);
        reject(refused);
      }
      return this.#wakeIdle();
    }
    for (const [i, proposal] of proposals.entries()) {
      proposal.term = this.#raft.term;
      this.#pending.set(first + i, proposal);
      this.#bytesSinceCheckpoint += proposal.command.length;
    }
  }

  #notLeader(): SparrowError {
    const leader = this.#raft.leader;
    return leader === 0
      ? new SparrowError('unavailable', 'NO_LEADER', 'the group has no leader now', { applied: false })
      : new SparrowError('rerouted', 'NOT_LEADER', `member ${leader} leads`, { leader, applied: false });
  }

  /** Carries out what the core wants done. */
  #pump(): void {
    if (this.#stopped !== undefined) return;
    const output = this.#raft.output();
    assert(output.snapshot === undefined && output.fetches.length === 0, 'a group of one voter needs neither snapshots nor older entries');
    if (output.messages.length > 0) this.#parts.send(output.messages);
    if (output.hardState !== undefined || output.entries.length > 0 || output.messagesAfterSync.length > 0) this.#persist(output);
    for (const { read, index } of output.reads) this.#confirmedReads.push({ index, reads: this.#askedReads.get(read)! });
    for (const { read } of output.reads) this.#askedReads.delete(read);
    for (const read of output.lostReads) {
      for (const { reject } of this.#askedReads.get(read) ?? []) reject(this.#notLeader());
      this.#askedReads.delete(read);
    }
    for (const entry of output.committed) this.#applyQueue.push(entry);
    if (!this.#applyBusy && (this.#applyQueue.length > 0 || this.#confirmedReads.length > 0)) this.#applying = this.#apply();
  }

  #persist(output: Output): void {
    this.#parts.log.append(output.hardState, output.entries, output.mustSync).then(
      () => {
        if (this.#stopped !== undefined) return;
        this.#raft.persisted(output.token);
        const others = output.messagesAfterSync.filter((message) => message.to !== this.#raft.id);
        if (others.length > 0) this.#parts.send(others);
        for (const message of output.messagesAfterSync) if (message.to === this.#raft.id) this.#raft.step(message);
        this.#pump();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  async #apply(): Promise<void> {
    this.#applyBusy = true;
    try {
      let sliceEndsMs = this.#parts.clock.monotonicMs() + APPLY_SLICE_MS;
      while (this.#applyQueue.length > 0 && this.#stopped === undefined) {
        const entries = this.#applyQueue;
        this.#applyQueue = [];
        for (const [i, entry] of entries.entries()) {
          this.#settle(entry, await this.#machine.apply(entry));
          if (i % 32 === 31 && this.#parts.clock.monotonicMs() >= sliceEndsMs) {
            await new Promise<void>((resolve) => this.#parts.scheduler.soon(resolve));
            sliceEndsMs = this.#parts.clock.monotonicMs() + APPLY_SLICE_MS;
          }
          if (this.#stopped !== undefined) return;
        }
        this.#raft.applied(this.#machine.applied);
        if (this.#bytesSinceCheckpoint >= this.#settings.checkpointBytes && this.#checkpointing === undefined) await this.#checkpoint();
      }
      this.#answerReads();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#applyBusy = false;
      this.#wakeIdle();
    }
  }

  #settle(entry: LogEntry, result: ApplyResult): void {
    const proposal = this.#pending.get(entry.index);
    if (proposal === undefined) return;
    this.#pending.delete(entry.index);
    this.#budget.leave(proposal.command.length);
    if (proposal.term === entry.term) proposal.resolve(result);
    else
      proposal.reject(
        new SparrowError('unavailable', 'LEADERSHIP_LOST', 'another member took the lead; the write was not applied', { applied: false }),
      );
  }

  #answerReads(): void {
    const applied = this.#machine.applied;
    const waiting = this.#confirmedReads;
    this.#confirmedReads = [];
    for (const confirmed of waiting) {
      if (confirmed.index > applied) this.#confirmedReads.push(confirmed);
      else for (const { resolve } of confirmed.reads) resolve();
    }
  }

  /** Between two entries: what is applied becomes durable in the engine, then the log before it goes. */
  async #checkpoint(): Promise<void> {
    this.#bytesSinceCheckpoint = 0;
    const { index, durable } = await this.#machine.checkpoint();
    this.#checkpointing = durable
      .then(() => {
        if (this.#stopped !== undefined) return;
        const compactable = this.#raft.compactable(index);
        this.#parts.log.compact(compactable);
        this.#raft.compact(compactable);
      })
      .catch((error: unknown) => this.#fail(error))
      .finally(() => (this.#checkpointing = undefined));
  }

  #fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#stop(new SparrowError('unavailable', 'REPLICA_STOPPED', `the replica stopped: ${text}`, {}, error), false);
  }

  #stop(error: SparrowError, asked: boolean): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#timer?.cancel();
    this.#budget.close(error);
    for (const { reject } of [...this.#proposals, ...this.#pending.values()]) reject(error);
    for (const reads of [this.#nextReads, ...this.#askedReads.values(), ...this.#confirmedReads.map((confirmed) => confirmed.reads)]) {
      for (const { reject } of reads) reject(error);
    }
    this.#proposals = [];
    this.#pending.clear();
    this.#nextReads = [];
    this.#askedReads.clear();
    this.#confirmedReads = [];
    this.#applyQueue = [];
    this.#wakeIdle();
    if (!asked) this.#parts.onStopped(error);
  }

  #wakeIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const wake of idle) wake();
  }
}

function diskFull(): SparrowError {
  return new SparrowError('exhausted', 'DISK_FULL', 'the disk that holds the log is full', { applied: false });
}

/** A sole voter has nobody to fetch from what its log has lost. */
function damaged({ missing, endLost }: GroupDamage, place: LogDamage | undefined): SparrowError {
  const entries = missing.map(({ from, to }) => `${from} to ${to}`).join(', ');
  const lost = [...(missing.length > 0 ? [`entries ${entries}`] : []), ...(endLost ? ['what came last'] : [])].join(' and ');
  const at = place === undefined ? '' : `: ${place.file}: ${place.what} (at byte ${place.offset})`;
  const where = place === undefined ? {} : { file: place.file, offset: place.offset };
  return new SparrowError('corrupt', 'CORRUPT_RAFT_LOG', `the log has lost ${lost}${at}`, { ...where, lost });
}
