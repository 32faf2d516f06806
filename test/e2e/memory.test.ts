/** The memory of a server process under more than it can take: a thousand large puts at once, and scans that nobody reads. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AdminClient,
  encodeHot,
  type GetResponse,
  getRequestCodec,
  KvClient,
  type PutResponse,
  type StatusResponse,
  WriteRequest,
  type WriteResponse,
} from '../../proto/index.ts';
import { call } from './server-harness.ts';
import { ServerProcess } from './server-process.ts';

const MIB = 1024 * 1024;
const PUTS = 1000;

const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-memory-'));
let server: ServerProcess;
let admin: AdminClient;
let clients: KvClient[];

beforeAll(async () => {
  server = await ServerProcess.start(directory);
  admin = new AdminClient(server.address, credentials.createInsecure());
  clients = Array.from(
    { length: 4 },
    () => new KvClient(server.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
  );
});
afterAll(() => {
  for (const client of [...clients, admin]) client.close();
  server.child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** The most that the process had resident so far, as the kernel counts it. */
function peakBytes(): number {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(/VmHWM:\s*(\d+) kB/.exec(status)![1]) * 1024;
}

const status = (): Promise<StatusResponse> => call((done) => admin.status({}, done));

describe.runIf(process.platform === 'linux')('the memory of a server', () => {
  it(`is bounded while ${PUTS} puts of 1 MiB wait at once`, async () => {
    const value = Buffer.alloc(MIB, 'x');
    const before = peakBytes();
    const puts = Array.from({ length: PUTS }, (_, i) =>
      call<PutResponse>((done) => clients[i % clients.length]!.put({ key: Buffer.from(`k${i}`), value, requestId: undefined }, done)),
    );
    const versions = await Promise.all(puts);
    expect(new Set(versions.map(({ version }) => version)).size).toBe(PUTS);
    // In flight, being received, written by the engine, and what the collector has not come to: 380 to 430. All at once would be three times as much.
    expect((peakBytes() - before) / MIB).toBeLessThan(600);
    expect(await status()).toMatchObject({ callsInFlight: 0, replica: { writesInFlight: 0, writeBytesInFlight: 0 } });
  });

  it('is bounded while nobody reads 40 scans of a gigabyte', async () => {
    const before = peakBytes();
    const request = {
      range: undefined,
      reverse: false,
      limit: 0,
      keysOnly: false,
      cursor: Buffer.alloc(0),
      chunkBytes: 0,
      anyNode: undefined,
    };
    const scans = Array.from({ length: 40 }, (_, i) => clients[i % clients.length]!.scan(request));
    for (const scan of scans) scan.on('error', () => undefined);
    await expect.poll(async () => (await status()).callsInFlight).toBe(40);
    // They have had the time to run away with 100 other calls.
    for (let i = 0; i < 100; i++) await status();
    expect((peakBytes() - before) / MIB).toBeLessThan(400);
    for (const scan of scans) scan.cancel();
    await expect.poll(async () => (await status()).callsInFlight).toBe(0);
    expect((await status()).engine!.snapshots).toBe(0);
  });

  it('is bounded while nobody reads the answers to 2,000 gets of 1 MiB, and others are served', async () => {
    const key = Buffer.from('not read');
    await call<PutResponse>((done) => clients[0]!.put({ key, value: Buffer.alloc(MIB), requestId: undefined }, done));
    const before = peakBytes();
    const session = connect(`http://${server.address}`, { settings: { initialWindowSize: 0 } });
    session.on('error', () => undefined);
    const request = encodeHot(getRequestCodec, { key, versionOnly: false, anyNode: undefined });
    const message = Buffer.concat([Buffer.of(0, 0, 0, 0, request.length), request]);
    const path = '/sparrowkv.v1.Kv/Get';
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc+proto', te: 'trailers' };
    const streams = Array.from({ length: 2000 }, () => {
      const stream = session.request(headers);
      stream.on('error', () => undefined);
      stream.end(message);
      return stream;
    });
    // The first answers have begun.
    await Promise.race(streams.map((stream) => once(stream, 'response')));
    for (let i = 0; i < 100; i++) {
      await call<GetResponse>((done) => clients[i % clients.length]!.get({ key, versionOnly: true, anyNode: undefined }, done));
    }
    expect((peakBytes() - before) / MIB).toBeLessThan(200);
    // Reads that are given up make room for those behind them.
    for (const stream of streams.slice(0, 1000)) stream.close(constants.NGHTTP2_CANCEL);
    await once(streams[1000]!, 'response');
    session.destroy();
    await expect.poll(async () => (await status()).callsInFlight).toBe(0);
    for (let i = 0; i < 100; i++) await status();
    expect((peakBytes() - before) / MIB).toBeLessThan(200);
  });

  it('is bounded while nobody reads what 1,000 writes with a failed condition found, 1 MiB each', async () => {
    const key = Buffer.from('found');
    await call<PutResponse>((done) => clients[0]!.put({ key, value: Buffer.alloc(MIB), requestId: undefined }, done));
    const before = peakBytes();
    const session = connect(`http://${server.address}`, { settings: { initialWindowSize: 0 } });
    session.on('error', () => undefined);
    const conditions = [{ key, expected: { $case: 'absent' as const, value: true } }];
    const request = Buffer.from(WriteRequest.encode({ conditions, operations: [], requestId: undefined }).finish());
    const message = Buffer.concat([Buffer.of(0, 0, 0, 0, request.length), request]);
    const headers = { ':method': 'POST', ':path': '/sparrowkv.v1.Kv/Write', 'content-type': 'application/grpc+proto', te: 'trailers' };
    let overloaded = 0;
    const streams = Array.from({ length: 1000 }, () => {
      const stream = session.request(headers);
      stream.on('error', () => undefined);
      stream.on('response', (answer) => (overloaded += answer['grpc-status'] === '8' ? 1 : 0));
      stream.end(message);
      return stream;
    });
    // The first few megabytes have been given to the connection; what would come on top is refused without a value.
    await expect.poll(() => overloaded).toBeGreaterThan(900);
    expect(overloaded).toBeLessThan(1000);
    expect((peakBytes() - before) / MIB).toBeLessThan(200);
    for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
    session.destroy();
    const other = { conditions, operations: [], requestId: undefined };
    expect(await call<WriteResponse>((done) => clients[1]!.write(other, done))).toMatchObject({ applied: false, failed: { found: true } });
    await expect.poll(async () => (await status()).callsInFlight).toBe(0);
  });
});
