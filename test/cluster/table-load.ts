/**
 * Load on two tables of several shards, a range and a hash, for a part of a test; and what is there of all parts at the end.
 *
 * Keys of every part lie on all shards: in the range table behind one of 16 letters, where shards are divided. Some neighbours in the ledger share one, so that
 * batches are of one shard, mostly; others are refused.
 */
import type { Client, KeyValues } from '../../client/index.ts';
import { CounterWorkload, Lists, type MakeWorkload, Registers } from '../sim/workloads/index.ts';
import { Load } from './load.ts';

export const RANGE_TABLE = 'ranged';
export const HASH_TABLE = 'hashed';
export const LETTERS: readonly string[] = Array.from('abcdefghijklmnop');

/** Operations of one key each, which know keys by what they hold. */
const BY_VALUE: readonly MakeWorkload[] = [(nowMs) => new CounterWorkload(nowMs), (nowMs) => new Lists(nowMs, 12)];
/** Registers tell of versions, too: what is merged gets new ones. */
const BY_VERSION: readonly MakeWorkload[] = [(nowMs, random, clocksLose) => new Registers(nowMs, random, !clocksLose, 12), ...BY_VALUE];
const WORKERS = 2;
const THINK_MS_MAX = 30;
const NEIGHBOURS = 16;

export interface LoadTimes {
  readonly calls: number;
  readonly acknowledged: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
  /** By kind and code. */
  readonly failures: ReadonlyMap<string, number>;
}

export class TableLoad {
  readonly #loads: ReadonlyMap<string, Load>;
  readonly #prefix: string;

  /** `merges`: shards of the range table are, meanwhile. */
  constructor(
    clients: readonly Client[],
    { seed, part, merges }: { readonly seed: number; readonly part: number; readonly merges: boolean },
  ) {
    const prefix = `part-${part}/`;
    this.#prefix = prefix;
    const load = (name: string, keyOf: (key: string) => string, workloads: readonly MakeWorkload[]): [string, Load] => [
      name,
      new Load(
        clients.map((client) => client.table(name)),
        { seed, prefix, keyOf, workloads, workersPerClient: WORKERS, thinkMsMax: THINK_MS_MAX },
      ),
    ];
    this.#loads = new Map([
      load(RANGE_TABLE, (key) => `${letterOf(key)}/${prefix}${key}`, merges ? BY_VALUE : BY_VERSION),
      load(HASH_TABLE, (key) => prefix + key, BY_VERSION),
    ]);
  }

  begin(): void {
    for (const load of this.#loads.values()) load.begin();
  }

  /** Throws when a call failed that must not, or what clients saw is not linearizable. */
  async end(): Promise<LoadTimes> {
    const loads = [...this.#loads];
    await Promise.all(loads.map(([, load]) => load.end()));
    for (const [name, load] of loads) {
      await load.look();
      const wrong = load.check();
      if (wrong !== undefined) throw new Error(`table ${name}, ${this.#prefix}: ${wrong}`);
    }
    const tookMs = loads.flatMap(([, { calls }]) => calls.tookMs).toSorted((a, b) => a - b);
    const failures = new Map<string, number>();
    for (const [, { calls }] of loads) for (const [name, count] of calls.failures) failures.set(name, (failures.get(name) ?? 0) + count);
    return {
      calls: tookMs.length,
      acknowledged: loads.reduce((sum, [, load]) => sum + load.counts.acknowledged, 0),
      p50Ms: tookMs[Math.floor(tookMs.length * 0.5)] ?? 0,
      p99Ms: tookMs[Math.floor(tookMs.length * 0.99)] ?? 0,
      slowestMs: tookMs.at(-1) ?? 0,
      failures,
    };
  }

  /** Throws when a table lacks what was acknowledged, or has what was never written. `contents`: of each table, by `contentsOf`. */
  audit(contents: ReadonlyMap<string, ReadonlyMap<string, string>>): void {
    for (const [name, load] of this.#loads) {
      const mine = [...contents.get(name)!].flatMap(([key, value]) => {
        const own = name === RANGE_TABLE ? key.slice(2) : key;
        return own.startsWith(`${this.#prefix}ledger/`) ? [[own.slice(this.#prefix.length), value] as const] : [];
      });
      const wrong = load.ledger.check(new Map(mine));
      if (wrong !== undefined) throw new Error(`table ${name}, ${this.#prefix}: ${wrong}`);
    }
  }
}

/** Scanned in order: throws when a key comes twice or too early, which is what two owners of it would look like. */
export async function contentsOf(table: KeyValues): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  let last: Buffer = Buffer.alloc(0);
  for await (const [key, value] of table.scan()) {
    const found = Buffer.from(key);
    if (Buffer.compare(last, found) >= 0) throw new Error(`a scan shows ${found.toString()} after ${last.toString()}`);
    last = found;
    contents.set(found.toString(), Buffer.from(value).toString());
  }
  return contents;
}

/** A register's own number decides; in the ledger, that of its neighbours. */
function letterOf(key: string): string {
  const [kind, number] = key.split('/');
  return LETTERS[(kind === 'ledger' ? Math.floor(Number(number) / NEIGHBOURS) : Number(number)) % LETTERS.length]!;
}
