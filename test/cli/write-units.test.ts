/** What belongs together is written together, whichever shards keys are of. */
import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../base/errors.ts';
import type { Batch, KeyValues } from '../../client/index.ts';
import { type Change, writeUnits } from '../../cli/tree/write-units.ts';

/** A store whose shards are told by the first letter of a key. It remembers the batches that it took. */
function shardedStore(): { store: KeyValues; taken: string[][] } {
  const taken: string[][] = [];
  const batch = (): Batch => {
    const operations: string[] = [];
    const made = {
      operations,
      put: (key: Uint8Array, value: Uint8Array) => (operations.push(`${text(key)}=${text(value)}`), made),
      delete: (key: Uint8Array) => (operations.push(`${text(key)}-`), made),
    };
    return made as unknown as Batch;
  };
  const write = async (made: Batch): Promise<void> => {
    const { operations } = made as unknown as { operations: string[] };
    if (operations.includes('bad=')) throw new SparrowError('exhausted', 'OVERLOADED', 'too much');
    if (new Set(operations.map((operation) => operation[0])).size > 1)
      throw new SparrowError('invalid', 'BATCH_SPANS_SHARDS', 'keys of a batch are of several shards', { applied: false });
    taken.push(operations);
  };
  return { store: { batch, write } as unknown as KeyValues, taken };
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

const put = (key: string, value: string): Change => ({ key: Buffer.from(key), value: Buffer.from(value) });
const gone = (key: string): Change => ({ key: Buffer.from(key), value: undefined });

describe('units', () => {
  it('of one shard are one batch', async () => {
    const { store, taken } = shardedStore();
    await writeUnits(store, [[put('a1', 'x'), gone('a2')], [put('a3', 'y')]], {});
    expect(taken).toEqual([['a1=x', 'a2-', 'a3=y']]);
  });

  it('of several shards are as many batches as are needed where neighbours are together', async () => {
    const { store, taken } = shardedStore();
    await writeUnits(
      store,
      ['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'b4', 'b5'].map((key) => [put(key, '')]),
      {},
    );
    expect(taken.flat().toSorted()).toEqual(['a1=', 'a2=', 'a3=', 'b1=', 'b2=', 'b3=', 'b4=', 'b5=']);
    expect(taken.length).toBeLessThanOrEqual(4);
    for (const batch of taken) expect(new Set(batch.map((operation) => operation[0])).size).toBe(1);
  });

  it('that are of several shards themselves are done one change after another', async () => {
    const { store, taken } = shardedStore();
    await writeUnits(store, [[put('a', 'new'), gone('b'), gone('a2')]], {});
    expect(taken).toEqual([['a=new'], ['b-'], ['a2-']]);
  });

  it('in order: the last one of a key counts', async () => {
    const { store, taken } = shardedStore();
    await writeUnits(
      store,
      ['a=1', 'b=1', 'a=2', 'b=2'].map((each) => [put(each[0]!, each[2]!)]),
      {},
      true,
    );
    expect(taken.flat()).toEqual(['a=1', 'b=1', 'a=2', 'b=2']);
  });

  it('other refusals are told, and nothing is none', async () => {
    const { store, taken } = shardedStore();
    await expect(writeUnits(store, [[put('bad', '')]], {})).rejects.toMatchObject({ code: 'OVERLOADED' });
    await writeUnits(store, [], {});
    expect(taken).toEqual([]);
  });
});
