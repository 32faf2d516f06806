/**
 * What responses tell of operations whose own response was lost. Each such operation would double the search; most of them need not,
 * when an effect carries a mark (a value written by nobody else) that outputs show:
 *
 *   shown by some output      it took effect, before the first response that shows it: it gets that deadline
 *   shown by none             it makes no difference whether it took effect: it is left out
 */
import type { Operation } from './history.ts';
import type { Model } from './model.ts';

export interface Evident<I, O> {
  readonly operation: Operation<I, O>;
  /** Place of the event before which it took effect; Infinity: it may have taken none. */
  readonly deadline: number;
}

export function evident<S, I, O>(model: Model<S, I, O>, operations: readonly Operation<I, O>[]): Evident<I, O>[] {
  const { marks } = model;
  const plain = operations.map((operation) => ({ operation, deadline: operation.response?.at ?? Infinity }));
  if (!marks || operations.every(({ response }) => response)) return plain;
  const writers = new Map<string, number>();
  const shownAt = new Map<string, number>();
  for (const { input, response } of operations) {
    const mark = marks.of(input);
    if (mark !== undefined) writers.set(mark, (writers.get(mark) ?? 0) + 1);
    if (!response) continue;
    for (const shown of marks.shown(input, response.output)) shownAt.set(shown, Math.min(shownAt.get(shown) ?? Infinity, response.at));
  }
  const tellsAll = marks.tellAll(operations);
  return plain.flatMap((each) => {
    const mark = each.operation.response ? undefined : marks.of(each.operation.input);
    if (mark === undefined || writers.get(mark) !== 1) return [each];
    const deadline = shownAt.get(mark) ?? Infinity;
    return deadline === Infinity && tellsAll ? [] : [{ ...each, deadline }];
  });
}
