/** What a server does with more than it can take: memory stays bounded, deadlines and cancelled calls are honoured. */
import { Metadata } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import type { DeleteRangeResponse, Operation, PutResponse, ScanResponse, StatusResponse } from '../../proto/index.ts';
import { call, ServerHarness, sparrowError } from './server-harness.ts';

const MIB = 1024 * 1024;
const NOTHING = Buffer.alloc(0);

let harness: ServerHarness;
afterEach(async () => {
  await harness[Symbol.asyncDispose]();
});

const callsInFlight = async (): Promise<number> => (await call<StatusResponse>((done) => harness.admin.status({}, done))).callsInFlight;

describe('many large puts at once', () => {
  it('wait in the network, so that few are in memory', async () => {
    harness = await ServerHarness.start({ writeBytesInFlightMax: 4 * MIB, receivingMax: 4 });
    const value = Buffer.alloc(MIB);
    const puts = Array.from({ length: 100 }, (_, i) => harness.put(`k${i}`, value));
    let most = 0;
    let done = false;
    const all = Promise.all(puts).finally(() => (done = true));
    while (!done) most = Math.max(most, await callsInFlight());
    await all;
    // Calls are counted from when their request has arrived.
    expect(most).toBeLessThanOrEqual(4 + 4 + 4);
  });

  it('are refused when too many wait', async () => {
    harness = await ServerHarness.start({ writeBytesInFlightMax: MIB, receivingMax: 1, receivesWaitingMax: 3 });
    const results = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => harness.put(`k${i}`, Buffer.alloc(MIB))));
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ kind: 'exhausted', code: 'OVERLOADED', details: { limit: 3 } });
    expect(results.length - refused.length).toBeGreaterThan(3);
    expect(await harness.put('after', 'v')).toMatchObject({});
  });
});

describe('a scan that is not read', () => {
  it('is held back, keeps no calls when cancelled, and ends after its time', async () => {
    harness = await ServerHarness.start({ scanStallMsMax: 1500 });
    const value = Buffer.alloc(MIB);
    for (let i = 0; i < 60; i++) await harness.put(`s${String(i).padStart(3, '0')}`, value);
    const request = { range: undefined, reverse: false, limit: 0, keysOnly: false, cursor: NOTHING, chunkBytes: 0, anyNode: undefined };
    const idle = Array.from({ length: 10 }, () => harness.kv.scan(request));
    const ends = idle.map((stream) => new Promise((resolve) => stream.on('error', (error) => resolve(sparrowError(error as never)))));
    await expect.poll(callsInFlight, { interval: 5 }).toBe(10);
    for (let i = 0; i < 30; i++) await harness.put(`other ${i}`, 'v');
    for (const stream of idle.slice(0, 5)) stream.cancel();
    await expect.poll(callsInFlight).toBeLessThanOrEqual(5);
    await expect.poll(callsInFlight).toBe(0);
    const status = await call<StatusResponse>((done) => harness.admin.status({}, done));
    expect(status.engine!.snapshots).toBe(0);
    expect(await ends[0]).toMatchObject({ kind: 'cancelled' });
    // The status comes behind what was sent, and all streams share their connection's window: who reads them again finds it there.
    for (const stream of idle.slice(5)) stream.resume();
    expect(await ends[9]).toMatchObject({ kind: 'exhausted', code: 'SCAN_STALLED' });
  });

  it('goes on when it is read again', async () => {
    harness = await ServerHarness.start();
    for (let i = 0; i < 20; i++) await harness.put(`s${i}`, Buffer.alloc(MIB));
    const stream = harness.kv.scan({
      range: undefined,
      reverse: false,
      limit: 0,
      keysOnly: false,
      cursor: NOTHING,
      chunkBytes: 0,
      anyNode: undefined,
    });
    let entries = 0;
    for await (const chunk of stream as AsyncIterable<ScanResponse>) {
      entries += chunk.entries.length;
      if (entries === 3) await harness.put('meanwhile', 'v');
    }
    expect(entries).toBe(20);
  });
});

describe('deadlines', () => {
  it('end calls that wait, and those are not applied', async () => {
    harness = await ServerHarness.start({ writeBytesInFlightMax: MIB, receivingMax: 1 });
    const value = Buffer.alloc(8 * MIB);
    const first = Array.from({ length: 8 }, (_, i) => harness.put(`slow ${i}`, value));
    const late = call<PutResponse>((done) =>
      harness.kv.put({ key: Buffer.from('late'), value, requestId: undefined }, new Metadata(), { deadline: Date.now() + 1 }, done),
    );
    await expect(late).rejects.toMatchObject({ kind: 'unavailable', code: 'TIMEOUT' });
    await Promise.all(first);
    expect((await harness.get('late')).found).toBe(false);
  });
});

describe('a request that never arrives', () => {
  it('does not keep others out', async () => {
    harness = await ServerHarness.start({ receivingMax: 1, receiveMsMax: 300 });
    const { connect } = await import('node:http2');
    const session = connect(`http://${harness.server.address}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/sparrowkv.v1.Kv/Put',
      'content-type': 'application/grpc+proto',
      te: 'trailers',
    });
    stream.on('error', () => undefined);
    // A message of 1,000 bytes is announced, and ten come.
    stream.write(Buffer.from('00000003e800000000000000000000', 'hex'));
    const { promise, resolve } = Promise.withResolvers<unknown>();
    stream.on('response', (headers) => resolve(headers['sparrow-code']));
    await new Promise((sent) => setImmediate(sent));
    expect(await harness.put('k', 'v')).toMatchObject({});
    expect(await promise).toBe('RECEIVE_TIMEOUT');
    session.destroy();
  });
});

describe('the largest of what the settings allow', () => {
  it('is applied: a write, and a range delete', async () => {
    const engine = { memoryBytes: 512 * MIB };
    const limits = { maxValueBytes: 64 * MIB, maxWriteBytes: 100 * MIB, writeBytesInFlightMax: 256 * MIB, deleteRangeKeysMax: 20_000 };
    harness = await ServerHarness.start({ ...limits, engine });
    const put = (key: Buffer, value: Buffer): Operation => ({ operation: { $case: 'put', value: { key, value } } });
    const large = Buffer.alloc(40 * MIB, 'large');
    expect(await harness.write({ operations: [put(Buffer.from('a'), large), put(Buffer.from('b'), large)] })).toMatchObject({
      applied: true,
    });
    // Together longer than any write may be.
    for (let i = 0; i < 20_000; i += 4000) {
      const keys = Array.from({ length: 4000 }, (_, k) => Buffer.alloc(4000, `r${String(i + k).padStart(9, '0')}`));
      await harness.write({ operations: keys.map((key) => put(key, NOTHING)) });
    }
    const range = { prefix: Buffer.from('r') };
    const request = { range, limit: 0, cursor: NOTHING, requestId: undefined };
    const answer = await call<DeleteRangeResponse>((done) => harness.kv.deleteRange(request, done));
    expect(answer).toMatchObject({ deleted: 20_000, cursor: NOTHING });
    await harness.restart();
    expect((await harness.get('b')).value.equals(large)).toBe(true);
  });
});

describe('what a server is started with', () => {
  it('must be free: the directory and the address', async () => {
    harness = await ServerHarness.start();
    const { startServer } = await import('../../server/index.ts');
    await expect(startServer({ data: harness.directory, listen: '127.0.0.1:0', logLevel: 'silent' })).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'LOCKED',
    });
    const other = await ServerHarness.start();
    await other.server.close();
    await expect(startServer({ data: other.directory, listen: harness.server.address, logLevel: 'silent' })).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'LISTEN',
    });
    // What was opened before the address was refused is closed again.
    await other.start();
    await other[Symbol.asyncDispose]();
  });
});
