/** What is measured: workloads, who takes part and by which way in, and what ours is to reach beside etcd. */

export type System = 'sparrowkv' | 'etcd';
export type Api = 'session' | 'unary' | 'native';

/** A system by one of its ways in. */
export interface Participant {
  readonly system: System;
  readonly api: Api;
}

export const PARTICIPANTS: readonly Participant[] = [
  { system: 'sparrowkv', api: 'session' },
  { system: 'sparrowkv', api: 'unary' },
  { system: 'etcd', api: 'native' },
];

export const IN_FLIGHT: readonly number[] = [1, 16, 64, 256];

export interface Workload {
  readonly name: string;
  readonly title: string;
  readonly valueBytes: number;
  /** Of a hundred operations so many are gets of what is there; the others are puts. */
  readonly getsPercent: number;
  /** Times etcd's operations a second, by the way in, with 64 and with 256 in flight. */
  readonly goals: Readonly<Partial<Record<Api, readonly [at64: number, at256: number]>>>;
}

export const WORKLOADS: readonly Workload[] = [
  { name: 'put-100', title: 'put 100 B', valueBytes: 100, getsPercent: 0, goals: { session: [4, 6], unary: [1.1, 1.1] } },
  { name: 'put-1k', title: 'put 1 KiB', valueBytes: 1024, getsPercent: 0, goals: { session: [4, 6], unary: [1.1, 1.1] } },
  { name: 'put-64k', title: 'put 64 KiB', valueBytes: 64 * 1024, getsPercent: 0, goals: { session: [2, 2] } },
  { name: 'get-100', title: 'linearizable get 100 B', valueBytes: 100, getsPercent: 100, goals: { session: [4, 4], unary: [1.3, 1.3] } },
  { name: 'mix-1k', title: 'half gets, half puts, 1 KiB', valueBytes: 1024, getsPercent: 50, goals: {} },
];

export function workloadOf(name: string): Workload {
  const workload = WORKLOADS.find((known) => known.name === name);
  if (workload === undefined) throw new Error(`no workload '${name}'; there are: ${WORKLOADS.map((known) => known.name).join(', ')}`);
  return workload;
}

/** Undefined: none was set. */
export function goalOf({ goals }: Workload, api: Api, inFlight: number): number | undefined {
  return inFlight === 64 ? goals[api]?.[0] : inFlight === 256 ? goals[api]?.[1] : undefined;
}

/** How long and how much. */
export interface Plan {
  /** Keys that are there, or are written; fewer when their values would take more than `valuesBytesMax`. */
  readonly keys: number;
  readonly valuesBytesMax: number;
  /** Before the first measurement, with 64 in flight, and before each one as it will be. */
  readonly warmUpMs: number;
  readonly settleMs: number;
  readonly measureMs: number;
  /** A stretch ends when so many bytes of values were asked for, even before its time. */
  readonly stretchBytesMax: number;
}

const MIB: number = 2 ** 20;

export const PLAN: Plan = {
  keys: 30_000,
  valuesBytesMax: 64 * MIB,
  warmUpMs: 5_000,
  settleMs: 1_500,
  measureMs: 6_000,
  stretchBytesMax: 256 * MIB,
};

export const PLAN_QUICK: Plan = {
  keys: 5_000,
  valuesBytesMax: 32 * MIB,
  warmUpMs: 2_000,
  settleMs: 200,
  measureMs: 800,
  stretchBytesMax: 64 * MIB,
};

export function keysOf(plan: Plan, { valueBytes }: Workload): number {
  return Math.min(plan.keys, Math.floor(plan.valuesBytesMax / valueBytes));
}
