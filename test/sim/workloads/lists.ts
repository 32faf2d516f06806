/** Lists that are appended to by reading and conditional writing. */
import { appendListModel, type AppendInput, type AppendOutput, check, History, type Verdict } from '../linearizability/index.ts';
import type { Found, KvClient } from '../kv-client.ts';
import type { SimRandom } from '../sim-random.ts';
import { modify } from './modify.ts';
import type { Workload } from './workload.ts';

export class Lists implements Workload {
  readonly name = 'lists';
  readonly #history: History<AppendInput, AppendOutput>;
  #elements = 0;

  readonly #keys: number;

  constructor(nowMs: () => number, keys = 2) {
    this.#keys = keys;
    this.#history = new History(nowMs);
  }

  get answered(): number {
    return this.#history.answered;
  }

  check(): Verdict<unknown, unknown> {
    return check(appendListModel, this.#history.operations);
  }

  async readAll(client: number, store: KvClient): Promise<void> {
    for (let key = 0; key < this.#keys; key++) await this.#read(client, store, `list/${key}`);
  }

  async act(client: number, store: KvClient, random: SimRandom): Promise<void> {
    const key = `list/${random.below(this.#keys)}`;
    if (random.chance(0.4)) return this.#read(client, store, key);
    const element = this.#elements++;
    const change = ([found]: readonly Found[]): { puts: Record<string, string>; output: readonly number[] } => {
      const list = [...listOf(found!), element];
      return { puts: { [key]: list.join() }, output: list };
    };
    await modify(store, [key], change, () => this.#history.invoke(client, { type: 'append', key, element }));
  }

  async #read(client: number, store: KvClient, key: string): Promise<void> {
    const invocation = this.#history.invoke(client, { type: 'read', key });
    const outcome = await store.read([key]);
    if (outcome.status === 'answered') invocation.respond(listOf(outcome.answer[0]!));
    else invocation.lose();
  }
}

function listOf({ value }: Found): number[] {
  return value === undefined ? [] : value.split(',').map(Number);
}
