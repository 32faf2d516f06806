/** All workloads, in groups. A group is what shares a process: workloads that fill an empty store have one each, reads share a filled store. */
import type { Role, Variant } from './store.ts';
import type { Session } from './session.ts';
import { lifecycleGroups } from './workloads/lifecycle.ts';
import { readGroup } from './workloads/reads.ts';
import { syncedGroups } from './workloads/synced.ts';
import { valueGroups } from './workloads/values.ts';
import { writeGroups } from './workloads/writes.ts';
import { ycsbGroup } from './workloads/ycsb.ts';

export interface Workload {
  name: string;
  title: string;
  /** Variants with this role run it. */
  role: Role;
  /** What is compared: operations a second, or the median time where one call is the workload. */
  compare: 'rate' | 'time';
}

export interface Group {
  name: string;
  workloads: readonly Workload[];
  /** Runs those of its workloads that are wanted and reports each to the session. */
  run(session: Session, wanted: ReadonlySet<string>): Promise<void>;
}

export const GROUPS: readonly Group[] = [...syncedGroups, ...writeGroups, readGroup, ...valueGroups, ycsbGroup, ...lifecycleGroups];

export const WORKLOADS: readonly Workload[] = GROUPS.flatMap((group) => group.workloads);

/** The group's workloads that `variant` takes part in, out of those asked for (all when `only` is empty; a group's name means all of its own). */
export function wantedOf(group: Group, variant: Variant, only: readonly string[]): string[] {
  return group.workloads
    .filter((workload) => variant.roles.includes(workload.role))
    .map((workload) => workload.name)
    .filter((name) => only.length === 0 || only.includes(name) || only.includes(group.name));
}
