/** What is done to a cluster under load: a fault begins, lasts, and is healed. The tables of them: process-, network-, disk- and clock-faults.ts. */
import type { SimRandom } from '../sim/sim-random.ts';
import type { Clocks } from './clocks.ts';
import type { SmallDisks } from './small-disks.ts';
import type { Network } from './network.ts';
import type { TestCluster } from './test-cluster.ts';

/** A cluster, and what a script has to hurt it with. */
export interface Target {
  readonly cluster: TestCluster;
  readonly network?: Network | undefined;
  readonly disks?: SmallDisks | undefined;
  readonly clocks?: Clocks | undefined;
}

export interface Fault {
  readonly name: string;
  /** Why it cannot be done to this target; undefined: it can. */
  readonly missing: (target: Target) => string | undefined;
  readonly begin: (target: Target, random: SimRandom) => Promise<Ongoing>;
}

export interface Ongoing {
  /** Whom it meets, for the report. */
  readonly what: string;
  /** A majority is left that hears each other and the clients: writes must go on. */
  readonly serves: boolean;
  /** Afterwards all processes run, and whatever was taken away is there again. */
  heal(): Promise<void>;
}

export const POSSIBLE = (): undefined => undefined;
