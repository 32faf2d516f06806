/** Workloads come in groups. A group is what shares a process: workloads that fill an empty store have one each, reads share a filled store. */
import type { Session } from './session.ts';
import type { Role } from './store.ts';

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
