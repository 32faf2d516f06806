/** Calls that say which shard they are for, over the wire: plain ones and those of a session. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SparrowError } from '../../base/errors.ts';
import { decodeShardNotes, type GetRequest, type PutRequest, type ScanResponse } from '../../proto/index.ts';
import { call, ServerHarness } from './server-harness.ts';

let harness: ServerHarness;

beforeAll(async () => {
  harness = await ServerHarness.start();
});

afterAll(() => harness[Symbol.asyncDispose]());

type Address = Pick<GetRequest, 'shard' | 'epoch'>;

const put = (key: string, address: Address): Promise<unknown> =>
  call((done) => harness.kv.put({ key: Buffer.from(key), value: Buffer.from('v'), requestId: undefined, ...address } as PutRequest, done));
const get = (key: string, address: Address): Promise<{ found: boolean }> =>
  call((done) => harness.kv.get({ key: Buffer.from(key), versionOnly: false, anyNode: undefined, ...address } as GetRequest, done));
const refusal = async (attempt: Promise<unknown>): Promise<SparrowError> => {
  try {
    await attempt;
  } catch (error) {
    return error as SparrowError;
  }
  throw new Error('nothing was refused');
};

describe('a call for a shard', () => {
  it('is answered by the shard of its epoch, and of any where it names none', async () => {
    for (const address of [{}, { shard: 1 }, { shard: 1, epoch: 1 }]) {
      await put('k', address);
      expect(await get('k', address)).toMatchObject({ found: true });
    }
  });

  it('of another epoch is not done, and told what the shard is', async () => {
    const write = await refusal(put('other', { shard: 1, epoch: 7 }));
    expect(write).toMatchObject({ kind: 'rerouted', code: 'WRONG_SHARD', details: { shard: 1, applied: false } });
    expect(decodeShardNotes(write.details['shards'])).toMatchObject([{ shard: 1, table: 1, epoch: 1, keys: { kind: 'range' } }]);
    expect(await get('other', {})).toMatchObject({ found: false });
    expect(await refusal(get('k', { shard: 1, epoch: 7 }))).toMatchObject({ kind: 'unavailable', code: 'SHARD_BEHIND' });
  });

  it('that is not here is told so, and the metaserver is none of them', async () => {
    expect(await refusal(get('k', { shard: 16, epoch: 1 }))).toMatchObject({
      kind: 'rerouted',
      code: 'NO_REPLICA',
      details: { shard: 16 },
    });
    expect(await refusal(put('k', { shard: 16 }))).toMatchObject({ code: 'NO_REPLICA' });
    for (const shard of [0, 2, 15]) expect(await refusal(put('k', { shard }))).toMatchObject({ kind: 'invalid', code: 'SHARD' });
  });

  it('scans and deletes ranges of it', async () => {
    for (const key of ['r/1', 'r/2', 'r/3']) await put(key, { shard: 1 });
    const scanned = async (address: Address): Promise<string[]> => {
      const keys: string[] = [];
      const range = { prefix: Buffer.from('r/') };
      const request = {
        range,
        limit: 0,
        reverse: false,
        keysOnly: false,
        chunkBytes: 0,
        cursor: Buffer.alloc(0),
        anyNode: undefined,
        ...address,
      };
      for await (const chunk of harness.kv.scan(request as never) as AsyncIterable<ScanResponse>)
        for (const { key } of chunk.entries) keys.push(key.toString());
      return keys;
    };
    expect(await scanned({ shard: 1, epoch: 1 })).toEqual(['r/1', 'r/2', 'r/3']);
    await expect(scanned({ shard: 1, epoch: 2 })).rejects.toThrow(/epoch/);
    await expect(scanned({ shard: 16 })).rejects.toThrow(/no replica/);
    const deleteRange = (address: Address): Promise<{ deleted: number }> =>
      call((done) =>
        harness.kv.deleteRange(
          { range: { prefix: Buffer.from('r/') }, limit: 0, cursor: Buffer.alloc(0), requestId: undefined, ...address } as never,
          done,
        ),
      );
    expect(await refusal(deleteRange({ shard: 1, epoch: 2 }))).toMatchObject({ code: 'WRONG_SHARD' });
    expect(await deleteRange({ shard: 1, epoch: 1 })).toMatchObject({ deleted: 3 });
  });
});
