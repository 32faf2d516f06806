/** Registers that are read, written, deleted, and set if they still have the version that was read before. */
import { check, History, registerModel, type RegisterInput, type RegisterOutput, type Verdict } from '../linearizability/index.ts';
import type { Found, KvClient } from '../kv-client.ts';
import type { SimRandom } from '../sim-random.ts';
import { padded, unpadded, type Workload } from './workload.ts';

export class Registers implements Workload {
  readonly name = 'registers';
  readonly #history: History<RegisterInput, RegisterOutput>;
  readonly #keys: number;
  /** Of large values. */
  readonly #largeShare: number;
  #values = 0;
  /** What each client last saw of each key. */
  readonly #seen = new Map<string, number>();

  constructor(nowMs: () => number, random: SimRandom, keys = 3) {
    this.#history = new History(nowMs);
    this.#keys = keys;
    this.#largeShare = random.pick([0.1, 0.8]);
  }

  get answered(): number {
    return this.#history.answered;
  }

  check(): Verdict<unknown, unknown> {
    return check(registerModel, this.#history.operations);
  }

  async act(client: number, store: KvClient, random: SimRandom): Promise<void> {
    const key = `register/${random.below(this.#keys)}`;
    const kind = random.below(10);
    if (kind < 4) return this.#read(client, store, key);
    if (kind === 4) return this.#delete(client, store, key);
    const value = String(this.#values++);
    const expected = kind < 7 ? undefined : (this.#seen.get(`${client} ${key}`) ?? 0);
    const input: RegisterInput = expected === undefined ? { type: 'write', key, value } : { type: 'cas', key, value, expected };
    const invocation = this.#history.invoke(client, input);
    const outcome = await store.write(
      { [key]: padded(value, this.#largeShare, random) },
      expected === undefined ? [] : [{ key, version: expected }],
    );
    if (outcome.status === 'unknown') return invocation.lose();
    if (outcome.status === 'refused') return invocation.refuse();
    const { answer } = outcome;
    if (answer.applied) invocation.respond({ type: 'done', version: answer.version });
    else invocation.respond({ type: 'refused', ...plain(answer.found) });
    this.#seen.set(`${client} ${key}`, answer.applied ? answer.version : answer.found.version);
  }

  async #delete(client: number, store: KvClient, key: string): Promise<void> {
    const invocation = this.#history.invoke(client, { type: 'delete', key });
    const outcome = await store.write({ [key]: null });
    if (outcome.status === 'unknown') return invocation.lose();
    if (outcome.status === 'refused' || !outcome.answer.applied) return invocation.refuse();
    invocation.respond({ type: 'done', version: outcome.answer.version });
    this.#seen.set(`${client} ${key}`, 0);
  }

  async #read(client: number, store: KvClient, key: string): Promise<void> {
    const invocation = this.#history.invoke(client, { type: 'read', key });
    const outcome = await store.read([key]);
    if (outcome.status !== 'answered') return invocation.lose();
    const [found] = outcome.answer;
    invocation.respond({ type: 'read', ...plain(found!) });
    this.#seen.set(`${client} ${key}`, found!.version);
  }
}

function plain({ value, version }: Found): Found {
  return { value: value === undefined ? undefined : unpadded(value), version };
}
