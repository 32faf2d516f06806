/**
 * Counters: adding answers the new sum, reading the sum. A value may name the additions that it is made of; then an addition whose answer was
 * lost is known to have happened, or not to matter.
 */
import type { Model } from '../model.ts';

export type CounterInput =
  | { readonly type: 'add'; readonly key: string; readonly amount: number; readonly id?: string }
  | { readonly type: 'read'; readonly key: string };

export interface CounterOutput {
  readonly sum: number;
  /** Additions that the value names. */
  readonly shown?: readonly string[];
}

export const counterModel: Model<number, CounterInput, CounterOutput> = {
  name: 'counter',
  initial: () => 0,
  part: ({ key }) => key,
  readOnly: ({ type }) => type === 'read',
  key: String,
  step(sum, input, output) {
    const after = input.type === 'add' ? sum + input.amount : sum;
    return output === undefined || output.sum === after ? after : undefined;
  },
  marks: {
    of: (input) => (input.type === 'add' ? input.id : undefined),
    shown: (_, { shown }) => shown ?? [],
    tellAll: (operations) =>
      operations.every(({ input, response }) => (response ? response.output.shown : input.type === 'add' && input.id !== undefined)),
  },
  describe(input, output) {
    const asked = input.type === 'add' ? `add ${input.amount} to ${input.key}` : `read ${input.key}`;
    return output === undefined ? `${asked}, outcome unknown` : `${asked} -> ${output.sum}`;
  },
};
