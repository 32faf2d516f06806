/**
 * What a replica's engine and the node's log owe each other. The log keeps an entry until the engine has its effect in tables; the engine's tables point
 * into the log's segments. So:
 *
 *   applied -> in the engine's memory -> (flush) in tables, `made-durable` -> the log is cut, but for what members that lag may lack
 *
 * The engine flushes a memtable that is full by itself. Beyond that it is asked to
 *
 *   - when the log has `flushBytes` of commands that it holds in memory: where the next value comes to lie in another segment, so that few flushes share
 *     one (each makes a name of its own for it); or at twice as many; or at once, when it points to nothing;
 *   - when the node's log is too large, and this group holds its oldest segment (log-space.ts): the log is cut then whatever others lack.
 *
 * A flush that finds no room is tried again, and so is a batch: the replica goes on reading then, and takes no writes (`lacking`).
 *
 * Used by replica-state.ts. Calls state-machine.ts and log-retention.ts.
 */
import type { Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { HostSegment } from '../../engine/index.ts';
import type { LogHolder } from './replica-host.ts';
import { LogRetention } from './log-retention.ts';
import { RoomWait } from './room-wait.ts';
import type { StateMachine } from './state-machine.ts';

export interface EngineUpkeepParts {
  readonly scheduler: Scheduler;
  readonly flushBytes: number;
  /** Of commands that the log keeps for members that lag. */
  readonly keptBytesMax: number;
  /** Up to where nobody lacks anything. */
  readonly compactable: (index: number) => number;
  /** The log up to `index` may go. */
  readonly compact: (index: number) => void;
  /** This member leads. */
  readonly leads: () => boolean;
  /** There is no room now. */
  readonly onFull: () => void;
  readonly fail: (error: unknown) => void;
}

export class EngineUpkeep implements LogHolder {
  readonly #parts: EngineUpkeepParts;
  readonly #retention: LogRetention;
  readonly #room: RoomWait;
  /** Of flushes: nobody is refused for one that finds no room. */
  readonly #flushRoom: RoomWait;
  #machine: StateMachine;
  #unlisten: () => void = () => undefined;
  #flushing: Promise<void> | undefined;
  #releasing = false;
  /** The engine is not to be asked for anything. */
  #halted = false;
  /** Since the last flush began, values of several segments may be pointed to. */
  #points = false;
  /** What the engine holds of the node's log, as of the last time that it was asked; undefined: it may be something else by now. */
  #held: readonly HostSegment[] | undefined;

  /** `begin`: what the engine was found with. Since then so many bytes of commands have been applied. */
  constructor(machine: StateMachine, begin: number, replayedBytes: number, parts: EngineUpkeepParts) {
    this.#parts = parts;
    this.#machine = machine;
    this.#room = new RoomWait(parts.scheduler, parts.onFull);
    this.#flushRoom = new RoomWait(parts.scheduler, () => undefined);
    this.#retention = new LogRetention(parts.keptBytesMax, parts.flushBytes, begin);
    this.#retention.applied(machine.applied, replayedBytes);
    this.#watch(machine);
  }

  /** What there is no room for: whoever takes writes in refuses them. Undefined: there is. */
  get lacking(): SparrowError | undefined {
    return this.#room.lacking;
  }

  /** Commands were applied, up to `index`. */
  applied(index: number, bytes: number): void {
    this.#retention.applied(index, bytes);
    this.#flushIfDue(this.#points ? 2 * this.#parts.flushBytes : this.#parts.flushBytes);
  }

  /** The node's log is too large, and this group holds its oldest part. */
  releaseLog(): void {
    if (this.#releasing) return;
    this.#releasing = true;
    const flushed = this.#retention.durableIndex < this.#machine.applied ? this.#flush() : Promise.resolve();
    void flushed.then(() => {
      this.#releasing = false;
      if (this.#halted) return;
      try {
        // What the engine was found with may be in the system's cache only: this makes it durable.
        const cut = Math.min(this.#machine.engine.durableSequence, this.#retention.durableIndex);
        if (cut > 0) this.#parts.compact(cut);
      } catch (error) {
        this.#parts.fail(error);
      }
    });
  }

  /** Segments of the node's log that the engine's tables lead into. */
  get held(): readonly HostSegment[] {
    if (this.#halted) return [];
    return (this.#held ??= this.#machine.engine.hostSegments().filter(({ segment }) => segment !== 0));
  }

  /** What the engine has in these segments goes to files of its own. What stands in its way now does not later: it is asked again. */
  async relocate(segments: readonly number[]): Promise<void> {
    await this.#machine.engine.relocate(segments).catch(() => undefined);
    this.#held = undefined;
  }

  /** The engine is about to be closed, for another one. Settles when nothing is asked of it any more. */
  async halt(): Promise<void> {
    this.#halted = true;
    this.#unlisten();
    await this.#flushing;
  }

  /** A snapshot of entry `begin` has taken the engine's place. Since then so many bytes of commands have been applied. */
  resume(machine: StateMachine, begin: number = machine.applied, appliedBytes: number = 0): void {
    this.#retention.restart(begin);
    this.#retention.applied(machine.applied, appliedBytes);
    this.#halted = false;
    this.#machine = machine;
    this.#held = undefined;
    this.#points = false;
    this.#watch(machine);
  }

  /** Whoever waits for room is told that there is none. */
  stop(): void {
    this.#halted = true;
    this.#unlisten();
    this.#room.end();
    this.#flushRoom.end();
  }

  /** Everything that is applied goes to tables, so that the next life has nothing to apply again and the engine's files are all that there is. */
  async finish(): Promise<void> {
    await this.#flushing;
    if (!this.#halted && this.#retention.durableIndex < this.#machine.applied) await this.#flush();
  }

  #watch(machine: StateMachine): void {
    machine.watch({
      crossing: () => this.#crossing(),
      room: (lacking) => this.#room.wait(lacking),
      splitNear: () => void this.#flush(),
      leads: this.#parts.leads,
    });
    const { events } = machine.engine;
    const unlisten = [
      events.on('made-durable', ({ sequence }) => this.#madeDurable(sequence)),
      events.on('compaction-ended', () => (this.#held = undefined)),
    ];
    this.#unlisten = () => {
      for (const each of unlisten) each();
    };
  }

  #crossing(): void {
    this.#flushIfDue(this.#parts.flushBytes);
    this.#points = true;
  }

  #flushIfDue(bytes: number): void {
    if (this.#flushing === undefined && !this.#halted && this.#retention.volatileBytes >= bytes) void this.#flush();
  }

  /** Never rejects. */
  #flush(): Promise<void> {
    if (this.#flushing !== undefined) return this.#flushing;
    this.#points = false;
    const flushing = this.#machine
      .flush()
      .catch((error: unknown) => this.#notFlushed(error))
      .then(() => {
        if (this.#flushing === flushing) this.#flushing = undefined;
      });
    return (this.#flushing = flushing);
  }

  async #notFlushed(cause: unknown): Promise<void> {
    if (this.#halted) return;
    if (!(cause instanceof SparrowError) || cause.kind !== 'exhausted') return this.#parts.fail(cause);
    // Whether it is tried again then, the next entry tells.
    await this.#flushRoom.wait(cause).catch(() => undefined);
  }

  #madeDurable(sequence: number): void {
    this.#held = undefined;
    const retention = this.#retention;
    retention.durable(sequence);
    const cut = retention.cut(this.#parts.compactable(retention.durableIndex));
    if (cut > 0) this.#parts.compact(cut);
  }
}
