/** The definition, tried out: every order of every choice of unknown operations. For a handful of operations, as the oracle of the search. */
import type { Operation } from './history.ts';
import type { Model } from './model.ts';

export function isLinearizable<S, I, O>(model: Model<S, I, O>, operations: readonly Operation<I, O>[]): boolean {
  const tryFrom = (state: S, left: readonly Operation<I, O>[]): boolean => {
    if (left.every(({ response }) => !response)) return true;
    return left.some((next) => {
      const tooLate = left.some(({ response }) => response && response.at < next.invoked);
      if (tooLate) return false;
      const after = model.step(state, next.input, next.response?.output);
      const others = left.filter((operation) => operation !== next);
      return after !== undefined && tryFrom(after, others);
    });
  };
  return tryFrom(model.initial(), operations);
}
