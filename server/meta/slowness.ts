/**
 * Whether a node's disk is slow, or all are: when the syncs of every log take longer than usual - a machine that many share, a storage network - moving leads
 * from one to the other helps nobody. So what a node reports counts over the median of the others.
 *
 *   begins   when it has been so in STEADY reports in a row: as slow as in the best of them. One sync that waited is none
 *   ends     KEPT reports after that: a disk that is slow every now and then does not have leads go to and fro
 *
 * Pure. Called by lead.ts.
 */

/** A node reports about once a second. */
const STEADY = 10;
const KEPT = 60;
/** Of who has not reported for so long nothing is known. */
const FRESH_MS = 30_000;

interface Reported {
  value: number;
  atMs: number;
  /** Over the others, the last ones first. */
  readonly ratios: number[];
  /** The least of STEADY ratios, the last ones first. */
  readonly steady: number[];
}

export class Slowness {
  readonly #reported: Map<number, Reported> = new Map();

  /** How many times as long as usual its syncs take, over the median of the other nodes; at least 1. `reported`: the same without the others. */
  amongOthers(node: number, reported: number, nowMs: number): number {
    const known = this.#reported.get(node) ?? { value: 1, atMs: 0, ratios: [], steady: [] };
    known.value = reported;
    known.atMs = nowMs;
    this.#reported.set(node, known);
    const { ratios, steady } = known;
    pushFront(ratios, Math.max(1, reported / this.#medianWithout(node, nowMs)), STEADY);
    pushFront(steady, ratios.length < STEADY ? 1 : Math.min(...ratios), KEPT);
    return Math.max(...steady);
  }

  /** Of an even number the larger one of the two in the middle: of three nodes, one is slow when it is slower than both others. */
  #medianWithout(node: number, nowMs: number): number {
    const others: number[] = [];
    for (const [id, { value, atMs }] of this.#reported) if (id !== node && nowMs - atMs <= FRESH_MS) others.push(value);
    others.sort((a, b) => a - b);
    return Math.max(1, others[Math.floor(others.length / 2)] ?? 1);
  }
}

function pushFront(values: number[], value: number, kept: number): void {
  values.unshift(value);
  if (values.length > kept) values.pop();
}
