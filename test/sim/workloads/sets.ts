/**
 * A set, each element a key of its own; a read asks for all that there can ever be, at one moment. Asking for those only that were begun
 * would not do: what begins and ends while the read is under way would be missing beside what it shows.
 */
import { check, History, setModel, type SetInput, type SetOutput, type Verdict } from '../linearizability/index.ts';
import type { KvClient } from '../kv-client.ts';
import type { SimRandom } from '../sim-random.ts';
import type { Workload } from './workload.ts';

const ELEMENTS_MAX = 80;
const KEYS: readonly string[] = Array.from({ length: ELEMENTS_MAX }, (_, element) => `set/${element}`);

export class Sets implements Workload {
  readonly name = 'set';
  readonly #history: History<SetInput, SetOutput>;
  #elements = 0;

  constructor(nowMs: () => number) {
    this.#history = new History(nowMs);
  }

  get answered(): number {
    return this.#history.answered;
  }

  check(): Verdict<unknown, unknown> {
    return check(setModel, this.#history.operations);
  }

  async act(client: number, store: KvClient, random: SimRandom): Promise<void> {
    if (this.#elements < ELEMENTS_MAX && random.chance(0.5)) {
      const element = this.#elements++;
      const invocation = this.#history.invoke(client, { type: 'add', element });
      const outcome = await store.write({ [KEYS[element]!]: '' });
      if (outcome.status === 'answered') invocation.respond([]);
      else if (outcome.status === 'refused') invocation.refuse();
      else invocation.lose();
      return;
    }
    const invocation = this.#history.invoke(client, { type: 'read' });
    const outcome = await store.read(KEYS);
    if (outcome.status !== 'answered') return invocation.lose();
    invocation.respond(outcome.answer.flatMap(({ value }, element) => (value === undefined ? [] : [element])));
  }
}
