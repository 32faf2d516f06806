/**
 * Which orders nodes were given, and when they are to be given again: at once to another node, or when a step is reached; after a while when no answer came;
 * after a pause that grows when the node refused what may pass. Held in memory only: a new leader gives orders anew, and what was done is done. Pure.
 *
 * Called by lead.ts.
 */
import type { OrderTo } from './placement/index.ts';

/** Longer than most orders take; the node does not begin anew with one that it is at. */
const UNANSWERED_MS = 15_000;
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 5000;

interface Given {
  nextMs: number;
  pauseMs: number;
  /** Why it was refused last; empty: it was not. */
  refusal: string;
}

export class OrderBook {
  #given: Map<string, Given> = new Map();

  /** Those of `wanted` that are to be given now; the rest of the book is forgotten. */
  due(wanted: readonly OrderTo[], nowMs: number): OrderTo[] {
    const kept = new Map<string, Given>();
    const due: OrderTo[] = [];
    for (const order of wanted) {
      const name = nameOf(order.id, order.node);
      const known = this.#given.get(name) ?? { nextMs: 0, pauseMs: PAUSE_MS_MIN, refusal: '' };
      kept.set(name, known);
      if (nowMs < known.nextMs) continue;
      known.nextMs = nowMs + UNANSWERED_MS;
      due.push(order);
    }
    this.#given = kept;
    return due;
  }

  /** The node is not there: it is given when it comes. */
  missed({ id, node }: OrderTo): void {
    const known = this.#given.get(nameOf(id, node));
    if (known !== undefined) known.nextMs = 0;
  }

  /** The node refuses for now. */
  refused(id: string, node: number, why: string, nowMs: number): void {
    const known = this.#given.get(nameOf(id, node));
    if (known === undefined) return;
    known.refusal = why;
    known.nextMs = nowMs + known.pauseMs;
    known.pauseMs = Math.min(PAUSE_MS_MAX, known.pauseMs * 2);
  }

  /** It was done; should that not show soon, it is given again. */
  done(id: string, node: number, nowMs: number): void {
    const known = this.#given.get(nameOf(id, node));
    if (known === undefined) return;
    known.refusal = '';
    known.nextMs = nowMs + PAUSE_MS_MAX;
  }

  /** What the node has lost with its stream is given again. */
  gone(node: number): void {
    const end = `@${node}`;
    for (const [name, given] of this.#given) if (name.endsWith(end)) given.nextMs = 0;
  }

  /** Why an operator does not get on, as nodes say; empty: none says so. */
  whyWaiting(operator: number): string {
    const begin = `${operator}.`;
    for (const [name, { refusal }] of this.#given) if (refusal !== '' && name.startsWith(begin)) return refusal;
    return '';
  }
}

function nameOf(id: string, node: number): string {
  return `${id}@${node}`;
}
