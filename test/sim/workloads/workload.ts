/**
 * A workload: what clients do to a store, recorded as a history, and the model that the history is checked against. Values are unique within
 * a history wherever they can be, so that a read tells whose write it shows.
 */
import type { Verdict } from '../linearizability/index.ts';
import type { KvClient } from '../kv-client.ts';
import type { SimRandom } from '../sim-random.ts';

export interface Workload {
  readonly name: string;
  /** One operation of one client: at most one for each client at a time. Settles when its outcome is known, or given up. */
  act(client: number, store: KvClient, random: SimRandom): Promise<void>;
  /** Reads every key, one after another. */
  readAll?(client: number, store: KvClient): Promise<void>;
  /** Operations with a known outcome. */
  readonly answered: number;
  check(): Verdict<unknown, unknown>;
}

/** The text, in that share of cases with so much behind it that it is a large value, which goes other ways than a small one. */
export function padded(text: string, share: number, random: SimRandom): string {
  return random.chance(share) ? text.padEnd(200 + random.below(random.chance(0.2) ? 12_000 : 3800), '.') : text;
}

/** Without the padding. */
export function unpadded(value: string): string {
  return value.replace(/\.+$/, '');
}
