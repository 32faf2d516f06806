/** How the nodes of a simulated cluster are set, drawn from a seed: slow and quick ticks, groups that sleep, and what the way between nodes loses. */
import type { LeaseOptions } from '../../server/raft/index.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimTransportSettings } from './sim-transport.ts';

export interface ClusterSettings {
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly sleepTicks: number;
  /** Of applied entries, in memory. */
  readonly keptBytesMax: number;
  /** Of commands that are in the engine durably, in the log. */
  readonly logKeptBytesMax: number;
  /** Of entries that were appended last, in memory. */
  readonly cacheBytes: number;
  /** Of leases, for reads; undefined: there are none. */
  readonly lease: LeaseOptions | undefined;
  readonly transport: SimTransportSettings;
}

/** By how much a clock may be too quick or too slow where there are leases. */
export const LEASE_DRIFT_MAX = 0.1;

export function drawClusterSettings(random: SimRandom): ClusterSettings {
  const lossy = random.chance(0.5);
  const tickMs = random.pick([20, 20, 50]);
  const electionTicks = random.pick([5, 10, 10]);
  const durationMs = tickMs * electionTicks;
  return {
    tickMs,
    electionTicks,
    // One clock as slow as may be, another one as quick.
    lease: random.chance(0.3) ? { durationMs, pauseMarginMs: durationMs * 2.5 * LEASE_DRIFT_MAX } : undefined,
    heartbeatTicks: random.pick([1, 1, 3]),
    sleepTicks: random.pick([Infinity, Infinity, 2, 15]),
    keptBytesMax: random.pick([0, 0, 2000, 1 << 24]),
    logKeptBytesMax: random.pick([0, 0, 10_000, 1 << 24]),
    cacheBytes: random.pick([0, 4096, 1 << 20]),
    transport: {
      dropChance: lossy ? random.pick([0, 0.01, 0.1]) : 0,
      duplicateChance: lossy ? random.pick([0, 0.05]) : 0,
      reorderChance: lossy ? random.pick([0, 0.05, 0.2]) : 0,
    },
  };
}
