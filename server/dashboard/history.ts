/**
 * The last hour of a cluster: a point every few seconds, in memory of who leads the metaserver, and of nodes that are looked at. Pure.
 *
 * Invariants: points are in the order of time, at least `everyMs` apart, and no more than POINTS_MAX. A clock that goes back (another node leads the
 * metaserver) begins anew behind the last point that is not later.
 */
import type { ClusterView, HistoryPoint, NodeView, Spread } from './cluster-view.ts';

export const HISTORY_EVERY_MS = 5_000;
export const POINTS_MAX = 720;

export class History {
  #points: HistoryPoint[] = [];

  /** Takes the point unless the last one is too near. Returns whether it did. */
  add(point: HistoryPoint): boolean {
    while (this.#points.length > 0 && this.#points.at(-1)!.atMs > point.atMs) this.#points.pop();
    const last = this.#points.at(-1);
    // A little early is in time: whoever calls does so on a timer.
    if (last !== undefined && point.atMs - last.atMs < HISTORY_EVERY_MS * 0.8) return false;
    this.#points.push(point);
    if (this.#points.length > POINTS_MAX) this.#points.shift();
    return true;
  }

  /** Of the last point; 0: there is none. */
  get lastMs(): number {
    return this.#points.at(-1)?.atMs ?? 0;
  }

  /** Points later than that. */
  since(atMs: number): readonly HistoryPoint[] {
    return this.#points.filter((point) => point.atMs > atMs);
  }
}

/** What is kept of a moment. */
export function pointOf(view: Omit<ClusterView, 'history'>): HistoryPoint {
  const holding = view.nodes.filter((node) => node.state === 'up' && node.role !== 'proxy');
  const over = (measure: (node: NodeView) => number): Spread => spreadOf(holding.map(measure));
  const total = (measure: (table: ClusterView['tables'][number]) => number): number =>
    view.tables.reduce((sum, table) => sum + measure(table), 0);
  return {
    atMs: view.nowMs,
    readsPerSecond: total((table) => table.readsPerSecond),
    writesPerSecond: total((table) => table.writesPerSecond),
    dataBytes: total((table) => table.dataBytes),
    nodesUp: view.nodes.filter(({ state }) => state !== 'down' && state !== 'suspect' && state !== 'removed').length,
    operators: view.operators.length,
    disk: over(diskUsed),
    cpu: over((node) => node.cpu),
    io: over((node) => node.ioBytesPerSecond),
    traffic: over((node) => node.readsPerSecond + node.writesPerSecond),
    leaders: over((node) => node.leaders),
    replicas: over((node) => node.replicas),
  };
}

export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) return [0, 0, 0];
  let least = Infinity;
  let most = -Infinity;
  let sum = 0;
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
    sum += value;
  }
  return [rounded(least), rounded(sum / values.length), rounded(most)];
}

/** Four digits are enough for a chart. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** By whomever; 0 before the node has reported. */
function diskUsed({ capacityBytes, diskUsedBytes, diskFreeBytes }: NodeView): number {
  return capacityBytes > 0 && diskUsedBytes + diskFreeBytes > 0 ? Math.max(0, 1 - diskFreeBytes / capacityBytes) : 0;
}
