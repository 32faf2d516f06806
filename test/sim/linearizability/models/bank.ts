/**
 * Accounts of one bank, which is one part: a transfer touches two of them at once, a read sees all of them at one moment. A transfer that
 * the account does not cover changes nothing and answers false. Accounts may name the transfers that touched them; then a transfer whose
 * answer was lost is known to have happened, or not to matter.
 */
import type { Model } from '../model.ts';

export type BankInput =
  | { readonly type: 'transfer'; readonly from: number; readonly to: number; readonly amount: number; readonly id?: string }
  | { readonly type: 'read' };

export interface BankOutput {
  /** Of a transfer whether it was done, of a read the balances. */
  readonly result: boolean | readonly number[];
  /** Transfers that the accounts name which were looked at. */
  readonly shown?: readonly string[];
}

export function bankModel(initial: readonly number[]): Model<readonly number[], BankInput, BankOutput> {
  return {
    name: 'bank',
    initial: () => initial,
    readOnly: ({ type }) => type === 'read',
    key: (balances) => balances.join(),
    step(balances, input, output) {
      if (input.type === 'read') {
        return output === undefined || String(output.result) === balances.join() ? balances : undefined;
      }
      const { from, to, amount } = input;
      const covered = balances[from]! >= amount;
      if (output !== undefined && output.result !== covered) return undefined;
      // One that nobody saw refused, and that is said to have taken effect, was covered: elsewhere it cannot have its place.
      if (!covered) return output === undefined ? undefined : balances;
      return balances.map((balance, i) => balance + (i === to ? amount : 0) - (i === from ? amount : 0));
    },
    marks: {
      of: (input) => (input.type === 'transfer' ? input.id : undefined),
      shown: (_, { shown }) => shown ?? [],
      tellAll: (operations) =>
        operations.every(({ input, response }) => (response ? response.output.shown : input.type === 'transfer' && input.id !== undefined)),
    },
    describe(input, output) {
      const asked = input.type === 'read' ? 'read' : `transfer ${input.amount} from ${input.from} to ${input.to}`;
      if (output === undefined) return `${asked}, outcome unknown`;
      const { result } = output;
      return `${asked} -> ${typeof result === 'boolean' ? (result ? 'done' : 'not covered') : `[${result.join(' ')}]`}`;
    },
  };
}
