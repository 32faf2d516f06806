/** A proxy in front of servers whose shards it finds: clients that know no shards over plain calls and sessions. */
import { credentials, type ServiceError } from '@grpc/grpc-js';
import { connect as openConnection } from 'node:http2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { SparrowError } from '../../base/errors.ts';
import { connect } from '../../client/index.ts';
import {
  type DeleteRangeResponse,
  type DeleteResponse,
  type GetResponse,
  KvClient,
  type MultiGetResponse,
  type PutResponse,
  type ScanRequest,
  type ScanResponse,
  TopologyResponse,
  type WriteResponse,
} from '../../proto/index.ts';
import { resolveSettings, type RunningServer, startServer } from '../../server/index.ts';
import { FakeServer } from '../client/fake-server.ts';
import { call, sparrowError } from '../e2e/server-harness.ts';

const KEYS: readonly string[] = 'abcdefghijklmnopqrstuvwxyz'.split('');

let node: FakeServer;
let proxy: RunningServer;
let kv: KvClient;

/** Two shards, of which the node has both: it serves whatever it is asked for. */
function topology(name: string): TopologyResponse {
  return TopologyResponse.fromPartial({
    version: 1,
    nodes: [{ node: 1, address: node.address, zone: 'z' }],
    tables: [{ table: 7, name, partitioning: 'range' }],
    shards: [
      {
        shard: 16,
        table: 7,
        epoch: 3,
        keys: { keys: { $case: 'range', value: { start: Buffer.from(''), end: Buffer.from('m') } } },
        replicas: [{ node: 1, kind: 1 }],
        leader: 1,
      },
      {
        shard: 17,
        table: 7,
        epoch: 5,
        keys: { keys: { $case: 'range', value: { start: Buffer.from('m'), end: undefined } } },
        replicas: [{ node: 1, kind: 1 }],
        leader: 1,
      },
    ],
  });
}

beforeEach(async () => {
  node = new FakeServer();
  node.nodeId = 1;
  node.leadership = { leaderId: 1, term: 1 };
  node.topology = ({ table }) => {
    if (table !== 't' && table !== 'default')
      throw new SparrowError('invalid', 'TABLE_UNKNOWN', `there is no table ${table}`, { applied: false });
    return topology(table);
  };
  await node.start();
  proxy = await startServer({
    role: 'proxy',
    join: node.address,
    listen: '127.0.0.1:0',
    metricsAddress: '127.0.0.1:0',
    logLevel: 'silent',
  });
  kv = new KvClient(proxy.address, credentials.createInsecure());
});

afterEach(async () => {
  kv.close();
  await proxy.close();
  node.stop();
});

const table = 't';
const bytes = (text: string): Buffer => Buffer.from(text);
const put = (key: string, value: string, more: object = {}): Promise<PutResponse> =>
  call((done) => kv.put({ key: bytes(key), value: bytes(value), requestId: undefined, table, ...more }, done));
const get = (key: string, more: object = {}): Promise<GetResponse> =>
  call((done) => kv.get({ key: bytes(key), versionOnly: false, anyNode: undefined, table, ...more }, done));

async function scan(request: Partial<ScanRequest>): Promise<ScanResponse[]> {
  const stream = kv.scan({
    range: undefined,
    reverse: false,
    limit: 0,
    keysOnly: false,
    cursor: Buffer.alloc(0),
    chunkBytes: 0,
    anyNode: undefined,
    table,
    ...request,
  });
  const chunks: ScanResponse[] = [];
  for await (const chunk of stream) chunks.push(chunk as ScanResponse);
  return chunks;
}

function keysOf(chunks: readonly ScanResponse[]): string[] {
  return chunks.flatMap(({ entries }) => entries.map(({ key }) => key.toString()));
}

describe('a proxy', () => {
  it('sends each call to the shard of its key', async () => {
    expect((await put('a', '1')).version).toBe(1);
    expect((await put('z', '2')).version).toBe(2);
    expect(node.shards).toEqual(['16@3', '17@5']);
    expect((await get('a')).value.toString()).toBe('1');
    expect(await get('none')).toMatchObject({ found: false });
    await call<DeleteResponse>((done) => kv.delete({ key: bytes('a'), requestId: undefined, table }, done));
    expect(await get('a')).toMatchObject({ found: false });
    await expect(get('a', { table: 'other' })).rejects.toMatchObject({ kind: 'invalid', code: 'TABLE_UNKNOWN' });
  });

  it('reads keys of several shards, and refuses batches of them', async () => {
    await put('a', '1');
    await put('z', '2');
    const found = await call<MultiGetResponse>((done) =>
      kv.multiGet({ keys: ['z', 'none', 'a'].map(bytes), anyNode: undefined, table }, done),
    );
    expect(found.entries.map(({ value }) => value.toString())).toEqual(['2', '', '1']);
    const batch = (keys: string[]): Promise<WriteResponse> =>
      call((done) =>
        kv.write(
          {
            conditions: [],
            operations: keys.map((key) => ({ operation: { $case: 'put', value: { key: bytes(key), value: bytes('x') } } })),
            requestId: undefined,
            table,
          },
          done,
        ),
      );
    await expect(batch(['a', 'z'])).rejects.toMatchObject({ code: 'BATCH_SPANS_SHARDS', details: { shards: '16, 17', applied: false } });
    expect(await batch(['a', 'b'])).toMatchObject({ applied: true });
  });

  it('scans over shards, in chunks that can be gone on from', async () => {
    for (const key of KEYS) await put(key, key);
    expect(keysOf(await scan({}))).toEqual(KEYS);
    expect(keysOf(await scan({ reverse: true }))).toEqual(KEYS.toReversed());
    expect(keysOf(await scan({ limit: 15 }))).toEqual(KEYS.slice(0, 15));
    expect(keysOf(await scan({ range: { gt: bytes('c'), gte: undefined, lt: undefined, lte: bytes('q'), prefix: undefined } }))).toEqual(
      KEYS.slice(3, 17),
    );
    for (const reverse of [false, true]) {
      const chunks = await scan({ chunkBytes: 100, reverse });
      expect(chunks.length).toBeGreaterThan(3);
      expect(chunks.at(-1)!.cursor.length).toBe(0);
      const rest = await scan({ cursor: chunks[1]!.cursor, reverse });
      expect([...keysOf(chunks.slice(0, 2)), ...keysOf(rest)]).toEqual(reverse ? KEYS.toReversed() : KEYS);
    }
  });

  it('deletes ranges, to their end or some keys at a time', async () => {
    for (const key of KEYS) await put(key, key);
    const range = { gt: undefined, gte: bytes('c'), lt: bytes('x'), lte: undefined, prefix: undefined };
    const deleteRange = (limit: number, cursor: string): Promise<DeleteRangeResponse> =>
      call((done) => kv.deleteRange({ range, limit, cursor: bytes(cursor), requestId: undefined, table }, done));
    // Of the first shard, to its last key, over its end, and what is left.
    expect(await deleteRange(3, '')).toMatchObject({ deleted: 3, cursor: bytes('e') });
    expect(await deleteRange(7, 'e')).toMatchObject({ deleted: 7, cursor: bytes('l') });
    expect(await deleteRange(2, 'l')).toMatchObject({ deleted: 2, cursor: bytes('n') });
    expect(keysOf(await scan({}))).toEqual(['a', 'b', ...KEYS.slice(KEYS.indexOf('o'))]);
    expect(await deleteRange(9, 'n')).toMatchObject({ deleted: 9, cursor: bytes('') });
    expect(await deleteRange(0, '')).toMatchObject({ deleted: 0, cursor: bytes('') });
    expect(keysOf(await scan({}))).toEqual(['a', 'b', 'x', 'y', 'z']);
  });

  it('keeps the request ids of writes that have one', async () => {
    const requestId = { client: bytes('somebody'), sequence: 7, seen: 0 };
    const first = await put('a', '1', { requestId });
    expect(await put('a', '1', { requestId })).toEqual(first);
    expect(node.requestIds.map(({ client, sequence }) => `${client.toString()} ${sequence}`)).toEqual(['somebody 7', 'somebody 7']);
    await put('a', '2');
    expect(node.requestIds.at(-1)!.client.length).toBe(16);
  });

  it('is table default to whoever names none, and to the SDK', async () => {
    await put('a', '1', { table: undefined });
    expect(node.shards).toEqual(['16@3']);
    await using client = connect(proxy.address);
    await client.put('z', 'by the SDK');
    expect(Buffer.from((await client.get('z'))!).toString()).toBe('by the SDK');
    const found: string[] = [];
    for await (const [key] of client.scan()) found.push(Buffer.from(key).toString());
    expect(found).toEqual(['a', 'z']);
    expect((await client.status()).dataDirectory).toBe('');
  });

  it('has no shards of its own', async () => {
    await expect(get('a', { table: undefined, shard: 16, epoch: 3 })).rejects.toMatchObject({ code: 'NO_REPLICA' });
    const stream = kv.scan({
      range: undefined,
      reverse: false,
      limit: 0,
      keysOnly: false,
      cursor: Buffer.alloc(0),
      chunkBytes: 0,
      anyNode: undefined,
      shard: 16,
    });
    const error = await new Promise<ServiceError>((resolve) => stream.on('error', resolve));
    expect(sparrowError(error)).toMatchObject({ code: 'NO_REPLICA' });
  });

  it('has connections as wide as those of a node: calls do not wait behind writes that are held back', async () => {
    const connection = openConnection(`http://${proxy.address}`);
    try {
      const held = connection.request({
        ':method': 'POST',
        ':path': '/sparrowkv.v1.Kv/Put',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      held.on('error', () => undefined);
      held.write(Buffer.alloc(5));
      await expect.poll(() => connection.state.remoteWindowSize).toBeGreaterThan(1024 * 1024);
    } finally {
      connection.destroy();
    }
  });

  it.each(['', 'sparrowkv.v1.Kv', 'sparrowkv.v1.Admin', 'sparrowkv.v1.Meta'])('is well to health checks of "%s"', async (service) => {
    const name = Buffer.from(service);
    const request = Buffer.concat([Buffer.of(0x0a, name.length), name]);
    const same = (bytes: Buffer): Buffer => bytes;
    const answer = await call<Buffer>((done) =>
      kv.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, request, (error, bytes) => done(error, bytes!)),
    );
    expect([...answer], 'field 1, SERVING').toEqual([0x08, 1]);
  });

  it('tells how it does', async () => {
    await put('a', '1');
    const text = await (await fetch(`http://${proxy.metricsAddress}/metrics`)).text();
    expect(text).toContain('sparrowkv_gateway_calls_total{method="put",outcome="answered"} 1');
    await proxy.close();
    await expect(get('a')).rejects.toMatchObject({ kind: 'unavailable' });
  });
});

describe('settings of a proxy', () => {
  it.each([
    [{}, 'join'],
    [{ join: 'x' }, 'join'],
    [{ join: '127.0.0.1:7400', data: './data' }, 'data'],
    [{ join: '127.0.0.1:7400', nodeId: 3 }, 'nodeId'],
    [{ join: '127.0.0.1:7400', peerListen: '127.0.0.1:7401' }, 'peerListen'],
  ])('%j: %s is refused', (settings, field) => {
    expect(() => resolveSettings({ role: 'proxy', ...settings } as never)).toThrow(
      expect.objectContaining({ kind: 'invalid', details: expect.objectContaining({ field }) as object }),
    );
  });
});
