/**
 * The keys of a run and what each of them holds, so that every answer can be compared. A key belongs to one caller at a time, which has one operation under way:
 * what it wrote last is what it reads, unless the servers lose or delay something.
 */
import { Choice, Keys, Values } from '../engine/data.ts';
import type { Caller } from '../server/callers.ts';

export class Records {
  readonly count: number;
  readonly #keys: Keys;
  readonly #values: Values;
  /** By key: how often it was written; 0: never. */
  readonly #versions: Uint32Array;
  readonly #choice: Choice = new Choice(0xc1);

  constructor(count: number, valueBytes: number) {
    this.count = count;
    this.#keys = new Keys('random', count);
    this.#values = new Values(valueBytes);
    this.#versions = new Uint32Array(count);
  }

  /** One of those of caller `caller` of `callers`. */
  choose(caller: number, callers: number): number {
    const own = Math.ceil((this.count - caller) / callers);
    return caller + this.#choice.below(own) * callers;
  }

  /** In 0 to 99. */
  percent(): number {
    return this.#choice.below(100);
  }

  async put(caller: Caller, index: number): Promise<void> {
    const version = this.#versions[index]! + 1;
    await caller.put(this.#keys.at(index), this.#values.of(index, version));
    this.#versions[index] = version;
  }

  /** Throws when the answer is not what was written last. */
  async get(caller: Caller, index: number): Promise<void> {
    const version = this.#versions[index]!;
    const value = await caller.get(this.#keys.at(index));
    const right = version === 0 ? value === undefined : value !== undefined && this.#values.of(index, version).equals(value);
    if (!right) throw new Error(`key ${index} was written ${version} times, and the servers answered something else than the last value`);
  }
}
