/**
 * Runs whose table has durability `os`: writes are answered when majorities have them in their systems' caches, ahead of the disks (docs/adr/0025-answers-ahead-of-disks.md).
 *
 * What was answered last may be gone when machines lose what their systems had cached, and come back without it. So they do not, in these runs: processes end, at any
 * moment and all at once, machines are lost for good as elsewhere, and nothing that was answered may be missing.
 */
import type { Fault } from './fault-plan.ts';
import { SimRandom } from './sim-random.ts';

const CHANCE = 0.25;
/** In the end power is lost all the same: so long after the last answer, when disks have come after. */
export const DISKS_MS = 1000;

/** Drawn apart from all else. */
export function drawEarlyAnswers(seed: number): boolean {
  return SimRandom.mixed(seed ^ 0x0a5c).chance(CHANCE);
}

/** The plan, but for what takes from the cache of a machine that comes back: losses of power, and syncs that fail. */
export function withCachesKept(plan: readonly Fault[]): Fault[] {
  return plan
    .filter((fault) => fault.kind !== 'disk' || !FAILS_SYNCS.has(fault.error))
    .map((fault) => ('ending' in fault ? { ...fault, ending: 'process' } : fault));
}

const FAILS_SYNCS: ReadonlySet<string> = new Set(['EIO', 'ENOSPC', 'short']);
