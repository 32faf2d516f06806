/**
 * Deleting a range. All of it is one range delete of the engine. Up to a limit, or what was there at an explicit snapshot, goes key by key, in
 * batches of bounded size: that is not atomic (Level does not ask for it), and writes that come after the call stay, except to keys that it
 * deletes.
 */
import type { BatchOperation, Engine, Snapshot, WriteOptions } from '../engine/index.ts';
import type { Range } from './range.ts';

const BATCH_KEYS_MAX = 1000;

export interface ClearOptions {
  readonly range: Range;
  readonly reverse: boolean;
  /** -1: all. */
  readonly limit: number;
  readonly snapshot: Snapshot | undefined;
  readonly write: WriteOptions | undefined;
}

export async function clearRange(engine: Engine, { range, reverse, limit, snapshot, write }: ClearOptions): Promise<void> {
  if (limit < 0 && snapshot === undefined) return engine.deleteRange(range, write);
  const keys = engine.scanSync({
    ...range,
    reverse,
    keysOnly: true,
    ...(limit >= 0 && { limit }),
    ...(snapshot !== undefined && { snapshot }),
  });
  let batch: BatchOperation[] = [];
  for (const [key] of keys) {
    batch.push({ type: 'delete', key });
    if (batch.length < BATCH_KEYS_MAX) continue;
    await engine.write(batch, write);
    batch = [];
  }
  if (batch.length > 0) await engine.write(batch, write);
}
