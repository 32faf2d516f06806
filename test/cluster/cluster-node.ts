/** A node of a cluster under test: its addresses, its data, and its process while it lives. */
import type { NodeState, StatusResponse } from '../../proto/index.ts';
import { type Launch, NodeProcess } from './node-process.ts';
import { NodeStatus } from './node-status.ts';

export interface NodePlace {
  readonly id: number;
  /** HOST:PORT, for clients and for other nodes. */
  readonly address: string;
  readonly peerAddress: string;
  /** Its configuration and its log; usually its data, too. */
  readonly directory: string;
  readonly data: string;
}

export class ClusterNode {
  readonly place: NodePlace;
  readonly #launch: Launch;
  readonly #status: NodeStatus;
  #process: NodeProcess | undefined;

  constructor(place: NodePlace, launch: Launch) {
    this.place = place;
    this.#launch = launch;
    this.#status = new NodeStatus(place.address);
  }

  get id(): number {
    return this.place.id;
  }

  get address(): string {
    return this.place.address;
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  get paused(): boolean {
    return this.#process?.paused === true;
  }

  /** Of its present life, or the last one. */
  get process(): NodeProcess {
    if (this.#process === undefined) throw new Error(`node ${this.id} was never started`);
    return this.#process;
  }

  /** Settles when it takes calls. `under`: a program that starts it in the place of, or around, the usual one. */
  async start(under: readonly string[] = [], args: readonly string[] = []): Promise<void> {
    const { under: usual = [], args: usualArgs } = this.#launch;
    this.#process = new NodeProcess({ ...this.#launch, under: [...usual, ...under], args: [...usualArgs, ...args] });
    await this.#process.ready();
  }

  /** Settles with how it ended. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    return this.process.end(signal);
  }

  pause(): void {
    this.process.signal('SIGSTOP');
  }

  resume(): void {
    this.process.signal('SIGCONT');
  }

  /** What it says of itself; undefined when it says nothing. */
  status(msMax = 1000): Promise<StatusResponse | undefined> {
    return this.running && !this.paused ? this.#status.ask(msMax) : Promise.resolve(undefined);
  }

  /** What it says of its replica of a shard; undefined when it says nothing, or has none. */
  statusOf(shard: number, msMax = 1000): Promise<NodeState | undefined> {
    return this.running && !this.paused ? this.#status.askOf(shard, msMax) : Promise.resolve(undefined);
  }

  close(): void {
    this.#status.close();
  }
}
