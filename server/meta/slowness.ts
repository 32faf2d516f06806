/**
 * Whether a node's disk is slow, or all are: when the syncs of every log take longer than usual - a machine that many share, a storage network - moving leads
 * from one to the other helps nobody. So what a node reports counts over what the others do. Pure. Called by lead.ts.
 */
export class Slowness {
  readonly #reported: Map<number, number> = new Map();

  /** How many times as long as usual its syncs take, over the median of all nodes; at least 1. */
  amongOthers(node: number, reported: number): number {
    this.#reported.set(node, reported);
    const all = [...this.#reported.values()].sort((a, b) => a - b);
    const median = Math.max(1, all[Math.floor(all.length / 2)]!);
    return Math.max(1, reported / median);
  }
}
