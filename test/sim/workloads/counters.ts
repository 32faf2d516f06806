/** Counters that are added to by reading and conditional writing. */
import { check, counterModel, type CounterInput, History, type Verdict } from '../linearizability/index.ts';
import type { Found, KvClient } from '../kv-client.ts';
import type { SimRandom } from '../sim-random.ts';
import { modify } from './modify.ts';
import type { Workload } from './workload.ts';

export class CounterWorkload implements Workload {
  readonly name = 'counters';
  readonly #history: History<CounterInput, number>;

  constructor(nowMs: () => number) {
    this.#history = new History(nowMs);
  }

  get answered(): number {
    return this.#history.answered;
  }

  check(): Verdict<unknown, unknown> {
    return check(counterModel, this.#history.operations);
  }

  async act(client: number, store: KvClient, random: SimRandom): Promise<void> {
    const key = `counter/${random.below(2)}`;
    if (random.chance(0.4)) {
      const invocation = this.#history.invoke(client, { type: 'read', key });
      const outcome = await store.read([key]);
      if (outcome.status === 'answered') invocation.respond(Number(outcome.answer[0]!.value ?? 0));
      else invocation.lose();
      return;
    }
    const amount = 1 + random.below(3);
    const change = ([found]: readonly Found[]): { puts: Record<string, string>; output: number } => {
      const sum = Number(found!.value ?? 0) + amount;
      return { puts: { [key]: String(sum) }, output: sum };
    };
    await modify(store, [key], change, () => this.#history.invoke(client, { type: 'add', key, amount }));
  }
}
