/**
 * Registers that are read, written, deleted, and set if they still have the version that was read before. Reads go to the leader or to any node; those that
 * may be old are no part of the history, and checked for their age (stale-reads.ts).
 */
import { check, History, registerModel, type RegisterInput, type RegisterOutput, type Verdict } from '../linearizability/index.ts';
import type { Found, KvClient } from '../kv-client.ts';
import type { SimRandom } from '../sim-random.ts';
import { checkAge, type StaleRead } from './stale-reads.ts';
import { padded, unpadded, type Workload } from './workload.ts';

const STALE_MS: readonly number[] = [10, 50, 300, 2000];

export class Registers implements Workload {
  readonly name = 'registers';
  readonly #history: History<RegisterInput, RegisterOutput>;
  readonly #keys: number;
  /** Of large values. */
  readonly #largeShare: number;
  #values = 0;
  readonly #nowMs: () => number;
  readonly #staleReads: StaleRead[] = [];
  /** What each client last saw of each key. */
  readonly #seen = new Map<string, number>();

  /** Reads that may be old are as young as they must be. */
  readonly #checksAge: boolean;

  constructor(nowMs: () => number, random: SimRandom, checksAge = true, keys = 3) {
    this.#checksAge = checksAge;
    this.#history = new History(nowMs);
    this.#nowMs = nowMs;
    this.#keys = keys;
    this.#largeShare = random.pick([0.1, 0.8]);
  }

  get answered(): number {
    return this.#history.answered;
  }

  check(): Verdict<unknown, unknown> {
    const verdict = check(registerModel, this.#history.operations);
    if (verdict.verdict === 'violation' || !this.#checksAge) return verdict;
    return checkAge(this.#history.operations, this.#staleReads) ?? verdict;
  }

  async readAll(client: number, store: KvClient): Promise<void> {
    for (let key = 0; key < this.#keys; key++) await this.#read(client, store, `register/${key}`);
  }

  async act(client: number, store: KvClient, random: SimRandom): Promise<void> {
    const key = `register/${random.below(this.#keys)}`;
    const kind = random.below(10);
    if (kind < 4) return random.chance(0.6) ? this.#read(client, store, key) : this.#readAnywhere(client, store, key, random);
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

  async #readAnywhere(client: number, store: KvClient, key: string, random: SimRandom): Promise<void> {
    if (random.chance(0.5)) return this.#read(client, store, key, { staleMs: 0 });
    const staleMs = random.pick(STALE_MS);
    const invokedMs = this.#nowMs();
    const outcome = await store.read([key], { staleMs });
    if (outcome.status !== 'answered') return;
    this.#staleReads.push({ key, staleMs, invokedMs, answeredMs: this.#nowMs(), found: plain(outcome.answer[0]!) });
  }

  async #read(client: number, store: KvClient, key: string, anyNode?: { readonly staleMs: number }): Promise<void> {
    const invocation = this.#history.invoke(client, { type: 'read', key });
    const outcome = await store.read([key], anyNode);
    if (outcome.status !== 'answered') return invocation.lose();
    const [found] = outcome.answer;
    invocation.respond({ type: 'read', ...plain(found!) });
    this.#seen.set(`${client} ${key}`, found!.version);
  }
}

function plain({ value, version }: Found): Found {
  return { value: value === undefined ? undefined : unpadded(value), version };
}
