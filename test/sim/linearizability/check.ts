/**
 * Checks a history against a model, part by part. A violation comes with the shortest beginning of the history that cannot be explained,
 * without the reads that it does not take, drawn as a timeline.
 *
 * `undecided` means that the search was given up at its bound: a test must treat it as an error, or it tells nothing.
 */
import type { Operation } from './history.ts';
import type { Model } from './model.ts';
import { search } from './search.ts';
import { drawTimeline } from './timeline.ts';

export type Verdict<I, O> =
  | { readonly verdict: 'ok'; readonly visited: number }
  | { readonly verdict: 'undecided'; readonly visited: number; readonly part: string }
  | { readonly verdict: 'violation'; readonly visited: number; readonly operations: readonly Operation<I, O>[]; readonly text: string };

/** Pairs of done operations and state, about 200 bytes each, that one part may take. */
export const VISITED_MAX = 300_000;

export function check<S, I, O>(
  model: Model<S, I, O>,
  operations: readonly Operation<I, O>[],
  visitedMax: number = VISITED_MAX,
): Verdict<I, O> {
  let visited = 0;
  let undecided: string | undefined;
  for (const [part, mine] of parts(model, operations)) {
    // A read that nobody saw the answer of says nothing.
    const telling = mine.filter(({ input, response }) => response !== undefined || !model.readOnly(input));
    const result = search(model, telling, visitedMax);
    visited += result.visited;
    if (result.found === 'none') return violation(model, part, telling, visitedMax, visited);
    if (result.found === 'gave up') undecided ??= part;
  }
  return undecided === undefined ? { verdict: 'ok', visited } : { verdict: 'undecided', visited, part: undecided };
}

function parts<S, I, O>(model: Model<S, I, O>, operations: readonly Operation<I, O>[]): Map<string, Operation<I, O>[]> {
  const found = new Map<string, Operation<I, O>[]>();
  for (const operation of operations) {
    const part = model.part?.(operation.input) ?? '';
    const mine = found.get(part);
    if (mine) mine.push(operation);
    else found.set(part, [operation]);
  }
  return found;
}

function violation<S, I, O>(
  model: Model<S, I, O>,
  part: string,
  operations: readonly Operation<I, O>[],
  visitedMax: number,
  visited: number,
): Verdict<I, O> {
  const explained = (some: readonly Operation<I, O>[]): boolean => search(model, some, visitedMax).found !== 'none';
  // Whatever begins with something that cannot be explained cannot be either: the shortest such beginning is found by halving.
  const responses = operations.flatMap(({ response }) => (response ? [response.at] : [])).sort((a, b) => a - b);
  let [low, high] = [0, responses.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (explained(upTo(operations, responses[middle]!))) low = middle + 1;
    else high = middle;
  }
  let shortest = upTo(operations, responses[low]!).filter(({ input, response }) => response !== undefined || !model.readOnly(input));
  // Leaving out a read takes no possibility away; leaving out a write might.
  for (const operation of shortest) {
    if (!model.readOnly(operation.input)) continue;
    const without = shortest.filter((other) => other !== operation);
    if (!explained(without)) shortest = without;
  }
  const { order } = search(model, shortest, visitedMax);
  return { verdict: 'violation', visited, operations: shortest, text: drawTimeline(model, part, shortest, order) };
}

/** The history as it was when event `at` had happened. */
function upTo<I, O>(operations: readonly Operation<I, O>[], at: number): Operation<I, O>[] {
  return operations
    .filter(({ invoked }) => invoked <= at)
    .map((operation) => (operation.response && operation.response.at > at ? { ...operation, response: undefined } : operation));
}
