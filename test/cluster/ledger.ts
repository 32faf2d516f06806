/**
 * Writes whose acknowledgements are kept, to be looked for later on every replica. Each key is written by one writer, one write after another:
 *
 *   put       a new key; small, or large enough to lie apart from the index
 *   batch     several new keys at once: all or nothing
 *   delete    a key that was put
 *
 * A key whose last write has an unknown outcome may have either content; those of one batch agree. What a key holds follows from its name.
 */
import type { KvClient, Outcome, WriteAnswer } from '../sim/kv-client.ts';
import type { SimRandom } from '../sim/sim-random.ts';

type Fate = 'there' | 'gone' | 'open';

interface Batch {
  readonly keys: readonly string[];
}

const BATCH_KEYS = 4;
const LARGE_BYTES = 40_000;

export class Ledger {
  readonly #fates = new Map<string, Fate>();
  /** Batches whose outcome is unknown. */
  readonly #openBatches: Batch[] = [];
  readonly #deletable: string[] = [];
  #next = 0;
  #acknowledged = 0;

  /** Writes. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  get open(): number {
    return this.#openBatches.length;
  }

  async act(store: KvClient, random: SimRandom): Promise<void> {
    const kind = random.below(10);
    const removed = kind === 0 ? this.#deletable.splice(random.below(this.#deletable.length + 1), 1)[0] : undefined;
    if (removed !== undefined) return this.#settle([removed], 'gone', 'there', await store.write({ [removed]: null }));
    const bytes = random.chance(0.1) ? random.below(LARGE_BYTES) : random.below(200);
    const keys = Array.from({ length: kind < 4 ? BATCH_KEYS : 1 }, () => `ledger/${this.#next++}/${bytes}`);
    for (const key of keys) this.#fates.set(key, 'open');
    this.#settle(keys, 'there', 'gone', await store.write(Object.fromEntries(keys.map((key) => [key, contentOf(key)]))));
  }

  #settle(keys: readonly string[], done: Fate, before: Fate, outcome: Outcome<WriteAnswer>): void {
    const applied = outcome.status === 'answered';
    const fate = applied ? done : outcome.status === 'refused' ? before : 'open';
    for (const key of keys) this.#fates.set(key, fate);
    if (fate === 'open') this.#openBatches.push({ keys });
    if (applied) this.#acknowledged++;
    if (applied && done === 'there') this.#deletable.push(keys[0]!);
  }

  /** What is wrong with what somebody has; `contents` has no other keys that begin with `ledger/`. */
  check(contents: ReadonlyMap<string, string>): string | undefined {
    for (const [key, fate] of this.#fates) {
      const found = contents.get(key);
      if (found !== undefined && found !== contentOf(key)) return `${key} has a wrong value of ${found.length} bytes`;
      if (fate === 'there' && found === undefined) return `${key} was acknowledged and is missing`;
      if (fate === 'gone' && found !== undefined) return `${key} was deleted, or never written, and is there`;
    }
    for (const { keys } of this.#openBatches) {
      const there = keys.filter((key) => contents.has(key)).length;
      if (there !== 0 && there !== keys.length) return `of the batch ${keys.join(', ')} there are ${there}`;
    }
    for (const key of contents.keys()) if (!this.#fates.has(key)) return `${key} is there and was never written`;
    return undefined;
  }
}

/** | the key | filling of so many bytes as it says | */
function contentOf(key: string): string {
  return key + '.'.repeat(Number(key.split('/').at(-1)));
}
