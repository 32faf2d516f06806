/**
 * Is there an order of the operations that the model allows, in which none comes before one that had answered when it began?
 *
 * Depth first after Wing and Gong (1993), with Lowe's cache (2017): what can still be ordered follows from the set of operations done and
 * the state, so that no pair is visited twice. At each point those operations may be next that began before the first deadline of what is
 * left. An operation must be in the order when it has a deadline: its response, or, when that was lost, the first response that shows its
 * effect. The others may be in it from their invocation on, or never (evidence.ts).
 *
 * What saves most of the work:
 * - an operation that fits and leaves the state as it is comes at once: it is in nobody's way, and no other choice is tried;
 * - operations with deadlines are tried first, the first deadline before others;
 * - of optional operations with the same input only the one that began first is tried: it can stand in for the others.
 *
 * Bounded by the number of pairs in the cache; beyond it the search is given up.
 */
import { type Evident, evident } from './evidence.ts';
import type { Operation } from './history.ts';
import type { Model } from './model.ts';

export interface SearchResult {
  readonly found: 'order' | 'none' | 'gave up';
  /** Pairs of done operations and state that were visited. */
  readonly visited: number;
  /** An order of everything that has a deadline; when there is none, the longest that got anywhere. */
  readonly order: readonly unknown[];
}

/** Which operations of a list are done. */
class Done {
  /** Everything before it is done. */
  first = 0;
  /** Nothing from here on is done. */
  #end = 0;
  readonly #words: Uint16Array;

  constructor(count: number) {
    this.#words = new Uint16Array((count >> 4) + 1);
  }

  has(i: number): boolean {
    return (this.#words[i >> 4]! & (1 << (i & 15))) !== 0;
  }

  add(i: number): void {
    this.#words[i >> 4]! |= 1 << (i & 15);
    this.#end = Math.max(this.#end, i + 1);
    while (this.has(this.first)) this.first++;
  }

  delete(i: number): void {
    this.#words[i >> 4]! &= ~(1 << (i & 15));
    this.first = Math.min(this.first, i);
    while (this.#end > this.first && !this.has(this.#end - 1)) this.#end--;
  }

  /** The same text for equal sets only. */
  get key(): string {
    return `${this.first}:${String.fromCharCode(...this.#words.subarray(this.first >> 4, (this.#end + 15) >> 4))}`;
  }
}

interface Frame<S, I, O> {
  readonly state: S;
  /** What may come next, in the order in which it is tried. */
  readonly candidates: readonly Item<I, O>[];
  tried: number;
}

interface Item<I, O> extends Evident<I, O> {
  /** Which list it is in, and where. */
  readonly done: Done;
  readonly at: number;
  readonly name: string;
}

export function search<S, I, O>(model: Model<S, I, O>, operations: readonly Operation<I, O>[], visitedMax: number): SearchResult {
  const known = evident(model, operations).sort((a, b) => a.operation.invoked - b.operation.invoked);
  const lists = [known.filter(({ deadline }) => deadline < Infinity), known.filter(({ deadline }) => deadline === Infinity)] as const;
  const [mustDone, mayDone] = [new Done(lists[0].length), new Done(lists[1].length)];
  const itemsOf = (list: readonly Evident<I, O>[], done: Done): Item<I, O>[] =>
    list.map((each, at) => ({ ...each, done, at, name: model.describe(each.operation.input, undefined) }));
  const [must, may] = [itemsOf(lists[0], mustDone), itemsOf(lists[1], mayDone)];
  const step = (state: S, { operation }: Item<I, O>): S | undefined => model.step(state, operation.input, operation.response?.output);

  const candidates = (state: S): Item<I, O>[] => {
    let deadline = Infinity;
    const next: Item<I, O>[] = [];
    for (let i = mustDone.first; i < must.length && must[i]!.operation.invoked < deadline; i++) {
      if (mustDone.has(i)) continue;
      next.push(must[i]!);
      deadline = Math.min(deadline, must[i]!.deadline);
    }
    const possible = next.filter(({ operation }) => operation.invoked < deadline).sort((a, b) => a.deadline - b.deadline);
    const key = model.key(state);
    for (const item of possible) {
      const after = step(state, item);
      if (after !== undefined && model.key(after) === key) return [item];
    }
    const names = new Set<string>();
    for (let i = mayDone.first; i < may.length && may[i]!.operation.invoked < deadline; i++) {
      if (mayDone.has(i) || names.has(may[i]!.name)) continue;
      names.add(may[i]!.name);
      possible.push(may[i]!);
    }
    return possible;
  };

  const visited = new Set<string>();
  const order: Item<I, O>[] = [];
  let deepest: unknown[] = [];
  let left = must.length;
  let deepestLeft = Infinity;
  const initial = model.initial();
  const stack: Frame<S, I, O>[] = [{ state: initial, candidates: candidates(initial), tried: 0 }];
  for (;;) {
    if (left < deepestLeft && (left === 0 || stack.at(-1)!.candidates.length === 0 || stack.at(-1)!.tried > 0)) {
      deepestLeft = left;
      deepest = order.map(({ operation }) => operation);
    }
    if (left === 0) return { found: 'order', visited: visited.size, order: deepest };
    const frame = stack.at(-1)!;
    const item = frame.candidates[frame.tried++];
    if (item === undefined) {
      stack.pop();
      const undone = order.pop();
      if (undone === undefined) return { found: 'none', visited: visited.size, order: deepest };
      undone.done.delete(undone.at);
      if (undone.done === mustDone) left++;
      continue;
    }
    const state = step(frame.state, item);
    if (state === undefined) continue;
    const optional = item.done === mayDone;
    // What changed nothing though it might have need not be said to have happened.
    if (optional && model.key(state) === model.key(frame.state)) continue;
    item.done.add(item.at);
    const pair = `${mustDone.key}|${mayDone.key}|${model.key(state)}`;
    if (visited.has(pair)) {
      item.done.delete(item.at);
      continue;
    }
    if (visited.size >= visitedMax) return { found: 'gave up', visited: visited.size, order: deepest };
    visited.add(pair);
    order.push(item);
    if (!optional) left--;
    stack.push({ state, candidates: candidates(state), tried: 0 });
  }
}
