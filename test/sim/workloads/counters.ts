/** Counters that are added to by reading and conditional writing. A value: the sum, and the additions that it is made of, `7:0,3`. */
import { check, counterModel, type CounterInput, type CounterOutput, History, type Verdict } from '../linearizability/index.ts';
import type { Found, KvClient } from '../kv-client.ts';
import type { SimRandom } from '../sim-random.ts';
import { type Change, modify } from './modify.ts';
import type { Workload } from './workload.ts';

export class CounterWorkload implements Workload {
  readonly name = 'counters';
  readonly #history: History<CounterInput, CounterOutput>;

  #additions = 0;

  readonly #keys: number;

  constructor(nowMs: () => number, keys = 2) {
    this.#keys = keys;
    this.#history = new History(nowMs);
  }

  get answered(): number {
    return this.#history.answered;
  }

  check(): Verdict<unknown, unknown> {
    return check(counterModel, this.#history.operations);
  }

  async readAll(client: number, store: KvClient): Promise<void> {
    for (let key = 0; key < this.#keys; key++) await this.#read(client, store, `counter/${key}`);
  }

  async act(client: number, store: KvClient, random: SimRandom): Promise<void> {
    const key = `counter/${random.below(this.#keys)}`;
    if (random.chance(0.4)) return this.#read(client, store, key);
    const amount = 1 + random.below(3);
    const id = String(this.#additions++);
    const change = ([found]: readonly Found[]): Change<CounterOutput> => {
      const { sum, shown } = counterOf(found!);
      const after = { sum: sum + amount, shown: [...shown, id] };
      return { puts: { [key]: `${after.sum}:${after.shown.join()}` }, output: after };
    };
    await modify(store, [key], change, () => this.#history.invoke(client, { type: 'add', key, amount, id }));
  }

  async #read(client: number, store: KvClient, key: string): Promise<void> {
    const invocation = this.#history.invoke(client, { type: 'read', key });
    const outcome = await store.read([key]);
    if (outcome.status === 'answered') invocation.respond(counterOf(outcome.answer[0]!));
    else invocation.lose();
  }
}

function counterOf({ value }: Found): { sum: number; shown: readonly string[] } {
  if (value === undefined) return { sum: 0, shown: [] };
  const [sum, additions] = value.split(':');
  return { sum: Number(sum), shown: additions!.split(',') };
}
