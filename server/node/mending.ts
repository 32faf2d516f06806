/**
 * A member that is not there yet, because its disk has lost something: until it has that back from other members, it votes for nobody and acknowledges
 * nothing. It stands in its replica's place on the node, and asks the others one after another: who does not answer, or cannot help, is passed over.
 *
 * Whom to ask follows from what is known of the group; whoever says something to this member is of the group, too.
 *
 * What it asks for: log-mending.ts, snapshot-mending.ts. Answered by lending.ts.
 */
import type { PeerMessage, RepairMessage, SnapshotHead, SnapshotSink } from '../transport/index.ts';
import type { HostedReplica, ReplicaHost } from './replica-host.ts';

export interface MendingParts {
  readonly group: number;
  readonly id: number;
  /** Other members, as far as known. */
  readonly peers: readonly number[];
  readonly host: ReplicaHost;
  /** Who does not answer for so long is not waited for. */
  readonly retryTicks: number;
  /** Rejects when this member is not to come any more. */
  readonly givenUp?: Promise<never> | undefined;
}

export abstract class Mending<Outcome> implements HostedReplica {
  readonly upkeep: undefined;
  protected readonly id: number;
  readonly #parts: MendingParts;
  readonly #peers: number[];
  readonly #outcome: Promise<Outcome>;
  #settle: (outcome: Outcome) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;
  #asked = 0;
  #ticks: number;

  protected constructor(parts: MendingParts) {
    this.#parts = parts;
    this.id = parts.id;
    this.#peers = [...parts.peers];
    this.#ticks = parts.retryTicks;
    this.#outcome = new Promise((resolve, reject) => {
      this.#settle = resolve;
      this.#reject = reject;
    });
  }

  /** Settles when it is over. */
  async run(): Promise<Outcome> {
    const { host, givenUp } = this.#parts;
    host.add(this);
    try {
      return await (givenUp === undefined ? this.#outcome : Promise.race([this.#outcome, givenUp]));
    } finally {
      host.remove(this);
    }
  }

  get group(): number {
    return this.#parts.group;
  }

  get asleep(): boolean {
    return false;
  }

  get members(): readonly number[] {
    return [...this.#peers, this.id];
  }

  tick(): void {
    if (++this.#ticks < this.#parts.retryTicks || this.busy || this.#peers.length === 0) return;
    this.ask(this.#peers[this.#asked++ % this.#peers.length]!);
  }

  step(message: PeerMessage): void {
    if (!this.#peers.includes(message.from)) this.#peers.push(message.from);
    this.answered(message);
  }

  abstract accept(from: number, head: SnapshotHead): Promise<SnapshotSink>;

  turn(): void {
    // Everything happens when it comes.
  }

  wake(): void {
    // Never asleep.
  }

  protected get peers(): readonly number[] {
    return this.#peers;
  }

  /** Nobody is asked meanwhile. */
  protected get busy(): boolean {
    return false;
  }

  /** What this member lacks, from that one. */
  protected abstract question(to: number): RepairMessage;

  protected answered(_message: PeerMessage): void {
    // What it is asked, it cannot answer.
  }

  protected ask(to: number): void {
    this.heard();
    this.#parts.host.send(this.group, [this.question(to)]);
  }

  /** Nobody else is asked for a while. */
  protected heard(): void {
    this.#ticks = 0;
  }

  protected done(outcome: Outcome): void {
    this.#settle(outcome);
  }

  protected failed(error: unknown): void {
    this.#reject(error);
  }
}
