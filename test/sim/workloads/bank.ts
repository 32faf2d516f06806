/**
 * Accounts with money that moves between them; reads see all of them at one moment. A value: the balance, and the transfers that touched the
 * account, `7:0,3`. An account that nobody touched yet holds INITIAL.
 */
import { bankModel, type BankInput, type BankOutput, check, History, type Verdict } from '../linearizability/index.ts';
import type { Found, KvClient } from '../kv-client.ts';
import type { SimRandom } from '../sim-random.ts';
import { type Change, modify } from './modify.ts';
import type { Workload } from './workload.ts';

const ACCOUNTS = 4;
const INITIAL = 20;

export class Bank implements Workload {
  readonly name = 'bank';
  readonly #history: History<BankInput, BankOutput>;

  #transfers = 0;

  constructor(nowMs: () => number) {
    this.#history = new History(nowMs);
  }

  get answered(): number {
    return this.#history.answered;
  }

  check(): Verdict<unknown, unknown> {
    return check(bankModel(Array.from({ length: ACCOUNTS }, () => INITIAL)), this.#history.operations);
  }

  async act(client: number, store: KvClient, random: SimRandom): Promise<void> {
    if (random.chance(0.4)) {
      const invocation = this.#history.invoke(client, { type: 'read' });
      const outcome = await store.read(Array.from({ length: ACCOUNTS }, (_, account) => keyOf(account)));
      if (outcome.status === 'answered')
        invocation.respond({ result: outcome.answer.map(balanceOf), shown: outcome.answer.flatMap(transfersOf) });
      else invocation.lose();
      return;
    }
    const from = random.below(ACCOUNTS);
    const to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
    const amount = 1 + random.below(15);
    const id = String(this.#transfers++);
    const change = (found: readonly Found[]): Change<BankOutput> => {
      const [mine, theirs] = [balanceOf(found[0]!), balanceOf(found[1]!)];
      const shown = found.flatMap(transfersOf);
      if (mine < amount) return { puts: undefined, output: { result: false, shown } };
      const [after, theirsAfter] = [mine - amount, theirs + amount];
      const value = (balance: number, account: Found): string => `${balance}:${[...transfersOf(account), id].join()}`;
      return {
        puts: { [keyOf(from)]: value(after, found[0]!), [keyOf(to)]: value(theirsAfter, found[1]!) },
        output: { result: true, shown },
      };
    };
    await modify(store, [keyOf(from), keyOf(to)], change, () => this.#history.invoke(client, { type: 'transfer', from, to, amount, id }));
  }
}

function keyOf(account: number): string {
  return `account/${account}`;
}

function balanceOf({ value }: Found): number {
  return value === undefined ? INITIAL : Number(value.split(':')[0]);
}

function transfersOf({ value }: Found): string[] {
  return value === undefined ? [] : value.split(':')[1]!.split(',');
}
