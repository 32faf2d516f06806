/**
 * Many machines in one process, on one virtual time. What happens is a heap of events (sim-scheduler.ts): one runs, the promises that it woke
 * run dry, the next one runs. Everything that could differ between two runs is drawn from the seed or ordered by the heap; every delivery,
 * disk operation and digest of a state is folded into one hash.
 *
 * A node is a machine with a disk, a clock and an address, on which a *program* lives: what `boot` makes of an environment. Programs die at
 * any event (sim-node.ts); a program that ends itself or does not come up is started again.
 */
import { Counters } from './counters.ts';
import { type LinkSettings, SimLinks } from './sim-links.ts';
import { SimNetwork, type SimNetworkSettings } from './sim-network.ts';
import { type Boot, SimNode, type Surroundings } from './sim-node.ts';
import { SimRandom } from './sim-random.ts';
import { drain, SimScheduler } from './sim-scheduler.ts';
import { TraceHash } from './trace-hash.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly links?: Partial<LinkSettings>;
  readonly network?: Partial<SimNetworkSettings>;
  /** Keeps what is folded into the hash as lines. */
  readonly traced?: boolean;
}

export class World implements Surroundings {
  readonly scheduler: SimScheduler = new SimScheduler();
  readonly random: SimRandom;
  readonly trace: TraceHash;
  readonly counters: Counters = new Counters();
  readonly links: SimLinks;
  readonly network: SimNetwork;
  readonly nodes: Map<string, SimNode> = new Map();
  #alarm: Error | undefined;

  constructor({ seed, links, network, traced }: WorldOptions) {
    this.random = SimRandom.mixed(seed);
    this.trace = new TraceHash(traced);
    this.links = new SimLinks(this.scheduler, this.random.fork(), links);
    this.network = new SimNetwork(this.links, this.trace, network);
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  /** A machine, switched on. */
  addNode(name: string, boot: Boot): SimNode {
    const node = new SimNode(this, name, boot);
    this.nodes.set(name, node);
    node.start();
    return node;
  }

  /** What must never happen has happened: `run` throws it. */
  alarm(error: Error): void {
    this.#alarm ??= error;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.scheduler.after(ms, resolve));
  }

  /** Runs events until `done`, at most so much virtual time. False when it was not done by then. Throws what raised an alarm. */
  async run(msMax: number, done: () => boolean = () => false): Promise<boolean> {
    const untilMs = this.nowMs + msMax;
    let over = false;
    this.scheduler.at(untilMs, () => (over = true));
    // What was begun before the first event: promises run ahead of time.
    await drain();
    await this.scheduler.runUntil(() => {
      for (const node of this.nodes.values()) node.noteEnding();
      return this.#alarm !== undefined || over || done();
    });
    if (this.#alarm !== undefined) throw this.#alarm;
    return done();
  }
}
