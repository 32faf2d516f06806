/**
 * One owner a key, at every moment: once a key was written under an epoch nobody writes it under an older one, and under one epoch one shard does. A write counts where it is applied first, by whomever: what comes
 * before a split or the end of a merge in a log is applied before anybody has the keys anew.
 *
 * Told by node-program.ts of every write that had an effect. What is read is looked at by shard-watch.ts.
 */
import { BROKEN } from '../ledger.ts';

interface Owner {
  readonly table: number;
  readonly shard: number;
  readonly epoch: number;
}

export class KeyOwners {
  readonly #alarm: (error: Error) => void;
  readonly #owners: Map<string, Owner> = new Map();
  /** `shard/index` of what somebody has applied. */
  readonly #seen: Set<string> = new Set();

  constructor(alarm: (error: Error) => void) {
    this.#alarm = alarm;
  }

  wrote({ table, shard, epoch }: Owner, index: number, keys: readonly Uint8Array[]): void {
    const name = `${shard}/${index}`;
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    for (const bytes of keys) {
      const key = Buffer.from(bytes).toString('latin1');
      const place = `${table}/${key}`;
      const before = this.#owners.get(place);
      const isLate = before !== undefined && (before.epoch > epoch || (before.epoch === epoch && before.shard !== shard));
      if (isLate) {
        const what = `shard ${shard} of epoch ${epoch} writes ${key}, which shard ${before.shard} has written in epoch ${before.epoch}`;
        this.#alarm(new Error(`${BROKEN}one owner a key: ${what}`));
      }
      this.#owners.set(place, { table, shard, epoch });
    }
  }
}
