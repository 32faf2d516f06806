/**
 * Accounts of one bank, which is one part: a transfer touches two of them at once, a read sees all of them at one moment. A transfer that
 * the account does not cover changes nothing and answers false.
 */
import type { Model } from '../model.ts';

export type BankInput =
  | { readonly type: 'transfer'; readonly from: number; readonly to: number; readonly amount: number }
  | { readonly type: 'read' };
/** Of a read the balances. */
export type BankOutput = boolean | readonly number[];

export function bankModel(initial: readonly number[]): Model<readonly number[], BankInput, BankOutput> {
  return {
    name: 'bank',
    initial: () => initial,
    readOnly: ({ type }) => type === 'read',
    key: (balances) => balances.join(),
    step(balances, input, output) {
      if (input.type === 'read') {
        return output === undefined || (Array.isArray(output) && output.join() === balances.join()) ? balances : undefined;
      }
      const { from, to, amount } = input;
      const covered = balances[from]! >= amount;
      if (output !== undefined && output !== covered) return undefined;
      if (!covered) return balances;
      return balances.map((balance, i) => balance + (i === to ? amount : 0) - (i === from ? amount : 0));
    },
    describe(input, output) {
      const asked = input.type === 'read' ? 'read' : `transfer ${input.amount} from ${input.from} to ${input.to}`;
      if (output === undefined) return `${asked}, outcome unknown`;
      return `${asked} -> ${typeof output === 'boolean' ? (output ? 'done' : 'not covered') : `[${output.join(' ')}]`}`;
    },
  };
}
