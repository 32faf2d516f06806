/** Results as people read them: a row for each workload and number of calls in flight, ours beside etcd. The terminal's table and the one in docs are made of these cells. */
import { rate, ratioCell, time } from '../engine/report.ts';
import type { Result } from './result.ts';
import { type Api, goalOf, PARTICIPANTS, WORKLOADS, type Workload } from './workloads.ts';

export interface Row<R extends Result = Result> {
  readonly workload: Workload;
  readonly inFlight: number;
  readonly of: Readonly<Partial<Record<Api, R>>>;
}

export function rowsOf<R extends Result>(results: readonly R[]): Row<R>[] {
  return WORKLOADS.flatMap((workload) => {
    const ran = results.filter((result) => result.workload === workload.name);
    const inFlights = [...new Set(ran.map(({ inFlight }) => inFlight))].sort((a, b) => a - b);
    return inFlights.map((inFlight) => ({
      workload,
      inFlight,
      of: Object.fromEntries(ran.filter((result) => result.inFlight === inFlight).map((result) => [result.api, result])),
    }));
  });
}

export const SPEED_TITLES: readonly string[] = ['', 'in flight', ...PARTICIPANTS.map(titleOf), 'session / etcd', 'unary / etcd'];

/** Operations a second, and how they compare; in brackets the goal where it is missed. */
export function speeds({ workload, inFlight, of }: Row): string[] {
  const compared = (api: Api): string => {
    const [ours, theirs] = [of[api], of.native];
    if (ours === undefined || theirs === undefined) return '';
    const ratio = ours.opsPerSec / theirs.opsPerSec;
    const goal = goalOf(workload, api, inFlight);
    return goal !== undefined && ratio < goal ? `${ratioCell(ratio)} (goal ${goal}x)` : ratioCell(ratio);
  };
  const figures = PARTICIPANTS.map(({ api }) => (of[api] === undefined ? '' : rate(of[api].opsPerSec)));
  return [workload.title, String(inFlight), ...figures, compared('session'), compared('unary')];
}

export const COST_TITLES: readonly string[] = [
  '',
  'in flight',
  ...PARTICIPANTS.map((participant) => `${titleOf(participant)}: p50 / p99`),
  "servers' CPU",
  'written by a replica',
];

/** The last two cells have a figure of each participant, in their order. */
export function costs({ workload, inFlight, of }: Row): string[] {
  const latencies = PARTICIPANTS.map(({ api }) => (of[api] === undefined ? '' : `${time(of[api].p50Us)} / ${time(of[api].p99Us)}`));
  return [workload.title, String(inFlight), ...latencies, each(of, cpu), workload.getsPercent === 100 ? '' : each(of, written)];
}

function each(of: Row['of'], cell: (result: Result) => string): string {
  return PARTICIPANTS.flatMap(({ api }) => (of[api] === undefined ? [] : [cell(of[api])])).join(', ');
}

function cpu({ cpuUsPerOp }: Result): string {
  return cpuUsPerOp === null ? 'unknown' : `${cpuUsPerOp.toFixed(cpuUsPerOp < 100 ? 1 : 0)} us`;
}

/** Times the value's size. */
function written({ bytesWrittenPerReplica, valueBytes }: Result): string {
  return bytesWrittenPerReplica === null ? 'unknown' : `${(bytesWrittenPerReplica / valueBytes).toFixed(2)}x`;
}

function titleOf({ system, api }: { system: string; api: Api }): string {
  return system === 'etcd' ? 'etcd' : api;
}
