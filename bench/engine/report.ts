/**
 * Results as people read them: a row a workload, the best variant of each engine, and ours against the best peer.
 * Both the terminal's table and the one in docs are made of these cells.
 */
import { FAMILIES, OURS } from './engines.ts';
import type { Result } from './result.ts';
import type { Workload } from './group.ts';
import { WORKLOADS } from './workloads.ts';

/** Promises less than the others in its row, so it never counts as ours. */
const WEAKER = `${OURS}:buffered`;

export interface Row {
  workload: Workload;
  /** By family, in the order of FAMILIES: the best variant, or undefined when none ran. */
  best: (Result | undefined)[];
  /** The best result of any peer. */
  peer: Result | undefined;
  /** Times better than the best peer; undefined unless both ran. */
  ratio: number | undefined;
}

export function rowsOf(results: readonly Result[]): Row[] {
  const rows: Row[] = [];
  for (const workload of WORKLOADS) {
    const all = results.filter((result) => result.workload === workload.name);
    if (all.length === 0) continue;
    const best = FAMILIES.map((family) => bestOf(all, family, workload));
    const ours = best[FAMILIES.indexOf(OURS)];
    let peer: Result | undefined;
    for (const result of best) {
      if (result && result !== ours && (!peer || score(result, workload) > score(peer, workload))) peer = result;
    }
    rows.push({ workload, best, peer, ratio: ours && peer ? score(ours, workload) / score(peer, workload) : undefined });
  }
  return rows;
}

export function cellOf(result: Result | undefined, workload: Workload): string {
  if (!result) return '';
  const variant = result.engine.split(':')[1];
  const figure = workload.compare === 'rate' ? rate(result.opsPerSec) : time(result.p50Us);
  return variant ? `${figure} ${variant}` : figure;
}

export function ratioCell(ratio: number | undefined): string {
  return ratio === undefined ? '' : `${ratio.toFixed(2)}x`;
}

/** `1.24M`, `87k`, `640`. */
export function rate(perSecond: number): string {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(2)}M`;
  if (perSecond >= 1e5) return `${(perSecond / 1e3).toFixed(0)}k`;
  if (perSecond >= 1e3) return `${(perSecond / 1e3).toFixed(1)}k`;
  return perSecond.toFixed(0);
}

export function time(microseconds: number): string {
  return microseconds >= 1000 ? `${(microseconds / 1000).toFixed(1)} ms` : `${microseconds.toFixed(microseconds < 10 ? 1 : 0)} us`;
}

export function bytes(count: number): string {
  if (count >= 2 ** 30) return `${(count / 2 ** 30).toFixed(1)} GiB`;
  return count >= 2 ** 20 ? `${(count / 2 ** 20).toFixed(0)} MiB` : `${(count / 2 ** 10).toFixed(0)} KiB`;
}

/** Columns padded to their widest cell; the first one left, the others right. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  '))
    .join('\n');
}

function bestOf(results: readonly Result[], family: string, workload: Workload): Result | undefined {
  let best: Result | undefined;
  for (const result of results) {
    if (result.engine.split(':')[0] !== family || result.engine === WEAKER) continue;
    if (!best || score(result, workload) > score(best, workload)) best = result;
  }
  return best;
}

/** Larger is better. */
function score(result: Result, workload: Workload): number {
  return workload.compare === 'rate' ? result.opsPerSec : 1 / result.p50Us;
}
