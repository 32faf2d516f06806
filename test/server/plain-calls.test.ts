/** Clients that know no shards, calling table `default` on nodes of a real cluster while and after it is split. */
import { credentials, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Client, connectMeta, type MetaAdmin } from '../../client/index.ts';
import {
  callerMetadata,
  type DeleteRangeResponse,
  FRAME_ANSWER,
  FRAME_ERROR,
  FRAME_GREETING,
  FRAME_PUT,
  type GetResponse,
  KvClient,
  type MultiGetResponse,
  type PutRequest,
  putRequestCodec,
  type PutResponse,
  readFrames,
  type ScanResponse,
  SessionWriter,
  type WriteRequest,
  type WriteResponse,
} from '../../proto/index.ts';
import { call, sparrowError } from '../e2e/server-harness.ts';
import { TestCluster, until } from './test-cluster.ts';

const LETTERS: readonly string[] = 'abcdefghijklmnopqrstuvwxyz'.split('');
const LEFT: readonly string[] = LETTERS.filter((key) => key < 'd' || key >= 'p');
const EMPTY = Buffer.alloc(0);
const bytes = (text: string): Buffer => Buffer.from(text);

let cluster: TestCluster;
let client: Client;
let meta: MetaAdmin;
let plain: readonly KvClient[];

beforeAll(async () => {
  cluster = await TestCluster.start(3);
  client = cluster.client({ timeoutMs: 30_000 });
  meta = connectMeta([cluster.nodes[1]!.address], { timeoutMs: 60_000 });
  plain = Object.values(cluster.nodes).map(
    ({ address }) => new KvClient(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
  );
  await asked({ $case: 'pause', value: true });
});

afterAll(async () => {
  for (const kv of plain) kv.close();
  await client.close();
  meta.close();
  await cluster[Symbol.asyncDispose]();
});

/** Is accepted, which takes until nothing ails. */
async function asked(operation: Parameters<MetaAdmin['operate']>[0]['operation']): Promise<string> {
  let id: string | undefined;
  await until(async () => {
    const begun = await meta.operate({ operation, dryRun: false }).catch(() => undefined);
    if (begun === undefined) return false;
    id = begun[0]?.id ?? '';
    return true;
  });
  return id!;
}

async function operated(operation: Parameters<MetaAdmin['operate']>[0]['operation']): Promise<void> {
  await until(async () => {
    const id = await asked(operation);
    let state = 'running';
    await until(async () => {
      const { operators, ended } = await meta.survey();
      state = [...operators, ...ended].find((operator) => operator.id === id)?.state ?? state;
      return state !== 'running';
    });
    return state === 'done';
  });
}

function put(kv: KvClient, key: string, value: string, more: Partial<PutRequest> = {}): Promise<PutResponse> {
  return call((done) => kv.put({ key: bytes(key), value: bytes(value), requestId: undefined, ...more }, done));
}

async function get(kv: KvClient, key: string): Promise<string | undefined> {
  const found = await call<GetResponse>((done) => kv.get({ key: bytes(key), versionOnly: false, anyNode: undefined }, done));
  return found.found ? found.value.toString() : undefined;
}

function write(kv: KvClient, keys: readonly string[], conditions: WriteRequest['conditions'] = []): Promise<WriteResponse> {
  const operations = keys.map((key) => ({ operation: { $case: 'put' as const, value: { key: bytes(key), value: bytes('batch') } } }));
  return call((done) => kv.write({ conditions, operations, requestId: undefined }, done));
}

async function scanned(kv: KvClient, more: object = {}): Promise<string[]> {
  const request = {
    range: undefined,
    reverse: false,
    limit: 0,
    keysOnly: true,
    cursor: EMPTY,
    chunkBytes: 64,
    anyNode: undefined,
    ...more,
  };
  const keys: string[] = [];
  try {
    for await (const chunk of kv.scan(request)) for (const { key } of (chunk as ScanResponse).entries) keys.push(key.toString());
  } catch (error) {
    throw sparrowError(error as ServiceError);
  }
  return keys;
}

/** A lead that changes is any client's matter: it asks until a node leads. What is about shards is not, for these. */
async function byLeader<A>(attempt: (kv: KvClient) => Promise<A>): Promise<A> {
  let answer: A | undefined;
  let at = 0;
  await until(async () => {
    try {
      answer = await attempt(plain[at++ % plain.length]!);
      return true;
    } catch (error) {
      const { code } = error as { code: string };
      if (['NOT_LEADER', 'NO_LEADER', 'LEADERSHIP_LOST'].includes(code)) return false;
      throw error;
    }
  });
  return answer!;
}

describe('calls without table and shard', () => {
  it('are served while table default is split under them, by its leader before and by every node after', async () => {
    for (const key of LETTERS) await byLeader((kv) => put(kv, key, 'before'));
    let stopped = false;
    let scans = 0;
    const load = LETTERS.map(async (key) => {
      for (let i = 0; !stopped; i++) {
        await byLeader((kv) => put(kv, key, `${i}`));
        expect(await byLeader((kv) => get(kv, key))).toBe(`${i}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    const scanAgain = async (): Promise<void> => {
      while (!stopped) {
        expect(await byLeader((kv) => scanned(kv))).toEqual(LETTERS);
        scans++;
      }
    };
    const split = operated({ $case: 'split', value: { shard: 1, at: bytes('m') } });
    await Promise.all([split.finally(() => (stopped = true)), ...load, scanAgain()]);
    expect(scans).toBeGreaterThan(0);
    // A node that has not come to the split yet sends to the leader.
    await cluster.settled();
    for (const key of LETTERS) await put(plain[0]!, key, `of ${key}`);
    for (const kv of plain) {
      for (const key of LETTERS) expect(await get(kv, key)).toBe(`of ${key}`);
      expect(await scanned(kv)).toEqual(LETTERS);
      expect(await scanned(kv, { reverse: true, limit: 20 })).toEqual(LETTERS.toReversed().slice(0, 20));
      const found = await call<MultiGetResponse>((done) => kv.multiGet({ keys: ['z', '-', 'a'].map(bytes), anyNode: undefined }, done));
      expect(found.entries.map(({ value }) => value.toString())).toEqual(['of z', '', 'of a']);
    }
  });

  it('are batches of one shard, with its conditions; others are refused', async () => {
    for (const kv of plain) {
      for (const keys of [
        ['a', 'b'],
        ['y', 'z'],
      ])
        expect(await write(kv, keys)).toMatchObject({ applied: true });
      await expect(write(kv, ['a', 'z'])).rejects.toMatchObject({
        kind: 'invalid',
        code: 'BATCH_SPANS_SHARDS',
        details: { applied: false },
      });
      const absent = [{ key: bytes('z'), expected: { $case: 'absent' as const, value: true } }];
      expect(await write(kv, ['y'], absent)).toMatchObject({ applied: false, failed: { index: 0, found: true, value: bytes('batch') } });
      for (const key of ['a', 'b', 'y', 'z']) await put(kv, key, `of ${key}`);
    }
  });

  it('come over sessions, too', async () => {
    const stream = plain[0]!.session();
    const answers = new Map<number, number>();
    stream.on('data', (message: Buffer) => {
      for (const { kind, call: number } of readFrames(message)) if (kind !== FRAME_GREETING) answers.set(number, kind);
    });
    stream.on('error', () => undefined);
    const writer = new SessionWriter();
    for (const [i, key] of LETTERS.entries()) {
      const request = { key: bytes(key), value: bytes('by session'), requestId: undefined };
      const { target, offset } = writer.begin(FRAME_PUT, i + 1, 0, putRequestCodec.bytes(request));
      putRequestCodec.write(request, target, offset);
    }
    stream.write(writer.take());
    await until(() => answers.size === LETTERS.length);
    expect([...answers.values()].filter((kind) => kind === FRAME_ERROR)).toEqual([]);
    expect(new Set(answers.values())).toEqual(new Set([FRAME_ANSWER]));
    stream.end();
    for (const key of LETTERS) expect(await get(plain[1]!, key)).toBe('by session');
  });

  it('of whoever finds shards by itself are told that it asked the wrong one', async () => {
    const request = { key: bytes('z'), versionOnly: false, anyNode: undefined, shard: 1, epoch: 0 };
    await expect(byLeader((kv) => call<GetResponse>((done) => kv.get(request, done)))).rejects.toMatchObject({ code: 'WRONG_SHARD' });
    const spanning = { keys: ['a', 'z'].map(bytes), anyNode: undefined };
    await expect(call<MultiGetResponse>((done) => plain[0]!.multiGet(spanning, callerMetadata(), done))).rejects.toMatchObject({
      code: 'WRONG_SHARD',
    });
  });

  it('delete ranges over shards, some keys at a time if so asked', async () => {
    const deleteRange = (limit: number, cursor: Buffer): Promise<DeleteRangeResponse> => {
      const range = { gte: bytes('d'), lt: bytes('p'), gt: undefined, lte: undefined, prefix: undefined };
      return call((done) => plain[2]!.deleteRange({ range, limit, cursor, requestId: undefined }, done));
    };
    expect(await deleteRange(10, EMPTY)).toMatchObject({ deleted: 10, cursor: bytes('m') });
    expect(await deleteRange(0, bytes('m'))).toMatchObject({ deleted: 2, cursor: EMPTY });
    for (const kv of plain) expect(await scanned(kv)).toEqual(LEFT);
  });
});

describe('the SDK', () => {
  it('finds the shards by itself, whatever its transport', async () => {
    for (const transport of ['session', 'unary'] as const) {
      await using sdk = cluster.client({ transport, timeoutMs: 30_000 });
      await expect(sdk.write(sdk.batch().put('a', '1').put('z', '1'))).rejects.toMatchObject({ code: 'BATCH_SPANS_SHARDS' });
      const keys: string[] = [];
      for await (const [key] of sdk.scan({ keysOnly: true })) keys.push(Buffer.from(key).toString());
      expect(keys).toEqual(LEFT);
    }
  });
});
