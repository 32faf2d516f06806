/**
 * Writes that belong together, whichever shards their keys are of.
 *
 *   unit    changes of one file or entry: done together where one shard has all their keys, as it does wherever neighbours stay together; otherwise one
 *           after another in their order, so that what replaces comes before what it replaces is removed
 *   units   travel in one batch where one shard has them all, otherwise in halves of it
 *
 * The SDK knows what is of which shard and refuses before anything is sent (`invalid/BATCH_SPANS_SHARDS`), so looking for batches that fit costs nothing.
 */
import { SparrowError } from '../../base/errors.ts';
import type { CallOptions, KeyValues } from '../../client/index.ts';

export interface Change {
  readonly key: Uint8Array;
  /** Undefined: the key is deleted. */
  readonly value: Uint8Array | undefined;
}

export type Unit = readonly Change[];

/** `inOrder`: a key may be in several units, and the last one counts. */
export async function writeUnits(store: KeyValues, units: readonly Unit[], call: CallOptions, inOrder: boolean = false): Promise<void> {
  if (units.length === 0) return;
  try {
    await writeTogether(store, units.flat(), call);
  } catch (error) {
    if (!(error instanceof SparrowError) || error.code !== 'BATCH_SPANS_SHARDS') throw error;
    if (units.length === 1) {
      for (const change of units[0]!) await writeTogether(store, [change], call);
      return;
    }
    const middle = Math.ceil(units.length / 2);
    const first = writeUnits(store, units.slice(0, middle), call, inOrder);
    if (inOrder) await first;
    await Promise.all([first, writeUnits(store, units.slice(middle), call, inOrder)]);
  }
}

async function writeTogether(store: KeyValues, changes: Unit, call: CallOptions): Promise<void> {
  const batch = store.batch();
  for (const { key, value } of changes) {
    if (value === undefined) batch.delete(key);
    else batch.put(key, value);
  }
  await store.write(batch, call);
}
