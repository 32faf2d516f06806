/**
 * Load on a cluster, and what may be said of it afterwards: several SDK clients, on each of them workers that do one operation after another, of the workloads of the
 * simulation (registers, set, lists, counters, bank) and of a ledger.
 *
 * Some clients are impatient: their calls end while nobody leads, with an unknown outcome. The others wait as long as it takes.
 *
 * A load is for a round of some seconds, with keys of its own: a history that is checked cannot be long.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyValues } from '../../client/index.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { type MakeWorkload, WORKLOADS, type Workload } from '../sim/workloads/index.ts';
import { Ledger } from './ledger.ts';
import { CallCounts, SdkStore } from './sdk-store.ts';

export interface LoadOptions {
  readonly seed: number;
  /** Begins all keys; no other load has it. */
  readonly prefix: string;
  /** Where a workload's own key is. Default: behind the prefix. */
  readonly keyOf?: (key: string) => string;
  /** Default: all. */
  readonly workloads?: readonly MakeWorkload[];
  readonly workersPerClient?: number;
  /** Between two operations of a worker. */
  readonly thinkMsMax?: number;
}

export interface LoadCounts {
  /** Operations of workloads with a known outcome. */
  readonly answered: number;
  readonly acknowledged: number;
  readonly open: number;
}

export class Load {
  readonly prefix: string;
  readonly ledger: Ledger = new Ledger();
  readonly calls: CallCounts = new CallCounts();
  readonly #clients: readonly KeyValues[];
  readonly #keyOf: (key: string) => string;
  readonly #random: SimRandom;
  readonly #workloads: readonly Workload[];
  readonly #workersPerClient: number;
  readonly #thinkMsMax: number;
  #working: Promise<void>[] = [];
  #on = false;
  #failed: unknown;

  /** Clients are the caller's to close. */
  constructor(clients: readonly KeyValues[], options: LoadOptions) {
    const { seed, prefix, workloads = WORKLOADS, workersPerClient = 3, thinkMsMax = 20 } = options;
    this.#clients = clients;
    this.prefix = prefix;
    this.#keyOf = options.keyOf ?? ((key) => prefix + key);
    this.#random = SimRandom.mixed(seed);
    this.#workersPerClient = workersPerClient;
    this.#thinkMsMax = thinkMsMax;
    this.#workloads = workloads.map((make) => make(() => performance.now(), this.#random, false));
  }

  begin(): void {
    this.#on = true;
    for (const [i, client] of this.#clients.entries()) {
      const store = new SdkStore(client, this.#keyOf, this.calls);
      for (let worker = 0; worker < this.#workersPerClient; worker++) {
        const id = i * this.#workersPerClient + worker;
        this.#working.push(this.#work(id, store, this.#random.fork(), worker === 0 ? this.ledger : undefined));
      }
    }
  }

  /** Settles when all calls under way have ended. Throws what no fault explains. */
  async end(): Promise<void> {
    this.#on = false;
    await Promise.all(this.#working);
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Every workload is looked at again, by every client. */
  async look(): Promise<void> {
    for (const [i, client] of this.#clients.entries()) {
      const store = new SdkStore(client, this.#keyOf, this.calls);
      for (const workload of this.#workloads) for (let times = 0; times < 3; times++) await workload.act(i, store, this.#random);
    }
  }

  /** What is wrong with what clients saw. */
  check(): string | undefined {
    for (const workload of this.#workloads) {
      const verdict = workload.check();
      if (verdict.verdict === 'violation') return verdict.text;
      if (verdict.verdict === 'undecided') return `${workload.name} ${verdict.part}: undecided after ${verdict.visited} states`;
    }
    return undefined;
  }

  get counts(): LoadCounts {
    const answered = this.#workloads.reduce((sum, workload) => sum + workload.answered, 0);
    return { answered, acknowledged: this.ledger.acknowledged, open: this.ledger.open };
  }

  async #work(id: number, store: SdkStore, random: SimRandom, ledger: Ledger | undefined): Promise<void> {
    try {
      while (this.#on && this.#failed === undefined) {
        if (ledger !== undefined) await ledger.act(store, random);
        else await random.pick(this.#workloads).act(id, store, random);
        await sleep(random.fraction() * this.#thinkMsMax);
      }
    } catch (error) {
      this.#failed ??= error;
    }
  }
}
