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
  /** Operations with a known outcome. */
  readonly answered: number;
  check(): Verdict<unknown, unknown>;
}

/** Text of so many bytes at least, that tells whose it is: large ones reach the ways of large values. */
export function padded(text: string, random: SimRandom): string {
  return random.chance(0.2) ? text.padEnd(200 + random.below(6000), '.') : text;
}

/** Without the padding. */
export function unpadded(value: string): string {
  return value.replace(/\.+$/, '');
}
