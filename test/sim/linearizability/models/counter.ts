/** Counters: adding answers the new sum, reading the sum. */
import type { Model } from '../model.ts';

export type CounterInput =
  | { readonly type: 'add'; readonly key: string; readonly amount: number }
  | { readonly type: 'read'; readonly key: string };

export const counterModel: Model<number, CounterInput, number> = {
  name: 'counter',
  initial: () => 0,
  part: ({ key }) => key,
  readOnly: ({ type }) => type === 'read',
  key: String,
  step(sum, input, output) {
    const after = input.type === 'add' ? sum + input.amount : sum;
    return output === undefined || output === after ? after : undefined;
  },
  describe(input, output) {
    const asked = input.type === 'add' ? `add ${input.amount} to ${input.key}` : `read ${input.key}`;
    return output === undefined ? `${asked}, outcome unknown` : `${asked} -> ${output}`;
  },
};
