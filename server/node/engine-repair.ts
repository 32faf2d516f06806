/**
 * The engine of a replica that runs is damaged: something that it reads, for a caller, a flush, a compaction or a copy, is not what was written. What it
 * lost, other members have; so the replica gets a snapshot from one of them, and goes on with that.
 *
 *   damage met -> noted on the disk -> nothing is read, applied or flushed any more; the lead is given up
 *              -> a snapshot of an entry that the log reaches back to -> it takes the engine's place -> the log's entries behind it are applied -> as before
 *
 * The log is sound: meanwhile this member goes on acknowledging entries, and votes. Its commit index, and what the core has handed out to be applied, stay
 * what they are. So a snapshot that was asked for is no matter of the core: it waits until the core has handed out the entry that it is of. A leader's
 * snapshot, for a member whose entries it has no more, goes by way of the core as ever (snapshot-exchange.ts), and heals as well.
 *
 * A crash on the way leaves the note, and opening the replica gets a snapshot then (replica-opening.ts). Without other members there is nobody who could
 * help: what is damaged is told to whoever asks for it, and the rest is served.
 *
 * Used by replica-state.ts. Calls replica-store.ts, applier.ts, engine-upkeep.ts. Answered by lending.ts.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import { type LogEntry, type Raft, votersOnly } from '../raft/index.ts';
import type { SnapshotHead, SnapshotSink } from '../transport/index.ts';
import type { Applier } from './applier.ts';
import type { EngineUpkeep } from './engine-upkeep.ts';
import type { SnapshotBegin } from './group-directory.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import { heardBy, tooOld } from './snapshot-mending.ts';
import { type ApplyResult, StateMachine } from './state-machine.ts';

const READ_BYTES_MAX: number = 4 * 1024 * 1024;

/** Of a snapshot that was asked for: its sender need not lead. */
export const LENT_TERM = 0;

/** What a repair is given of its replica. */
export interface RepairParts {
  readonly settings: Pick<ReplicaSettings, 'group' | 'id' | 'electionTicks' | 'descriptor'>;
  readonly parts: Pick<ReplicaParts, 'store' | 'log' | 'host' | 'births'>;
  readonly raft: Pick<Raft, 'leader' | 'log'>;
  readonly applier: Applier;
  readonly upkeep: EngineUpkeep;
  readonly machine: () => StateMachine;
  readonly members: () => readonly number[];
  /** A snapshot takes the place of engine and log by the core's wish. */
  readonly installing: () => boolean;
  /** Of each entry that is applied on the way. */
  readonly settle: (entry: LogEntry, result: ApplyResult) => void;
  /** The state is another one from now on, with everything applied that the core has handed out. */
  readonly become: (machine: StateMachine) => void;
  /** It begins. */
  readonly onDamaged: (error: SparrowError) => void;
  readonly fail: (error: unknown) => void;
}

export class EngineRepair {
  readonly #of: RepairParts;
  #damage: SparrowError | undefined;
  /** It has come, whole and durable, and waits. */
  #arrived: SnapshotBegin | undefined;
  #running: Promise<void> | undefined;
  #unlisten: () => void = () => undefined;
  #asked = 0;
  #ticks = 0;
  #repaired = 0;
  #stopped = false;

  constructor(of: RepairParts) {
    this.#of = of;
    this.#listen();
  }

  /** What was met. Nothing is to be read from the engine. Undefined: nothing. */
  get damage(): SparrowError | undefined {
    return this.#damage;
  }

  /** How often another member's state has taken the place of a damaged one. */
  get repaired(): number {
    return this.#repaired;
  }

  /** A snapshot that was asked for is about to take the engine's place, or does. */
  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** Something went wrong with the engine. Returns whether that is, or has been, taken care of. */
  begin(error: unknown): boolean {
    if (this.#damage !== undefined) return true;
    const { parts, applier, upkeep, onDamaged, fail } = this.#of;
    if (!(error instanceof SparrowError) || error.kind !== 'corrupt') return false;
    if (this.#stopped || parts.store === undefined || this.#others().length === 0) return false;
    this.#damage = error;
    try {
      this.#note(error);
    } catch (failure) {
      fail(failure);
      return true;
    }
    this.#unlisten();
    void applier.halt();
    void upkeep.halt();
    this.#ticks = this.#of.settings.electionTicks;
    onDamaged(error);
    return true;
  }

  tick(): void {
    if (this.#damage === undefined || this.busy || this.#arrived !== undefined || this.#of.parts.store!.receiving !== undefined) return;
    if (++this.#ticks < this.#of.settings.electionTicks) return;
    this.#ticks = 0;
    const { settings, parts } = this.#of;
    const others = this.#others();
    const to = others[this.#asked++ % others.length];
    if (to === undefined) return;
    parts.host.send(settings.group, [{ type: 'snapshot-wanted', from: settings.id, to, term: LENT_TERM, index: this.#least }]);
  }

  /** Where a snapshot that was asked for may go. */
  async accept(head: SnapshotHead): Promise<SnapshotSink> {
    const { index, term } = head.snapshot;
    if (this.#damage === undefined) throw notNeeded(index, this.#of.settings.id);
    if (index < this.#least) throw tooOld(index, this.#least);
    if (this.busy || this.#of.installing())
      throw new SparrowError('unavailable', 'SNAPSHOT_INSTALLING', 'another snapshot is being installed');
    this.#arrived = undefined;
    this.#ticks = 0;
    const sink = await this.#of.parts.store!.accept(head, () => {
      this.#arrived = { index, term };
      this.note();
    });
    return heardBy(sink, () => (this.#ticks = 0));
  }

  /** The core may have handed out more to be applied. */
  note(): void {
    const arrived = this.#arrived;
    if (arrived === undefined || this.busy || this.#stopped || this.#of.installing() || this.#of.raft.log.applying < arrived.index) return;
    this.#arrived = undefined;
    // The log has been cut beyond it meanwhile: another one is asked for.
    if (arrived.index < this.#least) return;
    const running = this.#run(arrived);
    this.#running = running;
    running.then(
      () => (this.#running = undefined),
      (error: unknown) => {
        this.#running = undefined;
        this.#again(error);
      },
    );
  }

  /** A snapshot of a leader arrives, or has taken the engine's place: what came before it is given up. */
  overtaken(healed: boolean): void {
    this.#arrived = undefined;
    if (!healed) return;
    if (this.#damage !== undefined) this.#repaired++;
    this.#damage = undefined;
    this.#listen();
  }

  /** Settles when nothing takes the engine's place. Never rejects. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  stop(): void {
    this.#stopped = true;
    this.#unlisten();
  }

  /** The entry before the first one of the log. */
  get #least(): number {
    return this.#of.raft.log.firstIndex - 1;
  }

  #others(): number[] {
    const { members, settings } = this.#of;
    return members().filter((member) => member !== settings.id);
  }

  #listen(): void {
    this.#unlisten();
    this.#unlisten = this.#of.machine().engine.events.on('corruption', ({ code, message }) => {
      this.begin(new SparrowError('corrupt', code, message));
    });
  }

  #note({ message }: SparrowError): void {
    const { nodes } = this.#of.machine().book;
    this.#of.parts.store!.noteDamage({
      what: message,
      members: this.#of.members(),
      nodes: Object.fromEntries([...nodes].map(([id, { peerAddress }]) => [id, peerAddress])),
    });
  }

  async #run(begin: SnapshotBegin): Promise<void> {
    const { settings, parts, applier, upkeep, become } = this.#of;
    const { store, log } = parts;
    await applier.halt();
    await upkeep.halt();
    const engine = await store!.install(begin);
    const machine = new StateMachine({ engine, log, beginning: votersOnly([]), descriptor: settings.descriptor, births: parts.births });
    if (machine.applied !== begin.index) {
      throw new SparrowError(
        'corrupt',
        'SNAPSHOT_MISMATCH',
        `a snapshot of entry ${begin.index} came with the state of entry ${machine.applied}`,
      );
    }
    const bytes = await this.#catchUp(machine);
    if (this.#stopped) return;
    this.#damage = undefined;
    this.#repaired++;
    upkeep.resume(machine, begin.index, bytes);
    applier.resume(machine);
    become(machine);
    this.#listen();
  }

  /** Everything that the core has handed out, which the log has durably. Returns the bytes of the commands. */
  async #catchUp(machine: StateMachine): Promise<number> {
    const { parts, raft, settle } = this.#of;
    let bytes = 0;
    while (machine.applied < raft.log.applying && !this.#stopped) {
      const entries = await parts.log.read(machine.applied + 1, raft.log.applying, READ_BYTES_MAX);
      assert(entries.length > 0, 'what the core has handed out is in the log');
      for (const entry of entries) {
        settle(entry, await machine.apply(entry));
        bytes += entry.data.length;
      }
    }
    return bytes;
  }

  /** What came is damaged, too, by now. */
  #again(error: unknown): void {
    if (this.#stopped) return;
    if (!(error instanceof SparrowError) || error.kind !== 'corrupt') return this.#of.fail(error);
    this.#damage = undefined;
    if (!this.begin(error)) this.#of.fail(error);
  }
}

function notNeeded(index: number, id: number): SparrowError {
  return new SparrowError(
    'conflict',
    'SNAPSHOT_NOT_NEEDED',
    `a snapshot of entry ${index} was asked for by member ${id}, and is not needed any more`,
  );
}
