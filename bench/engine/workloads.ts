/** All workloads. */
import type { Group, Workload } from './group.ts';
import type { Variant } from './store.ts';
import { lifecycleGroups } from './workloads/lifecycle.ts';
import { readGroup } from './workloads/reads.ts';
import { syncedGroups } from './workloads/synced.ts';
import { valueGroups } from './workloads/values.ts';
import { writeGroups } from './workloads/writes.ts';
import { ycsbGroup } from './workloads/ycsb.ts';

export const GROUPS: readonly Group[] = [...syncedGroups, ...writeGroups, readGroup, ...valueGroups, ycsbGroup, ...lifecycleGroups];

export const WORKLOADS: readonly Workload[] = GROUPS.flatMap((group) => group.workloads);

/** The group's workloads that `variant` takes part in, out of those asked for (all when `only` is empty; a group's name means all of its own). */
export function wantedOf(group: Group, variant: Variant, only: readonly string[]): string[] {
  return group.workloads
    .filter((workload) => variant.roles.includes(workload.role))
    .map((workload) => workload.name)
    .filter((name) => only.length === 0 || only.includes(name) || only.includes(group.name));
}
